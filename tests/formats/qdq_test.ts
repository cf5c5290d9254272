import { roundToBf16 } from "../../src/formats/bf16.ts";
import type { ScaleRule } from "../../src/formats/format.ts";
import { type InputFormat, type MxInputElement, NO_QDQ } from "../../src/formats/input.ts";
import { qdqRow, quantizeFp8 } from "../../src/formats/qdq.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";
import { integers, normals } from "./seeded.ts";
import { STEPS, STEPS_EXPECTED, TIES, TIES_EXPECTED } from "./vectors.ts";

const ELEMENTS = ["e2m1", "e3m2", "e2m3", "e4m3fn"] as const;
const mx = (element: MxInputElement, rule: ScaleRule = "even"): InputFormat => ({ kind: "mx", element, rule });
const fp8 = (scale: number): InputFormat & { kind: "fp8_static" } => ({ kind: "fp8_static", scale });
const TOKEN = { kind: "fp8_token" } as const;
const qdq = (values: readonly number[], input: InputFormat) => [...qdqRow(Float32Array.from(values), input, false)];

for (const element of ELEMENTS) {
  Deno.test(`qdqRow() gives the worked-out blocks (${element})`, () => {
    assertEquals(qdq(TIES, mx(element)), TIES_EXPECTED[element].values);
    assertEquals(qdq(STEPS, mx(element)), STEPS_EXPECTED[element].values);
  });

  Deno.test(`qdqRow() is idempotent (${element})`, () => {
    const next = integers(7);
    for (let block = 0; block < 500; block++) {
      const scale = 2 ** (next() % 200 - 100);
      const row = normals(block, 32, scale);
      const once = qdqRow(row, mx(element), false);
      assertEquals(qdqRow(once, mx(element), false), once);
      assertEquals(qdqRow(once, mx(element), true), once, "results are bf16 numbers");
    }
  });

  Deno.test(`qdqRow() makes a block with a NaN all NaN, and no other (${element})`, () => {
    const row = normals(1, 96);
    const clean = qdqRow(row, mx(element), true);
    row[40] = NaN;
    const got = qdqRow(row, mx(element), true);
    assertEquals([...got.subarray(0, 32)], [...clean.subarray(0, 32)]);
    assert(got.subarray(32, 64).every(Number.isNaN));
    assertEquals([...got.subarray(64)], [...clean.subarray(64)]);
  });

  Deno.test(`qdqRow() treats each 32 columns and a shorter rest on their own (${element})`, () => {
    const row = normals(2, 80);
    row[0] = 1000;
    row[79] = 0.001;
    const parts = [row.slice(0, 32), row.slice(32, 64), row.slice(64)].map((part) => qdqRow(part, mx(element), false));
    assertEquals([...qdqRow(row, mx(element), false)], parts.flatMap((part) => [...part]));
  });

  Deno.test(`qdqRow() of zeros, infinities and the smallest numbers (${element})`, () => {
    assertEquals(qdq(new Array<number>(32).fill(0), mx(element)), new Array<number>(32).fill(0));
    assertEquals(qdq([Infinity, 1, -Infinity], mx(element)), [Infinity, 0, -Infinity]);
    const tiny = qdq([2 ** -127, -(2 ** -128)], mx(element));
    assertEquals(tiny, [2 ** -127, -(2 ** -128)]);
  });
}

Deno.test("qdqRow() saturates below the point where the scale grows", () => {
  assertEquals(qdq([6.99], mx("e2m1")), [6]);
  assertEquals(qdq([7], mx("e2m1")), [8]);
  assertEquals(qdq([29.9], mx("e3m2")), [28]);
  assertEquals(qdq([30], mx("e3m2")), [32]);
  assertEquals(qdq([7.74], mx("e2m3")), [7.5]);
  assertEquals(qdq([7.75], mx("e2m3")), [8]);
  assertEquals(qdq([7], mx("e2m1", "floor")), [6]);
});

Deno.test("qdqRow() takes the rounding thresholds of FP4 to even", () => {
  const row = [6, 0.25, 0.2500001, 0.75, 0.7499999, 1.25, 1.75, 2.5, 3.5, 5, 5.0000005];
  assertEquals(qdq(row, mx("e2m1")), [6, 0, 0.5, 1, 0.5, 1, 2, 2, 4, 4, 6]);
});

Deno.test("qdqRow() with a static FP8 scale", () => {
  assertEquals(qdq([300, 0.3, -300, -0, Infinity], fp8(0.5)), [224, 0.3125, -224, -0, 224]);
  assertEquals(qdq([1.0625, 1.1875, 17, 19, 27, 232, 432, 464, 500], fp8(1)), [
    1,
    1.25,
    16,
    20,
    28,
    224,
    448,
    448,
    448,
  ]);
  assertEquals(qdq([2 ** -10, 1.5 * 2 ** -9, 2 ** -9], fp8(1)), [0, 2 * 2 ** -9, 2 ** -9]);
  const [nan, one] = qdq([NaN, 1], fp8(1));
  assert(Number.isNaN(nan) && one === 1, "NaN stays, and stays alone");
});

Deno.test("qdqRow() rounds code times scale once to bfloat16", () => {
  const scale = Math.fround(0.0371);
  const row = normals(3, 200);
  const exact = qdqRow(row, fp8(scale), false), rounded = qdqRow(row, fp8(scale), true);
  assertEquals([...rounded], [...exact].map(roundToBf16));
  assert(rounded.some((value, i) => value !== exact[i]), "the scale is no bf16 number");
  assertEquals([...qdqRow(rounded, fp8(scale), true)], [...rounded], "idempotent");
});

Deno.test("qdqRow() gives code times scale in float32, without a detour over fp16", () => {
  // Numbers that are codes times the scale come back as they were. fp16 would overflow above 65504, and has neither
  // this scale nor the least.
  for (const scale of [200, Math.fround(0.0371), 2 ** -20]) {
    const row = Float32Array.of(448, 1.125, -13, 2 ** -9).map((code) => code * scale);
    assertEquals(qdqRow(row, fp8(scale), false), row, `scale ${scale}`);
  }
});

Deno.test("quantizeFp8() divides by the scale instead of multiplying by its reciprocal", () => {
  // x / scale is the tie 1.0625 exactly, and goes to the even code 1; x * fround(1 / scale) is above it, and would give
  // 1.125.
  let found = 0;
  for (let bits = 1; bits < 2000; bits++) {
    const scale = Math.fround(1 + bits / 2000), reciprocal = Math.fround(1 / scale);
    const x = Math.fround(1.0625 * scale);
    if (Math.fround(x / scale) !== 1.0625 || Math.fround(x * reciprocal) <= 1.0625) continue;
    found++;
    assertEquals([...quantizeFp8(Float32Array.of(x), fp8(scale)).values], [1]);
  }
  assert(found > 10);
});

Deno.test("qdqRow() per token uses the row's own scale", () => {
  assertEquals(qdq([224, 1, -112], TOKEN), [224, 1, -112]);
  assertEquals(qdq([0, -0], TOKEN), [0, -0]);
  const row = normals(4, 300, 17);
  const amax = Math.max(...row.map(Math.abs));
  const { values, scale } = quantizeFp8(row, TOKEN);
  assertEquals(scale, Math.fround(amax / 448));
  assertEquals(Math.max(...values.map(Math.abs)), 448);
  row.forEach((x, i) =>
    assertAlmostEquals(values[i]! * scale, x, Math.max(Math.abs(x) / 16, scale * 2 ** -10) * 1.0001)
  );
  assert(qdqRow(Float32Array.of(1, NaN), TOKEN, false).every(Number.isNaN), "a NaN leaves no scale");
  assert(qdqRow(Float32Array.of(1, Infinity), TOKEN, false).every(Number.isNaN));
});

Deno.test("qdqRow() without a format only rounds", () => {
  const row = normals(5, 10);
  assertEquals(qdqRow(row, NO_QDQ, false), row);
  assertEquals([...qdqRow(row, NO_QDQ, true)], [...row].map(roundToBf16));
});
