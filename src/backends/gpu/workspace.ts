/**
 * Everything in device memory that is not a weight: activations, KV caches, and what kernels need between them. Sizes
 * are known before anything is allocated, so that a model which does not fit is refused with numbers.
 */
import type { DeviceBuffer, DeviceRange } from "../../../ffi/runtime.ts";
import { SAMPLE_STATE_WORDS } from "../../../kernels/abi/attention.ts";
import { mlpStateWords } from "../../../kernels/abi/experts.ts";
import { type ParallelSizes, vocabPerRank } from "../../checkpoint/shard.ts";
import { PAGE_POSITIONS } from "../../model/pages.ts";
import type { Communicator, OpenRequest } from "../../model/backend.ts";
import type { Cache, CacheShape } from "./abi.ts";
import { logitRowsFor, partialSizes } from "./batches.ts";
import { exchangedBytes, tableBytes } from "./exchanged.ts";
import { NUMBER_FORMAT } from "../../../kernels/abi/types.ts";
import { type PagePlan, planPages } from "./page_tables.ts";
import { batchPartials, FULL_SPLIT_TOKENS, SPLIT_TOKENS, splitsFor } from "./splits.ts";
import type { GpuTensor } from "./tensors.ts";

/**
 * A request whose ranks, if there are several, sum over the host's memory, or, where only their numbers are given,
 * among the devices.
 */
export type GpuRequest<N extends string> = OpenRequest<N, Communicator | ParallelSizes>;

/** Steps of generation that the device may be ahead of the host; it keeps their tokens. */
export const HISTORY_STEPS = 256;
/** Most rows that several blocks each draw from: 256 blocks of 1,024 threads are as many as run on an H100 at once. */
export const SPLIT_SAMPLES = 8;

/** A part of the buffer that is allocated later. */
interface Region {
  readonly offset: number;
  readonly bytes: number;
}

/** Collects regions of one buffer. */
class Layout {
  bytes = 0;

  /** @param count Numbers of 4 bytes. */
  words(count: number): Region {
    return this.region(4 * count);
  }

  region(bytes: number): Region {
    const region = { offset: this.bytes, bytes };
    this.bytes = Math.ceil((this.bytes + Math.max(bytes, 4)) / 256) * 256;
    return region;
  }
}

const align = (x: number, to: number) => Math.ceil(x / to) * to;

/** Elements from one row of activations to the next: whole blocks of MX formats, and 16-byte aligned rows. */
export const strideOf = (width: number) => Math.max(32, align(width, 32));

/** Sizes and places of everything but weights. */
export interface WorkspacePlan<N extends string> {
  readonly activationBytes: number;
  readonly cacheBytes: number;
  /** Makes the tensors and caches once memory is allocated. */
  place(activations: DeviceBuffer, caches: DeviceBuffer): Workspace<N>;
}

/** Device memory by its use; i32 and float32 unless said otherwise. */
export interface Workspace<N extends string> {
  readonly tensors: Readonly<Record<N, GpuTensor>>;
  readonly caches: readonly Cache[];
  /** Memory of the pages' keys, and of their values, a kv head each: of a layer, or of two of different kinds. */
  readonly pageHeads: readonly DeviceRange[];
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
   * What ranks exchange straight from memory to memory, for all and for a tensor group (see {@linkcode exchangeSizes});
   * tables of pointers, and what tells launches to wait no longer.
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

/** How many ranks there are, where their devices sum among themselves. */
export function deviceRanks({ part }: Pick<GpuRequest<string>, "part">): ParallelSizes | null {
  return part !== undefined && "tp" in part.communicator ? part.communicator : null;
}

/** Sizes everything for a request. */
export function planWorkspace<N extends string>(request: GpuRequest<N>): WorkspacePlan<N> {
  const pages = planPages(request);
  const { config, maxTokens, context, source, slots } = request, logitRows = logitRowsFor(slots, maxTokens);
  const names = Object.keys(request.tensors) as N[];
  const layout = new Layout();
  const tensors = names.map((name) => {
    const { rowsPerToken, width } = request.tensors[name];
    const stride = strideOf(width);
    return { name, rowsPerToken, width, stride, region: layout.words(rowsPerToken * maxTokens * stride) };
  });
  const slotRows = maxTokens * config.topK;
  const experts = Math.max(1, ...source.tree.layers.map((l) => l.gateUp.length));
  const heads = Math.max(1, ...source.tree.layers.map((l) => l.q.weight.rows / config.headDim));
  const partials = [FULL_SPLIT_TOKENS, SPLIT_TOKENS].map((n) =>
    Math.min(maxTokens, n) * Math.max(splitsFor(context, 0, n), splitsFor(context, config.slidingWindow, n))
  );
  partials.push(...source.tree.layers.map((l) => batchPartials(l.k.weight.rows / config.headDim, maxTokens)));
  const cut = partialSizes(source, maxTokens);
  const pairs = config.headDim / 2, ranks = deviceRanks(request), tp = ranks?.tp ?? 1;
  const logitStride = tp === 1 ? source.tree.head.weight.rows : vocabPerRank(config.vocab, tp);
  const mlpStates = source.tree.layers.map(({ down }) =>
    layout.words(mlpStateWords(config.topK, Math.max(0, ...down.map(({ weight }) => weight.cols))))
  );
  const batch = layout.words(3 * maxTokens + logitRows + 2 * maxTokens);
  const regions = {
    routeIds: layout.words(slotRows),
    routeWeights: layout.words(slotRows),
    routerLogits: layout.words(maxTokens * config.experts),
    routerCounters: layout.words(maxTokens),
    attentionCounters: layout.words(Math.min(maxTokens, SPLIT_TOKENS) * heads),
    prepared: layout.words(Math.max(0, ...tensors.map((t) => t.rowsPerToken * maxTokens * t.stride))),
    preparedBeside: layout.words(ranks ? maxTokens * Math.ceil(config.hidden / 64) * 32 : 0),
    rowScales: layout.words(Math.max(slotRows, logitRows)),
    partial: layout.words(Math.max(...partials) * heads * (config.headDim + 2)),
    sorted: layout.words(slotRows),
    expertOffsets: layout.words(experts + 1),
    // At least one row a tile, and one tile more for each expert's last.
    expertTiles: layout.words(2 * (slotRows + experts)),
    expertTileCount: layout.words(1),
    parts: layout.words(cut.sums),
    counters: layout.words(cut.tiles),
    logits: layout.words(logitRows * logitStride),
    gatheredLogits: layout.words(tp === 1 ? 0 : logitRows * tp * logitStride),
    exchanged: layout.region(ranks ? exchangedBytes(ranks, maxTokens, config.hidden) : 0),
    exchangeTables: layout.region(ranks ? tableBytes(ranks) : 0),
    exchangeStop: layout.words(1),
    gathered: layout.words(ranks ? ranks.tp * ranks.ep * maxTokens * strideOf(config.hidden) : 0),
    cos: layout.words(context * pairs),
    sin: layout.words(context * pairs),
    batchCos: layout.words(maxTokens * pairs),
    batchSin: layout.words(maxTokens * pairs),
    rowNumbers: layout.words(maxTokens),
    picked: layout.words(logitRows),
    sums: layout.words(logitRows),
    pickedParts: layout.words(32 * logitRows),
    pickedCounters: layout.words(logitRows),
    sampleStates: layout.words(SAMPLE_STATE_WORDS * Math.min(logitRows, SPLIT_SAMPLES)),
    history: layout.words(HISTORY_STEPS * logitRows),
    step: layout.words(1),
    sampling: layout.words(4 * logitRows),
    uniforms: layout.words(logitRows * context),
    pageTables: layout.words(pages.words),
  };
  const caches = new Layout();
  const shapes = source.tree.layers.map((_, l) => cacheShape(request, l, pages));
  const halves = Array.from({ length: pages.layers }, (_, i) => {
    const sizes = shapes.filter((_, l) => pages.placeOf(l) === i).map(({ kvHeads, headStride }) =>
      kvHeads * headStride
    );
    const bytes = Math.max(0, ...sizes);
    return { k: caches.region(bytes), v: caches.region(bytes) };
  });
  return {
    activationBytes: layout.bytes,
    cacheBytes: Math.max(256, caches.bytes),
    place: (activations, cacheBuffer) => {
      const at = ({ offset, bytes }: Region) => activations.range(offset, bytes);
      const words = (from: number, count: number) => activations.range(batch.offset + 4 * from, 4 * count);
      const names = Object.keys(regions) as (keyof typeof regions)[];
      const placed = Object.fromEntries(names.map((name) => [name, at(regions[name])]));
      return {
        tensors: Object.fromEntries(tensors.map(({ region, ...t }): [N, GpuTensor] => [
          t.name,
          { ...t, rows: t.rowsPerToken * maxTokens, range: at(region) },
        ])) as Record<N, GpuTensor>,
        caches: shapes.map((shape, l) => {
          const { k, v } = halves[pages.placeOf(l)]!, { offset, bytes } = regions.pageTables;
          const skipped = request.config.sliding[l] ? 4 * pages.entries : 0;
          return {
            ...shape,
            k: cacheBuffer.range(k.offset, k.bytes),
            v: cacheBuffer.range(v.offset, v.bytes),
            pages: activations.range(offset + skipped, bytes - skipped),
          };
        }),
        pageHeads: halves.flatMap(({ k, v }, i) => {
          const { kvHeads = 0, headStride = 0 } = shapes.find((_, l) => pages.placeOf(l) === i) ?? {};
          return [k, v].flatMap(({ offset }) =>
            Array.from({ length: kvHeads }, (_, head) => cacheBuffer.range(offset + head * headStride, headStride))
          );
        }),
        logitRows,
        mlpStates: mlpStates.map(at),
        routerLogitStride: config.experts,
        logitStride,
        allLogits: at(tp === 1 ? regions.logits : regions.gatheredLogits),
        allLogitStride: tp * logitStride,
        batch: at(batch),
        ids: words(0, maxTokens),
        slots: words(maxTokens, maxTokens),
        positions: words(2 * maxTokens, maxTokens),
        rows: words(3 * maxTokens, logitRows),
        attentionTiles: words(3 * maxTokens + logitRows, 2 * maxTokens),
        ...(placed as Record<keyof typeof regions, DeviceRange>),
      };
    },
  };
}

const ELEMENT_BYTES = { bf16: 2, f32: 4, fp8: 1 } as const;

/** Shape of a layer's cache. */
function cacheShape(request: GpuRequest<string>, layer: number, { count, entries }: PagePlan): CacheShape {
  const { config, kvFormat, source } = request;
  const { headDim } = config, { q, k } = source.tree.layers[layer]!;
  const elementBytes = ELEMENT_BYTES[kvFormat], kvHeads = k.weight.rows / headDim, scale = source.kvScales[layer]!;
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
