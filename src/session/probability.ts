/** Probabilities as integers ("weights"), whose sums no order of additions can change. */

const { fround } = Math;
/** Below this a weight is 0. */
const LEAST_X = -21.5;
const LOG2_E = fround(1.44269504), LN2_HIGH = 0.693359375, LN2_LOW = fround(2.1219444e-4);
/** Adding and subtracting it in float32 rounds to a whole number. */
const ROUNDER = 1.5 * 2 ** 23;
const C6 = fround(1.38888889e-3), C5 = fround(8.33333333e-3), C4 = fround(4.16666667e-2), C3 = fround(1.66666667e-1);

/**
 * exp(x) in units of 2^-31, rounded down, for x <= 0: 2^n exp(r) with |r| <= ln(2) / 2 and the Taylor polynomial of
 * degree 6, in float32 operations that are rounded one by one, as `weight_of` of the kernels does them.
 *
 * @param x Float32.
 */
export function weightOf(x: number): number {
  if (!(x > LEAST_X)) return 0;
  const n = fround(fround(fround(x * LOG2_E) + ROUNDER) - ROUNDER);
  const r = fround(fround(x - fround(n * LN2_HIGH)) + fround(n * LN2_LOW));
  let p = fround(fround(C6 * r) + C5);
  p = fround(fround(p * r) + C4);
  p = fround(fround(p * r) + C3);
  p = fround(fround(p * r) + 0.5);
  p = fround(fround(p * r) + 1);
  p = fround(fround(p * r) + 1);
  return Math.floor(p * 2 ** (31 + n));
}

/** A part of a sum of weights: floor(total * u) for u in [0, 1), of which 24 bits count. */
export function fraction(total: number, u: number): number {
  // Sums of 2^22 weights stay below 2^53; the products do too, cut in two.
  const n = Math.min(Math.floor(u * 2 ** 24), 2 ** 24 - 1), low = total % 2 ** 24;
  return ((total - low) / 2 ** 24) * n + Math.floor((low * n) / 2 ** 24);
}
