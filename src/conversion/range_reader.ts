/** Reads ranges of a checkpoint's weight files, each file opened once. */
import { openStored, type StoredFile } from "../stored_files.ts";
import { readable, readInto } from "../read.ts";
import { readRandom } from "../checkpoint/random/contents.ts";
import type { SourceFile } from "../checkpoint/source.ts";
import { InputError } from "../errors.ts";

/** Rows in a file: row r is `rowBytes` bytes from `offset + r * rowStride`. */
export interface RowRange {
  readonly file: number;
  readonly offset: number;
  readonly rowBytes: number;
  readonly rowStride: number;
}

/** Bytes of a file read at once where only pieces of them are kept. */
const WINDOW_BYTES = 4 << 20;

/** What makes the bytes of virtual files. */
export interface MadeBytes {
  read(file: number, offset: number, into: Uint8Array): void;
}

/** The open files of a checkpoint. */
export class RangeReader implements Disposable {
  readonly #files: readonly SourceFile[];
  readonly #open = new Map<number, StoredFile>();
  #window = new Uint8Array(0);

  readonly #made: MadeBytes | null;

  /**
   * @param dir The checkpoint, for messages.
   * @param made Makes the files that are made; null where none are read.
   */
  constructor(files: readonly SourceFile[], readonly dir: string, made: MadeBytes | null = null) {
    this.#files = files;
    this.#made = made;
  }

  /**
   * Bytes of a file, straight into `into`.
   *
   * @throws {InputError} when the file is not what it was when it was checked.
   */
  read(file: number, offset: number, into: Uint8Array): void {
    const { path, random, made } = this.#files[file]!;
    if (random !== undefined) return readRandom(random, offset, into);
    if (made !== undefined && this.#made !== null) return this.#made.read(file, offset, into);
    readable(path, () => readInto(this.#file(file), path, offset, into as Uint8Array<ArrayBuffer>));
  }

  /** `count` rows, one after the other. */
  rows({ file, offset, rowBytes, rowStride }: RowRange, count: number, into: Uint8Array): void {
    if (rowBytes === rowStride) return this.read(file, offset, into.subarray(0, count * rowBytes));
    if (rowBytes > WINDOW_BYTES) {
      for (let r = 0; r < count; r++) {
        this.read(file, offset + r * rowStride, into.subarray(r * rowBytes, (r + 1) * rowBytes));
      }
      return;
    }
    // A system call per row would cost more than the bytes between them.
    const group = Math.max(1, Math.floor(WINDOW_BYTES / rowStride));
    for (let from = 0; from < count; from += group) {
      const rows = Math.min(group, count - from), bytes = (rows - 1) * rowStride + rowBytes;
      if (this.#window.length < bytes) this.#window = new Uint8Array(bytes);
      this.read(file, offset + from * rowStride, this.#window.subarray(0, bytes));
      for (let r = 0; r < rows; r++) {
        into.set(this.#window.subarray(r * rowStride, r * rowStride + rowBytes), (from + r) * rowBytes);
      }
    }
  }

  #file(index: number): StoredFile {
    const known = this.#open.get(index);
    if (known) return known;
    const { path, bytes } = this.#files[index]!;
    const file = openStored(path);
    this.#open.set(index, file);
    const { size } = file.statSync();
    if (size !== bytes) throw InputError.of("changed", { file: path }, `${bytes} bytes as when it was checked`, size);
    return file;
  }

  [Symbol.dispose](): void {
    for (const file of this.#open.values()) file.close();
    this.#open.clear();
  }
}
