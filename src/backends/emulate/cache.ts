/**
 * Geometry of one layer's KV cache: [slot][kv head][position mod capacity][head dim], keys first, values after them.
 */
import type { OpenRequest } from "../../model/backend.ts";
import type { KvFormat } from "../../formats/format.ts";

const ELEMENT_BYTES: Record<KvFormat, number> = { f32: 4, bf16: 2, fp8: 1 };

/** Sizes of a layer's cache: `capacity` in positions, all else but `kvHeads` in bytes. */
export interface CacheGeometry {
  readonly kvHeads: number;
  readonly elementBytes: number;
  readonly capacity: number;
  readonly headBytes: number;
  readonly slotBytes: number;
  /** All keys (or all values) of the layer. */
  readonly halfBytes: number;
}

/**
 * A sliding layer keeps its window and one batch: while a batch of n tokens is written, its first token still sees the
 * window - 1 positions before it.
 */
export function cacheGeometry(request: OpenRequest, layer: number): CacheGeometry {
  const { config, source, context, maxTokens, slots, kvFormat } = request;
  const elementBytes = ELEMENT_BYTES[kvFormat];
  const kvHeads = source.tree.layers[layer]!.k.weight.rows / config.headDim;
  const capacity = config.sliding[layer] ? Math.min(context, config.slidingWindow + maxTokens) : context;
  const headBytes = Math.ceil(capacity * config.headDim * elementBytes / 16) * 16;
  const slotBytes = kvHeads * headBytes;
  return { kvHeads, elementBytes, capacity, headBytes, slotBytes, halfBytes: slots * slotBytes };
}

/** Copies the first `bytes` of every head from one slot to another, in the memory that has the cache at `address`. */
export function copyCacheSlot(
  memory: Uint8Array,
  address: number,
  g: CacheGeometry,
  from: number,
  to: number,
  bytes: number,
): void {
  for (const half of [0, g.halfBytes]) {
    for (let head = 0; head < g.kvHeads; head++) {
      const at = address + half + head * g.headBytes;
      memory.copyWithin(at + to * g.slotBytes, at + from * g.slotBytes, at + from * g.slotBytes + bytes);
    }
  }
}
