/** What kernels need between activations and caches, in the buffer of the activations. */
import { PICK_BLOCKS, SAMPLE_STATE_WORDS } from "../../../kernels/abi/attention.ts";
import { vocabPerRank } from "../../checkpoint/shard.ts";
import { logitRowsFor, partialSizes } from "./batches.ts";
import { exchangedBytes, tableBytes } from "./exchanged.ts";
import { type Layout, strideOf } from "./layout.ts";
import { planPages } from "./page_tables.ts";
import { deviceRanks, type GpuRequest } from "./request.ts";
import { batchPartials, FULL_SPLIT_TOKENS, SPLIT_TOKENS, splitsFor } from "./splits.ts";

/** Steps of generation that the device may be ahead of the host; it keeps their tokens. */
export const HISTORY_STEPS = 256;
/** Most rows that several blocks each draw from: 256 blocks of 1,024 threads are as many as run on an H100 at once. */
export const SPLIT_SAMPLES = 8;

/** Columns of the logits: of this rank, and of all whose logits the devices gather. */
export interface LogitSizes {
  /** Rows whose logits fit. */
  readonly rows: number;
  /** float32 numbers from one row of this rank's logits to the next. */
  readonly stride: number;
  /** Ranks whose logits are gathered; 1: none are. */
  readonly ranks: number;
}

/** Sizes of the logits of a request. */
export function logitSizes(request: GpuRequest<string>): LogitSizes {
  const { config, maxTokens, source, slots } = request, ranks = deviceRanks(request)?.tp ?? 1;
  const stride = ranks === 1 ? source.tree.head.weight.rows : vocabPerRank(config.vocab, ranks);
  return { rows: logitRowsFor(slots, maxTokens), stride, ranks };
}

/** Most parts that one head's attention of all tokens of a batch is put together of. */
function attentionPartials({ config, maxTokens, context, source }: GpuRequest<string>): number {
  const split = [FULL_SPLIT_TOKENS, SPLIT_TOKENS].map((n) =>
    Math.min(maxTokens, n) * Math.max(splitsFor(context, 0, n), splitsFor(context, config.slidingWindow, n))
  );
  const batched = source.tree.layers.map((l) => batchPartials(l.k.weight.rows / config.headDim, maxTokens));
  return Math.max(...split, ...batched);
}

/**
 * Lays out the regions, which are called as the workspace calls them.
 *
 * @param prepared Numbers of the largest activation.
 */
export function layOutRegions(request: GpuRequest<string>, layout: Layout, prepared: number) {
  const { config, maxTokens, context, source } = request, logits = logitSizes(request), { rows: logitRows } = logits;
  const slotRows = maxTokens * config.topK, pairs = config.headDim / 2, ranks = deviceRanks(request);
  const experts = Math.max(1, ...source.tree.layers.map((l) => l.gateUp.length));
  const heads = Math.max(1, ...source.tree.layers.map((l) => l.q.weight.rows / config.headDim));
  const cut = partialSizes(source, maxTokens);
  return {
    routeIds: layout.words(slotRows),
    routeWeights: layout.words(slotRows),
    routerLogits: layout.words(maxTokens * config.experts),
    routerCounters: layout.words(maxTokens),
    attentionCounters: layout.words(Math.min(maxTokens, SPLIT_TOKENS) * heads),
    prepared: layout.words(prepared),
    preparedBeside: layout.words(ranks ? maxTokens * Math.ceil(config.hidden / 64) * 32 : 0),
    rowScales: layout.words(Math.max(slotRows, logitRows)),
    partial: layout.words(attentionPartials(request) * heads * (config.headDim + 2)),
    sorted: layout.words(slotRows),
    expertOffsets: layout.words(experts + 1),
    // At least one row a tile, and one tile more for each expert's last.
    expertTiles: layout.words(2 * (slotRows + experts)),
    expertTileCount: layout.words(1),
    parts: layout.words(cut.sums),
    counters: layout.words(cut.tiles),
    logits: layout.words(logitRows * logits.stride),
    gatheredLogits: layout.words(logits.ranks === 1 ? 0 : logitRows * logits.ranks * logits.stride),
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
    pickedParts: layout.words(PICK_BLOCKS * logitRows),
    pickedCounters: layout.words(logitRows),
    sampleStates: layout.words(SAMPLE_STATE_WORDS * Math.min(logitRows, SPLIT_SAMPLES)),
    history: layout.words(HISTORY_STEPS * logitRows),
    step: layout.words(1),
    sampling: layout.words(4 * logitRows),
    uniforms: layout.words(logitRows * context),
    pageTables: layout.words(planPages(request).words),
  };
}
