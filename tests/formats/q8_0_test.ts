import { qdqRow } from "../../src/formats/qdq.ts";
import { quantizeQ8 } from "../../src/formats/q8_0.ts";
import { assert, assertEquals } from "../assert.ts";
import { normals } from "./seeded.ts";

const Q8 = { kind: "q8_0" } as const;
const qdq = (values: readonly number[], toBf16 = false) => [...qdqRow(Float32Array.from(values), Q8, toBf16)];
const codesOf = (values: readonly number[]) => {
  const codes = new Float32Array(values.length);
  return { scale: quantizeQ8(Float32Array.from(values), 0, values.length, codes), codes: [...codes] };
};

Deno.test("quantizeQ8() gives the worked-out codes, ties to the even one", () => {
  // The scale is 1: codes are the numbers, rounded.
  assertEquals(codesOf([127, 0.5, 1.5, 2.5, -0.5, -1.5, 3.49, -127]), {
    scale: 1,
    codes: [127, 0, 2, 2, 0, -2, 3, -127],
  });
  // 2.54 / 127 = 0.02 is no float16 number: the next one is 1311 * 2^-16.
  assertEquals(codesOf([2.54, 1.27, -0.02]), { scale: 1311 / 65536, codes: [127, 64, -1] });
});

Deno.test("quantizeQ8() multiplies by the quotient of float32, not of float64", () => {
  let differ = 0;
  for (let seed = 0; seed < 400; seed++) {
    const row = normals(seed, 32), amax = row.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    const inverse = Math.fround(127 / amax);
    const { codes } = codesOf([...row]);
    row.forEach((x, i) => {
      const product = Math.fround(x * inverse), below = Math.floor(product), part = product - below;
      const expected = part > 0.5 || part === 0.5 && below % 2 !== 0 ? below + 1 : below;
      assertEquals(codes[i], expected + 0);
      // A division comes to other codes now and then.
      if (Math.round(x / (amax / 127)) !== codes[i]) differ++;
    });
  }
  assert(differ < 10, `${differ}`);
});

Deno.test("qdqRow() by Q8_0 has a scale for every 32 columns, and is not rounded to bfloat16", () => {
  const row = [...normals(3, 72)], whole = qdq(row);
  const blocks = [qdq(row.slice(0, 32)), qdq(row.slice(32, 64)), qdq(row.slice(64))];
  assertEquals(whole, blocks.flat());
  assertEquals(qdq(row, true), whole);
  // 19 significant bits: the largest code times a float16 number.
  assertEquals(qdq([2.54])[0], 127 * 1311 / 65536);
});

Deno.test("qdqRow() by Q8_0 makes a block with a NaN or an infinity NaN, and no other", () => {
  for (const bad of [NaN, Infinity, -Infinity]) {
    const row = normals(1, 96), clean = qdqRow(row, Q8, false);
    row[40] = bad;
    const got = qdqRow(row, Q8, false);
    assertEquals([...got.subarray(0, 32)], [...clean.subarray(0, 32)]);
    assert(got.subarray(32, 64).every(Number.isNaN));
    assertEquals([...got.subarray(64)], [...clean.subarray(64)]);
  }
});

Deno.test("qdqRow() by Q8_0 ends where float16 scales end", () => {
  assertEquals(qdq([0, -0, 0]), [0, 0, 0]);
  // The smallest scale is 2^-24; what is half of it or less becomes 0; no block has one above 65504.
  assertEquals(qdq([127 * 2 ** -24, 2 ** -24]), [127 * 2 ** -24, 2 ** -24]);
  assertEquals(qdq([127 * 2 ** -25, 2 ** -25]), [0, 0]);
  assertEquals(qdq([1e-45, -1e-45]), [0, -0]);
  assertEquals(qdq([127 * 65504]), [127 * 65504]);
  assertEquals(qdq([127 * 65519.99]), [127 * 65504]);
  assertEquals(qdq([1, 127 * 65520]), [NaN, NaN]);
});
