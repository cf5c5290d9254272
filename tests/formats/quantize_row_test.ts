import { ELEMENTS, quantize } from "../../src/formats/elements.ts";
import { quantizeRow } from "../../src/formats/quantize_row.ts";
import { assert, assertEquals } from "../assert.ts";
import { lehmer } from "../text/goldens.ts";

/** Numbers between and on those of the format, beyond its ends, of every exponent, and those that are not finite. */
function numbers(values: Float32Array): Float32Array {
  const ascending = [...values].filter(Number.isFinite).sort((a, b) => a - b), next = lehmer(11);
  const between = ascending.slice(1).flatMap((x, i) => {
    const middle = (x + ascending[i]!) / 2;
    return [middle, middle * (1 + 2 ** -23), middle * (1 - 2 ** -23)];
  });
  const powers = Array.from({ length: 277 }, (_, i) => (1 + next(1000) / 1000) * 2 ** (i - 149));
  const odd = [0, -0, NaN, Infinity, -Infinity, 1e-45, 3.4e38];
  return Float32Array.from([...ascending, ...between, ...powers, ...powers.map((x) => -x), ...odd]);
}

for (const name of ["e2m1", "e3m2", "e2m3", "e4m3fn", "e5m2"] as const) {
  Deno.test(`quantizeRow() makes of each number in ${name} what quantize() makes of it, bit by bit`, () => {
    const given = numbers(ELEMENTS[name].values);
    for (const scale of [1, 2 ** -127, 2 ** 60, Math.fround(0.3), NaN]) {
      const found = new Float32Array(given.length).fill(7);
      quantizeRow(name)(given, 1, given.length - 1, scale, found);
      assertEquals([found[0], found.at(-1)], [7, 7]);
      for (let i = 1; i < given.length - 1; i++) {
        const expected = quantize(ELEMENTS[name], Math.fround(given[i]! / scale));
        assert(Object.is(found[i], expected), `${given[i]} / ${scale}: ${found[i]} and ${expected}`);
      }
    }
  });
}
