/** Both products of the chosen experts for one token by one kernel (kernels/expert_mlp.hip). */
import type { DeviceRange } from "../../../ffi/runtime.ts";
import { MLP_BLOCKS } from "../../../kernels/abi/experts.ts";
import { BLOCK } from "../../formats/format.ts";
import type { Input, Rows } from "./abi.ts";
import type { Calls } from "./calls.ts";
import { forOne, oneKnows, type Routing, type Swiglu } from "./products.ts";
import type { ExpertTable, GpuLinear } from "./tensors.ts";

/** The kernel, for weights of a format; there is one of MXFP4 only. */
export const mlpEntry = (suffix: string): string => forOne(`expert_mlp_${suffix}`);

/** Whether it takes both linears of experts. */
export function mlpKnows(calls: Calls, up: GpuLinear, down: GpuLinear, topK: number): boolean {
  const entry = mlpEntry(up.suffix), { multiprocessors } = calls;
  // Both as the kernels for one token take them, whose rows of the first linear are pairs of the second's columns.
  const alike = up.suffix === down.suffix && up.rows === 2 * down.cols && down.cols % (2 * BLOCK) === 0;
  const each = [["expert_up", up], ["expert_down_combine", down]] as const;
  return alike && multiprocessors <= MLP_BLOCKS && calls.fits(entry, Math.max(up.cols, down.cols)) &&
    each.every(([stem, linear]) => oneKnows(calls, forOne(`${stem}_${linear.suffix}`), linear, topK));
}

/**
 * Both products, with SwiGLU between them and the weighted sum, all rounded to bf16.
 *
 * @param state See the signature; no other launch of the same step may have it.
 */
export function launchExpertMlp(
  calls: Calls,
  { up, down, input, routing: { ids, weights, first, topK }, out, accumulate, swiglu, state }: {
    readonly up: ExpertTable;
    readonly down: ExpertTable;
    readonly input: Input;
    readonly routing: Routing;
    readonly out: Rows;
    readonly accumulate: boolean;
    readonly swiglu: NonNullable<Swiglu>;
    readonly state: DeviceRange;
  },
): void {
  const { rows, cols: inner, suffix } = down.first, { cols } = up.first, { multiprocessors } = calls;
  const chosen = { up: up.records, down: down.records, in: input, ids, weights, first, count: up.count, topK };
  const how = { out: out.range, accumulate, ...swiglu, state, rows, cols, inner, multiprocessors };
  calls.launch("expertMlpOne", { ...chosen, ...how }, mlpEntry(suffix));
}
