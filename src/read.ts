/** Reading files, with every refusal of the operating system as one line about the file. */
import { openStored, statStored, type StoredFile } from "./stored_files.ts";
import { InputError, reason, systemReason } from "./errors.ts";
import { printable } from "./describe.ts";
import { foreignBytes } from "./foreign.ts";
import { parseWritten } from "./json_numbers.ts";

/**
 * Runs `read`; what the operating system refuses becomes an error about `path`. A permission that Deno lacks is passed
 * on, and so is any error that no system call made.
 *
 * @throws {InputError}
 */
export function readable<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (thrown) {
    throw unreadable(path, thrown);
  }
}

/**
 * What is thrown instead of what reading has thrown: the same words for every file, whichever way it is read.
 *
 * @param where The file, as messages begin with it: its path, or the option that names it and its path.
 */
export function unreadable(where: string, thrown: unknown): unknown {
  const { NotCapable, NotFound, NotADirectory, IsADirectory, InvalidData } = Deno.errors, subject = { file: where };
  if (thrown instanceof InputError || thrown instanceof NotCapable) return thrown;
  if (thrown instanceof NotFound || thrown instanceof NotADirectory) {
    return InputError.saying("missing", subject, "no such file");
  }
  if (thrown instanceof IsADirectory) return InputError.of("wrong_value", subject, "a file", "a directory");
  // What a link leads to has a name of other bytes.
  if (thrown instanceof InvalidData) return InputError.of("unsupported", subject, "names in UTF-8", "other bytes");
  // Only system calls give errors a code.
  if (!(thrown instanceof Error && "code" in thrown)) return thrown;
  return InputError.saying("unreadable", subject, `cannot be read: ${systemReason(thrown)}`);
}

/**
 * Text of a file's bytes.
 *
 * @param where As of {@linkcode unreadable}.
 * @throws {InputError} when it is not UTF-8.
 */
export function utf8Text(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw InputError.of("malformed", { file: where }, "UTF-8 text", "other bytes");
  }
}

/**
 * Bytes of an open file.
 *
 * @param offset From the start of the file.
 * @throws {InputError} when the file ends before.
 */
export function readExactly(file: StoredFile, path: string, offset: number, bytes: number): Uint8Array<ArrayBuffer> {
  const buffer = new Uint8Array(bytes);
  readInto(file, path, offset, buffer);
  return buffer;
}

/**
 * Like {@linkcode readExactly}, into a buffer that is there.
 *
 * @throws {InputError} if the file ends before that.
 */
export function readInto(file: StoredFile, path: string, offset: number, buffer: Uint8Array<ArrayBuffer>): void {
  file.seekSync(offset, Deno.SeekMode.Start);
  for (let at = 0; at < buffer.length;) {
    const got = file.readSync(buffer.subarray(at));
    if (got === null) {
      throw InputError.saying("changed", { file: path }, `ends at byte ${offset + at}: it changed while it was read`);
    }
    at += got;
  }
}

/**
 * The value of a JSON file.
 *
 * @param mostBytes Larger files are refused.
 * @throws {InputError} when it is not there, too large, not UTF-8 or not JSON.
 */
export function readJson(path: string, mostBytes: number): unknown {
  return parseJson(readWhole(path, mostBytes), path);
}

/** Like {@linkcode readJson}, with every number in its written form: what is to be written again. */
export function readWrittenJson(path: string, mostBytes: number): unknown {
  return parseJson(readWhole(path, mostBytes), path, parseWritten);
}

/**
 * Bytes of a file.
 *
 * @param where What messages begin with, if not the path.
 * @throws {InputError} when it is not there, too large, or no file: a device may have no end, and a pipe no writer.
 */
export function readWhole(path: string, mostBytes: number, where = path): Uint8Array<ArrayBuffer> {
  return readable(where, () => {
    const { isFile, isDirectory, size } = statStored(path);
    if (!isFile) {
      throw InputError.of("wrong_value", { file: where }, "a file", isDirectory ? "a directory" : "a device or a pipe");
    }
    if (size > mostBytes) throw InputError.of("too_large", { file: where }, `at most ${mostBytes} bytes`, size);
    using file = openStored(path);
    return readExactly(file, where, 0, size);
  });
}

/**
 * A text from a file or a pipe, which says no size: a shell gives one for `<(command)`.
 *
 * @param where As of {@linkcode unreadable}.
 * @throws {InputError} when it is not there, too large, or not UTF-8.
 */
export function readText(path: string, mostBytes: number, where = path): string {
  return readable(where, () => {
    using file = Deno.openSync(path);
    const buffer = new Uint8Array(mostBytes + 1);
    let length = 0;
    for (let got; length < buffer.length && (got = file.readSync(buffer.subarray(length))) !== null;) length += got;
    if (length > mostBytes) throw InputError.of("too_large", { file: where }, `at most ${mostBytes} bytes`, "more");
    return utf8Text(buffer.subarray(0, length), where);
  });
}

/**
 * Most objects, arrays, and commas of a JSON text, by their bytes: what a parsed value takes in memory is some hundred
 * bytes for an object with a key of its own, and some ten for other values. tokenizer.json of gpt-oss has 446,000
 * arrays and 1,100,000 commas.
 */
const MOST: readonly (readonly [byte: number, count: number, what: string])[] = [
  [0x7b, 500_000, "objects"],
  [0x5b, 2_000_000, "arrays"],
  [0x2c, 4_000_000, "values"],
];

/** Refuses JSON whose value would take many times its bytes in memory. */
function refuseManyValues(bytes: Uint8Array, path: string): void {
  for (const [byte, most, what] of MOST) {
    let count = 0;
    for (let at = bytes.indexOf(byte); at >= 0; at = bytes.indexOf(byte, at + 1)) {
      if (++count > most) throw InputError.of("too_large", { file: path }, `JSON of at most ${most} ${what}`, "more");
    }
  }
}

/**
 * The value of a JSON text.
 *
 * @param path What messages begin with.
 * @throws {InputError} when it is not UTF-8, not JSON, or holds too many values.
 */
export function parseJson(
  bytes: Uint8Array<ArrayBuffer>,
  path: string,
  parse: (text: string) => unknown = JSON.parse,
): unknown {
  refuseManyValues(bytes, path);
  try {
    return parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (thrown) {
    const foreign = foreignBytes(bytes);
    if (foreign !== null) throw InputError.of("malformed", { file: path }, "JSON", foreign);
    if (thrown instanceof SyntaxError) {
      throw InputError.saying("malformed", { file: path }, `not JSON: ${printable(reason(thrown))}`);
    }
    if (thrown instanceof TypeError) throw InputError.of("malformed", { file: path }, "UTF-8", "other bytes");
    throw thrown;
  }
}
