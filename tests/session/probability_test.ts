import { fraction, weightOf } from "../../src/session/probability.ts";
import { assert, assertEquals } from "../assert.ts";

Deno.test("weightOf() is exp in units of 2^-31, rounded down", () => {
  assertEquals([0, -0, -21.5, -Infinity, NaN].map(weightOf), [2 ** 31, 2 ** 31, 0, 0, 0]);
  let worst = 0;
  for (let i = 0; i < 100_000; i++) {
    const x = Math.fround(-21.5 * (i / 100_000)), exact = Math.exp(x) * 2 ** 31;
    // Of a number that is rounded down, 1 is lost at most.
    worst = Math.max(worst, Math.abs(weightOf(x) - exact) - 1, 0) / exact;
    assert(weightOf(x) <= exact * (1 + 1e-6) && weightOf(x) >= exact * (1 - 1e-6) - 1, `x = ${x}`);
  }
  assert(worst < 5e-7, `relative error ${worst}`);
});

Deno.test("weightOf() rounds each float32 operation as its formula says, to the bit", () => {
  // The same formula in numpy's float32, operation by operation: what kernels have to give as well.
  const numbers: readonly (readonly [x: number, weight: number])[] = [
    ...([[-1 / 3, 1538739456], [-0.3465, 1518612224], [-0.3466, 1518460032], [-1, 790015104]] as const),
    ...([[-2.7, 144322736], [-5.55, 8348249], [-10.123, 86211], [-15.5, 398], [-21.4, 1], [-21.49, 0]] as const),
  ];
  for (const [x, weight] of numbers) assertEquals(weightOf(Math.fround(x)), weight, `x = ${x}`);
  let sum = 0;
  for (let i = 0; i < 8192; i++) sum = (Math.imul(sum, 31) + weightOf(Math.fround(-21.5 * i / 8192))) >>> 0;
  assertEquals(sum, 338966031);
});

Deno.test("fraction() is the part of a sum, rounded down, of 24 bits of the share", () => {
  const totals = [0, 1, 3, 2 ** 24 - 1, 2 ** 24, 2 ** 31, 2 ** 31 + 7, 3 * 2 ** 40 + 12_345_678, 2 ** 53 - 1];
  const shares = [0, 2 ** -24, 3 * 2 ** -24, 0.3, 0.5, 0.9, Math.fround(0.95), 1 - 2 ** -24, 1 - 2 ** -25, 1];
  for (const total of totals) {
    for (const u of shares) {
      // 1 is no share of a draw: the largest stands for it.
      const n = u === 1 ? 2n ** 24n - 1n : BigInt(Math.floor(u * 16_777_216));
      assertEquals(fraction(total, u), Number(BigInt(total) * n / 2n ** 24n), `${total} ${u}`);
    }
  }
});
