/** Finds NaN and infinities among values, at the cost of one pass over them. */

/** Whether every value is a number, neither NaN nor infinite. */
export function allFinite(values: Float32Array): boolean {
  // A number times 0 is 0, anything else NaN. Four sums: one alone would wait for each of its additions.
  let a = 0, b = 0, c = 0, d = 0, i = 0;
  for (; i + 3 < values.length; i += 4) {
    a += values[i]! * 0;
    b += values[i + 1]! * 0;
    c += values[i + 2]! * 0;
    d += values[i + 3]! * 0;
  }
  for (; i < values.length; i++) a += values[i]! * 0;
  return a + b + c + d === 0;
}

/** Index of the first value that is NaN or infinite, or -1. */
export function firstNonFinite(values: Float32Array): number {
  return allFinite(values) ? -1 : values.findIndex((value) => !Number.isFinite(value));
}
