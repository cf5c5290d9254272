/**
 * A name for the weights themselves: a checkpoint's fingerprint does not tell apart two that differ in weights only.
 */
import { openStored } from "../stored_files.ts";
import { createHash } from "node:crypto";
import type { SourceFile } from "./source.ts";
import { InputError, reason } from "../errors.ts";

/** Bytes read at once. */
const CHUNK = 1 << 22;

/**
 * SHA-256 of all weight files, one after the other, in hexadecimal.
 *
 * @param onProgress Called with bytes done and bytes in all.
 * @throws {InputError} if a file cannot be read.
 */
export function weightsSha256(
  files: readonly SourceFile[],
  onProgress?: (done: number, total: number) => void,
): string {
  const hash = createHash("sha256");
  const buffer = new Uint8Array(CHUNK);
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  let done = 0;
  for (const { path } of files) {
    try {
      using file = openStored(path);
      for (let got = file.readSync(buffer); got !== null; got = file.readSync(buffer)) {
        hash.update(buffer.subarray(0, got));
        onProgress?.(done += got, total);
      }
    } catch (thrown) {
      if (thrown instanceof Deno.errors.NotCapable) throw thrown;
      throw InputError.saying("unreadable", { file: path }, `cannot be read: ${reason(thrown)}`);
    }
  }
  return hash.digest("hex");
}
