/**
 * Carries out a task on every cell of a matrix: a journal for each cell, taken up where an earlier run left it, and a
 * results file at the end.
 */
import {
  answerCell,
  type CellRun,
  finish,
  type Interrupted,
  journalHeader,
  openRuns,
  type Watcher,
} from "./cell_run.ts";
import type { SettingProtocol } from "./setting_schema.ts";
import { writeWhole } from "../checkpoint/atomic.ts";
import type { Bandwidth } from "./cost.ts";
import { compareAll, type Compared, type CompareOptions } from "./compare_all.ts";
import type { KeyedPredictions } from "./predictions_result.ts";
import { samplesPage } from "./report/samples_page.ts";
import { keepSamples, samplesOf } from "./samples.ts";
import type { Indexed } from "./journal.ts";
import { resultsText } from "./results_file.ts";
import { LateStore } from "./stores.ts";
import type { AnsweredCell, Asked, PlannedCell, ResultsHead, RunCell, Task } from "./task.ts";

/** How to run. */
export interface RunOptions extends CompareOptions {
  /** Directory of the results, which is there; null: nothing is written. */
  readonly out: string | null;
  /** Version of the program, for the results. */
  readonly mxoss: string;
  /** Tokens per second are estimated for it; null: for none. */
  readonly bandwidth: Bandwidth | null;
  readonly watcher: Watcher;
  /** Interrupts: the run ends at once, and what still computes is left to the end of the process. */
  readonly signal: AbortSignal;
}

/** The cells of a matrix, whose weights may still be hashed. */
export interface HashedCells {
  readonly planned: readonly PlannedCell[];
  /** The same cells with what proves their weights, where that is known; else nothing may be kept of them yet. */
  readonly known: readonly RunCell[] | null;
  /** Resolves when it is known; fails when a file cannot be read. */
  readonly done: Promise<readonly RunCell[]>;
  /** The same, and shows how far that is. */
  wait(): Promise<readonly RunCell[]>;
}

/** What became of a run. */
export type Outcome<Results> =
  | {
    readonly kind: "done";
    readonly results: Results;
    /** Of results.json. */
    readonly text: string;
    /** Of every further cell, token by token. */
    readonly predictions: readonly KeyedPredictions[];
  }
  | Interrupted;

/**
 * Carries out a task on all cells.
 *
 * @param work What `task.prepare` made.
 * @param cells The matrix; the others are compared with its first. Answers do not wait until weights are hashed, but
 * are kept from then on only.
 * @throws {InputError} before anything is computed, where a journal is of other settings; and as soon as a file of a
 * checkpoint is seen to be no longer as it was opened.
 */
export async function runTask<
  Work extends Asked<Results["protocol"]>,
  Entry extends Indexed,
  Results extends ResultsHead,
>(
  task: Task<never, Work, Entry, Results>,
  work: Work,
  cells: HashedCells,
  options: RunOptions,
): Promise<Outcome<Results>> {
  const { out, signal } = options;
  const header = (setting: SettingProtocol) => journalHeader(task.journal.name, task.header(work.protocol), setting);
  using journals = new DisposableStack();
  const open = (known: readonly RunCell[]) => openRuns(task, work.protocol, known, options.open, journals);
  const { runs, kept } = cells.known === null
    ? lateRuns(cells, open, journals)
    : { runs: open(cells.known), kept: Promise.resolve() };
  let isKept = cells.known !== null;
  const keeping = kept.then(() => void (isKept = true));

  const compare = async (answered: readonly AnsweredCell<Entry, RunCell>[]): Promise<Compared> => {
    const [first, ...others] = answered.map(({ cell }) => cell);
    if (others.length === 0 || options.divergence === 0) return { divergences: [], ranking: null, predictions: [] };
    const sequences = task.compared(work, answered[0]!.entries);
    return await compareAll(first!, others, sequences, (cell) => header(cell.protocol), options);
  };
  const all = async () => {
    for (const run of runs) await answerCell(task, work, run, options);
    const [known] = await Promise.all([cells.wait(), keeping]);
    const answered = known.map((cell, i) => ({
      cell,
      entries: work.indices.map((index) => runs[i]!.store.entries.get(index)!),
    }));
    return { answered, compared: await compare(answered) };
  };
  // Who cannot be told what it computes need not compute it.
  const unlessUnknown = keeping.then(() => new Promise<never>(() => {}));

  const done = await finish(Promise.race([all(), unlessUnknown]), runs, work, signal);
  if (done.kind === "interrupted") return isKept || out === null ? done : { ...done, answered: 0 };
  const { answered, compared: { divergences, ranking, predictions } } = done.value;
  const { mxoss, bandwidth } = options;
  const results = task.summarize(work.protocol, answered, { mxoss, bandwidth, divergences, ranking });
  const text = resultsText(task.results, results);
  if (out !== null) {
    writeWhole(`${out}/results.json`, text);
    const sequences = predictions.length === 0 ? [] : task.compared(work, answered[0]!.entries);
    const belongs = ({ protocol }: { readonly protocol: SettingProtocol }) => header(protocol);
    const kept = keepSamples(task.samples, work, answered, { sequences, predictions }, belongs, options.open);
    const samples = samplesOf(task.samples.name(work.protocol), answered[0]!.cell.label, kept);
    writeWhole(`${out}/report.html`, await task.page(results, samples !== null));
    if (samples !== null) writeWhole(`${out}/samples.html`, samplesPage(samples));
    for (const [name, content] of task.files(work, answered)) writeWhole(`${out}/${name}`, content);
  }
  return { kind: "done", results, text, predictions };
}

/** Runs whose journals are opened once it is known what they belong to. */
function lateRuns<Entry extends Indexed>(
  { planned, done }: HashedCells,
  open: (known: readonly RunCell[]) => readonly CellRun<Entry, RunCell>[],
  journals: DisposableStack,
): { readonly runs: readonly CellRun<Entry>[]; readonly kept: Promise<void> } {
  const runs = planned.map((cell) => ({ cell, store: new LateStore<Entry>() }));
  const kept = done.then((known) => {
    // An interrupted run has ended meanwhile.
    if (journals.disposed) return;
    open(known).forEach(({ store }, i) => runs[i]!.store.keep(store));
  });
  return { runs, kept };
}
