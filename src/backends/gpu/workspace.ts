/**
 * Everything in device memory that is not a weight: activations, KV caches, and what kernels need between them. Sizes
 * are known before anything is allocated, so that a model which does not fit is refused with numbers.
 */
import type { DeviceBuffer, DeviceRange } from "../../../ffi/runtime.ts";
import { mlpStateWords } from "../../../kernels/abi/experts.ts";
import { type PlacedCaches, planCaches } from "./cache_plan.ts";
import { Layout, type Region, strideOf } from "./layout.ts";
import { planPages } from "./page_tables.ts";
import { layOutRegions, logitSizes } from "./regions.ts";
import type { GpuRequest } from "./request.ts";
import type { GpuTensor } from "./tensors.ts";

/** Sizes and places of everything but weights. */
export interface WorkspacePlan<N extends string> {
  readonly activationBytes: number;
  readonly cacheBytes: number;
  /** Makes the tensors and caches once memory is allocated. */
  place(activations: DeviceBuffer, caches: DeviceBuffer): Workspace<N>;
}

/** Device memory by its use; i32 and float32 unless said otherwise. */
export interface Workspace<N extends string> extends PlacedCaches {
  readonly tensors: Readonly<Record<N, GpuTensor>>;
  /** The tables of all sequences, see {@linkcode PageChanges}. */
  readonly pageTables: DeviceRange;
  /**
   * What is uploaded for each batch: ids, slots, positions [maxTokens], rows [logitRows], attention tiles [2 *
   * maxTokens].
   */
  readonly batch: DeviceRange;
  readonly ids: DeviceRange;
  readonly slots: DeviceRange;
  readonly positions: DeviceRange;
  readonly rows: DeviceRange;
  readonly attentionTiles: DeviceRange;
  /** [maxTokens * topK] */
  readonly routeIds: DeviceRange;
  readonly routeWeights: DeviceRange;
  /** The router's logits where nobody else reads them, float32 [maxTokens][routerLogitStride], and counters of 0. */
  readonly routerLogits: DeviceRange;
  readonly routerLogitStride: number;
  readonly routerCounters: DeviceRange;
  /** What counts the blocks of a kv head that share a token's keys: 0 between launches. */
  readonly attentionCounters: DeviceRange;
  /** Rows after QDQ, float32 or bf16, with the factor of each row's epilogue. */
  readonly prepared: DeviceRange;
  /** Rows [maxTokens][hidden] as bf16 in another order of columns, where a sum over ranks makes both. */
  readonly preparedBeside: DeviceRange;
  readonly rowScales: DeviceRange;
  /** float32 [n][heads][splits][headDim + 2] */
  readonly partial: DeviceRange;
  /** What blocks of the kernel of both products of the experts tell one another by, for each layer; 0 at first. */
  readonly mlpStates: readonly DeviceRange[];
  /** Slot rows by expert, and the tiles of the expert GEMMs. */
  readonly sorted: DeviceRange;
  readonly expertOffsets: DeviceRange;
  readonly expertTiles: DeviceRange;
  readonly expertTileCount: DeviceRange;
  /** Sums of the parts of linears whose columns are cut, and what counts the parts of a tile. */
  readonly parts: DeviceRange;
  readonly counters: DeviceRange;
  /** Rows whose logits fit; see {@linkcode logitRowsFor}. */
  readonly logitRows: number;
  /** float32 [logitRows][logitStride]: this rank's columns. */
  readonly logits: DeviceRange;
  readonly logitStride: number;
  /** float32 [logitRows][allLogitStride]: those of all ranks, where devices gather them; else the same as `logits`. */
  readonly allLogits: DeviceRange;
  readonly allLogitStride: number;
  /** float32 [ranks][maxTokens][hidden]: rows of all ranks, where devices sum them. */
  readonly gathered: DeviceRange;
  /**
   * What ranks exchange straight from memory to memory, for all and for a tensor group, see
   * {@linkcode exchangedBytes}; tables of pointers, and what tells launches to wait no longer.
   */
  readonly exchanged: DeviceRange;
  readonly exchangeTables: DeviceRange;
  readonly exchangeStop: DeviceRange;
  /** float32 [context][headDim / 2] by position, and [maxTokens][headDim / 2] by row for positions beyond. */
  readonly cos: DeviceRange;
  readonly sin: DeviceRange;
  readonly batchCos: DeviceRange;
  readonly batchSin: DeviceRange;
  /** 0, 1, 2, .. [maxTokens] */
  readonly rowNumbers: DeviceRange;
  /**
   * Picking on the device: picked ids [logitRows] and what their probabilities are the inverse of, past ids
   * [HISTORY_STEPS][logitRows], step counter, sampling parameters [logitRows][4] and random numbers
   * [logitRows][context].
   */
  readonly picked: DeviceRange;
  readonly sums: DeviceRange;
  /** What blocks that share a row's logits have found, [logitRows][32], and their counters of 0 [logitRows]. */
  readonly pickedParts: DeviceRange;
  readonly pickedCounters: DeviceRange;
  /** What the launches of a draw by several blocks tell one another; 0 at first. */
  readonly sampleStates: DeviceRange;
  readonly history: DeviceRange;
  readonly step: DeviceRange;
  readonly sampling: DeviceRange;
  readonly uniforms: DeviceRange;
}

/** Sizes everything for a request. */
export function planWorkspace<N extends string>(request: GpuRequest<N>): WorkspacePlan<N> {
  const { config, maxTokens, source } = request, layout = new Layout(), logits = logitSizes(request);
  const activations = layOutActivations(request, layout);
  const mlpStates = source.tree.layers.map(({ down }) =>
    layout.words(mlpStateWords(config.topK, Math.max(0, ...down.map(({ weight }) => weight.cols))))
  );
  const batch = layout.words(3 * maxTokens + logits.rows + 2 * maxTokens);
  const largest = Math.max(0, ...activations.map(({ rows, stride }) => rows * stride));
  const regions = layOutRegions(request, layout, largest), caches = planCaches(request, planPages(request));
  return {
    activationBytes: layout.bytes,
    cacheBytes: caches.bytes,
    place: (buffer, cacheBuffer) => {
      const at = ({ offset, bytes }: Region) => buffer.range(offset, bytes);
      const words = (from: number, count: number) => buffer.range(batch.offset + 4 * from, 4 * count);
      const placed = Object.entries(regions).map(([name, region]) => [name, at(region)]);
      const tensors = activations.map(({ region, ...tensor }) => [tensor.name, { ...tensor, range: at(region) }]);
      return {
        tensors: Object.fromEntries(tensors) as Record<N, GpuTensor>,
        ...caches.place(cacheBuffer, at(regions.pageTables)),
        mlpStates: mlpStates.map(at),
        routerLogitStride: config.experts,
        logitRows: logits.rows,
        logitStride: logits.stride,
        allLogits: at(logits.ranks === 1 ? regions.logits : regions.gatheredLogits),
        allLogitStride: logits.ranks * logits.stride,
        batch: at(batch),
        ids: words(0, maxTokens),
        slots: words(maxTokens, maxTokens),
        positions: words(2 * maxTokens, maxTokens),
        rows: words(3 * maxTokens, logits.rows),
        attentionTiles: words(3 * maxTokens + logits.rows, 2 * maxTokens),
        ...(Object.fromEntries(placed) as Record<keyof typeof regions, DeviceRange>),
      };
    },
  };
}

/** Lays out the graph's activation tensors, float32 [rowsPerToken * maxTokens][stride]. */
function layOutActivations<N extends string>({ tensors, maxTokens }: GpuRequest<N>, layout: Layout) {
  return (Object.keys(tensors) as N[]).map((name) => {
    const { rowsPerToken, width } = tensors[name], rows = rowsPerToken * maxTokens, stride = strideOf(width);
    return { name, rows, rowsPerToken, width, stride, region: layout.words(rows * stride) };
  });
}
