/** Reading files of a checkpoint, with every refusal of the operating system as one line about the file. */
import { InputError, reason } from "../errors.ts";
import { printable } from "./describe.ts";

/**
 * Runs `read`; what the operating system refuses becomes an error about `path`. A permission that Deno lacks is passed on, and so is
 * any error that no system call made.
 *
 * @throws {InputError}
 */
export function readable<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (thrown) {
    if (thrown instanceof InputError || thrown instanceof Deno.errors.NotCapable) throw thrown;
    if (thrown instanceof Deno.errors.NotFound) throw new InputError(`${path}: no such file`);
    // Only system calls give errors a code.
    if (thrown instanceof Error && "code" in thrown) throw new InputError(`${path}: cannot be read: ${reason(thrown)}`);
    throw thrown;
  }
}

/**
 * Bytes of an open file.
 *
 * @param offset From the start of the file.
 * @throws {InputError} when the file ends before.
 */
export function readExactly(file: Deno.FsFile, path: string, offset: number, bytes: number): Uint8Array<ArrayBuffer> {
  const buffer = new Uint8Array(bytes);
  readInto(file, path, offset, buffer);
  return buffer;
}

/** Like {@linkcode readExactly}, into a buffer that is there. */
export function readInto(file: Deno.FsFile, path: string, offset: number, buffer: Uint8Array<ArrayBuffer>): void {
  file.seekSync(offset, Deno.SeekMode.Start);
  for (let at = 0; at < buffer.length;) {
    const got = file.readSync(buffer.subarray(at));
    if (got === null) throw new InputError(`${path}: ends at byte ${offset + at}: it changed while it was read`);
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
  const bytes = readable(path, () => {
    const { isFile, size } = Deno.statSync(path);
    if (!isFile) throw new InputError(`${path}: expected a file, got something else`);
    if (size > mostBytes) throw new InputError(`${path}: expected at most ${mostBytes} bytes, got ${size}`);
    using file = Deno.openSync(path);
    return readExactly(file, path, 0, size);
  });
  return parseJson(bytes, path);
}

/**
 * The value of a JSON text.
 *
 * @param path What messages begin with.
 * @throws {InputError} when it is not UTF-8 or not JSON.
 */
export function parseJson(bytes: Uint8Array<ArrayBuffer>, path: string): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (thrown) {
    if (thrown instanceof SyntaxError) throw new InputError(`${path}: not JSON: ${printable(reason(thrown))}`);
    if (thrown instanceof TypeError) throw new InputError(`${path}: expected UTF-8, got other bytes`);
    throw thrown;
  }
}
