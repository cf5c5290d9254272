/** Rounding of numbers to a decimal place, which ends of intervals need in a direction. */

/** To the nearest, or for an end of an interval away from what it bounds. */
export type Rounding = (units: number) => number;

/** Part of a unit by which floats miss the decimals that they stand for. */
export const FLOAT_NOISE = 1e-9;

/** How many units of 10 to this power a number is. One that is a whole number of them but for its float stays it. */
export function unitsOf(x: number, place: number, to: Rounding): number {
  const units = atPlace(x, -place), nearest = Math.round(units);
  return Math.abs(units - nearest) <= FLOAT_NOISE ? nearest : to(units);
}

/** So many units of 10 to this power. */
export function atPlace(units: number, place: number): number {
  const power = Math.abs(place), first = Math.min(power, LARGEST_POWER);
  // Powers from 1 on are exact up to that of 22, and no smaller one is.
  const factors = [10 ** first, 10 ** (power - first)] as const;
  return place < 0 ? units / factors[0] / factors[1] : units * factors[0] * factors[1];
}

/** Largest power of ten that is a float64; the smallest floats are that of -324. */
const LARGEST_POWER = 308;
