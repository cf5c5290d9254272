/** How far apart two predictions of the same next token are. All sums are float64. */
import { likeliestTokens, logSumExp } from "../session/likelihood.ts";

/**
 * Kullback-Leibler divergence KL(P || Q) in nats of the softmax of two sets of logits: what a reader who expects Q is
 * surprised by, on average, when P speaks. At least 0; NaN if a logit is.
 */
export function klDivergence(p: Float32Array, q: Float32Array): number {
  const logP = logSumExp(p), logQ = logSumExp(q);
  let sum = 0;
  for (let i = 0; i < p.length; i++) {
    const own = p[i]! - logP;
    sum += Math.exp(own) * (own - (q[i]! - logQ));
  }
  // Rounding can leave a few 1e-17 below zero.
  return sum !== sum ? NaN : Math.max(0, sum);
}

/** The likeliest tokens with their probabilities, four digits, the likeliest first; of equal ones the first. */
export function likeliest(logits: Float32Array, count: number): [token: number, probability: number][] {
  const all = logSumExp(logits);
  return likeliestTokens(logits, count).map((token) => [token, Number(Math.exp(logits[token]! - all).toPrecision(4))]);
}
