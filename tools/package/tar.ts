/** Writes tar archives (ustar): the same files give the same bytes. */

/** A file for an archive. */
export interface TarEntry {
  /** Relative, with slashes, ASCII, at most 100 characters. */
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly executable?: boolean;
}

const BLOCK = 512;
const NAME_BYTES = 100;
/** Offset and width of the header's checksum; it counts as spaces in its own sum. */
const CHECKSUM_AT = 148;
const CHECKSUM_BYTES = 8;

/**
 * An archive of files in the given order, with their directories before them. Owner is 0 and every time is 1970: they
 * say nothing about the machine that made it.
 *
 * @throws {RangeError} for a path that does not fit.
 */
export function tar(entries: readonly TarEntry[]): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  const directories = new Set<string>();
  for (const { path, bytes, executable } of entries) {
    for (const directory of directoriesOf(path)) {
      if (directories.has(directory)) continue;
      directories.add(directory);
      parts.push(header(directory, 0, "755", "5"));
    }
    parts.push(header(path, bytes.length, executable ? "755" : "644", "0"), bytes, padding(bytes.length));
  }
  // Two empty blocks end an archive.
  parts.push(new Uint8Array(2 * BLOCK));
  return concat(parts);
}

/** One array of several, end to end. */
export function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** "a/b/c" lies in "a/" and "a/b/". */
function directoriesOf(path: string): string[] {
  const parts = path.split("/").slice(0, -1);
  return parts.map((_, i) => `${parts.slice(0, i + 1).join("/")}/`);
}

function padding(length: number): Uint8Array {
  return new Uint8Array(-length & (BLOCK - 1));
}

function header(path: string, size: number, mode: string, type: "0" | "5"): Uint8Array {
  if (!/^[\x21-\x7e]+$/.test(path) || path.length > NAME_BYTES) {
    throw new RangeError(`${path}: expected at most ${NAME_BYTES} ASCII characters`);
  }
  const block = new Uint8Array(BLOCK);
  const put = (at: number, text: string) => block.set(new TextEncoder().encode(text), at);
  const octal = (number: number, digits: number) => `${number.toString(8).padStart(digits, "0")}\0`;
  put(0, path);
  put(100, octal(parseInt(mode, 8), 7));
  put(108, octal(0, 7));
  put(116, octal(0, 7));
  put(124, octal(size, 11));
  put(136, octal(0, 11));
  put(CHECKSUM_AT, " ".repeat(CHECKSUM_BYTES));
  put(156, type);
  put(257, "ustar\x0000");
  put(CHECKSUM_AT, `${octal(block.reduce((sum, byte) => sum + byte, 0), 6)} `);
  return block;
}
