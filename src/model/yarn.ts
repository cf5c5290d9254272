/** Rotary position embedding with YaRN: which angles the pairs of a head are turned by, and how much they grow. */
import type { ModelConfig, RopeConfig } from "../checkpoint/model_config.ts";

/**
 * Cosines and sines of a batch, float32 [n, D/2]: row t belongs to token t, column i to dimensions i and i + D/2 of
 * every head.
 */
export interface RotaryTables {
  readonly cos: Float32Array;
  readonly sin: Float32Array;
}

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

/**
 * What YaRN multiplies cosines and sines with ("concentration"), so that attention stays sharp over a longer context.
 */
export function concentration(rope: RopeConfig): number {
  return rope.yarn !== null && rope.yarn.factor > 1 ? 0.1 * Math.log(rope.yarn.factor) + 1 : 1;
}

/**
 * Cosines and sines for the tokens of a batch, computed in float64 and rounded to float32 once.
 *
 * @param positions Absolute positions from 0, [n].
 */
export function rotaryTables(
  config: Pick<ModelConfig, "headDim" | "rope">,
  positions: ArrayLike<number>,
): RotaryTables {
  const frequencies = inverseFrequencies(config.headDim, config.rope), growth = concentration(config.rope);
  const pairs = frequencies.length, n = positions.length;
  const cos = new Float32Array(n * pairs), sin = new Float32Array(n * pairs);
  for (let t = 0; t < n; t++) {
    for (let i = 0; i < pairs; i++) {
      const angle = positions[t]! * frequencies[i]!;
      cos[t * pairs + i] = growth * Math.cos(angle);
      sin[t * pairs + i] = growth * Math.sin(angle);
    }
  }
  return { cos, sin };
}
