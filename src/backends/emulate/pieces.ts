/** Pieces of files that are wanted in WASM memories, and reading one of them. */
import { readRandom } from "../../checkpoint/random/contents.ts";
import type { SourceFile } from "../../checkpoint/source.ts";
import type { MadeFiles } from "../../conversion/made_files.ts";
import { InputError, reason } from "../../errors.ts";
import { openStored, statStored, type StoredFile } from "../../stored_files.ts";
import { OS_PAGE, type Run, type StridedRun } from "./plan.ts";

/** What is wanted in one memory. */
export interface Target {
  readonly view: Uint8Array;
  readonly runs: readonly Run[];
  readonly strided: readonly StridedRun[];
}

/** Equal stretches of a file, and where they come to stand one after the other. */
export interface Piece extends StridedRun {
  /** Index of the memory. */
  readonly memory: number;
}

/** Cuts what is wanted into pieces of so many bytes at most. */
export function piecesOf(targets: readonly Target[], most: number): Piece[] {
  return targets.flatMap(({ runs, strided }, memory) => [
    ...runs.flatMap(({ file, offset, bytes, address }) =>
      starts(bytes, most).map(([at, pieceBytes]) => ({
        ...{ memory, file, pieces: 1, pieceBytes, stride: pieceBytes },
        offset: offset + at,
        address: address + at,
      }))
    ),
    ...strided.flatMap(({ file, offset, pieces, pieceBytes, stride, address }) =>
      starts(pieces, Math.max(1, Math.floor(most / stride))).map(([from, count]) => ({
        ...{ memory, file, pieces: count, pieceBytes, stride },
        offset: offset + from * stride,
        address: address + from * pieceBytes,
      }))
    ),
  ]);
}

/** Where parts begin that are so long at most, and how long each is. */
function starts(length: number, most: number): (readonly [start: number, length: number])[] {
  return Array.from(
    { length: Math.ceil(length / most) },
    (_, i) => [i * most, Math.min(most, length - i * most)] as const,
  );
}

/**
 * A file as other threads need it: not what it is made of, only whether it is. Converted matrices are made in their
 * order, by one thread.
 */
export interface SharedFile extends Pick<SourceFile, "path" | "bytes"> {
  readonly random: SourceFile["random"] | undefined;
  readonly made: boolean;
}

/** The files that are being read, opened once each. */
export class PieceReader implements Disposable {
  readonly #open = new Map<number, StoredFile>();
  #buffer = new Uint8Array(0);

  constructor(
    readonly files: readonly SharedFile[],
    /** One of each memory. */
    readonly views: readonly Uint8Array[],
    readonly made: MadeFiles | null,
  ) {}

  /**
   * Reads a piece to its place. Reading the bytes between its parts costs less than a system call for each.
   *
   * @throws {InputError} when the file ends before.
   */
  read({ memory, file, offset, pieces, pieceBytes, stride, address }: Piece): void {
    const view = this.views[memory]!;
    if (pieces === 1) return this.#fill(file, offset, view.subarray(address, address + pieceBytes));
    const bytes = (pieces - 1) * stride + pieceBytes;
    if (this.#buffer.length < bytes) this.#buffer = new Uint8Array(bytes);
    const window = this.#buffer.subarray(0, bytes);
    this.#fill(file, offset, window);
    for (let i = 0; i < pieces; i++) {
      view.set(window.subarray(i * stride, i * stride + pieceBytes), address + i * pieceBytes);
    }
  }

  /** Writes zeros to the pages of a piece that was not read. */
  touch({ memory, pieces, pieceBytes, address }: Piece): void {
    const view = this.views[memory]!, end = address + pieces * pieceBytes;
    for (let at = address; at < end; at += OS_PAGE - at % OS_PAGE) view[at] = 0;
  }

  #fill(index: number, offset: number, into: Uint8Array): void {
    const { path, bytes, random, made } = this.files[index]!;
    if (random !== undefined) return readRandom(random, offset, into);
    if (made) return this.made!.read(index, offset, into);
    let file = this.#open.get(index);
    if (!file) {
      checkSize(path, bytes);
      this.#open.set(index, file = openFile(path));
    }
    file.seekSync(offset, Deno.SeekMode.Start);
    for (let at = 0; at < into.length;) {
      const got = file.readSync(into.subarray(at));
      if (got === null) {
        throw InputError.saying("changed", { file: path }, `ended at byte ${offset + at}, expected ${bytes} bytes`);
      }
      at += got;
    }
  }

  [Symbol.dispose](): void {
    for (const file of this.#open.values()) file.close();
  }
}

function openFile(path: string): StoredFile {
  try {
    return openStored(path);
  } catch (thrown) {
    throw InputError.saying("unreadable", { file: path }, `cannot be opened: ${reason(thrown)}`);
  }
}

/** Refuses a file whose size is not what it was when it was checked. */
export function checkSize(path: string, expected: number): void {
  const { size } = statStored(path);
  if (size !== expected) {
    throw InputError.saying("changed", { file: path }, `has ${size} bytes now, ${expected} when it was checked`);
  }
}
