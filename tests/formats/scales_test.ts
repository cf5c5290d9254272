import { ELEMENTS } from "../../src/formats/elements.ts";
import { decodeE8m0, E8M0_NAN, fp8TokenScale, largestMagnitude, scaleByte } from "../../src/formats/scales.ts";
import { assert, assertEquals } from "../assert.ts";

const MX = [ELEMENTS.e2m1, ELEMENTS.e3m2, ELEMENTS.e2m3, ELEMENTS.e4m3fn] as const;

Deno.test("scaleByte() by the rule `even` gives the exponents of the table", () => {
  const table: [amax: number[], e2m1: number, e3m2: number, e2m3: number, e4m3fn: number][] = [
    [[0, 1e-45, 1e-39], -127, -127, -127, -127],
    [[0.9], -2, -5, -3, -9],
    [[1, 1.7, 1.74], -2, -4, -2, -8],
    [[1.75, 1.8], -1, -4, -2, -8],
    [[3.49], -1, -3, -1, -7],
    [[3.5], 0, -3, -1, -7],
    [[6, 6.99], 0, -2, 0, -6],
    [[7], 1, -2, 0, -6],
    [[7.5], 1, -1, 0, -6],
    [[8], 1, -1, 1, -5],
    [[448], 7, 4, 6, 0],
  ];
  for (const [amaxes, ...exponents] of table) {
    for (const amax of amaxes) {
      assertEquals(MX.map((element) => scaleByte(Math.fround(amax), element, "even") - 127), exponents, `amax ${amax}`);
    }
  }
});

Deno.test("scaleByte() by `even` changes where the significand reaches 2 - 2^-(m+1)", () => {
  MX.forEach((element, i) => {
    const threshold = [1.75, 1.875, 1.9375, 1.9375][i]!;
    for (let exponent = -100; exponent <= 120; exponent += 11) {
      const at = threshold * 2 ** exponent, below = at * (1 - 2 ** -23);
      assertEquals(scaleByte(at, element, "even"), exponent + 1 - element.maxExponent + 127);
      assertEquals(scaleByte(Math.fround(below), element, "even"), exponent - element.maxExponent + 127);
    }
  });
});

Deno.test("scaleByte() by the rule `floor` is the power of two of the largest magnitude", () => {
  for (const element of MX) {
    for (const amax of [1, 1.75, 1.99, 7, 7.99]) {
      assertEquals(scaleByte(amax, element, "floor"), Math.floor(Math.log2(amax)) - element.maxExponent + 127);
    }
    assertEquals(scaleByte(0, element, "floor"), 0);
  }
});

Deno.test("scaleByte() by `rceil` is the smallest scale by which nothing saturates", () => {
  const float = new Float32Array(1), word = new Uint32Array(float.buffer);
  const numbers = function* (fractions: readonly number[]) {
    // Every bfloat16 number, and float32 numbers at both sides of the places where the scale grows.
    for (let bits = 0; bits < 0x7f80; bits++) yield bits << 16;
    for (let field = 0; field < 255; field++) {
      for (const fraction of fractions) {
        for (const near of [-1, 0, 1]) yield field * 2 ** 23 + fraction + near;
      }
    }
  };
  for (const [i, element] of MX.entries()) {
    // Fractions of 6, 28, 7.5 and 448, of the next number that their mantissas could have, and of 1.
    const fractions = [[0x400000, 0x600000], [0x600000, 0x700000], [0x700000, 0x780000], [0x600000, 0x700000]][i]!;
    for (const bits of numbers([1, ...fractions])) {
      word[0] = bits;
      const amax = float[0]!, byte = scaleByte(amax, element, "rceil");
      assert(element.max * decodeE8m0(byte) >= amax, `${element.name}: ${amax} saturates by ${byte}`);
      assert(
        byte === 0 || element.max * decodeE8m0(byte - 1) < amax,
        `${element.name}: ${byte} is too much for ${amax}`,
      );
    }
  }
});

Deno.test("scaleByte() stays within 0 and 254, and is 255 for NaN", () => {
  const largest = 3.4028234663852886e38;
  for (const element of MX) {
    for (const rule of ["even", "floor", "rceil"] as const) {
      assertEquals(scaleByte(NaN, element, rule), E8M0_NAN);
      assertEquals(scaleByte(Infinity, element, rule), 254);
      assertEquals(scaleByte(2 ** -126, element, rule), 0);
    }
    assertEquals(scaleByte(largest, element, "even"), 254);
    assertEquals(scaleByte(largest, element, "floor"), 254 - element.maxExponent);
    assertEquals(scaleByte(largest, element, "rceil"), 255 - element.maxExponent);
  }
});

Deno.test("decodeE8m0() is 2^(byte - 127), not zero for byte 0, NaN for 255", () => {
  assertEquals(decodeE8m0(0), 2 ** -127);
  assertEquals(decodeE8m0(127), 1);
  assertEquals(decodeE8m0(254), 2 ** 127);
  assert(Number.isNaN(decodeE8m0(255)));
  for (let byte = 1; byte < 255; byte++) assertEquals(decodeE8m0(byte), 2 * decodeE8m0(byte - 1));
});

Deno.test("fp8TokenScale() divides by 448 and has a floor", () => {
  assertEquals(fp8TokenScale(448), 1);
  assertEquals(fp8TokenScale(1), Math.fround(1 / 448));
  assertEquals(fp8TokenScale(0), Math.fround(1 / 229_376));
  assert(Number.isNaN(fp8TokenScale(NaN)));
});

Deno.test("largestMagnitude() sees signs, NaN and ranges", () => {
  const values = [1, -5, 3, NaN, 9];
  assertEquals(largestMagnitude(values, 0, 3), 5);
  assert(Number.isNaN(largestMagnitude(values, 0, 5)));
  assertEquals(largestMagnitude(values, 4, 5), 9);
  assertEquals(largestMagnitude(values, 2, 2), 0);
});
