import { assertEquals } from "./assert.ts";

/** Normalized mean squared error: sum of squared differences over the sum of the expected values' squares. */
export function nmse(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  assertEquals(actual.length, expected.length);
  let difference = 0, squares = 0;
  for (let i = 0; i < expected.length; i++) {
    difference += (actual[i]! - expected[i]!) ** 2;
    squares += expected[i]! ** 2;
  }
  return difference / squares;
}
