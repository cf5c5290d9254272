/** Rotary position embedding with YaRN: the tables of a batch, and how much they grow. */
import { inverseFrequencies } from "../checkpoint/frequencies.ts";
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
