/**
 * Kernels with matrix instructions are used only after their results agreed with the generic kernels' on this device:
 * register layouts differ between architectures, and a wrong one still gives fluent text. Takes some milliseconds at
 * start-up.
 */
import { LAYER_LINEARS, linearsNamed } from "../../checkpoint/source.ts";
import { operationWith } from "../../model/operations.ts";
import { NUMBER_FORMAT } from "../../../kernels/abi/types.ts";
import type { Cache } from "./abi.ts";
import { ATTENTION_BATCH, batchKnows } from "./attention.ts";
import type { Calls } from "./calls.ts";
import { scaledEntry } from "./products.ts";
import { Bench, HEAD_DIM } from "./self_test_bench.ts";
import type { GpuLinear, GpuTree } from "./tensors.ts";

/** Which matrix kernels may be used. */
export interface SelfTest {
  readonly accepted: ReadonlySet<string>;
  /** Entry points whose results differed from the generic ones'. */
  readonly rejected: readonly string[];
}

/**
 * Tolerated sum of squared differences, in parts of the sum of squares: what another order of sums, and another
 * exponential, may change.
 */
const MAX_NMSE = { gemm: 1e-8, attention: 1e-6 } as const;

/** Tokens of a block of the kernels for batches. */
const BATCH_SIZES = [16, 32, 64] as const;

/** Tests the matrix kernels that a model's weights would use. */
export function matrixKernels(calls: Calls, weights: GpuTree, cache: Cache | undefined): SelfTest {
  const dense = new Map<string, GpuLinear>(), expert = new Map<string, GpuLinear>();
  dense.set(weights.head.suffix, weights.head);
  for (const name of LAYER_LINEARS) {
    const kind = operationWith(name).rows === "slot" ? expert : dense;
    for (const layer of weights.layers) {
      // A layer's experts are alike.
      const [l] = linearsNamed(layer, name);
      if (l !== undefined) kind.set(l.suffix, l);
    }
  }
  const expertInputs = new Map(
    weights.layers.flatMap(({ gateUp, down }) => [gateUp[0], down[0]])
      .filter((l) => l !== undefined && scaledEntry(l) !== null).map((l) => [scaledEntry(l!), l!]),
  ).values();
  const accepted = new Set<string>(), rejected: string[] = [];
  const judge = (entry: string, limit: number, nmse: () => number) => {
    if (!calls.kernels.has(entry)) return;
    // Not `> limit`, which NaN would pass.
    if (nmse() <= limit) accepted.add(entry);
    else rejected.push(entry);
  };
  using bench = new Bench(calls);
  for (const [suffix, like] of dense) judge(`gemm_${suffix}_mma`, MAX_NMSE.gemm, () => bench.gemm(like));
  for (const [suffix, like] of expert) judge(`expert_gemm_${suffix}_mma`, MAX_NMSE.gemm, () => bench.expertGemm(like));
  for (const size of BATCH_SIZES) {
    for (const [suffix, like] of dense) {
      const entry = `batch_${suffix}_x${size}`;
      judge(entry, MAX_NMSE.gemm, () => bench.batch(like, entry));
    }
    for (const [suffix, like] of expert) {
      const entry = `expert_batch_${suffix}_x${size}`;
      judge(entry, MAX_NMSE.gemm, () => bench.expertGemm(like, entry));
    }
  }
  for (const [suffix, like] of expert) {
    if (!calls.kernels.has(`expert_up_${suffix}_mma`)) continue;
    judge(`expert_up_${suffix}_mma`, MAX_NMSE.gemm, () => bench.expertUp(like));
    judge(`expert_down_combine_${suffix}_mma`, MAX_NMSE.gemm, () => bench.expertDownCombine(like));
  }
  for (const like of expertInputs) judge(scaledEntry(like)!, MAX_NMSE.gemm, () => bench.scaledGemm(like));
  // No matrix kernel reads a float32 cache.
  if (cache?.headDim === HEAD_DIM && cache.format !== NUMBER_FORMAT.f32) {
    judge("attention_tile_mma", MAX_NMSE.attention, () => bench.attention(cache));
  }
  if (cache && batchKnows({ ...cache, heads: 1, kvHeads: 1 })) {
    judge(ATTENTION_BATCH, MAX_NMSE.attention, () => bench.batchAttention(cache));
  }
  return { accepted, rejected };
}
