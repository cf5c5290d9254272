/**
 * The areas that every WASM memory has at the same addresses: stacks, scratch, descriptors, batch arrays, activations.
 */
import { BLOCK, blocksOf } from "../../formats/format.ts";
import type { InputFormat, MxInputElement } from "../../formats/input.ts";
import { allLinears, type LinearSource, type ModelSource } from "../../checkpoint/source.ts";
import type { OpenRequest, Tensor, TensorSpec } from "../../model/backend.ts";
import type { ThreadAreas } from "./pool.ts";

const STACK_BYTES = 64 << 10;

/** A float32 tensor of the emulate backend: at `address` in every memory; the current contents are in memory `home`. */
export class EmulateTensor implements Tensor {
  home = 0;
  constructor(
    readonly rows: number,
    readonly width: number,
    /** float32 elements from one row to the next: the width, rounded up so that rows stay 16-byte aligned. */
    readonly stride: number,
    readonly address: number,
    readonly rowsPerToken: number,
  ) {}
}

/** Addresses of the areas. Lengths in elements are those of the largest batch. */
export interface Areas<N extends string> extends ThreadAreas {
  readonly tensors: Readonly<Record<N, EmulateTensor>>;
  /** Rows ready for GEMMs, float32, see `prepare` in wasm/ABI.md. */
  readonly prepared: number;
  readonly preparedBytes: number;
  /** The same rows as integers, `fixedStride` bytes apart, see "Fixed rows" in wasm/ABI.md. */
  readonly fixed: number;
  readonly fixedBytes: number;
  /** Rotated input rows, float32, from which `prepared` is made; 0 where no linear rotates its input. */
  readonly rotated: number;
  /** One float32 per prepared row: the input scale that is applied to finished sums (FP8 W8A8). */
  readonly rowScales: number;
  /** Most query heads of one unit of attention. */
  readonly headsTogether: number;
  readonly logits: number;
  readonly logitRows: number;
  /** Words of the whole model, for which each row of logits has room. */
  readonly vocab: number;
  /** i32 of each row of logits: the likeliest token. */
  readonly likeliest: number;
  readonly ids: number;
  readonly slots: number;
  readonly positions: number;
  readonly cos: number;
  readonly sin: number;
  /** i32 and float32 [maxTokens * topK]. */
  readonly routeIds: number;
  readonly routeWeights: number;
  /** u32 lists of rows for expert GEMMs: two lists of maxTokens * topK. */
  readonly rowLists: number;
  readonly descriptor: number;
  readonly descriptorWords: number;
  /** First free address after the areas. */
  readonly end: number;
}

/** Words of one record of the `linear` kernel. */
const LINEAR_WORDS = 24;

/** Most prepared rows that are packed together, and what their number is rounded up to; see wasm/ABI.md. */
export const PACKED_ROWS = 5;
const PACKED_MULTIPLE = 4;

/** Input rows a matrix, on average, from which on the kernel `linear` takes no fixed rows of most inputs. */
export const MANY_ROWS = 12;
/** The same of inputs of one digit. */
const MANY_DIGIT_ROWS = 32;
/** Input rows up to which the kernel `linear` multiplies bf16 weights best with rows that are not packed together. */
export const BF16_ROWS = 24;

/** {@linkcode rowsToFix} of MX inputs. */
const MX_ROWS: Readonly<Record<MxInputElement, number>> = {
  e2m1: MANY_DIGIT_ROWS,
  e2m3: MANY_DIGIT_ROWS,
  e3m2: Infinity,
  e4m3fn: MANY_ROWS,
};

/**
 * Input rows a matrix, on average, below which fixed rows are made of its inputs.
 *
 * MXFP4 weights multiply quantized inputs faster so: of two digits, but for rare ones, any number of rows, where others
 * are floats; of one digit some rows. Inputs that are rounded to bf16 after a scale that is no power of two have too
 * many digits, and so has one of 100 blocks of MXFP8, by which most rows have some; numbers of Q8_0 are 19 bits long.
 *
 * @param isMxfp4 Whether the weights are MXFP4.
 */
export function rowsToFix(isMxfp4: boolean, input: InputFormat): number {
  if (isMxfp4 && input.kind === "mx") return MX_ROWS[input.element];
  if (input.kind === "q8_0") return 0;
  if (!isMxfp4 || input.kind !== "fp8_static") return MANY_ROWS;
  return Number.isInteger(Math.log2(input.scale)) ? Infinity : MANY_ROWS;
}

/** Bytes of a fixed row; see wasm/ABI.md. */
export const fixedStride = (cols: number): number => 144 * blocksOf(cols) + Math.ceil((blocksOf(cols) + 2) / 16) * 16;

/** The most that the scores of one unit of attention may take in a thread's scratch, where one head takes less. */
const SCORE_BYTES = 1 << 20;
/** Most query heads of one unit of attention, for which the kernel has sums. */
const MOST_TOGETHER = 64;
const scoreBytes = (context: number, heads: number): number => 4 * Math.ceil(context / 4) * 4 * heads;

/** Most query heads that are computed together: a part of those that share a key-value head, for their scores' size. */
function headsTogether({ source, config, context }: OpenRequest): number {
  const sharing = source.tree.layers.map(({ q, k }) => Math.max(1, Math.floor(q.weight.rows / (k.weight.rows || 1))));
  return greatestPart(
    Math.min(...sharing, config.heads),
    (heads) =>
      heads <= MOST_TOGETHER && scoreBytes(context, heads) <= SCORE_BYTES && sharing.every((all) => all % heads === 0),
  );
}

/** The greatest divisor of `all` that will do; 1 if none does. */
export function greatestPart(all: number, willDo: (part: number) => boolean): number {
  for (let part = all; part > 1; part--) if (all % part === 0 && willDo(part)) return part;
  return 1;
}

/** Columns rounded up to whole blocks. */
export const padded = (cols: number): number => blocksOf(cols) * BLOCK;

/**
 * Lays the areas out.
 *
 * @param heapBase First address that the module leaves to us.
 * @param logitRows Rows of logits computed at once.
 */
export function layOutAreas<N extends string>(
  request: OpenRequest<N>,
  threads: number,
  heapBase: number,
  logitRows: number,
): Areas<N> {
  const { config, maxTokens } = request;
  const slotRows = maxTokens * config.topK;
  const preparedRows = Math.max(slotRows, logitRows);
  const experts = Math.min(config.experts, slotRows);

  let at = Math.ceil(heapBase / 4096) * 4096;
  const take: Take = (bytes, alignment = 64) => {
    const address = Math.ceil(at / alignment) * alignment;
    at = address + bytes;
    return address;
  };
  const stacks = take(threads * STACK_BYTES, 4096);
  const together = headsTogether(request), scratchBytes = scratchBytesOf(request, together);
  const scratch = take(threads * scratchBytes, 4096);
  const descriptorWords = 1 + LINEAR_WORDS * Math.max(4, experts);
  const descriptor = take(4 * descriptorWords);
  const ids = take(4 * maxTokens), slots = take(4 * maxTokens), positions = take(4 * maxTokens);
  const cos = take(2 * config.headDim * maxTokens), sin = take(2 * config.headDim * maxTokens);
  const routeIds = take(4 * slotRows), routeWeights = take(4 * slotRows), rowLists = take(8 * slotRows);
  const rowScales = take(4 * preparedRows);
  const tensors = layOutTensors(request, take);
  const reads = readRows(request, logitRows), most = (bytes: readonly number[]) => Math.max(0, ...bytes);
  const preparedBytes = most(reads.map(({ rows, cols }) => 4 * rows * padded(cols)));
  const fixedBytes = most(reads.map(({ fixedRows, cols }) => fixedRows * fixedStride(cols)));
  const prepared = take(preparedBytes), fixed = take(fixedBytes);
  const rotated = rotatesAny(request.source) ? take(preparedBytes) : 0;
  const logits = take(4 * logitRows * config.vocab), likeliest = take(4 * logitRows);
  return {
    stacks,
    stackBytes: STACK_BYTES,
    scratch,
    scratchBytes,
    tensors,
    prepared,
    preparedBytes,
    fixed,
    fixedBytes,
    rotated,
    rowScales,
    headsTogether: together,
    logits,
    logitRows,
    vocab: config.vocab,
    likeliest,
    ids,
    slots,
    positions,
    cos,
    sin,
    routeIds,
    routeWeights,
    rowLists,
    descriptor,
    descriptorWords,
    end: at,
  };
}

/** Takes the next free bytes; gives their address. */
type Take = (bytes: number, alignment?: number) => number;

function layOutTensors<N extends string>({ tensors, maxTokens }: OpenRequest<N>, take: Take): Record<N, EmulateTensor> {
  const specs = Object.entries<TensorSpec>(tensors);
  return Object.fromEntries(specs.map(([name, { rowsPerToken, width }]) => {
    const stride = Math.max(4, Math.ceil(width / 4) * 4);
    const rows = rowsPerToken * maxTokens;
    return [name, new EmulateTensor(rows, width, stride, take(4 * rows * stride), rowsPerToken)];
  })) as Record<N, EmulateTensor>;
}

/** Bytes of a thread's scratch: the scores and sums of a unit of attention, or the rows that a GEMM packs. */
function scratchBytesOf<N extends string>({ config, context, tensors }: OpenRequest<N>, together: number): number {
  const widest = Math.max(...Object.values<TensorSpec>(tensors).map(({ width }) => padded(width)));
  const bytes = Math.max(scoreBytes(context, together) + 128 * config.headDim, 4 * 132 * widest + 40960);
  return Math.ceil(bytes / 4096) * 4096;
}

/** Rows that one operation prepares, at most. */
export interface ReadRows {
  /** As float32, with those that groups of packed rows are filled up with. */
  readonly rows: number;
  /** As integers too. */
  readonly fixedRows: number;
  /** Numbers of a row. */
  readonly cols: number;
}

/**
 * What the operations of `gemm.ts` prepare.
 *
 * Experts of whom each quantizes its input in a way of its own get a row for every slot, gate_up as well; the integers
 * of such a row are made while a matrix reads fewer than {@linkcode rowsToFix} on average.
 */
export function readRows({ config, source: { tree }, maxTokens }: Sized, logitRows: number): ReadRows[] {
  const packed = (rows: number) => Math.ceil(rows / PACKED_MULTIPLE) * PACKED_MULTIPLE;
  const fixedRows = ({ weight, input }: LinearSource, rows: number, matrices: number) =>
    Math.min(rows, rowsToFix(weight.format === "mxfp4", input) * matrices);
  const plain = (rows: number) => (linear: LinearSource): ReadRows => ({
    rows: packed(rows),
    fixedRows: fixedRows(linear, rows, 1),
    cols: linear.weight.cols,
  });
  const slotRows = maxTokens * config.topK;
  const expert = (linear: LinearSource): ReadRows => ({
    rows: slotRows,
    fixedRows: fixedRows(linear, slotRows, config.experts),
    cols: linear.weight.cols,
  });
  return [
    plain(logitRows)(tree.head),
    ...tree.layers.flatMap(({ q, k, v, o, router }) => [q, k, v, o, router].map(plain(maxTokens))),
    ...tree.layers.flatMap(({ gateUp, down }) => [...gateUp, ...down].map(expert)),
  ];
}

/** What {@linkcode readRows} needs to know. */
type Sized = Pick<OpenRequest, "config" | "source" | "maxTokens">;

const rotatesAny = (source: ModelSource): boolean =>
  allLinears(source.tree).some(({ rotation }) => rotation !== undefined);
