/**
 * The directory that a checkpoint is written into, and the note in it that lets an interrupted run go on. config.json,
 * without which no reader takes the directory for a checkpoint, comes last.
 */
import { counted } from "../amounts.ts";
import { basename } from "node:path";
import * as z from "zod";
import { cannotWrite, isTemporaryName, removeIfThere, syncDirectory, writeWhole } from "../checkpoint/atomic.ts";
import { makeWritableDirectory, removeEmpty } from "../checkpoint/directories.ts";
import { sealed, unsealed } from "../checksum.ts";
import { readable, readJson } from "../read.ts";
import { openSafetensors } from "../checkpoint/safetensors.ts";
import type { KvScales } from "../checkpoint/source.ts";
import { validate } from "../validate.ts";
import type { WrittenTensor } from "../checkpoint/write_safetensors.ts";
import { InputError } from "../errors.ts";
import { hashTensors, type Sources } from "./hashes.ts";
import type { Observed } from "./observe.ts";

/** Name of the note. */
export const JOURNAL = "quantize.journal.json";
const MAX_JOURNAL_BYTES = 1 << 28;

const scales = z.object({ k: z.number(), v: z.number() });
const Note = z.object({
  run: z.string(),
  observed: z.object({
    inputs: z.record(z.string(), z.number()),
    kv: z.array(scales),
    unseenExperts: z.number(),
  }).nullable(),
  sources: z.record(z.string(), z.string()),
  finished: z.record(z.string(), z.string()),
}, { error: "the note of an interrupted run" });

type Note = z.infer<typeof Note>;

/** What a run must have in common with an interrupted one to continue it. */
export interface Run {
  /** All settings that the result depends on, in one text. */
  readonly settings: string;
  readonly sources: Sources;
}

/** A directory that is being filled; until the journal is disposed of, this process alone may fill it. */
export class Journal implements Disposable {
  /** Scales that were calibrated before, if any. */
  observed: Observed | null;
  readonly #lock: Deno.FsFile | null;
  readonly #run: Pick<Note, "run" | "sources">;
  /** Hashes of the weight files that are whole, by name. */
  readonly #finished: Map<string, string>;

  private constructor(
    readonly dir: string,
    lock: Deno.FsFile | null,
    run: Pick<Note, "run" | "sources">,
    { observed, finished }: { observed: Observed | null; finished: Record<string, string> },
  ) {
    this.#lock = lock;
    this.#run = run;
    this.observed = observed;
    this.#finished = new Map(Object.entries(finished));
  }

  /**
   * Starts in a new or empty directory, or goes on where the same run was interrupted.
   *
   * @throws {InputError} where the directory holds anything else, the sources have changed, or another process fills
   *   it.
   */
  static open(dir: string, run: Run): Journal {
    makeWritableDirectory(dir);
    const lock = lockDirectory(dir);
    try {
      return Journal.#opened(dir, lock, run);
    } catch (thrown) {
      lock?.close();
      throw thrown;
    }
  }

  static #opened(dir: string, lock: Deno.FsFile | null, { settings, sources }: Run): Journal {
    // By their names: the same files may be named by another path now, from another directory or through a link.
    const paths = new Map(sources.hashes.keys().map((path) => [basename(path), path]));
    const run = {
      run: settings,
      sources: Object.fromEntries(sources.hashes.entries().map(([path, hash]) => [basename(path), hash])),
    };
    const names = ownNames(dir);
    if (!names.includes(JOURNAL)) {
      removeAll(dir, names);
      const journal = new Journal(dir, lock, run, { observed: null, finished: {} });
      journal.#write();
      return journal;
    }
    const path = `${dir}/${JOURNAL}`;
    const json = unsealed(readJson(path, MAX_JOURNAL_BYTES), path, `remove ${dir}, or write elsewhere`);
    const note = validate(Note, json, path);
    const other = differing(note.sources, run.sources);
    if (other !== null) {
      const changed = paths.get(other) ?? other;
      throw InputError.saying(
        "changed",
        { option: "out", file: dir },
        `holds an interrupted run from other weights: ${changed} is not as it was; remove ${dir}, or write elsewhere`,
      );
    }
    if (note.run !== settings) {
      throw InputError.saying(
        "occupied",
        { option: "out", file: dir },
        "holds an interrupted run with other settings; remove it, or write elsewhere",
      );
    }
    removeAll(dir, names.filter(isTemporaryName));
    const observed = note.observed && {
      inputs: new Map(Object.entries(note.observed.inputs)),
      kv: note.observed.kv satisfies readonly KvScales[],
      unseenExperts: note.observed.unseenExperts,
    };
    return new Journal(dir, lock, run, { observed, finished: note.finished });
  }

  /** Keeps calibrated scales for a run that goes on. */
  keep(observed: Observed): void {
    this.observed = observed;
    this.#write();
  }

  /** Keeps the hash of a weight file that is whole. */
  record(name: string, hash: string): void {
    this.#finished.set(name, hash);
    this.#write();
  }

  /** Whether nothing is kept that a run could go on from. */
  get isEmpty(): boolean {
    return this.observed === null && this.#finished.size === 0;
  }

  /** How many weight files were finished once; each may be gone or damaged now. */
  get recordedFiles(): number {
    return this.#finished.size;
  }

  /** Whether a weight file was finished once; it may be gone or damaged now. */
  recorded(name: string): boolean {
    return this.#finished.has(name);
  }

  /** Whether a weight file that was finished before is there, with just these tensors and the data that was written. */
  has(name: string, tensors: readonly WrittenTensor[]): boolean {
    const hash = this.#finished.get(name);
    if (hash === undefined) return false;
    try {
      const stored = openSafetensors(`${this.dir}/${name}`);
      return stored.tensors.size === tensors.length && tensors.every(({ name, dtype, shape }) => {
        const found = stored.tensors.get(name);
        return found?.dtype === dtype && found.shape.join() === shape.join();
      }) && hashTensors(stored) === hash;
    } catch (thrown) {
      if (thrown instanceof InputError) return false;
      throw thrown;
    }
  }

  /** Removes the note: the checkpoint is complete. */
  finish(): void {
    syncDirectory(this.dir);
    Deno.removeSync(`${this.dir}/${JOURNAL}`);
  }

  #write(): void {
    const { observed } = this;
    const note: Note = {
      ...this.#run,
      finished: Object.fromEntries(this.#finished),
      observed: observed && {
        inputs: Object.fromEntries(observed.inputs),
        kv: observed.kv.map(({ k, v }) => ({ k, v })),
        unseenExperts: observed.unseenExperts,
      },
    };
    writeWhole(`${this.dir}/${JOURNAL}`, `${JSON.stringify(sealed(note), null, 1)}\n`);
  }

  /** Lets other processes fill the directory. A note of nothing goes: the same run would begin anew. */
  [Symbol.dispose](): void {
    try {
      const isAlone = () => ownNames(this.dir).every((name) => name === JOURNAL);
      if (this.isEmpty && isAlone()) removeIfThere(`${this.dir}/${JOURNAL}`);
    } catch (thrown) {
      // Where the directory is gone or cannot be written to, the run has said so.
      if (thrown instanceof Deno.errors.NotCapable) throw thrown;
    }
    this.#lock?.close();
  }
}

/**
 * Makes the directory, if it is not there, and refuses one that can hold no checkpoint, as {@linkcode Journal.open}
 * will after the weights were hashed.
 *
 * @returns What removes the directory again, and those above that were made for it, if nothing was put there.
 * @throws {InputError} where it has other files, or takes none.
 */
export function makeRoom(dir: string): Disposable {
  const made = makeWritableDirectory(dir);
  ownNames(dir);
  return { [Symbol.dispose]: () => removeEmpty(made) };
}

/** Removes what a run that was killed left. */
function removeAll(dir: string, names: readonly string[]): void {
  for (const name of names) {
    try {
      removeIfThere(`${dir}/${name}`);
    } catch (thrown) {
      throw cannotWrite(`${dir}/${name}`, thrown);
    }
  }
}

/** Whether a file is a note that was not whole when its run was killed, before it wrote anything else. */
const isUnfinishedNote = (name: string): boolean => name.startsWith(`${JOURNAL}.`) && isTemporaryName(name);

/** Names of the files in a directory that is empty, or of an interrupted run: without a note, unfinished ones alone. */
function ownNames(dir: string): string[] {
  const subject = { option: "out", file: dir };
  const names = readable(dir, () => [...Deno.readDirSync(dir)].map(({ name }) => name));
  const others = names.filter((name) => !isUnfinishedNote(name));
  if (others.length > 0 && !names.includes(JOURNAL)) {
    const expected = "a new or empty directory, or one of an interrupted run";
    throw InputError.of("occupied", subject, expected, counted(others.length, "other file"));
  }
  return names;
}

/**
 * Locks the directory itself: a lock file would have to be removed again, perhaps while another process waits for it.
 *
 * @returns null where directories cannot be locked.
 * @throws {InputError} if another process has it.
 */
function lockDirectory(dir: string): Deno.FsFile | null {
  let opened: Deno.FsFile;
  try {
    opened = Deno.openSync(dir);
  } catch (thrown) {
    if (Deno.build.os === "windows") return null;
    throw cannotWrite(dir, thrown);
  }
  let free: boolean;
  try {
    free = opened.tryLockSync(true);
  } catch {
    free = true;
  }
  if (free) return opened;
  opened.close();
  throw InputError.of(
    "occupied",
    { option: "out", file: dir },
    "no other run in this directory, but one is writing there",
  );
}

/** Name of the first source that has changed; null if none has. */
function differing(before: Readonly<Record<string, string>>, now: Readonly<Record<string, string>>): string | null {
  const names = [...Object.keys(now), ...Object.keys(before)];
  return names.find((name) => before[name] !== now[name]) ?? null;
}
