import { cacheNoise, inputNoise, roundingFloor } from "../../src/eval/noise.ts";
import { type InputFormat, MX_INPUT, type MxInputElement, Q8_NOISE, sameInputFormat } from "../../src/formats/input.ts";
import { STORED_FORMATS } from "../../src/formats/format.ts";
import { roundAllToBf16 } from "../../src/formats/bf16.ts";
import { qdqRow } from "../../src/formats/qdq.ts";
import { assert, assertEquals } from "../assert.ts";

/** Normally distributed numbers (Box-Muller over a multiplicative generator). */
function normal(count: number): Float32Array {
  let state = 12345;
  const uniform = () => (state = state * 48271 % 2147483647) / 2147483647;
  return Float32Array.from(
    { length: count },
    () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
}

function relativeError(before: Float32Array, after: Float32Array): number {
  const error = before.reduce((sum, x, i) => sum + (after[i]! - x) ** 2, 0);
  return Math.sqrt(error / before.reduce((sum, x) => sum + x * x, 0));
}

const values = normal(32 * 2000);
const mx = (element: MxInputElement): InputFormat => ({ kind: "mx", element, rule: MX_INPUT[element].rule });

for (
  const [format, expected] of [
    [mx("e2m1"), STORED_FORMATS.mxfp4.noise],
    [mx("e3m2"), STORED_FORMATS.mxfp6_e3m2.noise],
    [mx("e2m3"), STORED_FORMATS.mxfp6_e2m3.noise],
    [mx("e4m3fn"), STORED_FORMATS.fp8_e4m3.noise],
    [{ kind: "q8_0" }, Q8_NOISE],
    [{ kind: "fp8_token" }, STORED_FORMATS.fp8_e4m3.noise],
    [{ kind: "fp8_static", scale: 0.01 }, STORED_FORMATS.fp8_e4m3.noise],
  ] as const
) {
  Deno.test(`STORED_FORMATS says what QDQ ${JSON.stringify(format)} adds to normal numbers, within 5%`, () => {
    const measured = relativeError(values, qdqRow(values, format, false));
    assert(Math.abs(measured / expected - 1) < 0.05, `measured ${measured}, stated ${expected}`);
    assertEquals(inputNoise(format), expected);
  });
}

Deno.test("STORED_FORMATS says what rounding to bfloat16 adds to normal numbers, within 5%", () => {
  const rounded = values.slice();
  roundAllToBf16(rounded);
  const measured = relativeError(values, rounded);
  assert(Math.abs(measured / cacheNoise("bf16") - 1) < 0.05, `measured ${measured}`);
});

Deno.test("sameInputFormat() tells formats apart, not calibrated scales", () => {
  assert(sameInputFormat({ kind: "fp8_static", scale: 1 }, { kind: "fp8_static", scale: 2 }));
  assert(!sameInputFormat(mx("e2m1"), mx("e2m3")));
  assert(!sameInputFormat({ kind: "none" }, { kind: "fp8_token" }));
  assert(
    sameInputFormat(mx("e2m1"), mx("e2m1")) &&
      !sameInputFormat(mx("e2m1"), { kind: "mx", element: "e2m1", rule: "floor" }),
  );
});

Deno.test("roundingFloor() is 0 just for sums in the same order, and larger where bfloat16 rounds", () => {
  const f32 = { dtype: "f32", engine: "emulate" } as const, bf16 = { dtype: "bf16", engine: "emulate" } as const;
  assertEquals([roundingFloor(f32, f32), roundingFloor(bf16, bf16)], [0, 0]);
  assertEquals(roundingFloor(f32, { ...f32, engine: "cuda" }), 1e-4);
  assertEquals(
    [[f32, bf16], [bf16, f32], [bf16, { ...bf16, engine: "cuda" }]].map(([a, b]) => roundingFloor(a!, b!)),
    [4e-3, 4e-3, 4e-3],
  );
});

Deno.test("caches and inputs err as their formats do, and not at all without one", () => {
  assertEquals([cacheNoise("fp8"), inputNoise({ kind: "none" })], [STORED_FORMATS.fp8_e4m3.noise, 0]);
});
