/** Attention over the caches: one token a block, cut over time for few tokens, or tiles of one sequence for many. */
import type { DeviceRange } from "../../../ffi/runtime.ts";
import type { Cache } from "./abi.ts";
import type { Values } from "./arguments.ts";
import type { Calls } from "./calls.ts";
import type { LaunchContext } from "./context.ts";
import type { GpuTensor, GpuVector } from "./tensors.ts";
import { SPLIT_TOKENS, splitsFor } from "./workspace.ts";

/** The kernel for many tokens of one sequence. */
export function attentionEntry(matrixKernels: ReadonlySet<string>): string {
  return matrixKernels.has("attention_tile_mma") ? "attention_tile_mma" : "attention_tile";
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

/** Attention of tiles, each of consecutive rows of one sequence. */
export function launchTiles(calls: Calls, entry: string, a: Attention, tiles: DeviceRange, tileCount: number): void {
  calls.launch("attentionTile", { ...valuesOf(a), tiles, tileCount }, entry);
}

/** Attention of the current batch, by the kernels that suit its shape. */
export function launchAttention(
  { calls, workspace: w, options, shape, n, few }: LaunchContext,
  { out, q, layer, sinks }: {
    readonly out: GpuTensor;
    readonly q: GpuTensor;
    readonly layer: number;
    readonly sinks: GpuVector;
  },
): void {
  const { round, context, matrixKernels, invariant } = options, cache = w.caches[layer]!;
  const attention: Attention = { out, q, cache, slots: w.slots, positions: w.positions, sinks, round, n };
  if (cache.headDim !== 64 || invariant) calls.launch("attention", valuesOf(attention));
  else if (n <= SPLIT_TOKENS && (shape.single || few)) {
    launchSplit(calls, attention, w.partial, splitsFor(context, cache.window));
  } else launchTiles(calls, attentionEntry(matrixKernels), attention, w.attentionTiles, shape.attentionTiles);
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
