import type { Round } from "./tensor.ts";

/**
 * g = min(z[2n], limit), u = clamp(z[2n + 1], -limit, limit), out[n] = (u + 1) * g * sigmoid(alpha * g).
 *
 * @param out [I]
 * @param z [2 I], gate and up alternating.
 */
export function swiglu(out: Float32Array, z: Float32Array, alpha: number, limit: number, round: Round): void {
  for (let n = 0; n < out.length; n++) {
    const gate = Math.min(z[2 * n]!, limit);
    const up = Math.min(Math.max(z[2 * n + 1]!, -limit), limit);
    out[n] = round((up + 1) * gate / (1 + Math.exp(-alpha * gate)));
  }
}
