/** What logits say of tokens. All sums are float64. */

export { argmax } from "../model/likeliest.ts";

/** log of the sum of e^logit. */
export function logSumExp(logits: Float32Array): number {
  let most = -Infinity;
  for (let i = 0; i < logits.length; i++) if (logits[i]! > most) most = logits[i]!;
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i]! - most);
  return most + Math.log(sum);
}

/** log of the probability that softmax gives a token. */
export function logProbability(logits: Float32Array, token: number): number {
  return logits[token]! - logSumExp(logits);
}

/** The likeliest tokens, the likeliest first; of equal ones the lower id. */
export function likeliestTokens(logits: Float32Array, count: number): number[] {
  const best: number[] = [];
  if (count === 0) return best;
  for (let i = 0; i < logits.length; i++) {
    if (best.length === count && !(logits[i]! > logits[best.at(-1)!]!)) continue;
    const place = best.findIndex((token) => logits[i]! > logits[token]!);
    best.splice(place < 0 ? best.length : place, 0, i);
    if (best.length > count) best.pop();
  }
  return best;
}

/**
 * Kullback-Leibler divergence KL(P || Q) in nats of the softmax of two sets of logits: by how much a reader who expects
 * Q is more surprised, on average, than one who expects P, when P speaks. At least 0; NaN if a logit is.
 */
export function klDivergence(p: Float32Array, q: Float32Array): number {
  const logP = logSumExp(p), logQ = logSumExp(q);
  let sum = 0;
  for (let i = 0; i < p.length; i++) {
    const own = p[i]! - logP;
    sum += Math.exp(own) * (own - (q[i]! - logQ));
  }
  // Rounding can leave a few 1e-17 below zero.
  return Math.max(0, sum);
}
