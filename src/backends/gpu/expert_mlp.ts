/** Both products of the chosen experts for one token by one kernel (kernels/expert_mlp.hip). */
import type { DeviceRange } from "../../../ffi/runtime.ts";
import { MLP_BLOCKS, mlpRanksCols } from "../../../kernels/abi/experts.ts";
import { BLOCK } from "../../formats/format.ts";
import type { Input, Rows } from "./abi.ts";
import type { Calls } from "./calls.ts";
import type { BlockSum } from "./exchange_rows.ts";
import { ALONE, forOne, oneKnows, type Routing, type Swiglu } from "./products.ts";
import type { ExpertTable, GpuLinear } from "./tensors.ts";

/** The kernel, for weights of a format; there is one of MXFP4 only. */
export const mlpEntry = (suffix: string): string => forOne(`expert_mlp_${suffix}`);

/** The same for one of several ranks. */
export const mlpRanksEntry = (suffix: string): string => forOne(`expert_mlp_ranks_${suffix}`);

/**
 * Whether it takes both linears of experts.
 *
 * @param ranks Whether as the kernel for one of several ranks.
 */
export function mlpKnows(calls: Calls, up: GpuLinear, down: GpuLinear, topK: number, ranks = false): boolean {
  const { multiprocessors } = calls, { cols } = up, { rows, cols: inner } = down;
  // Ranks may have an odd number of blocks, whose scales are copied in pieces of 16 bytes.
  const whole = ranks ? rows * inner / BLOCK % 16 === 0 : inner % (2 * BLOCK) === 0;
  // Both as the kernels for one token take them, whose rows of the first linear are pairs of the second's columns.
  const alike = up.suffix === down.suffix && up.rows === 2 * inner && whole;
  const each = [["expert_up", up], ["expert_down_combine", down]] as const;
  const fits = ranks
    ? calls.fits(mlpRanksEntry(up.suffix), mlpRanksCols(cols, inner))
    : calls.fits(mlpEntry(up.suffix), Math.max(cols, inner));
  return alike && multiprocessors <= MLP_BLOCKS && fits &&
    each.every(([stem, linear]) => oneKnows(calls, forOne(`${stem}_${linear.suffix}`), linear, topK));
}

/**
 * Both products, with SwiGLU between them and the weighted sum, all rounded to bf16.
 *
 * @param state See the signature; no other launch of the same step may have it.
 * @param over What blocks of one of several ranks sum by, "none" where they leave that to another launch; null: there
 *   are no ranks.
 */
export function launchExpertMlp(
  calls: Calls,
  { up, down, input, routing: { ids, weights, first, topK }, out, accumulate, swiglu, state, over }: {
    readonly up: ExpertTable;
    readonly down: ExpertTable;
    readonly input: Input;
    readonly routing: Routing;
    readonly out: Rows;
    readonly accumulate: boolean;
    readonly swiglu: NonNullable<Swiglu>;
    readonly state: DeviceRange;
    readonly over: BlockSum | "none" | null;
  },
): void {
  const { rows, cols: inner, suffix } = down.first, { cols } = up.first, { multiprocessors } = calls;
  const chosen = { up: up.records, down: down.records, in: input, ids, weights, first, count: up.count, topK };
  const values = { ...chosen, out: out.range, accumulate, ...swiglu, state, rows, cols, inner, multiprocessors };
  if (over === null) return calls.launch("expertMlpOne", values, mlpEntry(suffix));
  calls.launch("expertMlpRanks", { ...values, ...(over === "none" ? ALONE : over) }, mlpRanksEntry(suffix));
}
