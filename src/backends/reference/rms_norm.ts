import type { Round } from "./tensor.ts";

/**
 * out = x / sqrt(mean(x^2) + eps) * weight.
 *
 * @param out, x, weight One row, [width].
 */
export function rmsNorm(out: Float32Array, x: Float32Array, weight: Float32Array, eps: number, round: Round): void {
  let squares = 0;
  for (const value of x) squares += value * value;
  const scale = 1 / Math.sqrt(squares / x.length + eps);
  for (let i = 0; i < x.length; i++) out[i] = round(x[i]! * scale * weight[i]!);
}
