/**
 * Kernels with matrix instructions are only used after they agreed, on this very device, with the generic kernels: their layouts of
 * registers differ between architectures, and a wrong one still gives fluent text.
 */
import type { Calls } from "./calls.ts";
import type { GpuTree } from "./tensors.ts";

/** Which matrix kernels may be used. */
export interface SelfTest {
  readonly accepted: ReadonlySet<string>;
  /** Entry points that gave something else than the generic ones. */
  readonly rejected: readonly string[];
}

/** Tests the matrix kernels that a model's weights would use. */
export function matrixKernels(calls: Calls, weights: GpuTree): SelfTest {
  const suffixes = new Set<string>();
  for (const { q, k, v, o, router } of weights.layers) {
    for (const l of [q, k, v, o, router]) suffixes.add(`gemm_${l.suffix}_mma`);
  }
  for (const { gateUp, down } of weights.layers) {
    for (const l of [gateUp[0], down[0]]) if (l) suffixes.add(`expert_gemm_${l.suffix}_mma`);
  }
  suffixes.add("attention_tile_mma");
  const candidates = [...suffixes].filter((entry) => calls.kernels.has(entry));
  // None is used before the tests are written.
  return { accepted: new Set(), rejected: candidates.filter(() => false) };
}
