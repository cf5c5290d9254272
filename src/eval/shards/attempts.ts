/**
 * Results of a shard on a file system that several machines share. Whether locks work there is not known, and who was
 * believed to be dead may still write; so every attempt at a shard writes files of its own, which nobody else ever
 * writes, and reads those of all attempts before it. Two attempts at once waste time and spoil nothing.
 */
import { InputError } from "../../errors.ts";
import { unreadable } from "../../read.ts";
import { option, words } from "../../words.ts";
import { type Indexed, isOther, Journal, readJournal } from "../journal.ts";
import type { OpenStore } from "../stores.ts";
import type { Store } from "../task.ts";
import type { Shard } from "./division.ts";

/** Tells the files of this process from those of every other attempt, 16 hexadecimal digits. */
const ATTEMPT = crypto.getRandomValues(new Uint8Array(8)).toHex();

/** Directory of all shards of a run, in the one of the run. */
const shardsOf = (out: string): string => `${out}/shards`;

/** Directory of a shard. */
export const shardDirectory = (out: string, { number, of }: Shard): string => `${shardsOf(out)}/${number}-of-${of}`;

/** A shard that was begun. */
export interface ShardDirectory {
  readonly dir: string;
  readonly shard: Shard;
}

/** The shards in the directory of a run, by division and number; none where there are none. */
export function shardsIn(out: string): ShardDirectory[] {
  const found = namesIn(shardsOf(out)).flatMap((name): ShardDirectory[] => {
    const shard = shardOfDirectory(name);
    return shard === null ? [] : [{ dir: `${shardsOf(out)}/${name}`, shard }];
  });
  return found.sort((a, b) => a.shard.of - b.shard.of || a.shard.number - b.shard.number);
}

/** The shard whose directory has a path; null where it is no shard's. */
export function shardOfDirectory(path: string): Shard | null {
  const [, number, of] = /(?:^|[/\\])(\d{1,6})-of-(\d{1,6})$/.exec(path) ?? [];
  return number === undefined ? null : { number: Number(number), of: Number(of) };
}

/** Files of the attempts at results of one name, in the order of their names. */
export function attemptsAt(dir: string, name: string): string[] {
  const after = `${name}.`;
  return namesIn(dir)
    .filter((file) => file.startsWith(after) && /^[0-9a-f]{16}\.jsonl$/.test(file.slice(after.length)))
    .sort()
    .map((file) => `${dir}/${file}`);
}

function namesIn(dir: string): string[] {
  try {
    return Array.from(Deno.readDirSync(dir), ({ name }) => name);
  } catch (thrown) {
    if (thrown instanceof Deno.errors.NotFound) return [];
    if (thrown instanceof Deno.errors.NotADirectory) {
      throw InputError.of("wrong_value", { file: dir }, "a directory", "a file");
    }
    throw unreadable(dir, thrown);
  }
}

/** What to do about a file of the right name whose results belong to something else. */
export type Others = "refuse" | "skip";

/** Results by index, gathered from many files; the same result may come up many times. */
export class Gathered<T extends Indexed> {
  readonly entries = new Map<number, T>();
  readonly #lean: ((entry: T) => T) | null;
  /** The file of each. */
  readonly #files = new Map<number, string>();

  /** @param lean What is kept of an entry; null: all of it. Whole entries are compared in either case. */
  constructor(lean: ((entry: T) => T) | null = null) {
    this.#lean = lean;
  }

  /**
   * Adds the results of every attempt at a shard.
   *
   * @throws {InputError} if a file is garbled, belongs to something else that is not to be skipped, or has another
   *   result for an index: then one of the two machines computed wrongly, and nobody can say which.
   */
  addShard(dir: string, name: string, header: unknown, read: (value: unknown) => T, others: Others): void {
    for (const path of attemptsAt(dir, name)) this.addFile(path, header, read, others);
  }

  /** Adds the results of one file, if it is there; see {@linkcode addShard}. */
  addFile(path: string, header: unknown, read: (value: unknown) => T, others: Others): void {
    const lean = this.#lean, found = readJournal(path, header, lean === null ? read : (value) => lean(read(value)));
    if (isOther(found)) {
      if (others === "skip") return;
      throw InputError.saying(
        "occupied",
        { file: path },
        words`was written with other settings (${found.other}); choose another ${option("out")}`,
      );
    }
    const again = new Map<string, number[]>();
    for (const [index, entry] of found) {
      const file = this.#files.get(index);
      if (file !== undefined) {
        if (!again.has(file)) again.set(file, []);
        again.get(file)!.push(index);
        continue;
      }
      this.entries.set(index, entry);
      this.#files.set(index, path);
    }
    if (again.size === 0) return;
    // Most results come up once: so those that come again are read again, as they may not be whole here.
    const whole = (file: string, kept: ReadonlyMap<number, T>) => {
      const all = lean === null ? kept : readJournal(file, header, read);
      return (index: number) => isOther(all) ? undefined : JSON.stringify(all.get(index));
    };
    const now = whole(path, found);
    for (const [file, indices] of again) {
      const before = whole(file, this.entries), index = indices.find((index) => before(index) !== now(index));
      if (index === undefined) continue;
      throw InputError.saying(
        "contradiction",
        { file: path },
        `has another result ${index} than an attempt before; remove that of the machine that is wrong`,
      );
    }
  }
}

/** Opens results of a shard: a file for each attempt, which is made when there is something to write. */
export function attempts(dir: string): OpenStore {
  return <T extends Indexed>(
    name: string,
    header: unknown,
    read: (value: unknown) => T,
    others: "refuse" | "replace",
  ) => {
    const gathered = new Gathered<T>();
    gathered.addShard(dir, name, header, read, others === "refuse" ? "refuse" : "skip");
    return new AttemptStore(gathered.entries, () => Journal.open(`${dir}/${name}.${ATTEMPT}.jsonl`, header, read));
  };
}

class AttemptStore<T extends Indexed> implements Store<T>, Disposable {
  readonly #entries: Map<number, T>;
  readonly #open: () => Journal<T>;
  #own: Journal<T> | null = null;

  constructor(entries: Map<number, T>, open: () => Journal<T>) {
    this.#entries = entries;
    this.#open = open;
  }

  get entries(): ReadonlyMap<number, T> {
    return this.#entries;
  }

  append(entry: T): void {
    this.#own ??= this.#open();
    this.#own.append(entry);
    this.#entries.set(entry.index, entry);
  }

  [Symbol.dispose](): void {
    this.#own?.[Symbol.dispose]();
  }
}

/**
 * Opens results and takes into them what others have found already.
 *
 * @param from Directories of shards.
 * @param wholeRun Directory with the journals of a run that is not divided; null: none is looked at.
 * @param wants Whether a result of a name is asked for.
 */
export function adopting(
  open: OpenStore,
  from: readonly ShardDirectory[],
  wholeRun: string | null,
  wants: (name: string, index: number) => boolean,
): OpenStore {
  if (from.length === 0 && wholeRun === null) return open;
  return <T extends Indexed>(
    name: string,
    header: unknown,
    read: (value: unknown) => T,
    others: "refuse" | "replace",
  ) => {
    const store = open(name, header, read, others), found = new Gathered<T>();
    try {
      for (const { dir } of from) found.addShard(dir, name, header, read, "skip");
      if (wholeRun !== null && namesIn(wholeRun).includes(`${name}.jsonl`)) {
        found.addFile(`${wholeRun}/${name}.jsonl`, header, read, "skip");
      }
      for (const entry of found.entries.values()) {
        if (wants(name, entry.index) && !store.entries.has(entry.index)) store.append(entry);
      }
    } catch (thrown) {
      store[Symbol.dispose]();
      throw thrown;
    }
    return store;
  };
}
