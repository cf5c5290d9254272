/** Predictions of a next token as reports show them. */
import { likeliestTokens, logSumExp } from "../session/likelihood.ts";

/** The likeliest tokens with their probabilities, four digits, the likeliest first; of equal ones the first. */
export function likeliest(logits: Float32Array, count: number): [token: number, probability: number][] {
  const all = logSumExp(logits);
  return likeliestTokens(logits, count).map((token) => [token, Number(Math.exp(logits[token]! - all).toPrecision(4))]);
}
