/** Attention over the caches: one token a block, cut over time for few tokens, or tiles of one sequence for many. */
import type { DeviceRange } from "../../../ffi/runtime.ts";
import { COLUMN_ORDER, NUMBER_FORMAT } from "../../../kernels/abi/types.ts";
import type { Batch } from "../../model/backend.ts";
import type { Cache, CacheShape } from "./abi.ts";
import type { Values } from "./arguments.ts";
import { attentionTiles } from "./batch.ts";
import type { Calls } from "./calls.ts";
import type { LaunchContext } from "./context.ts";
import type { Step } from "./operations.ts";
import type { Prepared } from "./prepared.ts";
import type { GpuTensor, GpuVector } from "./tensors.ts";
import { fresh } from "./rotary.ts";
import { batchParts, SPLIT_TOKENS, splitsFor } from "./splits.ts";

/** The kernel for many tokens of one sequence. */
function attentionEntry(matrixKernels: ReadonlySet<string>): string {
  return matrixKernels.has("attention_tile_mma") ? "attention_tile_mma" : "attention_tile";
}

/** The kernel for batches of some sequences; it knows head size 64, bf16 caches, up to eight query heads a kv head. */
export const ATTENTION_BATCH = "attention_batch";
const BATCH_HEADS_PER_KV = 8;

/** Whether {@linkcode ATTENTION_BATCH} knows a cache. */
export function batchKnows({ headDim, format, heads, kvHeads }: CacheShape): boolean {
  return headDim === 64 && format === NUMBER_FORMAT.bf16 && heads <= BATCH_HEADS_PER_KV * kvHeads;
}

/** What attention reads and writes. */
export interface Attention {
  readonly out: GpuTensor;
  readonly q: GpuTensor;
  readonly cache: Cache;
  readonly slots: DeviceRange;
  readonly positions: DeviceRange;
  readonly sinks: GpuVector;
  readonly round: boolean;
  readonly n: number;
}

function valuesOf({ out, q, cache, slots, positions, sinks, round, n }: Attention): Values<"attention"> {
  return {
    out: out.range,
    outStride: out.stride,
    q: q.range,
    qStride: q.stride,
    cache,
    slots,
    positions,
    sinks: sinks.range,
    sinksFormat: sinks.format,
    round,
    n,
  };
}

/** Pieces of sequences that attention to a batch takes together; none where it takes tokens one by one. */
export function tilesFor(
  { calls, options, workspace }: Pick<LaunchContext, "calls" | "options" | "workspace">,
  batch: Batch,
  single: boolean,
): Int32Array {
  const entry = attentionEntry(options.matrixKernels), cut = single && batch.ids.length <= SPLIT_TOKENS;
  if (cut || options.config.headDim !== 64 || !calls.kernels.has(entry)) return new Int32Array(0);
  const perKv = Math.max(1, ...workspace.caches.map((c) => c.heads / Math.max(1, c.kvHeads)));
  return attentionTiles(batch, Math.max(1, Math.floor(calls.kernels.traits(entry).tokensPerBlock / perKv)));
}

/** Attention of tiles, each of consecutive rows of one sequence. */
export function launchTiles(calls: Calls, entry: string, a: Attention, tiles: DeviceRange, tileCount: number): void {
  calls.launch("attentionTile", { ...valuesOf(a), tiles, tileCount }, entry);
}

/** Rows of keys and values that {@linkcode ATTENTION_BATCH} rotates and stores first, beside those of queries. */
type NewRows = Pick<Values<"attentionBatch">, "newK" | "newKStride" | "newV" | "newVStride" | "cos" | "sin">;
const STORED: NewRows = { newK: null, newKStride: 0, newV: null, newVStride: 0, cos: null, sin: null };

/**
 * Attention of one token a row by {@linkcode ATTENTION_BATCH}.
 *
 * @param room What parts of a token's keys leave for one another, and counters that are 0; null: keys are not cut.
 * @param left Rows that it leaves instead of float32 ones.
 */
export function launchBatchAttention(
  calls: Calls,
  a: Attention,
  room: { readonly partial: DeviceRange; readonly counters: DeviceRange } | null,
  rows: NewRows = STORED,
  left?: Prepared,
): void {
  const parts = room === null ? 1 : batchParts(a.cache.kvHeads, a.cache.window, a.n);
  const { partial, counters } = parts > 1 ? room! : { partial: null, counters: null };
  calls.launch("attentionBatch", {
    ...{ ...valuesOf(a), ...rows, parts, partial, counters },
    ...(left ? { out: null } : {}),
    ...{ outBf16: left?.range ?? null, bf16Stride: left?.stride ?? 0, order: left?.order ?? COLUMN_ORDER.natural },
  });
}

/** Whether {@linkcode ATTENTION_BATCH} computes the batch's attention. */
export function attendsBatch({ workspace, options, shape }: LaunchContext, layer: number): boolean {
  const { invariant, matrixKernels } = options;
  return shape.single && !invariant && matrixKernels.has(ATTENTION_BATCH) && batchKnows(workspace.caches[layer]!);
}

/**
 * Attention of the current batch, by the kernels that suit its shape.
 *
 * @param left Rows that it leaves instead of float32 ones.
 */
export function launchAttention(
  launched: LaunchContext,
  { out, q, layer, sinks }: Pick<Extract<Step, { kind: "attention" }>, "out" | "q" | "layer" | "sinks">,
  [left]: readonly Prepared[] = [],
): void {
  const { calls, workspace: w, options, shape, n, few } = launched;
  const { round, context, matrixKernels, invariant } = options, cache = w.caches[layer]!;
  const attention: Attention = { out, q, cache, slots: w.slots, positions: w.positions, sinks, round, n };
  if (cache.headDim !== 64 || invariant) calls.launch("attention", valuesOf(attention));
  else if (attendsBatch(launched, layer)) {
    launchBatchAttention(calls, attention, { partial: w.partial, counters: w.attentionCounters }, STORED, left);
  } else if (n <= SPLIT_TOKENS && (shape.single || few)) {
    launchSplit(calls, attention, w.partial, splitsFor(context, cache.window, n));
  } else launchTiles(calls, attentionEntry(matrixKernels), attention, w.attentionTiles, shape.attentionTiles);
}

/** The kernel that rotates and stores the tokens that it attends from. */
const ATTENTION_STEP = "attention_step";

/** Whether {@linkcode launchStep} computes the batch's attention; it gives the bits of the launches it replaces. */
export function canStep(context: LaunchContext, layer: number): boolean {
  const { calls, workspace, options: { invariant }, shape, n } = context, { headDim } = workspace.caches[layer]!;
  // Of tokens of one sequence one would have to wait for the other; angles beyond the context lie elsewhere.
  if (!shape.single || shape.rotary.rows !== workspace.positions) return false;
  if (attendsBatch(context, layer)) return true;
  return n <= SPLIT_TOKENS && headDim === 64 && !invariant && calls.kernels.has(ATTENTION_STEP);
}

/**
 * Attention with the rotation and the store before it.
 *
 * @param left Rows that it leaves instead of float32 ones.
 */
export function launchStep(
  context: LaunchContext,
  step: Extract<Step, { kind: "rotateAttention" }>,
  [left]: readonly Prepared[],
): void {
  const { calls, workspace, options, n } = context, { out, layer, sinks } = step;
  const { partial, attentionCounters: counters, caches } = workspace;
  if (attendsBatch(context, layer)) {
    const { k: newK, kStride: newKStride, v: newV, vStride: newVStride, cos, sin, ...all } = fresh(context, step);
    const attention: Attention = { ...all, out, q: step.q, sinks };
    return launchBatchAttention(calls, attention, { partial, counters }, {
      newK,
      newKStride,
      newV,
      newVStride,
      cos,
      sin,
    }, left);
  }
  calls.launch("attentionStep", {
    ...fresh(context, step),
    out: out.range,
    outStride: out.stride,
    partial,
    sinks: sinks.range,
    sinksFormat: sinks.format,
    splits: splitsFor(options.context, caches[layer]!.window, n),
    counters,
  });
}

/** Attention of each token in parts, which are merged afterwards. */
function launchSplit(
  calls: Calls,
  { out, q, cache, slots, positions, sinks, round, n }: Attention,
  partial: DeviceRange,
  splits: number,
): void {
  calls.launch("attentionSplit", { partial, q: q.range, qStride: q.stride, cache, slots, positions, splits, n });
  calls.launch("attentionReduce", {
    out: out.range,
    outStride: out.stride,
    partial,
    sinks: sinks.range,
    sinksFormat: sinks.format,
    heads: cache.heads,
    headDim: cache.headDim,
    splits,
    round,
    n,
  });
}
