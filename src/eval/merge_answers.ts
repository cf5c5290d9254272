/** Answers of runs that were made apart, as their results need them. */
import { crc32 } from "../checksum.ts";
import { InputError } from "../errors.ts";
import { reading } from "../validate.ts";
import { journalHeader } from "./cell_run.ts";
import type { EvalResults, FinishedRun } from "./finished_run.ts";
import type { Indexed } from "./journal.ts";
import type { CellResult, JournalOf } from "./task.ts";

/** A task of which answers are merged. */
export interface AnsweredTask<Entry extends Indexed, Results extends EvalResults> {
  readonly journal: JournalOf<Entry>;
  header(protocol: Results["protocol"]): Readonly<Record<string, unknown>>;
}

/** A cell of a run. */
interface AnsweringCell<Results> {
  readonly run: FinishedRun<Results>;
  readonly cell: CellResult;
}

/** An answer as far as results need it. */
export interface KeptAnswer<Entry> extends Indexed {
  readonly entry: Entry;
  /**
   * Checksum of the reply's tokens; of a text, whose tokens are what is asked, the same for all. Null where it is
   * compared with no other.
   */
  readonly reply: number | null;
}

/**
 * The answers of a cell by index, also those beyond what is asked.
 *
 * @param compared Whether its replies are compared with those of another run.
 * @throws {InputError} where what was kept is not the run's.
 */
export function answersOf<Entry extends Indexed, Results extends EvalResults>(
  { journal: { name, entry, lean }, header }: AnsweredTask<Entry, Results>,
  { run: { results, read }, cell: { key, protocol } }: AnsweringCell<Results>,
  compared: boolean,
): ReadonlyMap<number, KeptAnswer<Entry>> {
  const replyOf = ({ ids = null }: { readonly ids?: unknown }) => compared ? crc32(JSON.stringify(ids)) : null;
  return read(`${name}.${key}`, journalHeader(name, header(results.protocol), protocol), (value) => {
    const answer = reading(entry)(value);
    return { index: answer.index, entry: lean(answer), reply: replyOf(value as { readonly ids?: unknown }) };
  });
}

/**
 * The answers of a cell that were asked for, in that order.
 *
 * @throws {InputError} where there are fewer.
 */
export function entriesOf<Entry extends Indexed>(
  kept: ReadonlyMap<number, KeptAnswer<Entry>>,
  { run: { path }, cell: { key } }: AnsweringCell<unknown>,
  asked: number,
): Entry[] {
  const found = Array.from(kept.values(), ({ entry }) => entry).sort((a, b) => a.index - b.index).slice(0, asked);
  if (found.length === asked) return found;
  throw InputError.of("wrong_value", { file: path, key: `answers of ${key}` }, `${asked}, as it says`, found.length);
}
