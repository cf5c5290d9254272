/** What samples.html of runs that were made apart shows: what each of them kept. */
import { InputError } from "../errors.ts";
import { journalHeader } from "./cell_run.ts";
import type { EvalResults, FinishedRun } from "./finished_run.ts";
import type { Indexed } from "./journal.ts";
import { type Found, inOrder, named, sameCell } from "./merge.ts";
import type { Samples } from "./report/samples_page.ts";
import { repliesHeader, repliesName, type SampledCell, samplesOf, worstHeader, worstName } from "./samples.ts";
import { KeptReply, KeptWorst } from "./samples_schema.ts";
import type { CellResult, Task } from "./task.ts";
import { reading } from "../validate.ts";

/** A task of which samples are merged. */
type SampledTask<Results extends EvalResults> =
  & Pick<Task<never, never, never, Results>, "asked" | "header">
  & {
    readonly journal: { readonly name: string };
    readonly samples: { name(protocol: Results["protocol"]): string; readonly reply: unknown };
  };

/**
 * The samples of all further settings beside the first.
 *
 * @param results Of all runs together.
 * @returns Null where there is nothing to show, `"missing"` where a run has none: one of an earlier version, or one
 *   that does not have the first setting.
 * @throws {InputError} where a run kept only some of them.
 */
export function mergedSamples<Results extends EvalResults>(
  task: SampledTask<Results>,
  runs: readonly FinishedRun<Results>[],
  results: Results,
): Samples | "missing" | null {
  const [reference, ...others] = inOrder(named(runs)) as [Found<Results>, ...Found<Results>[]];
  const replies = task.samples.reply === null ? 0 : task.asked(results.protocol);
  const worst = results.divergences[0]?.predictions.sequences ?? 0;
  const cells: SampledCell[] = [];
  for (const [i, other] of others.entries()) {
    const found = keptOf(task, runs, reference, other, { replies, worst });
    if (found === null) return "missing";
    cells.push({ label: results.cells[i + 1]!.label, ...found });
  }
  return samplesOf(task.samples.name(results.protocol), results.cells[0]!.label, cells);
}

/** What one run kept of a setting beside the first; null where none kept any. */
function keptOf<Results extends EvalResults>(
  task: SampledTask<Results>,
  runs: readonly FinishedRun<Results>[],
  first: Found<Results>,
  other: Found<Results>,
  count: { readonly replies: number; readonly worst: number },
): Omit<SampledCell, "label"> | null {
  let incomplete: InputError | null = null;
  for (const { path, results: { cells, protocol }, has, read } of runs) {
    const [one] = cells, cell = cells.find((cell) => sameCell(cell, other));
    if (cell === undefined || !sameCell(one!, first)) continue;
    const header = (cell: CellResult) => journalHeader(task.journal.name, task.header(protocol), cell.protocol);
    const both = [header(one!), header(cell)] as const;
    const entries = <T extends Indexed>(
      name: string,
      belongs: unknown,
      parse: (value: unknown) => T,
      wanted: number,
    ) => {
      if (wanted === 0) return [];
      if (!has(name)) return null;
      const kept = [...read(name, belongs, parse).values()].sort((a, b) => a.index - b.index).slice(0, wanted);
      if (kept.length === wanted) return kept;
      const problem = `expected ${wanted} entries, got ${kept.length}: it was cut off; run the same command again`;
      incomplete ??= InputError.saying("missing", { file: path, key: name }, problem);
      return null;
    };
    const replies = entries(repliesName(cell.key), repliesHeader(...both), reading(KeptReply), count.replies);
    const worst = entries(worstName(cell.key), worstHeader(...both), reading(KeptWorst), count.worst);
    if (replies !== null && worst !== null) return { replies, worst };
  }
  if (incomplete !== null) throw incomplete;
  return null;
}
