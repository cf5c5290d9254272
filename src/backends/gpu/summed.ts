/** What the kernel of a sum makes besides: the norm of the sum, as those read it that come after. */
import type { RankGroup } from "../../model/backend.ts";
import { NUMBER_FORMAT } from "../../../kernels/abi/types.ts";
import { NO_QUANTIZE } from "./abi.ts";
import { batchEntry, linearBatchEntry } from "./batches.ts";
import type { LaunchContext } from "./context.ts";
import type { SumRows } from "./exchange_rows.ts";
import type { Experts } from "./experts.ts";
import type { Inputs } from "./inputs.ts";
import type { NormReader, Step, SumKind, SumNorm } from "./operations.ts";
import type { Prepared } from "./prepared.ts";
import { giveEntry, launchGroups, mostRows } from "./products.ts";
import type { RankSums } from "./ranks.ts";
import type { GpuLinear, GpuTensor, GpuVector } from "./tensors.ts";

/** Whether the kernels of batches compute a launch of linears. */
export function batchesLinears(context: LaunchContext, members: readonly GpuLinear[]): boolean {
  const { n } = context, first = members[0]!;
  return context.batched(n, first, batchEntry(first.suffix, n), mostRows(members));
}

/** The matrix kernel of a launch of linears in a batch that is not few tokens. */
export function linearEntry(context: LaunchContext, members: readonly GpuLinear[]): string {
  const { suffix } = members[0]!, { n, options: { matrixKernels } } = context;
  if (!batchesLinears(context, members)) return context.manyEntry("gemm", members[0]!);
  return linearBatchEntry(matrixKernels, suffix, n, members.map(({ rows }) => rows));
}

/** Most columns of a row that the threads of `combine_norm` keep. */
const COMBINED_COLUMNS = 4096;

export class Summed {
  constructor(
    readonly context: LaunchContext,
    readonly inputs: Inputs,
    readonly experts: Experts,
    readonly ranks: () => RankSums | null,
  ) {}

  /** Whether such a kernel makes the norm: its rows, or only rows as its readers' kernels want them. */
  can(kind: SumKind, norm: GpuVector, readers: readonly NormReader[]): "rows" | "prepared" | null {
    const { few, n } = this.context;
    // Kernels of the other kinds have it wherever they are used.
    if (few || kind === "rows" && this.ranks()?.canNorm(n, norm.length) !== true) return null;
    const prepared = this.#preparedFor(readers, norm.length);
    if (kind === "combined" && (!this.#combines(norm) || (prepared?.length ?? 0) > 1)) return null;
    return prepared === null ? "rows" : "prepared";
  }

  /** Whether the matrix kernel of a linear of many tokens gives its rows to the sum over ranks. */
  canGive(linear: GpuLinear): boolean {
    const { context } = this, { few, n, options: { round } } = context;
    if (few || !round || this.ranks()?.canGive(n, linear.rows) !== true) return false;
    return this.knowsGive(linear) && linearEntry(context, [linear]) === context.manyEntry("gemm", linear);
  }

  /** Whether there is such a kernel for it. */
  knowsGive(linear: GpuLinear): boolean {
    const { context, context: { calls, options: { matrixKernels } } } = this;
    const entry = giveEntry(context.manyEntry("gemm", linear));
    return matrixKernels.has(entry) && calls.fits(entry, linear.cols);
  }

  /** Whether a kernel makes the norm of the experts' weighted sums, which nobody else adds to. */
  #combines({ length, format }: GpuVector): boolean {
    const fits = length % 64 === 0 && length <= COMBINED_COLUMNS && format === NUMBER_FORMAT.bf16;
    return fits && this.context.calls.kernels.has("combine_norm");
  }

  /** Whether rows of one kind can be left for those readers. */
  prepares(readers: readonly NormReader[], width: number): boolean {
    return this.#preparedFor(readers, width)?.length === 1;
  }

  /** Whether a kernel makes the experts' weighted sums and sums them over ranks. */
  canCombine({ width }: GpuTensor): boolean {
    const { few, n } = this.context, ranks = this.ranks();
    if (ranks === null) return false;
    return few ? n === 1 && ranks.sumsBlocks(width) : ranks.canCombine(n, width);
  }

  /** Launches the experts' second product, the weighted sums and the sum of these over ranks. */
  combine({ experts, a, y, out, norm }: Extract<Step, { kind: "expertDownCombine" }>, group: RankGroup): void {
    const { few, n, options: { round }, workspace: { routeIds: ids, routeWeights: weights } } = this.context;
    const ranks = this.ranks()!;
    if (few) return this.experts.downSum(experts, a, out, ranks.blockSum(group));
    this.experts.down(experts, a, y, false);
    const { first: firstExpert, topK } = this.experts.routing, { count } = experts;
    ranks.combine(y, out, group, { ids, weights, firstExpert, count, topK, round, n }, this.rowsOf(out, norm));
  }

  /** What the kernel is told of the norm of h. It leaves rows for those who read it. */
  rowsOf(h: GpuTensor, norm: SumNorm | null): SumRows {
    const from = this.inputs.of(h, norm?.weight ?? null, NO_QUANTIZE);
    if (norm === null) return { in: from, normed: null, prepared: [] };
    return { in: from, normed: norm.written ? norm.out : null, prepared: this.leave(norm.out, norm.readers) };
  }

  /** Rows that the kernel leaves for those who read `normed`; none where one of them reads it otherwise. */
  leave(normed: GpuTensor, readers: readonly NormReader[]): readonly Prepared[] {
    const prepared = this.#preparedFor(readers, normed.width) ?? [];
    for (const rows of prepared) this.inputs.leave(normed, rows);
    return prepared;
  }

  #preparedFor(readers: readonly NormReader[], width: number): readonly Prepared[] | null {
    const { prepared, preparedBeside } = this.context.workspace, all: Prepared[] = [];
    // Where 64 columns belong together a row of others would end in zeros.
    if (width % 64 !== 0) return null;
    for (const { linears, experts } of readers) {
      if (linears !== undefined && launchGroups(linears).length > 1) return null;
      if (experts !== undefined && !this.experts.readsNumbers(experts.first)) return null;
      const first = linears === undefined ? experts.first : linears[0]!;
      const entry = linears === undefined ? this.experts.matrixEntry(first) : linearEntry(this.context, linears);
      const rows = this.inputs.unprepared(first, width, entry, all.length === 0 ? prepared : preparedBeside);
      if (rows === null) return null;
      if (!all.some(({ order }) => order === rows.order)) all.push(rows);
    }
    return all.length <= 2 ? all : null;
  }
}
