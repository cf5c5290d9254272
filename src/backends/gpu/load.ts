/**
 * Weights from their files to the device: several readers fill page-locked buffers, two each, and a buffer's copy to
 * the device runs while its reader fills the other one.
 */
import { pause } from "../../breath.ts";
import { openStored, type StoredFile } from "../../stored_files.ts";
import type { DeviceBuffer, GpuDevice, GpuEvent, PinnedBuffer, Stream } from "../../../ffi/runtime.ts";
import { isMade, type SourceFile } from "../../checkpoint/source.ts";
import type { MadeFiles } from "../../conversion/made_files.ts";
import { InputError, reason } from "../../errors.ts";
import type { Chunk } from "./plan.ts";
import { largest } from "../../largest.ts";

/** Bytes of one page-locked buffer: long enough that neither a system call nor a copy's start shows. */
export const STAGING_BYTES = 4 * 2 ** 20;
/** Readers, each with two buffers. One reads 6 GB/s from the page cache on the development machine; PCIe 5 takes 50. */
export const READERS = 8;

/** Weights as they are stored. */
export interface StoredWeights {
  readonly files: readonly SourceFile[];
  /** Which bytes of the files are wanted, and where they go. */
  readonly chunks: readonly Chunk[];
  /** Makes the files that are made; null where there are none. */
  readonly made: MadeFiles | null;
}

/**
 * Reads all chunks and copies them to `target`; returns when everything is there.
 *
 * @param onProgress Called with bytes done and bytes in all.
 * @throws {InputError} if a file cannot be opened, or is not as long as it was when it was checked.
 */
export async function loadWeights(
  device: GpuDevice,
  stream: Stream,
  target: DeviceBuffer,
  { files, chunks, made }: StoredWeights,
  onProgress?: (done: number, total: number) => void,
): Promise<void> {
  const total = chunks.reduce((sum, { bytes }) => sum + bytes, 0);
  let next = 0, done = 0, failed = false;
  const reader = async () => {
    using lane = new Lane(device, files, made, largest(chunks.map(({ bytes }) => bytes)));
    while (!failed && next < chunks.length) {
      const chunk = chunks[next++]!;
      try {
        await lane.ready();
        await lane.read(chunk);
        lane.send(stream, target, chunk);
      } catch (thrown) {
        failed = true;
        throw thrown;
      }
      onProgress?.(done += chunk.bytes, total);
    }
    for (let i = 0; i < 2; i++) {
      await lane.ready();
      lane.next();
    }
  };
  const readers = Array.from({ length: Math.min(READERS, chunks.length) }, reader);
  // All readers are waited for, also after a failure: they hold buffers that the device may still read.
  const results = await Promise.allSettled(readers);
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

/** One reader: its buffers, each with the event that says when it is free again, and its own handles of the files. */
class Lane implements Disposable {
  readonly #buffers: readonly { readonly pinned: PinnedBuffer; readonly sent: GpuEvent; busy: boolean }[];
  readonly #held: DisposableStack;
  readonly #open = new Map<number, StoredFile>();
  /** The buffer that is filled next. */
  #turn = 0;

  constructor(
    device: GpuDevice,
    readonly files: readonly SourceFile[],
    readonly made: MadeFiles | null,
    bytes: number,
  ) {
    // What was made before something failed is freed.
    using held = new DisposableStack();
    this.#buffers = Array.from({ length: 2 }, () => ({
      pinned: held.use(device.allocatePinned(Math.min(bytes, STAGING_BYTES))),
      sent: held.use(device.createEvent()),
      busy: false,
    }));
    this.#held = held.move();
  }

  get #buffer() {
    return this.#buffers[this.#turn]!;
  }

  /** Waits until the last copy has left the next buffer, letting others work. */
  async ready(): Promise<void> {
    const buffer = this.#buffer;
    // A timer takes a millisecond, which a buffer with a twin seldom needs.
    while (buffer.busy && !buffer.sent.done()) await pause();
    buffer.busy = false;
  }

  async read({ file: index, offset, bytes, compact }: Chunk): Promise<void> {
    const into = this.#buffer.pinned.view.subarray(0, bytes);
    if (isMade(this.files[index]!)) this.made!.read(index, offset, into);
    else await this.#fill(into, index, offset);
    if (compact) {
      const { pieces, pieceBytes, stride } = compact;
      for (let i = 1; i < pieces; i++) into.copyWithin(i * pieceBytes, i * stride, i * stride + pieceBytes);
    }
  }

  async #fill(into: Uint8Array, index: number, offset: number): Promise<void> {
    const { path, bytes: size } = this.files[index]!, file = this.#file(index);
    await file.seek(offset, Deno.SeekMode.Start);
    for (let at = 0; at < into.length;) {
      const got = await file.read(into.subarray(at));
      if (got === null) {
        throw InputError.saying("changed", { file: path }, `ended at byte ${offset + at}, expected ${size} bytes`);
      }
      at += got;
    }
  }

  send(stream: Stream, target: DeviceBuffer, { copies }: Chunk): void {
    const buffer = this.#buffer;
    buffer.busy = true;
    for (const { at, bytes, address } of copies) stream.upload(target.range(address, bytes), buffer.pinned, at, bytes);
    stream.record(buffer.sent);
    this.next();
  }

  /** Turns to the other buffer. */
  next(): void {
    this.#turn = 1 - this.#turn;
  }

  #file(index: number): StoredFile {
    const known = this.#open.get(index);
    if (known) return known;
    const { path, bytes } = this.files[index]!;
    let file: StoredFile;
    try {
      file = openStored(path);
    } catch (thrown) {
      throw InputError.saying("unreadable", { file: path }, `cannot be opened: ${reason(thrown)}`);
    }
    this.#open.set(index, file);
    const { size } = file.statSync();
    if (size !== bytes) {
      throw InputError.saying(
        "changed",
        { file: path },
        `has ${size} bytes now, expected ${bytes} bytes as when it was checked`,
      );
    }
    return file;
  }

  [Symbol.dispose](): void {
    for (const file of this.#open.values()) file.close();
    for (const { sent, busy } of this.#buffers) {
      try {
        // After a failure elsewhere the device may still be reading the buffer.
        if (busy) sent.synchronize();
      } catch {
        // A device that failed reads nothing any more, and says so elsewhere.
      }
    }
    this.#held[Symbol.dispose]();
  }
}
