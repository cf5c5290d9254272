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

/** Results that are kept as soon as it is known what they belong to, and until then in memory. */
export class LateStore<T extends Indexed> implements Store<T> {
  readonly entries = new Map<number, T>();
  #kept: Store<T> | null = null;

  append(entry: T): void {
    this.entries.set(entry.index, entry);
    this.#kept?.append(entry);
  }

  /**
   * Keeps what there is and what will come.
   *
   * @throws {FailureError} when the store cannot be written.
   */
  keep(store: Store<T>): void {
    for (const entry of this.entries.values()) if (!store.entries.has(entry.index)) store.append(entry);
    this.#kept = store;
  }
}
