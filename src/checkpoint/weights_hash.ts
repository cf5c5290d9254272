/**
 * A name for the weights themselves: a checkpoint's fingerprint does not tell apart two that differ in weights only.
 */
import { asset } from "../assets.ts";
import { unreadable } from "../read.ts";
import { isHeld, openStored } from "../stored_files.ts";
import { onThreadFailure, startThread } from "../thread.ts";
import { createHash } from "../node_crypto.ts";
import type { SourceFile } from "./source.ts";
import { FailureError, InputError, type Mistake } from "../errors.ts";

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
      throw unreadable(path, thrown);
    }
  }
  return hash.digest("hex");
}

/** What the thread says: how far it is, the hash, or why there is none. */
export type HashReply =
  | { readonly done: number; readonly total: number }
  | { readonly hash: string }
  | { readonly mistake: Mistake | null; readonly message: string };

/** Files of fewer bytes are hashed before a thread has started. */
const WORTH_A_THREAD = 2 ** 26;

/**
 * {@linkcode weightsSha256} on a thread of its own, beside whatever else computes: large weights take many seconds.
 *
 * @param worth Bytes from which on a thread is started; for tests.
 * @throws {InputError} if a file cannot be read.
 * @throws {FailureError} if there can be no thread.
 */
export async function hashBeside(
  files: readonly SourceFile[],
  onProgress?: (done: number, total: number) => void,
  worth: number = WORTH_A_THREAD,
): Promise<string> {
  // Another thread has none of the files that this one holds.
  if (files.reduce((sum, { bytes }) => sum + bytes, 0) < worth || files.some(({ path }) => isHeld(path))) {
    return weightsSha256(files, onProgress);
  }
  const worker = startThread(asset("src/checkpoint/hash_worker.ts"), "hash", "a thread that hashes weights");
  const answer = Promise.withResolvers<string>();
  worker.onmessage = ({ data }: MessageEvent<HashReply>) => {
    if ("done" in data) onProgress?.(data.done, data.total);
    else if ("hash" in data) answer.resolve(data.hash);
    else answer.reject(data.mistake === null ? new FailureError(data.message) : new InputError(data.mistake));
  };
  onThreadFailure(worker, "the thread that hashes weights", answer.reject);
  worker.postMessage(files.map(({ path, bytes }) => ({ path, bytes })));
  try {
    return await answer.promise;
  } finally {
    worker.terminate();
  }
}
