/** The likeliest token of a row of logits, plainly. */
import { firstNonFinite } from "../formats/finite.ts";

/** Index of the largest logit; the first of equal ones, as greedy decoding takes it. */
export function argmax(logits: Float32Array): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[best]!) best = i;
  return best;
}

/** {@linkcode argmax}; where a logit is NaN or infinite, ~place of the first such one. */
export function likeliestOf(logits: Float32Array): number {
  const bad = firstNonFinite(logits);
  return bad < 0 ? argmax(logits) : ~bad;
}
