/**
 * An append-only file of results, one JSON object a line, that survives being killed at any byte: what was written
 * whole is kept, a line that was cut off is dropped and computed again, and one with another checksum is refused. The
 * first line says what the results belong to.
 */
import * as z from "zod";
import { cannotWrite, openToAppend } from "../checkpoint/atomic.ts";
import { InputError, reason } from "../errors.ts";
import { isObject } from "../json_object.ts";
import { readWhole } from "../read.ts";
import { printableJson } from "../printable.ts";
import { firstIssue } from "../validate.ts";
import { option, words } from "../words.ts";
import { damaged, isHeader, readLines, sealLine } from "./journal_lines.ts";

/** A result that the journal can hold: `index` tells it from the others. */
export interface Indexed {
  readonly index: number;
}

/**
 * Least time between two requests to the system to put the file on the disk, in milliseconds: those guard against a
 * power cut.
 */
const SYNC_MS = 1000;

/** Largest journal, in bytes: a million tokens or ten thousand replies take a few hundredths of it. */
const MAX_BYTES = 1024 * 1024 * 1024;

/** Results on disk; this process alone may write them until it is disposed of. */
export class Journal<T extends Indexed> implements Disposable {
  readonly #path: string;
  readonly #file: Deno.FsFile;
  readonly #entries: Map<number, T>;
  #synced = performance.now();
  /** Checksum of all lines so far. */
  #crc: number;

  private constructor(path: string, file: Deno.FsFile, entries: Map<number, T>, crc: number) {
    this.#path = path;
    this.#file = file;
    this.#entries = entries;
    this.#crc = crc;
  }

  /**
   * Opens a journal, or starts it.
   *
   * @param header What the results belong to.
   * @param read Validates an entry; throws where it is not one.
   * @param others What to do about a journal with another header: refuse it, or start anew where results are soon made
   *   again.
   * @throws {InputError} if the file belongs to something else, is damaged before its last line, or another process
   *   writes it.
   */
  static open<T extends Indexed>(
    path: string,
    header: unknown,
    read: (value: unknown) => T,
    others: "refuse" | "replace" = "refuse",
  ): Journal<T> {
    const file = openToAppend(path);
    try {
      if (!lock(file)) {
        throw InputError.of("occupied", { file: path }, "no other run in this directory, but one is writing this file");
      }
      const headerLine = printableJson(header);
      let { lines, bytes, crc } = readLines(readAll(file, path), path);
      if (lines.length > 0 && !isHeader(lines[0]!, headerLine, path)) {
        if (others === "refuse") {
          throw InputError.saying(
            "occupied",
            { file: path },
            words`was written with other settings (${difference(lines[0]!, header)}); choose another ${option("out")}`,
          );
        }
        [lines, bytes, crc] = [[], 0, 0];
      }
      const entries = entriesOf(lines, path, read);
      // What is left of a line that was cut off.
      file.truncateSync(bytes);
      const journal = new Journal(path, file, entries, crc);
      if (lines.length === 0) journal.#write(headerLine);
      return journal;
    } catch (thrown) {
      file.close();
      throw thrown;
    }
  }

  /** Results so far, by index. */
  get entries(): ReadonlyMap<number, T> {
    return this.#entries;
  }

  /**
   * Adds a result and hands it to the operating system before it returns.
   *
   * @throws {FailureError} when the disk is full or fails; what was whole before is read again by the next run.
   */
  append(entry: T): void {
    if (this.#entries.has(entry.index)) throw new RangeError(`entry ${entry.index} is in the journal already`);
    this.#entries.set(entry.index, entry);
    this.#write(printableJson(entry));
  }

  #write(json: string): void {
    const { text, crc } = sealLine(json, this.#crc);
    this.#crc = crc;
    let bytes = new TextEncoder().encode(text);
    try {
      // One call in all but strange cases, so that a line is rarely cut.
      while (bytes.length > 0) bytes = bytes.subarray(this.#file.writeSync(bytes));
      if (performance.now() - this.#synced < SYNC_MS) return;
      this.#file.syncDataSync();
    } catch (thrown) {
      throw cannotWrite(this.#path, thrown);
    }
    this.#synced = performance.now();
  }

  /** Closes the file and lets other processes write it. */
  [Symbol.dispose](): void {
    this.#file.close();
  }
}

/**
 * The results of a journal that another process may be writing, by index: those that are whole.
 *
 * @param header What the results must belong to.
 * @param read Validates an entry; throws where it is not one.
 * @returns What they belong to instead, in words, where that is something else.
 * @throws {InputError} if the file cannot be read, or is damaged before its last line.
 */
export function readJournal<T extends Indexed>(
  path: string,
  header: unknown,
  read: (value: unknown) => T,
): ReadonlyMap<number, T> | { readonly other: string } {
  const { lines } = readLines(readWhole(path, MAX_BYTES), path);
  if (lines.length === 0) return new Map();
  if (!isHeader(lines[0]!, printableJson(header), path)) return { other: difference(lines[0]!, header) };
  return entriesOf(lines, path, read);
}

/** Whether {@linkcode readJournal} found results of something else. */
export function isOther<T>(
  found: ReadonlyMap<number, T> | { readonly other: string },
): found is { readonly other: string } {
  return "other" in found;
}

/** Results of a run that keeps nothing. */
export class MemoryStore<T extends Indexed> {
  readonly entries = new Map<number, T>();
  append(entry: T): void {
    this.entries.set(entry.index, entry);
  }
}

/** Whether this process has the file for itself; where the file system knows no locks, that is taken for granted. */
function lock(file: Deno.FsFile): boolean {
  try {
    return file.tryLockSync(true);
  } catch {
    return true;
  }
}

function readAll(file: Deno.FsFile, path: string): Uint8Array<ArrayBuffer> {
  const { size } = file.statSync();
  if (size > MAX_BYTES) throw InputError.of("too_large", { file: path }, `at most ${MAX_BYTES} bytes of results`, size);
  const bytes = new Uint8Array(size);
  file.seekSync(0, Deno.SeekMode.Start);
  let at = 0;
  while (at < bytes.length) {
    const got = file.readSync(bytes.subarray(at));
    if (got === null) break;
    at += got;
  }
  return bytes.subarray(0, at);
}

/** The results below the first line. */
function entriesOf<T extends Indexed>(
  lines: readonly string[],
  path: string,
  read: (value: unknown) => T,
): Map<number, T> {
  const entries = new Map<number, T>();
  for (let i = 1; i < lines.length; i++) {
    const name = `${path}:${i + 1}`, entry = parseEntry(lines[i]!, name, read);
    // No run writes a result twice.
    if (entries.has(entry.index)) throw damaged(name, "a result that no line above has", `result ${entry.index}`);
    entries.set(entry.index, entry);
  }
  return entries;
}

function parseEntry<T>(line: string, where: string, read: (value: unknown) => T): T {
  let value: unknown;
  try {
    value = JSON.parse(line);
    return read(value);
  } catch (thrown) {
    const what = thrown instanceof z.ZodError ? issueText(thrown, value) : reason(thrown);
    throw InputError.saying("wrong_value", { name: where }, `not a result that this program wrote: ${what}`);
  }
}

function issueText(error: z.ZodError, value: unknown): string {
  const { key, expected, got } = firstIssue(error, value);
  return `${key === "" ? "" : `${key}: `}expected ${expected}, got ${got}`;
}

/** The first setting in which two headers differ, in words. */
function difference(line: string, header: unknown): string {
  try {
    return firstDifference(JSON.parse(line), header) ?? "in another order";
  } catch {
    return "its first line is garbled";
  }
}

/** A field of two JSON values in which they differ, with its values in words. */
export interface Difference {
  /** Keys joined by points. */
  readonly field: string;
  readonly before: string;
  readonly after: string;
}

/** The first field in which two JSON values differ; null where none does. */
export function findDifference(old: unknown, now: unknown, field = ""): Difference | null {
  if (isObject(old) && isObject(now)) {
    for (const key of new Set([...Object.keys(old), ...Object.keys(now)])) {
      const found = findDifference(old[key], now[key], field === "" ? key : `${field}.${key}`);
      if (found !== null) return found;
    }
    return null;
  }
  const [before, after] = [JSON.stringify(old) ?? "nothing", JSON.stringify(now) ?? "nothing"];
  return before === after ? null : { field, before: short(before), after: short(after) };
}

/** {@linkcode findDifference} in words. */
export function firstDifference(old: unknown, now: unknown): string | null {
  const found = findDifference(old, now);
  return found === null ? null : `${found.field} was ${found.before}, is ${found.after}`;
}

function short(text: string): string {
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`;
}
