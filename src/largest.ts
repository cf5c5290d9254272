/**
 * The largest of any number of values; of none: -Infinity. `Math.max(...values)` throws where they are more than some
 * 120,000, as each is an argument on the stack.
 */
export function largest(values: Iterable<number>): number {
  let most = -Infinity;
  for (const value of values) most = Math.max(most, value);
  return most;
}
