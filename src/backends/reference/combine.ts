import type { Round } from "./tensor.ts";

/**
 * out = sum over k, in order, of weights[k] * y[k].
 *
 * @param out [width]
 * @param y [K, width]
 */
export function combine(out: Float32Array, y: Float32Array, weights: Float32Array, round: Round): void {
  for (let i = 0; i < out.length; i++) {
    let sum = 0;
    for (let k = 0; k < weights.length; k++) sum += weights[k]! * y[k * out.length + i]!;
    out[i] = round(sum);
  }
}
