"""Writes which characters `StripAccents` of Hugging Face's `tokenizers` (Rust) takes for accents, for
tests/text/marks_test.ts.

    python3 make_marks_golden.py > marks.json      with tokenizers==0.23.3 installed

A list of ranges, first and last code point.
"""
import json

from tokenizers import normalizers

strip = normalizers.StripAccents()
ranges = []
for point in range(0x110000):
    if 0xD800 <= point < 0xE000 or strip.normalize_str(f"a{chr(point)}b") != "ab":
        continue
    if ranges and ranges[-1][1] == point - 1:
        ranges[-1][1] = point
    else:
        ranges.append([point, point])
print(json.dumps(ranges))
