/**
 * Carries out a task on every cell of a matrix: a journal for each cell, taken up where an earlier run left it, and a
 * results file at the end.
 */
import type { SettingProtocol } from "./setting_schema.ts";
import { writeWhole } from "../checkpoint/atomic.ts";
import { refuseChanged } from "../checkpoint/identity.ts";
import type { Bandwidth } from "./cost.ts";
import { compareAll, type Compared, type CompareOptions } from "./compare_all.ts";
import type { KeyedPredictions } from "./predictions_result.ts";
import { type Indexed, Journal, MemoryStore } from "./journal.ts";
import { resultsText } from "./results_file.ts";
import { SCHEMA_VERSION } from "./results_schema.ts";
import type { AnsweredCell, Asked, ResultsHead, RunCell, Store, Task } from "./task.ts";

/** Shows how far a piece of the work is, until it is disposed of. */
export interface Progress extends Disposable {
  update(done: number, total: number, aside?: string): void;
}

/** Is told what a run does, for people to see. */
export interface Watcher {
  /** Part of a cell was answered by an earlier run. */
  resumed(label: string, done: number, total: number): void;
  /** A piece of work begins that may take long. */
  progress(label: string, unit: string): Progress;
}

/** How to run. */
export interface RunOptions extends CompareOptions {
  /** Version of the program, for the results. */
  readonly mxoss: string;
  /** Tokens per second are estimated for it; null: for none. */
  readonly bandwidth: Bandwidth | null;
  readonly watcher: Watcher;
  /** Interrupts: the run ends at once, and the work behind it is left to the end of the process. */
  readonly signal: AbortSignal;
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
  | {
    readonly kind: "interrupted";
    /** Answers that there are, of how many. */
    readonly answered: number;
    readonly asked: number;
  };

/** A cell with its journal. */
interface CellRun<Entry> {
  readonly cell: RunCell;
  readonly store: Store<Entry>;
}

/**
 * Runs.
 *
 * @param work What `task.prepare` made.
 * @param cells The matrix; the others are compared with its first.
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
  cells: readonly RunCell[],
  options: RunOptions,
): Promise<Outcome<Results>> {
  const { out, signal } = options;
  const header = (setting: SettingProtocol) => journalHeader(task.journal.name, task.header(work.protocol), setting);
  using journals = new DisposableStack();
  const open = ({ key, protocol }: RunCell): Store<Entry> => {
    if (out === null) return new MemoryStore<Entry>();
    const path = `${out}/${task.journal.name}.${key}.jsonl`;
    return journals.use(Journal.open(path, header(protocol), (value) => task.journal.entry.parse(value)));
  };
  const runs = cells.map((cell): CellRun<Entry> => ({ cell, store: open(cell) }));

  const compute = async (): Promise<AnsweredCell<Entry, RunCell>[]> => {
    for (const run of runs) await answerCell(task, work, run, options);
    return runs.map(({ cell, store }) => ({ cell, entries: work.indices.map((index) => store.entries.get(index)!) }));
  };
  const compare = async (answered: readonly AnsweredCell<Entry, RunCell>[]): Promise<Compared> => {
    const [first, ...others] = answered.map(({ cell }) => cell);
    if (others.length === 0 || options.divergence === 0) return { divergences: [], ranking: null, predictions: [] };
    const sequences = task.compared(work, answered[0]!.entries);
    return await compareAll(first!, others, sequences, (cell) => header(cell.protocol), options);
  };
  const all = async () => {
    const answered = await compute();
    return { answered, compared: await compare(answered) };
  };

  const done = await unlessInterrupted(all(), signal);
  if (done === null) {
    const answered = runs.reduce((sum, { store }) => sum + countAnswered(work, store), 0);
    return { kind: "interrupted", answered, asked: cells.length * work.indices.length };
  }
  for (const { setting } of cells) refuseChanged(setting.checkpoint.identity);
  const { answered, compared: { divergences, ranking, predictions } } = done;
  const { mxoss, bandwidth } = options;
  const results = task.summarize(work.protocol, answered, { mxoss, bandwidth, divergences, ranking });
  const text = resultsText(task.results, results);
  if (out !== null) {
    writeWhole(`${out}/results.json`, text);
    writeWhole(`${out}/report.html`, await task.page(results));
    for (const [name, content] of task.files(work, answered, predictions)) writeWhole(`${out}/${name}`, content);
  }
  return { kind: "done", results, text, predictions };
}

/** The first line of a cell's journal. Neither threads nor the place of the model change an answer. */
export function journalHeader(name: string, identity: Readonly<Record<string, unknown>>, setting: SettingProtocol) {
  const { threads: _, model: _model, snapshot: _snapshot, ...numbers } = setting;
  return { schema: `mxoss.${name}`, version: SCHEMA_VERSION, ...identity, setting: numbers };
}

function countAnswered<Entry>({ indices }: Asked<unknown>, { entries }: Store<Entry>): number {
  return indices.filter((index) => entries.has(index)).length;
}

async function answerCell<
  Work extends Asked<Results["protocol"]>,
  Entry extends Indexed,
  Results extends ResultsHead,
>(
  task: Task<never, Work, Entry, Results>,
  work: Work,
  { cell, store }: CellRun<Entry>,
  { load, watcher }: RunOptions,
): Promise<void> {
  refuseChanged(cell.setting.checkpoint.identity);
  const before = countAnswered(work, store), total = work.indices.length;
  if (before === total) return;
  if (before > 0) watcher.resumed(cell.label, before, total);
  const session = await load(cell.setting, task.room(work, cell.setting));
  try {
    using bar = watcher.progress(cell.label, task.unit);
    await task.answer(work, session, guarded(cell, store), (...said) => bar.update(...said));
  } finally {
    await session.close();
  }
}

/**
 * A store that keeps nothing that was computed with other weights than the protocol names.
 *
 * @throws {InputError} from `append`, if a file of the checkpoint is no longer as it was opened.
 */
function guarded<Entry>({ setting: { checkpoint } }: RunCell, store: Store<Entry>): Store<Entry> {
  return {
    entries: store.entries,
    append: (entry) => {
      refuseChanged(checkpoint.identity);
      store.append(entry);
    },
  };
}

/** The value of the work, or null where the signal fires first; the work itself is not stopped. */
async function unlessInterrupted<T extends object>(work: Promise<T>, signal: AbortSignal): Promise<T | null> {
  const interrupted = Promise.withResolvers<null>();
  const hear = () => interrupted.resolve(null);
  if (signal.aborted) hear();
  signal.addEventListener("abort", hear);
  // The work may still fail when it is not waited for any more.
  work.catch(() => {});
  try {
    return await Promise.race([interrupted.promise, work]);
  } finally {
    signal.removeEventListener("abort", hear);
  }
}
