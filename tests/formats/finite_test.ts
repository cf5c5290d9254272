import { allFinite, firstNonFinite } from "../../src/formats/finite.ts";
import { assertEquals } from "../assert.ts";

Deno.test("firstNonFinite() finds the first NaN or infinity of rows of any length, none among large ones", () => {
  for (let length = 0; length < 14; length++) {
    const row = Float32Array.from({ length }, (_, i) => i % 2 === 0 ? 3.4e38 : -3.4e38);
    assertEquals([allFinite(row), firstNonFinite(row)], [true, -1], `${length}`);
    for (let at = 0; at < length; at++) {
      for (const bad of [NaN, Infinity, -Infinity]) {
        const broken = row.slice();
        broken[at] = bad;
        assertEquals([allFinite(broken), firstNonFinite(broken)], [false, at], `${bad} at ${at} of ${length}`);
        broken[length - 1] = NaN;
        assertEquals(firstNonFinite(broken), at, `${bad} at ${at} of ${length}, and NaN`);
      }
    }
  }
});
