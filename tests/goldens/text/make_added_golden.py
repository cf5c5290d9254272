"""Writes where Hugging Face's `tokenizers` (Rust) finds added tokens that are normalized and that are not, for
tests/text/added_tokens_test.ts.

    python3 make_added_golden.py > added.json        with tokenizers==0.22.1 or later installed

Each case: a normalizer and tokens that are added to the embedded model's tokenizer.json, from id 1024 on, and the ids of
texts, with special tokens as plain text and recognised.
"""
import json
import pathlib

from tokenizers import Tokenizer

TINY = json.loads((pathlib.Path(__file__).parents[3] / "models/tiny-gpt-oss/tokenizer.json").read_text())
FIRST = 1 + max(token["id"] for token in TINY["added_tokens"])


def token(content, normalized, special=False):
    return {"content": content, "normalized": normalized, "special": special}


CASES = [
    (None, [token("SEP", True), token("SEPx", False), token("ab", True), token("bc", False), token("<|s|>", True, True)],
     ["SEP", "SEPx", "SEPSEPx", "abc", "aabcc", "ab", "<|s|>ab<|end|>bc", "x<|s|>", "<|end|>abc<|end|>", "no tokens", ""]),
    (None, [token("<|s|>", True, True), token("|>x", False), token("d|><", True)],
     ["<|s|>x", "<|end|><|s|>", "<|end|>x", "<|s|>", "d|><|end|>"]),
    ({"type": "Lowercase"}, [token("SEP", True), token("Raw", False), token("\u00c9a", True), token("<|s|>", False, True)],
     ["SEP", "sep", "aSEPb", "Raw", "raw", "rawSep RawSEP", "\u00e9A", "<|S|><|s|>", "\u03a3<|end|>SEP<|END|>"]),
    ({"type": "NFC"}, [token("e\u0301", True), token("a\u0301", False)], ["\u00e9", "e\u0301x", "\u00e1", "a\u0301", "ee\u0301\u0301"]),
    ({"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}, {"type": "Strip", "strip_left": True, "strip_right": True}]},
     [token(" \u00e9 ", True), token("| ", False)], ["a e b", " \u00e9 ", "x|  e ", "|  | ", "   "]),
]


def case(normalizer, added, texts):
    file = dict(TINY, normalizer=normalizer)
    flags = {"single_word": False, "lstrip": False, "rstrip": False}
    file["added_tokens"] = TINY["added_tokens"] + [{"id": FIRST + i, **flags, **one} for i, one in enumerate(added)]
    tokenizer = Tokenizer.from_str(json.dumps(file))

    def ids(text, plain):
        tokenizer.encode_special_tokens = plain
        return tokenizer.encode(text, add_special_tokens=False).ids

    return {"normalizer": normalizer, "added": file["added_tokens"][len(TINY["added_tokens"]):],
            "texts": [{"text": text, "plain": ids(text, True), "special": ids(text, False)} for text in texts]}


print(json.dumps([case(*one) for one in CASES], indent=1))
