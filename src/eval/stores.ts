/** Where the results of a run are kept: in a directory of its own, or in memory. */
import { type Indexed, Journal, MemoryStore } from "./journal.ts";
import type { Store } from "./task.ts";

/**
 * Opens the results of one kind; the caller disposes of them.
 *
 * @param name Of the kind and the cell, for instance `answers.w_mxfp4.kv-auto.tp1`.
 * @param header What the results belong to.
 * @param read Validates an entry; throws where it is not one.
 * @param others What to do about results of the same name that belong to something else.
 * @throws {InputError} if they are refused, garbled, or cannot be written.
 */
export type OpenStore = <T extends Indexed>(
  name: string,
  header: unknown,
  read: (value: unknown) => T,
  others: "refuse" | "replace",
) => Store<T> & Disposable;

/** A place for results of one kind, which is opened when it is needed. */
export interface Kept {
  readonly open: OpenStore;
  readonly name: string;
}

/** Reads results of one kind that were kept before; see {@linkcode OpenStore}. */
export type ReadEntries = <T extends Indexed>(
  name: string,
  header: unknown,
  read: (value: unknown) => T,
) => ReadonlyMap<number, T>;

/** Keeps nothing beyond the run. */
export const inMemory: OpenStore = <T extends Indexed>() =>
  Object.assign(new MemoryStore<T>(), { [Symbol.dispose]: () => {} });

/** A journal for each kind, which one process at a time may write. */
export function inDirectory(dir: string): OpenStore {
  return (name, header, read, others) => Journal.open(`${dir}/${name}.jsonl`, header, read, others);
}
