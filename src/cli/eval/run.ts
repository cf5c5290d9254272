/** From a task of `mxoss eval` to its results: the directory, the cells that the options ask for, Ctrl-C, progress. */
import { costOf } from "../../eval/cost.ts";
import { checkComparable } from "../../eval/divergence.ts";
import { firstDifference, type Indexed } from "../../eval/journal.ts";
import { UsageError } from "../spelling.ts";
import { DEFAULT_ALARM, DEFAULT_DIVERGENCE } from "./options.ts";
import type { CellName } from "../../eval/matrix.ts";
import { type Outcome, runTask, type Watcher } from "../../eval/run.ts";
import { type Asked, headsOf, type ResultsHead, type RunCell, type Task } from "../../eval/task.ts";
import { EXIT_INTERRUPTED, Interrupt } from "../interrupt.ts";
import { note, writeOut } from "../terminal.ts";
import { VERSION } from "../version.ts";
import { type EvalOptions, matrixOf, type NamedModel, settingsOf } from "./cells.ts";
import { makeDirectory, refuseOtherResults } from "./output.ts";
import { ProgressBar } from "../progress.ts";
import { hashedProtocol, loadSetting } from "../settings.ts";

/** What a task prints. */
export interface Printing<Results> {
  /** The tables, line by line. */
  tables(results: Results, names: readonly CellName[]): string[];
  /** What an interrupted run says. */
  interrupted(outcome: Extract<Outcome<Results>, { kind: "interrupted" }>): string;
  /** What a run says that takes up a cell which is partly done; null: nothing. */
  resumed: ((label: string, done: number, total: number) => string) | null;
}

/** Runs a task whose work is prepared, and prints its results. */
export async function runEval<
  Work extends Asked<Results["protocol"]>,
  Entry extends Indexed,
  Results extends ResultsHead,
>(
  task: Task<never, Work, Entry, Results>,
  work: Work,
  models: readonly NamedModel[],
  options: EvalOptions,
  printing: Printing<Results>,
): Promise<number> {
  using interrupt = new Interrupt();
  const { out = null, divergence = DEFAULT_DIVERGENCE, alarm = DEFAULT_ALARM } = options;
  if (out !== null) {
    makeDirectory(out);
    refuseOtherResults(out, task, task.identity(work.protocol));
  }
  const watcher: Watcher = {
    resumed: (...part) => printing.resumed === null ? undefined : note(printing.resumed(...part)),
    progress: (label, unit) => new ProgressBar(label, unit),
  };
  const cells = await openCells(models, options);
  const outcome = await runTask(task, work, cells, {
    mxoss: VERSION,
    bandwidth: options.bandwidth ?? null,
    out,
    divergence,
    alarm,
    load: loadSetting,
    watcher,
    signal: interrupt.signal,
  });
  if (outcome.kind === "interrupted") {
    note(printing.interrupted(outcome));
    return EXIT_INTERRUPTED;
  }
  await writeOut(
    options.json ? outcome.text : `${printing.tables(outcome.results, cells.map(({ name }) => name)).join("\n")}\n`,
  );
  return 0;
}

/** The cells of the matrix, with all that can be known of them before a weight is loaded. */
async function openCells(models: readonly NamedModel[], options: EvalOptions): Promise<RunCell[]> {
  const matrix = matrixOf(models, options), cells: Omit<RunCell, "key" | "name" | "label">[] = [];
  for (const [i, setting] of (await settingsOf(matrix, models, options)).entries()) {
    cells.push({ asked: matrix[i]!, protocol: await hashedProtocol(setting), cost: costOf(setting), setting });
  }
  return headsOf(cells);
}

/**
 * Models answer the same tokens, and are compared layer by layer, or not at all.
 *
 * @param tokensOf What a model is asked, sequence by sequence.
 * @throws {InputError} naming the models that cannot be compared.
 */
export function refuseOtherModels<Work extends { readonly protocol: unknown }>(
  models: readonly NamedModel[],
  works: readonly Work[],
  tokensOf: (work: Work) => readonly ArrayLike<number>[],
  { divergence }: Pick<EvalOptions, "divergence">,
): void {
  const [first] = works, sequences = tokensOf(first!);
  models.forEach(({ name, checkpoint }, i) => {
    const differs = firstDifference(first!.protocol, works[i]!.protocol);
    const same = tokensOf(works[i]!).every((ids, s) => {
      const others = sequences[s]!;
      return ids.length === others.length && Array.from(ids).every((id, t) => id === others[t]);
    });
    if (differs !== null || !same) {
      const got = differs ?? "other tokens of the same text";
      throw UsageError.of("wrong_value", { option: "model", name: name! }, `what ${models[0]!.name} is asked`, got);
    }
    if (divergence !== 0) checkComparable(models[0]!.checkpoint.config, checkpoint.config);
  });
}
