/** A layer's KV cache: [slot][kv head][position mod capacity][head dim], keys first, values after them. */
import { cachePositions, cacheScales, type OpenRequest } from "../../model/backend.ts";
import type { KvFormat } from "../../formats/format.ts";
import type { ModelPlan } from "./plan.ts";

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

/** Sizes of a layer's cache. */
export function cacheGeometry(request: OpenRequest, layer: number): CacheGeometry {
  const { config, source, slots, kvFormat } = request;
  const elementBytes = ELEMENT_BYTES[kvFormat];
  const kvHeads = source.tree.layers[layer]!.k.weight.rows / config.headDim;
  const capacity = cachePositions(request, layer);
  const headBytes = Math.ceil(capacity * config.headDim * elementBytes / 16) * 16;
  const slotBytes = kvHeads * headBytes;
  return { kvHeads, elementBytes, capacity, headBytes, slotBytes, halfBytes: slots * slotBytes };
}

/** A layer's cache in its place. */
export interface LayerCache extends CacheGeometry {
  /** Index of the WASM memory that holds it. */
  readonly memory: number;
  /** Addresses of the first key and the first value in that memory. */
  readonly keys: number;
  readonly values: number;
  /** What cached FP8 numbers are multiplied by when they are read; 1 for other formats. */
  readonly scales: { readonly k: number; readonly v: number };
}

/** The caches of all layers, where the plan has put them. */
export function layerCaches(request: OpenRequest, { memories, memoryOfLayer }: ModelPlan): LayerCache[] {
  return memoryOfLayer.map((memory, layer) => {
    const geometry = cacheGeometry(request, layer), keys = memories[memory]!.caches.get(layer)!;
    const scales = cacheScales(request, layer);
    return { ...geometry, memory, keys, values: keys + geometry.halfBytes, scales };
  });
}

/** Copies the first `bytes` of every head from one slot to another; `memory` is the one that holds the cache. */
export function copyCacheSlot(memory: Uint8Array, g: LayerCache, from: number, to: number, bytes: number): void {
  for (const half of [g.keys, g.values]) {
    for (let head = 0; head < g.kvHeads; head++) {
      const at = half + head * g.headBytes;
      memory.copyWithin(at + to * g.slotBytes, at + from * g.slotBytes, at + from * g.slotBytes + bytes);
    }
  }
}
