/**
 * The lines of a journal. Each is a JSON object whose last field, `crc32`, is the CRC-32 of the file up to and with the
 * line, these fields taken out: so a line that was changed, lost, doubled or moved is seen, and where. Journals of
 * earlier versions have no such field, and lines that are added to them have it: what stands before is covered from
 * then on.
 */
import { crc32, hexOf } from "../checksum.ts";
import { InputError, reason } from "../errors.ts";

/** Where the field stands in a line, from its end: `,"crc32":"01234567"}`. */
const FIELD = /^,"crc32":"([0-9a-f]{8})"\}$/, FIELD_BYTES = 20;

const END = new TextEncoder().encode("}\n");

/** Lines that were read. */
export interface Lines {
  /** Their JSON, without checksums. */
  readonly lines: readonly string[];
  /** Bytes of the file that they take: what follows is a line that was cut off. */
  readonly bytes: number;
  /** Of the last one. */
  readonly crc: number;
}

/** The text of a new line, its break included, and its checksum. */
export function sealLine(json: string, before: number): { readonly text: string; readonly crc: number } {
  const crc = crc32(`${json}\n`, before);
  return { text: `${json.slice(0, -1)},"crc32":"${hexOf(crc)}"}\n`, crc };
}

/**
 * The lines of a file that end in a line break.
 *
 * @throws {InputError} naming the first line whose checksum is another one.
 */
export function readLines(file: Uint8Array<ArrayBuffer>, path: string): Lines {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }), lines: string[] = [];
  let bytes = 0, crc = 0, covered = false;
  // All of them together may be longer than a string can be.
  for (let end = file.indexOf(0x0a); end >= 0; end = file.indexOf(0x0a, bytes)) {
    const where = `${path}:${lines.length + 1}`;
    const own = FIELD.exec(asciiOf(file.subarray(Math.max(bytes, end - FIELD_BYTES), end)))?.[1];
    if (own === undefined && covered) throw damaged(where, "a checksum at its end", "none");
    // Lines above it may have none, if an earlier version wrote them; it covers them.
    const first: boolean = own !== undefined && !covered;
    covered ||= first;
    const json = file.subarray(bytes, own === undefined ? end : end - FIELD_BYTES);
    crc = crc32(own === undefined ? file.subarray(end, end + 1) : END, crc32(json, crc));
    if (own !== undefined && own !== hexOf(crc)) {
      const expected = `checksum ${own} of all lines up to it`, got = hexOf(crc);
      throw first && lines.length > 0 ? damaged(where, expected, got, ABOVE) : damaged(where, expected, got);
    }
    try {
      lines.push(own === undefined ? decoder.decode(json) : `${decoder.decode(json)}}`);
    } catch (thrown) {
      throw damaged(where, "UTF-8 text", reason(thrown));
    }
    bytes = end + 1;
  }
  return { lines, bytes, crc };
}

/**
 * Whether a first line is the one that is expected.
 *
 * @throws {InputError} where it is that one with another checksum than a checksum: without a line below it, nothing
 * else tells.
 */
export function isHeader(line: string, expected: string, path: string): boolean {
  if (line === expected) return true;
  if (line.length === expected.length + FIELD_BYTES - 1 && line.startsWith(expected.slice(0, -1))) {
    throw damaged(`${path}:1`, "a checksum at its end", line.slice(expected.length - 1));
  }
  return false;
}

/** What to do about a line, and about a file of which nothing says whether that line is wrong or one above it. */
const BELOW = "delete this line and all below it, and the run makes them again";
const ABOVE = "it, or a line above, was changed: delete this file, and the run makes it again";

/** The refusal of a line, which says how the run can go on. */
export function damaged(where: string, expected: string, got: string, remedy = BELOW): InputError {
  return InputError.of("malformed", { name: where }, expected, `${got}; ${remedy}`);
}

function asciiOf(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}
