/** Rows that kernels sum over ranks, and what they make of them. */
import { type Input, NO_QUANTIZE, type Rows } from "./abi.ts";
import type { Values } from "./arguments.ts";
import type { Prepared } from "./prepared.ts";
import type { GpuLinear } from "./tensors.ts";

/** What a kernel is told that sums over ranks what its blocks have of a row. */
export type BlockSum = Pick<Values<"expertDownCombineOne">, "inboxes" | "turns" | "stop" | "rank" | "ranks">;

/** What a matrix kernel is told that gives its rows to the ranks of a group. */
export type Giving = Pick<Values<"gemmGive">, "inboxes" | "marks" | "rank" | "ranks" | "room" | "tiles">;

/** Where a kernel leaves the norm of a sum; `in` is what it is the norm of, without a norm where there is none. */
export interface SumRows {
  readonly in: Input;
  readonly normed: Rows | null;
  /** At most two, as matrix kernels read them. */
  readonly prepared: readonly Prepared[];
}

/** The experts' rows that are weighted and summed: those of `count` experts from `firstExpert` on. */
export type Choices = Pick<
  Values<"exchangeCombineFew">,
  "ids" | "weights" | "firstExpert" | "count" | "topK" | "round" | "n"
>;

/** How many rows are summed, and whether results are rounded. */
export interface RowsToSum {
  readonly round: boolean;
  readonly n: number;
}

/** What `exchange_norm_route` is given beside what is exchanged. */
export type RouteValues =
  & Pick<
    Values<"exchangeNormRoute">,
    | "in"
    | "topK"
    | "ids"
    | "weights"
    | "round"
    | "n"
    | "normed"
    | "normedStride"
    | "first"
    | "firstStride"
    | "firstOrder"
    | "logits"
    | "logitsStride"
    | "counters"
  >
  & { readonly router: GpuLinear };

/** An input of which no norm is made. */
export const withoutNorm = ({ range: x, stride: xStride }: Rows): Input => ({
  ...{ x, xRows: null, norm: null, xStride, normFormat: 0, eps: 0, ...NO_QUANTIZE, round: false },
});

/** The arguments that say where a norm goes. */
export function normedArguments({ in: from, normed, prepared: [first, second] }: SumRows) {
  return {
    ...{ in: from, normed: normed?.range ?? null, normedStride: normed?.stride ?? 0 },
    ...{ first: first?.range ?? null, firstStride: first?.stride ?? 0, firstOrder: first?.order ?? 0 },
    ...{ second: second?.range ?? null, secondStride: second?.stride ?? 0, secondOrder: second?.order ?? 0 },
  } as const;
}
