/** Which angles the pairs of a head are turned by, as the config says: what old files also hold as a table. */
import type { RopeConfig } from "./model_config.ts";

/**
 * Angle per position of each pair of dimensions, float64 [D/2].
 *
 * Pair i turns by theta^(-2i/D). YaRN divides the slow pairs by its factor, leaves the fast ones, and blends between
 * the two pairs that turn `betaFast` and `betaSlow` times within the original context.
 */
export function inverseFrequencies(headDim: number, rope: RopeConfig): Float64Array {
  const pairs = headDim / 2;
  const plain = Float64Array.from({ length: pairs }, (_, i) => rope.theta ** (-i / pairs));
  const { yarn } = rope;
  if (yarn === null) return plain;
  // The (fractional) pair that makes so many turns in the original context.
  const pairWithTurns = (turns: number) =>
    pairs * Math.log(yarn.originalMaxPositions / (turns * 2 * Math.PI)) / Math.log(rope.theta);
  let low = pairWithTurns(yarn.betaFast), high = pairWithTurns(yarn.betaSlow);
  if (yarn.truncate) [low, high] = [Math.floor(low), Math.ceil(high)];
  low = Math.max(low, 0);
  high = Math.min(high, headDim - 1);
  // Equal bounds make a step instead of a ramp. Those of a small base or a short context lie outside the dimensions and
  // may change places here: the ramp then falls, as in transformers and vLLM.
  const width = high === low ? 0.001 : high - low;
  return plain.map((frequency, i) => {
    const ramp = Math.min(Math.max((i - low) / width, 0), 1);
    return ramp * frequency / yarn.factor + (1 - ramp) * frequency;
  });
}
