/** A run that is finished: its results, and the journals that they were made of. */
import { InputError } from "../errors.ts";
import { unreadable } from "../read.ts";
import type { Bandwidth } from "./cost.ts";
import { type Indexed, isOther, readJournal } from "./journal.ts";
import type { ReadEntries } from "./stores.ts";
import type { CellResult, Common, ResultsHead } from "./task.ts";

/** What every results file of an evaluation has. */
export interface EvalResults extends ResultsHead {
  readonly mxoss: string;
  readonly bandwidth: Bandwidth | null;
  readonly cells: readonly CellResult[];
  readonly divergences: Common["divergences"];
}

/** A run that is finished. */
export interface FinishedRun<Results> {
  /** What it is called, and what messages about it begin with. */
  readonly dir: string;
  readonly path: string;
  readonly results: Results;
  /** Reads what was kept under a name. */
  readonly read: ReadEntries;
  /** Whether something was. */
  readonly has: (name: string) => boolean;
}

/**
 * A run of one process, from its directory.
 *
 * @throws {InputError} From `read`, where what was kept is of other results.
 */
export function finishedRun<Results>(dir: string, results: Results): FinishedRun<Results> {
  return {
    dir,
    path: `${dir}/results.json`,
    results,
    has: (name) => isThere(`${dir}/${name}.jsonl`),
    read: <T extends Indexed>(name: string, header: unknown, read: (value: unknown) => T) => {
      const file = `${dir}/${name}.jsonl`, found = readJournal(file, header, read);
      if (!isOther(found)) return found;
      const problem = `is not of the results.json beside it (${found.other})`;
      throw InputError.saying("wrong_value", { file }, problem);
    },
  };
}

/** Whether anything is: what is no file is refused where it is read. */
function isThere(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (thrown) {
    if (thrown instanceof Deno.errors.NotFound) return false;
    throw unreadable(path, thrown);
  }
}
