/** The experts of a token, best first, and their weights. */
export interface Route {
  readonly experts: readonly number[];
  readonly weights: readonly number[];
}

/**
 * The topK largest logits, descending, of equal ones the lower index first; weights are the softmax over the chosen.
 * NaN counts as the least.
 *
 * @param logits [E]
 */
export function route(logits: Float32Array, topK: number): Route {
  const rank = (e: number) => Number.isNaN(logits[e]) ? -Infinity : logits[e]!;
  const experts = [...logits.keys()].sort((a, b) => rank(a) === rank(b) ? a - b : rank(b) - rank(a)).slice(0, topK);
  const most = logits[experts[0]!]!;
  const exponentials = experts.map((e) => Math.exp(logits[e]! - most));
  const sum = exponentials.reduce((a, b) => a + b, 0);
  return { experts, weights: exponentials.map((e) => Math.fround(e / sum)) };
}
