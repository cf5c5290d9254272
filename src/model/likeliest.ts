/** The likeliest token of a row of logits, plainly. */
import { firstNonFinite } from "../formats/finite.ts";

/**
 * The place of the largest logit, the first of equal ones; where a logit is NaN or infinite, ~place of the first such
 * one.
 */
export function likeliestOf(logits: Float32Array): number {
  const bad = firstNonFinite(logits);
  if (bad >= 0) return ~bad;
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[best]!) best = i;
  return best;
}
