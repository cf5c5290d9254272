/** From a task of `mxoss eval` to its results: the directory, the cells that the options ask for, Ctrl-C, progress. */
import { makeWritableDirectory } from "../../checkpoint/directories.ts";
import { keepsResults, openCells } from "./hashed_cells.ts";
import { adopting, shardsIn } from "../../eval/shards/attempts.ts";
import { inDirectory, inMemory } from "../../eval/stores.ts";
import { keptBeside, runPart } from "./run_part.ts";
import { chosenShard } from "./shard.ts";
import type { Watcher } from "../../eval/cell_run.ts";
import { llamaCppLines } from "../../eval/report/llama_cpp.ts";
import type { KeyedPredictions } from "../../eval/predictions_result.ts";
import { checkComparable } from "../../eval/divergence.ts";
import { firstDifference, type Indexed } from "../../eval/journal.ts";
import { UsageError } from "../spelling.ts";
import { DEFAULT_ALARM, DEFAULT_DIVERGENCE } from "./options.ts";
import type { CellName } from "../../eval/matrix.ts";
import { type Outcome, runTask } from "../../eval/run.ts";
import type { Asked, PlannedCell, ResultsHead, Task } from "../../eval/task.ts";
import { EXIT_INTERRUPTED, Interrupt, INTERRUPTED } from "../interrupt.ts";
import { note, writeLines, writeOut } from "../terminal.ts";
import { VERSION } from "../version.ts";
import { type EvalOptions, matrixOf, type NamedModel, settingsBefore } from "./cells.ts";
import { refuseOtherResults, sayWhere } from "./output.ts";
import { folded, noteFolded } from "../table.ts";
import { Overall } from "./overall.ts";
import { ProgressBar } from "../progress.ts";
import { loadSetting } from "../settings.ts";
import { dryRunEval } from "./dry_run_eval.ts";

/** What a task prints. */
export interface Printing<Results> {
  /** The tables, line by line. */
  tables(results: Results, names: readonly CellName[]): string[];
  /** What an interrupted run says. */
  interrupted(outcome: Extract<Outcome<Results>, { kind: "interrupted" }>): string;
  /** What a run says that takes up a cell which is partly done; null: nothing. */
  resumed: ((label: string, done: number, total: number) => string) | null;
}

/** Runs a task whose work is prepared, and prints its results; a shard of it has none. */
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
  const { out = null, divergence = DEFAULT_DIVERGENCE, alarm = DEFAULT_ALARM } = options;
  const shard = chosenShard(options);
  if (options["dry-run"]) {
    return await dryRunEval(task, work, models, options, shard);
  }
  using interrupt = new Interrupt();
  const planned = await settingsBefore(matrixOf(models, options), models, options);
  if (out !== null) {
    makeWritableDirectory(out);
    refuseOtherResults(out, task, task.identity(work.protocol));
  }
  const first = shard !== null || (out !== null && keepsResults(out));
  const cells = await interrupt.race(openCells(models, options, keptBeside(out, shard), first, planned));
  if (cells === INTERRUPTED) {
    note("interrupted before anything was computed");
    return EXIT_INTERRUPTED;
  }
  const overall = new Overall(cells.planned.length);
  const watcher: Watcher = {
    resumed: (...part) => printing.resumed === null ? undefined : note(printing.resumed(...part)),
    progress: (label, unit) => {
      const bar = new ProgressBar(label, unit), piece = overall.begin(label);
      return {
        update: (done, total, aside = "") =>
          bar.update(done, total, [piece.aside(done, total), aside].filter((said) => said !== "").join(", ")),
        [Symbol.dispose]: () => {
          piece.end();
          bar[Symbol.dispose]();
        },
      };
    },
  };
  const how = { divergence, alarm, load: loadSetting, watcher, signal: interrupt.signal };
  if (shard !== null) return await runPart(task, work, cells.known!, shard, { ...options, out: out! }, how, printing);
  const open = out === null ? inMemory : adopting(inDirectory(out), shardsIn(out), null, () => true);
  const bandwidth = options.bandwidth ?? null;
  const outcome = await runTask(task, work, cells, { mxoss: VERSION, bandwidth, out, open, ...how });
  if (outcome.kind === "interrupted") {
    noteFolded(printing.interrupted(outcome));
    return EXIT_INTERRUPTED;
  }
  const lines = options.format === undefined
    ? printing.tables(outcome.results, cells.planned.map(({ name }) => name))
    : llamaCppBlocks(cells.planned, outcome.predictions);
  await (options.json ? writeOut(outcome.text) : writeLines(folded(lines)));
  if (out !== null && !options.json) sayWhere(out, cells.planned.length > 1);
  return 0;
}

/** Every further cell beside the first, as llama.cpp would say it. */
function llamaCppBlocks(
  [first, ...others]: readonly PlannedCell[],
  predictions: readonly KeyedPredictions[],
): string[] {
  return others.flatMap(({ key, label }) => [
    `${label} (Q) against ${first!.label} (base)`,
    "",
    ...llamaCppLines(predictions.find((found) => found.key === key)!.sequences),
    "",
  ]);
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
