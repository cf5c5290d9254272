import { dot } from "./linear.ts";
import type { Round } from "./tensor.ts";

/**
 * One query head over the keys that it may see: p_j = exp(s_j - m) / (exp(sink - m) + sum exp(s - m)), out = sum p_j
 * v_j, with s_j = q.k_j / sqrt(D) and m the largest of the sink and all s.
 *
 * @param out, query [D]
 * @param keys, values One [D] row per visible position, ascending.
 * @param sink The head's learned logit, neither scaled nor rotated.
 */
export function attendHead(
  out: Float32Array,
  query: Float32Array,
  keys: readonly Float32Array[],
  values: readonly Float32Array[],
  sink: number,
  round: Round,
): void {
  const scale = 1 / Math.sqrt(query.length);
  const probabilities = softmaxWithSink(keys.map((key) => dot(query, key) * scale), sink);
  const sums = new Float64Array(out.length);
  values.forEach((value, j) => value.forEach((v, d) => sums[d]! += probabilities[j]! * v));
  sums.forEach((sum, d) => out[d] = round(sum));
}

/** Softmax of scores and one more that is left out of the result, so that the results' sum is below 1. */
export function softmaxWithSink(scores: readonly number[], sink: number): number[] {
  const most = scores.reduce((a, b) => Math.max(a, b), sink);
  const exponentials = scores.map((score) => Math.exp(score - most));
  const sum = exponentials.reduce((a, b) => a + b, Math.exp(sink - most));
  return exponentials.map((e) => e / sum);
}
