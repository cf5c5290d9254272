/** Checksums of what is kept on disk for a later run: a bit that a disk or a cable turned is seen by them. */
import { InputError } from "./errors.ts";
import { isObject } from "./json_object.ts";

type Zlib = typeof import("node:zlib");

/** CRC-32 as of gzip, of bytes or of a text in UTF-8; `before` is that of what comes before them. */
export function crc32(data: string | Uint8Array, before = 0): number {
  // Few runs keep anything: node:zlib is loaded at the first call.
  const { process } = globalThis as unknown as { readonly process: { getBuiltinModule(name: "node:zlib"): Zlib } };
  return process.getBuiltinModule("node:zlib").crc32(data, before);
}

/** A checksum as files have it: eight hexadecimal digits. */
export function hexOf(crc: number): string {
  return crc.toString(16).padStart(8, "0");
}

/** A value as a file of its own keeps it: with a last field `crc32`, that of its JSON without it. */
export function sealed<T extends object>(value: T): T & { readonly crc32: string } {
  return { ...value, crc32: hexOf(crc32(JSON.stringify(value))) };
}

/**
 * The JSON of a file without its checksum; files of earlier versions have none.
 *
 * @param remedy What to do about a damaged one.
 * @throws {InputError} where it is not that of the rest.
 */
export function unsealed(json: unknown, file: string, remedy: string): unknown {
  if (!isObject(json) || !Object.hasOwn(json, "crc32")) return json;
  const { crc32: own, ...value } = json, found = hexOf(crc32(JSON.stringify(value)));
  if (own === found) return value;
  const problem = `is damaged: expected checksum ${JSON.stringify(own)}, got "${found}"; ${remedy}`;
  throw InputError.saying("malformed", { file }, problem);
}
