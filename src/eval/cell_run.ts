/** One cell of a matrix being answered, with the journal that its answers go to. */
import { refuseChanged } from "../checkpoint/identity.ts";
import type { LoadSetting } from "./compare_cells.ts";
import type { Indexed } from "./journal.ts";
import { SCHEMA_VERSION } from "./results_schema.ts";
import { decisive, type SettingProtocol } from "./setting_schema.ts";
import type { OpenStore } from "./stores.ts";
import type { Asked, PlannedCell, ResultsHead, RunCell, Store, Task } from "./task.ts";
import { reading } from "../validate.ts";

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

/** A cell with its journal. */
export interface CellRun<Entry, Cell extends PlannedCell = PlannedCell> {
  readonly cell: Cell;
  readonly store: Store<Entry>;
}

/** Answers that there are when a run is interrupted, of how many. */
export interface Interrupted {
  readonly kind: "interrupted";
  readonly answered: number;
  readonly asked: number;
}

/**
 * Opens the journals of cells.
 *
 * @param journals Closes them.
 */
export function openRuns<Work, Entry extends Indexed, Results extends ResultsHead>(
  task: Pick<Task<never, Work & Asked<Results["protocol"]>, Entry, Results>, "journal" | "header">,
  protocol: Results["protocol"],
  cells: readonly RunCell[],
  open: OpenStore,
  journals: DisposableStack,
): CellRun<Entry, RunCell>[] {
  const { name, entry } = task.journal, identity = task.header(protocol);
  return cells.map((cell) => {
    const header = journalHeader(name, identity, cell.protocol);
    const store = open(`${name}.${cell.key}`, header, reading(entry), "refuse");
    return { cell, store: journals.use(store) };
  });
}

/** The first line of a cell's journal. */
export function journalHeader(name: string, identity: Readonly<Record<string, unknown>>, setting: SettingProtocol) {
  return { schema: `mxoss.${name}`, version: SCHEMA_VERSION, ...identity, setting: decisive(setting) };
}

/** Answers that there are of those asked for. */
function countAnswered<Entry>({ indices }: Asked<unknown>, { entries }: Store<Entry>): number {
  return indices.filter((index) => entries.has(index)).length;
}

/** Lets a cell answer what its journal does not hold. */
export async function answerCell<
  Work extends Asked<Results["protocol"]>,
  Entry extends Indexed,
  Results extends ResultsHead,
>(
  task: Task<never, Work, Entry, Results>,
  work: Work,
  { cell, store }: CellRun<Entry>,
  { load, watcher }: { readonly load: LoadSetting; readonly watcher: Watcher },
): Promise<void> {
  refuseChanged(cell.setting.checkpoint.identity);
  const before = countAnswered(work, store), total = work.indices.length;
  if (before === total) return;
  if (before > 0) watcher.resumed(cell.label, before, total);
  const session = await load(cell.setting, await task.room(work, cell.setting));
  try {
    using bar = watcher.progress(cell.label, task.unit);
    bar.update(before, total);
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
function guarded<Entry>({ setting: { checkpoint } }: PlannedCell, store: Store<Entry>): Store<Entry> {
  return {
    entries: store.entries,
    append: (entry) => {
      refuseChanged(checkpoint.identity);
      store.append(entry);
    },
  };
}

/**
 * The value of what the cells compute, or, where the signal fires first, how much is answered; what still computes is
 * not stopped.
 *
 * @throws {InputError} if a file of a checkpoint is no longer as it was opened.
 */
export async function finish<T extends object, Entry>(
  computed: Promise<T>,
  runs: readonly CellRun<Entry>[],
  work: Asked<unknown>,
  signal: AbortSignal,
): Promise<{ readonly kind: "finished"; readonly value: T } | Interrupted> {
  const value = await unlessInterrupted(computed, signal);
  if (value === null) {
    const answered = runs.reduce((sum, { store }) => sum + countAnswered(work, store), 0);
    return { kind: "interrupted", answered, asked: runs.length * work.indices.length };
  }
  for (const { cell } of runs) refuseChanged(cell.setting.checkpoint.identity);
  return { kind: "finished", value };
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
