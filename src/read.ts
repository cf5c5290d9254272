/** Reading files of a checkpoint, with every refusal of the operating system as one line about the file. */
import { openStored, statStored, type StoredFile } from "./stored_files.ts";
import { InputError, reason } from "./errors.ts";
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
    if (thrown instanceof InputError || thrown instanceof Deno.errors.NotCapable) throw thrown;
    if (thrown instanceof Deno.errors.NotFound) throw InputError.saying("missing", { file: path }, "no such file");
    // What a link leads to has a name of other bytes.
    if (thrown instanceof Deno.errors.InvalidData) {
      throw InputError.of("unsupported", { file: path }, "names in UTF-8", "other bytes");
    }
    // Only system calls give errors a code.
    if (thrown instanceof Error && "code" in thrown) {
      throw InputError.saying("unreadable", { file: path }, `cannot be read: ${reason(thrown)}`);
    }
    throw thrown;
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
