/** Accents beside Hugging Face's library in Rust: tests/goldens/text/make_marks_golden.py. */
import { normalizerOf } from "../../src/text/normalizers.ts";
import { assertEquals } from "../assert.ts";

const GOLDEN = new URL("../goldens/text/marks.json", import.meta.url);

Deno.test("StripAccents leaves out of all characters those that it does in Rust", () => {
  const strip = normalizerOf({ type: "StripAccents" });
  const ranges: [first: number, last: number][] = [];
  for (let point = 0; point < 0x110000; point++) {
    // Halves of a pair are no characters.
    if (point >= 0xd800 && point < 0xe000 || strip(`a${String.fromCodePoint(point)}b`) !== "ab") continue;
    const last = ranges.at(-1);
    if (last?.[1] === point - 1) last[1] = point;
    else ranges.push([point, point]);
  }
  assertEquals(ranges, JSON.parse(Deno.readTextFileSync(GOLDEN)));
});
