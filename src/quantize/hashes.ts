/**
 * SHA-256 of files: an interrupted run continues only if its sources and finished files are unchanged.
 */
import { openStored } from "../stored_files.ts";
import { Breath } from "../breath.ts";
import { createHash, type Hash } from "node:crypto";
import { type FileIdentity, identify, refuseChanged } from "../checkpoint/identity.ts";
import { readable } from "../read.ts";
import type { SafetensorsFile } from "../checkpoint/safetensors.ts";
import type { SourceFile } from "../checkpoint/source.ts";
import { InputError } from "../errors.ts";

/** Bytes read at once. */
const CHUNK = 1 << 22;

/** Hashes the data of a file's tensors while it is written, each tensor's pieces in order, the tensors in any. */
export class TensorHashes {
  readonly #hashes = new Map<string, Hash>();

  /** Adds the next piece of a tensor's data. */
  add(name: string, { buffer, byteOffset, byteLength }: ArrayBufferView): void {
    let hash = this.#hashes.get(name);
    if (hash === undefined) this.#hashes.set(name, hash = createHash("sha256"));
    hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  }

  /** One hash over the names and the hashes of all tensors, in hexadecimal. */
  digest(): string {
    const each = [...this.#hashes].map(([name, hash]): [string, string] => [name, hash.digest("hex")]);
    return createHash("sha256").update(JSON.stringify(each.sort(([a], [b]) => a < b ? -1 : 1))).digest("hex");
  }
}

/**
 * The same hash of a file on disk.
 *
 * @throws {InputError} if it cannot be read.
 */
export function hashTensors({ path, tensors }: SafetensorsFile): string {
  const hashes = new TensorHashes(), buffer = new Uint8Array(CHUNK);
  readable(path, () => {
    using file = openStored(path);
    for (const { name, offset, bytes } of tensors.values()) {
      file.seekSync(offset, Deno.SeekMode.Start);
      hashes.add(name, new Uint8Array(0));
      for (let left = bytes; left > 0;) {
        const got = file.readSync(buffer.subarray(0, Math.min(buffer.length, left)));
        if (got === null) throw InputError.saying("changed", { file: path }, `ends before its tensor ${name}`);
        hashes.add(name, buffer.subarray(0, got));
        left -= got;
      }
    }
  });
  return hashes.digest();
}

/** How the hashing of whole files is watched. */
export interface HashWatch {
  /** Called with bytes done and bytes in all. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Asked now and then: true ends it. */
  readonly stop?: () => boolean;
}

/** Source files as they were when a run began. */
export class Sources {
  readonly #identity: readonly FileIdentity[];

  private constructor(
    /** SHA-256 of each file by its path, in hexadecimal. */
    readonly hashes: ReadonlyMap<string, string>,
    identity: readonly FileIdentity[],
  ) {
    this.#identity = identity;
  }

  /**
   * Hashes the files.
   *
   * @returns null if it was stopped.
   * @throws {InputError} if one cannot be read.
   */
  static async read(files: readonly SourceFile[], { onProgress, stop }: HashWatch = {}): Promise<Sources | null> {
    const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
    const hashes = new Map<string, string>(), identity: FileIdentity[] = [];
    const buffer = new Uint8Array(CHUNK);
    const breath = new Breath();
    let done = 0;
    for (const { path } of files) {
      const hash = createHash("sha256");
      identity.push(identify(path));
      using file = readable(path, () => openStored(path));
      while (true) {
        const got = readable(path, () => file.readSync(buffer));
        if (got === null) break;
        hash.update(buffer.subarray(0, got));
        onProgress?.(done += got, total);
        if (!breath.due) continue;
        await breath.take();
        if (stop?.()) return null;
      }
      hashes.set(path, hash.digest("hex"));
    }
    return new Sources(hashes, identity);
  }

  /**
   * Refuses files that were changed since they were hashed, by their identity, size and time.
   *
   * @throws {InputError} naming the file.
   */
  refuseChanged(): void {
    refuseChanged(this.#identity);
  }
}
