/** Launches of linears and experts, for a model's steps and for the self-test. */
import type { DeviceRange } from "../../../ffi/runtime.ts";
import { ONE_CHOICES, teamsOf, WALK_SLOT_ROWS } from "../../../kernels/abi/experts.ts";
import { BLOCK } from "../../formats/format.ts";
import { GROUP_LINEARS, groupOf, type Input, type Rows } from "./abi.ts";
import { BATCH_TOKENS, fewEntry, fewRowsEntry, isNarrow, partsFor } from "./batches.ts";
import type { Calls } from "./calls.ts";
import type { BlockSum, Giving } from "./exchange_rows.ts";
import type { Codes, Prepared } from "./prepared.ts";
import { type ExpertTable, type GpuLinear, samePreparation } from "./tensors.ts";

/** SwiGLU's constants, or null where it is not fused. */
export type Swiglu = { readonly alpha: number; readonly limit: number } | null;

/** The experts that were chosen, [n * topK], and this rank's first one. */
export interface Routing {
  readonly ids: DeviceRange;
  readonly weights: DeviceRange;
  readonly first: number;
  readonly topK: number;
}

/** The sorted slot rows of a batch. */
export interface ExpertTiles {
  readonly sorted: DeviceRange;
  readonly offsets: DeviceRange;
  readonly tiles: DeviceRange;
  readonly tileCount: DeviceRange;
}

/** How an output is stored. */
export interface Stored {
  readonly out: Rows;
  readonly round: boolean;
}

/** Linears that read the same prepared rows, and where each writes. */
export interface Products {
  readonly linears: readonly GpuLinear[];
  readonly outs: readonly Rows[];
  readonly x: Prepared;
  readonly round: boolean;
  /** Whether products are added to what the outputs hold. */
  readonly accumulate: boolean;
  /** Rows of x. */
  readonly n: number;
}

/** The arguments that every kernel of them takes. */
function valuesOf({ linears, outs, x, round, accumulate, n }: Products) {
  return { group: groupOf(linears, outs), x: x.range, xStride: x.stride, xScales: x.scales, round, accumulate, n };
}

/**
 * Multiplies a batch of any size.
 *
 * @param matrixEntry The matrix kernel, where rows are bf16 numbers.
 */
export function launchGemm(calls: Calls, products: Products, matrixEntry: string): void {
  const { suffix } = products.linears[0]!, values = valuesOf(products);
  if (products.x.bf16) calls.launch("gemmMma", values, matrixEntry);
  else calls.launch("gemm", values, `gemm_${suffix}`);
}

/** The kernel that gives the products of a matrix kernel to a sum over ranks, whether or not there is one. */
export const giveEntry = (matrixEntry: string): string => `${matrixEntry}_give`;

/**
 * Gives the products of one linear to the ranks of a group, rounded. The launch that takes them may begin before this
 * one has ended, and reads what those ahead of it wrote: so this one begins when they have ended.
 */
export function launchGive(
  calls: Calls,
  { linears, outs, x, n }: Omit<Products, "round" | "accumulate">,
  matrixEntry: string,
  to: Giving,
): void {
  const values = { group: groupOf(linears, outs), x: x.range, xStride: x.stride, xScales: x.scales, n };
  calls.overlapping(false, () => calls.launch("gemmGive", { ...values, ...to }, giveEntry(matrixEntry)));
}

/**
 * Multiplies a token each of some sequences, in parts of the columns where there are few rows.
 *
 * @param room Room for the sums of parts, and counters that are 0.
 */
export function launchBatch(
  calls: Calls,
  entry: string,
  products: Products,
  room: { readonly sums: DeviceRange; readonly counters: DeviceRange },
): void {
  const parts = partsFor(products.linears.map(({ rows }) => rows)), cut = parts > 1, { suffix } = products.linears[0]!;
  if (entry === fewEntry(suffix)) return calls.launch("gemmFew", { ...valuesOf(products), parts }, entry);
  if (entry === fewRowsEntry(suffix)) return calls.launch("gemmFew", { ...valuesOf(products), parts: 1 }, entry);
  const partial = cut ? room.sums : null, counters = cut ? room.counters : null;
  calls.launch("gemmBatch", { ...valuesOf(products), parts, partial, counters }, entry);
}

/** The arguments of both products of the chosen experts for few tokens. */
function chosen(
  { records, count, first: { rows, cols } }: ExpertTable,
  input: Input,
  { ids, first, topK }: Omit<Routing, "weights">,
  out: Rows,
) {
  return { experts: records, in: input, ids, first, count, topK, out: out.range, outStride: out.stride, rows, cols };
}

/** The first product of the experts for few tokens. */
export function launchExpertUp(
  calls: Calls,
  entry: string,
  { experts, input, routing, out, round, swiglu, n }: Stored & {
    readonly experts: ExpertTable;
    readonly input: Input;
    readonly routing: Omit<Routing, "weights">;
    readonly swiglu: Swiglu;
    readonly n: number;
  },
): void {
  const values = { ...chosen(experts, input, routing, out), round, ...constantsOf(swiglu) };
  if (isForOne(entry)) calls.launch("expertUpOne", { ...values, multiprocessors: calls.multiprocessors }, entry);
  else calls.launch("expertUp", { ...values, n }, entry);
}

/** What the kernel for one token is told where it sums over no ranks. */
export const ALONE: BlockSum = { inboxes: null, turns: null, stop: null, rank: 0, ranks: 1 };

/**
 * The second product of the experts for few tokens, with the weighted sum.
 *
 * @param over What the kernel for one token sums over ranks by.
 */
export function launchExpertDownCombine(
  calls: Calls,
  entry: string,
  { experts, input, routing, out, round, accumulate, n, over = null }: Stored & {
    readonly experts: ExpertTable;
    readonly input: Input;
    readonly routing: Routing;
    readonly accumulate: boolean;
    readonly n: number;
    readonly over?: BlockSum | null;
  },
): void {
  const values = { ...chosen(experts, input, routing, out), weights: routing.weights, round, accumulate };
  const { multiprocessors } = calls;
  if (isForOne(entry)) {
    calls.launch("expertDownCombineOne", { ...values, ...(over ?? ALONE), multiprocessors }, entry);
  } else calls.launch("expertDownCombine", { ...values, n }, entry);
}

/** The experts' kernel for one token, of a kernel for few. */
export const forOne = (entry: string): string => `${entry}_one`;
const isForOne = (entry: string) => entry.endsWith("_one");

/** Columns that the warps have of kernels whose warps share a row, eight blocks each. */
const MOST_SHARED_COLS = 12 * 8 * BLOCK;

/** Whether rows of a matrix, and their scales, follow one another, so that whole rows can be copied. */
const isDense = ({ cols, rowStride, scaleStride }: GpuLinear): boolean =>
  rowStride === cols / 2 && scaleStride === cols / BLOCK && cols <= MOST_SHARED_COLS;

/** Whether the kernels for one token take the experts' linears, as both or neither are used. */
export function oneKnows(calls: Calls, entry: string, first: GpuLinear, topK: number): boolean {
  const { rows, cols, input } = first, up = entry.startsWith("expert_up"), teams = up ? 1 : teamsOf(cols);
  // One team of warps reads scales in pairs; each of several takes them where they are.
  const whole = cols % (teams === 1 ? 2 * BLOCK : BLOCK) === 0;
  const fits = calls.fits(entry, cols, teams) && (up || rows <= calls.multiprocessors * BLOCK_ROWS_OF_ONE);
  // A rank may have no columns.
  return topK <= ONE_CHOICES && input.kind === "none" && isDense(first) && rows % 8 === 0 && cols > 0 && whole && fits;
}
/** Rows of the second linear that a block has room for. */
const BLOCK_ROWS_OF_ONE = 24;

/** Whether blocks can share out all rows of the experts that are chosen for so many slot rows. */
export const walkKnows = (calls: Calls, entry: string, first: GpuLinear, slotRows: number): boolean =>
  // A rank may have no columns, and so no rows of the first linear.
  slotRows <= WALK_SLOT_ROWS && isDense(first) && first.cols > 0 && first.rows > 0 && first.rows % 16 === 0 &&
  calls.fits(entry, first.cols, teamsOf(first.cols));

/** Rows of experts' inputs and outputs. */
interface SlotRows extends Stored {
  readonly experts: ExpertTable;
  /** Slot rows that share a row of x. */
  readonly divisor: number;
  readonly routing: Pick<Routing, "ids" | "first">;
  readonly swiglu: Swiglu;
  readonly slotRows: number;
}

/**
 * Multiplies slot rows by blocks that share out all rows of the chosen experts.
 *
 * @param early Whether the launch ahead began to write only after what was chosen could be read.
 */
export function launchExpertWalk(
  calls: Calls,
  entry: string,
  { experts, x, divisor, routing: { ids, first }, early, out, round, swiglu, slotRows }: SlotRows & {
    readonly x: Prepared;
    readonly early: boolean;
  },
): void {
  const { records, count, first: { rows, cols } } = experts, { multiprocessors } = calls;
  const input = { x: x.bf16 ? null : x.range, xBf16: x.bf16 ? x.range : null, xStride: x.stride, xScales: x.scales };
  const chosen = { experts: records, ...input, divisor, ids, slotRows, first, count, early };
  const how = { out: out.range, outStride: out.stride, round, ...constantsOf(swiglu), rows, cols, multiprocessors };
  calls.launch("expertWalk", { ...chosen, ...how }, entry);
}

/**
 * Sorts slot rows by expert, unless they are, and multiplies them.
 *
 * @param entry `expert_gemm_F`, `expert_gemm_F_mma`, `expert_gemm_F_wgmma` or `expert_batch_F_xN` for prepared rows,
 *   `expert_gemm_F_G_mma` for codes.
 */
export function launchExpertGemm(
  calls: Calls,
  entry: string,
  { experts, x, divisor, routing, tiles, out, round, swiglu, slotRows, sorted = false }: SlotRows & {
    readonly x: Prepared | Codes;
    readonly tiles: ExpertTiles;
    /** Whether `tiles` holds them already, for a kernel with as many tokens a block. */
    readonly sorted?: boolean;
  },
): void {
  const { count, records, first: { rows, cols } } = experts;
  if (!sorted) {
    const tileRows = calls.kernels.traits(entry).tokensPerBlock;
    calls.launch("expertSort", { ids: routing.ids, slotRows, first: routing.first, count, tileRows, ...tiles });
  }
  const common = {
    experts: records,
    xStride: x.stride,
    xScales: x.scales,
    divisor,
    ...tiles,
    out: out.range,
    outStride: out.stride,
    round,
    ...constantsOf(swiglu),
    rows,
    cols,
    slotRows,
    expertCount: count,
  };
  if ("codes" in x) {
    calls.launch("expertGemmScaled", { ...common, x: x.codes, xBlocks: x.blocks, xBlockStride: x.blockStride }, entry);
  } else {
    const batch = entry.startsWith("expert_batch_");
    calls.launch(
      batch ? "expertBatch" : x.bf16 ? "expertGemmMma" : "expertGemm",
      { ...common, x: x.range },
      entry,
    );
  }
}

function constantsOf(swiglu: Swiglu): { readonly swiglu: boolean; readonly alpha: number; readonly limit: number } {
  return { swiglu: swiglu !== null, alpha: swiglu?.alpha ?? 0, limit: swiglu?.limit ?? 0 };
}

/**
 * The kernel that takes a linear's codes and its input's as they are, whether or not there is one; null for other
 * formats, MX blocks of FP6 and FP8 among them.
 */
export function scaledEntry({ format, input }: GpuLinear): string | null {
  if (format !== "mxfp4") return null;
  if (input.kind === "mx") return input.element === "e2m1" ? "expert_gemm_mxfp4_e2m1_mma" : null;
  return input.kind === "none" ? null : "expert_gemm_mxfp4_fp8_mma";
}

/** Rows up to which the kernels of batches compute linears. */
export const mostRows = ([first, second]: readonly GpuLinear[]): number =>
  second === undefined && isNarrow(first!.rows) ? Infinity : BATCH_TOKENS;

/** Indices of linears that one launch can compute: neighbours of one format that want the same input. */
export function launchGroups(linears: readonly GpuLinear[]): number[][] {
  const found: number[][] = [];
  linears.forEach((linear, i) => {
    const last = found.at(-1), first = last ? linears[last[0]!]! : null;
    const joins = first && last!.length < GROUP_LINEARS && first.suffix === linear.suffix &&
      samePreparation(first, linear);
    if (joins) last!.push(i);
    else found.push([i]);
  });
  return found;
}
