/** The KV cache of a GPU: how large the layers' pages are, and where each layer's keys and values lie. */
import type { DeviceBuffer, DeviceRange } from "../../../ffi/runtime.ts";
import { NUMBER_FORMAT } from "../../../kernels/abi/types.ts";
import { cacheScales } from "../../model/backend.ts";
import { PAGE_POSITIONS } from "../../model/pages.ts";
import type { Cache, CacheShape } from "./abi.ts";
import { Layout } from "./layout.ts";
import type { PagePlan } from "./page_tables.ts";
import type { GpuRequest } from "./request.ts";

/** Least bytes that are allocated: a part of a model may have no layer. */
const LEAST_BYTES = 256;

/** Sizes and places of all layers' keys and values. */
export interface CachePlan {
  readonly bytes: number;
  /**
   * Makes the caches once memory is allocated.
   *
   * @param tables The tables of all sequences.
   */
  place(buffer: DeviceBuffer, tables: DeviceRange): PlacedCaches;
}

/** The layers' caches in device memory. */
export interface PlacedCaches {
  readonly caches: readonly Cache[];
  /** Memory of the pages' keys, and of their values, a kv head each: of a layer, or of two of different kinds. */
  readonly pageHeads: readonly DeviceRange[];
}

/** Sizes the caches of a request. Layers of different kinds share pages, which have room for the larger. */
export function planCaches(request: GpuRequest<string>, pages: PagePlan): CachePlan {
  const { config: { sliding }, source } = request, layout = new Layout();
  const shapes = source.tree.layers.map((_, l) => cacheShape(request, l, pages));
  const shared = Array.from({ length: pages.layers }, (_, place) => {
    const members = shapes.filter((_, l) => pages.placeOf(l) === place);
    const bytes = Math.max(0, ...members.map(({ kvHeads, headStride }) => kvHeads * headStride));
    return { first: members[0], k: layout.region(bytes), v: layout.region(bytes) };
  });
  return {
    bytes: Math.max(LEAST_BYTES, layout.bytes),
    place: (buffer, tables) => ({
      caches: shapes.map((shape, l) => {
        const { k, v } = shared[pages.placeOf(l)]!;
        // A slot's second table is that of layers that slide.
        const skipped = sliding[l] ? 4 * pages.entries : 0;
        return {
          ...shape,
          k: buffer.range(k.offset, k.bytes),
          v: buffer.range(v.offset, v.bytes),
          pages: tables.buffer.range(tables.offset + skipped, tables.bytes - skipped),
        };
      }),
      pageHeads: shared.flatMap(({ first, k, v }) => {
        const { kvHeads = 0, headStride = 0 } = first ?? {};
        return [k, v].flatMap(({ offset }) =>
          Array.from({ length: kvHeads }, (_, head) => buffer.range(offset + head * headStride, headStride))
        );
      }),
    }),
  };
}

const ELEMENT_BYTES = { bf16: 2, f32: 4, fp8: 1 } as const;

/** Shape of a layer's cache. */
function cacheShape(request: GpuRequest<string>, layer: number, { count, entries }: PagePlan): CacheShape {
  const { config, kvFormat, source } = request;
  const { headDim } = config, { q, k } = source.tree.layers[layer]!;
  const elementBytes = ELEMENT_BYTES[kvFormat], kvHeads = k.weight.rows / headDim, scale = cacheScales(request, layer);
  return {
    headStride: count * PAGE_POSITIONS * headDim * elementBytes,
    format: NUMBER_FORMAT[kvFormat],
    elementBytes,
    tableStride: 2 * entries,
    heads: q.weight.rows / headDim,
    kvHeads,
    headDim,
    window: config.sliding[layer] ? config.slidingWindow : 0,
    kScale: scale.k,
    vScale: scale.v,
    softmaxScale: 1 / Math.sqrt(headDim),
  };
}
