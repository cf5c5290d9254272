/**
 * Which bytes of each tensor a rank of a tensor (TP) and expert (EP) parallel run owns. Pure arithmetic on file ranges:
 * a rank's part is a {@linkcode ModelSource} again, whose matrices are row or column slices of the whole ones.
 *
 * World rank = epRank * tp + tpRank. Experts are cut over the ep groups, each expert's intermediate columns over the tp
 * ranks of a group. Heads and vocabulary are cut over all ranks, as vLLM does with `--enable-expert-parallel`; where
 * that cannot be (see groupSizes), over the tp ranks of each group.
 */
import { counted } from "../amounts.ts";
import { InputError } from "../errors.ts";
import { BLOCK, STORED_FORMATS, type WeightFormat } from "../formats/format.ts";
import type { InputRotation } from "../formats/rotation.ts";
import type { ModelConfig } from "./model_config.ts";
import type { LayerTree, LinearSource, MatrixSource, ModelSource, VectorSource } from "./source.ts";

/** A half-open range of rows, columns, heads or experts. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** Sizes of a parallel run. */
export interface ParallelSizes {
  readonly tp: number;
  readonly ep: number;
}

/** What a rank owns, as ranges of the whole model. */
export interface RankRanges {
  readonly rank: number;
  readonly tpRank: number;
  readonly epRank: number;
  /** Which of the groups that share all heads and the whole vocabulary the rank is in. */
  readonly group: number;
  readonly heads: Range;
  readonly kvHeads: Range;
  readonly intermediate: Range;
  readonly experts: Range;
  readonly vocab: Range;
}

const length = ({ start, end }: Range): number => end - start;

/** Part `index` of `count` nearly equal contiguous parts of `total`. */
const cut = (total: number, count: number, index: number): Range => ({
  start: Math.floor(total * index / count),
  end: Math.floor(total * (index + 1) / count),
});

/** The vocabulary is padded to a multiple of this before it is cut, as vLLM does. */
const VOCAB_MULTIPLE = 64;

/** Part `index` of `total`, in whole units: ceil(units / count) each, the last ones shorter or empty. */
function cutUnits(total: number, unit: number, count: number, index: number): Range {
  const per = Math.ceil(Math.ceil(total / unit) / count) * unit;
  return { start: Math.min(index * per, total), end: Math.min((index + 1) * per, total) };
}

/** Words of each of `count` ranks; the last ones may have fewer, or none. */
export function vocabPerRank(vocab: number, count: number): number {
  return Math.ceil(Math.ceil(vocab / VOCAB_MULTIPLE) * VOCAB_MULTIPLE / count);
}

function cutVocab(vocab: number, count: number, index: number): Range {
  const per = vocabPerRank(vocab, count);
  return { start: Math.min(index * per, vocab), end: Math.min((index + 1) * per, vocab) };
}

/**
 * Query and KV heads of one of `tp` ranks. A rank gets whole KV heads with all their query heads while there are
 * enough; with more ranks than KV heads, ranks that share a KV head each hold a copy of it and a part of its query
 * heads.
 */
function cutHeads(config: ModelConfig, tp: number, index: number): { heads: Range; kvHeads: Range } {
  const group = config.heads / config.kvHeads;
  if (tp <= config.kvHeads) {
    const kvHeads = cut(config.kvHeads, tp, index);
    return { kvHeads, heads: { start: kvHeads.start * group, end: kvHeads.end * group } };
  }
  const kv = Math.floor(index * config.kvHeads / tp);
  const firstOfKv = Math.ceil(kv * tp / config.kvHeads), firstOfNext = Math.ceil((kv + 1) * tp / config.kvHeads);
  const part = cut(group, firstOfNext - firstOfKv, index - firstOfKv);
  return {
    kvHeads: { start: kv, end: kv + 1 },
    heads: { start: kv * group + part.start, end: kv * group + part.end },
  };
}

/**
 * Groups that share all heads and the whole vocabulary: `tp` ranks in each of `ep`, in the order of ranks. There is
 * one, of all ranks, unless there are more ranks than heads, or heads so narrow that MX blocks of o_proj would be cut.
 */
export function groupSizes(config: ModelConfig, { tp, ep }: ParallelSizes): ParallelSizes {
  const world = tp * ep;
  if (world > config.heads) return { tp, ep };
  const cuts = Array.from({ length: world }, (_, rank) => cutHeads(config, world, rank).heads.start * config.headDim);
  return cuts.every((column) => column % BLOCK === 0) ? { tp: world, ep: 1 } : { tp, ep };
}

/**
 * Refuses ranks that a model cannot be shared out to.
 *
 * @throws {InputError} if tp or ep is out of range.
 */
export function refuseSizes(config: ModelConfig, { tp, ep }: ParallelSizes): void {
  if (!Number.isInteger(tp) || tp < 1) throw InputError.of("wrong_value", { option: "tp" }, "a positive integer", tp);
  if (!Number.isInteger(ep) || ep < 1) throw InputError.of("wrong_value", { option: "ep" }, "a positive integer", ep);
  if (tp > config.heads) {
    throw InputError.saying(
      "too_large",
      { option: "tp", value: tp },
      `the model has ${counted(config.heads, "attention head")}, so at most that`,
    );
  }
  if (ep > config.experts) {
    throw InputError.saying(
      "too_large",
      { option: "ep", value: ep },
      `the model has ${counted(config.experts, "expert")}, so at most that`,
    );
  }
}

/**
 * The ranges of one rank. Ranges may be empty where a model is small for the number of ranks.
 *
 * @throws {InputError} if tp, ep or the rank is out of range.
 */
export function rankRanges(config: ModelConfig, { tp, ep }: ParallelSizes, rank: number): RankRanges {
  refuseSizes(config, { tp, ep });
  if (!(rank >= 0 && rank < tp * ep)) throw new RangeError(`rank ${rank}: expected 0 to ${tp * ep - 1}`);
  const tpRank = rank % tp, epRank = Math.floor(rank / tp);
  const { tp: sharing } = groupSizes(config, { tp, ep }), member = rank % sharing;
  return {
    rank,
    tpRank,
    epRank,
    group: Math.floor(rank / sharing),
    ...cutHeads(config, sharing, member),
    intermediate: cutUnits(config.intermediate, BLOCK, tp, tpRank),
    experts: cut(config.experts, ep, epRank),
    vocab: cutVocab(config.vocab, sharing, member),
  };
}

/** Bytes of `count` stored numbers that lie together; whole bytes by construction of the slices. */
function wholeBytes(format: WeightFormat, count: number, what: string): number {
  const bits = STORED_FORMATS[format].bits * count;
  if (bits % 8 !== 0) throw new Error(`${what}: ${count} numbers of ${format} do not end on a byte`);
  return bits / 8;
}

/** Output features `range` of a matrix, with their scales. */
export function sliceRows(m: MatrixSource, range: Range): MatrixSource {
  const rows = length(range);
  const scale = m.scale.kind === "e8m0"
    ? { ...m.scale, offset: m.scale.offset + range.start * m.scale.rowStride }
    : m.scale.kind === "row"
    ? { ...m.scale, values: m.scale.values.subarray(range.start, range.end) }
    : m.scale;
  if (!m.transposed) return { ...m, rows, offset: m.offset + range.start * m.rowStride, scale };
  return {
    ...m,
    rows,
    offset: m.offset + wholeBytes(m.format, range.start, m.name),
    rowBytes: wholeBytes(m.format, rows, m.name),
    scale,
  };
}

/**
 * Input features `range` of a matrix, with their scales. For MX formats the range starts at a multiple of 32 and ends
 * at one or at the last column, so that no block is cut.
 */
function sliceCols(m: MatrixSource, range: Range): MatrixSource {
  const cols = length(range);
  if (m.transposed) return { ...m, cols, offset: m.offset + range.start * m.rowStride };
  if (m.scale.kind === "e8m0" && (range.start % BLOCK !== 0 || range.end % BLOCK !== 0 && range.end !== m.cols)) {
    throw new Error(`${m.name}: columns ${range.start} to ${range.end} would cut a block of ${BLOCK}`);
  }
  return {
    ...m,
    cols,
    offset: m.offset + wholeBytes(m.format, range.start, m.name),
    rowBytes: wholeBytes(m.format, cols, m.name),
    scale: m.scale.kind === "e8m0" ? { ...m.scale, offset: m.scale.offset + range.start / BLOCK } : m.scale,
  };
}

const VECTOR_BYTES = { bf16: 2, f16: 2, f32: 4 } as const;

/** Elements `range` of a vector. */
export function sliceVector(v: VectorSource, range: Range): VectorSource {
  return { ...v, offset: v.offset + range.start * VECTOR_BYTES[v.format], length: length(range) };
}

/** Column parallel: a rank computes some outputs, with their biases. */
const outputs = (l: LinearSource, range: Range): LinearSource => ({
  ...l,
  weight: sliceRows(l.weight, range),
  bias: l.bias && sliceVector(l.bias, range),
});

/** Row parallel: a rank computes a part of every output's sum; the bias is added once, by the first rank. */
const inputs = (l: LinearSource, range: Range, first: boolean): LinearSource => ({
  ...l,
  weight: sliceCols(l.weight, range),
  bias: first ? l.bias : null,
  ...(l.rotation === undefined ? {} : { rotation: sliceRotation(l.rotation, range, l.module ?? l.weight.name) }),
});

/**
 * The rotation of input features `range`.
 *
 * @throws {InputError} if the range begins or ends within a block: its numbers would be needed on two ranks.
 */
function sliceRotation(rotation: InputRotation, { start, end }: Range, module: string): InputRotation {
  const { size, prescale } = rotation;
  if (start % size !== 0 || end % size !== 0) {
    throw InputError.of(
      "wrong_value",
      { option: "tp", name: `${module} rotates its input in blocks of ${size} columns` },
      "ranks to have whole ones",
      `columns ${start} to ${end - 1}`,
    );
  }
  return { ...rotation, prescale: prescale && prescale.subarray(start, end) };
}

/**
 * Refuses heads whose columns of o_proj begin or end within a block: its scale, or that of the block of an input, is
 * one for all of it.
 *
 * @throws {InputError}
 */
function checkHeadBlocks({ weight, input, module }: LinearSource, { start, end }: Range, tp: number): void {
  if (weight.scale.kind !== "e8m0" && input.kind !== "mx") return;
  if (start % BLOCK === 0 && (end % BLOCK === 0 || end === weight.cols)) return;
  throw InputError.of(
    "wrong_value",
    { option: "tp", value: tp, name: `${module ?? weight.name} has MX blocks of ${BLOCK} columns` },
    "the heads of a rank to fill whole ones",
    `columns ${start} to ${end - 1}`,
  );
}

const scaled = ({ start, end }: Range, by: number): Range => ({ start: start * by, end: end * by });

/**
 * The part of a model that one rank owns.
 *
 * @throws {InputError} if tp or ep is out of range, or heads are narrower than the MX blocks of o_proj.
 */
export function shardSource(source: ModelSource, config: ModelConfig, sizes: ParallelSizes, rank: number): ModelSource {
  const ranges = rankRanges(config, sizes, rank);
  if (sizes.tp === 1 && sizes.ep === 1) return source;
  const first = ranges.tpRank === 0, firstOfHeads = ranges.heads.start === 0;
  const query = scaled(ranges.heads, config.headDim), keyValue = scaled(ranges.kvHeads, config.headDim);
  for (const { o } of source.tree.layers) checkHeadBlocks(o, query, sizes.tp);
  const layer = (w: LayerTree<LinearSource, VectorSource>): LayerTree<LinearSource, VectorSource> => ({
    inputNorm: w.inputNorm,
    q: outputs(w.q, query),
    k: outputs(w.k, keyValue),
    v: outputs(w.v, keyValue),
    o: inputs(w.o, query, firstOfHeads),
    sinks: sliceVector(w.sinks, ranges.heads),
    postNorm: w.postNorm,
    router: w.router,
    gateUp: w.gateUp.slice(ranges.experts.start, ranges.experts.end).map((l) =>
      outputs(l, scaled(ranges.intermediate, 2))
    ),
    down: w.down.slice(ranges.experts.start, ranges.experts.end).map((l) => inputs(l, ranges.intermediate, first)),
  });
  return {
    ...source,
    tree: {
      embedding: sliceRows(source.tree.embedding, ranges.vocab),
      layers: source.tree.layers.map(layer),
      norm: source.tree.norm,
      head: outputs(source.tree.head, ranges.vocab),
    },
  };
}
