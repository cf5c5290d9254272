/** Reads weights from their files when they are needed; nothing dequantized is kept. */
import { openStored, type StoredFile } from "../../stored_files.ts";
import { isMade, type MatrixSource, type SourceFile, type VectorSource } from "../../checkpoint/source.ts";
import { InputError, reason } from "../../errors.ts";
import { applyBlockScales, decodeElements } from "../../formats/decode.ts";
import { BLOCK } from "../../formats/format.ts";
import { MadeFiles } from "../../conversion/made_files.ts";

/** Bytes that are read at once, at least one row. */
const STRIP_BYTES = 1 << 20;

/** The open files of a checkpoint. */
export class WeightFiles implements Disposable {
  readonly #sources: readonly SourceFile[];
  /** null: of a made file. */
  readonly #files: (StoredFile | null)[] = [];
  readonly #made: MadeFiles | null;

  /** Opens all files, some of which may be made. */
  static async open(sources: readonly SourceFile[]): Promise<WeightFiles> {
    return new WeightFiles(sources, await MadeFiles.open(sources));
  }

  /**
   * @param made Makes the files that are made; null where there are none.
   * @throws {InputError} if one cannot be opened, or is not as long as it was when it was checked.
   */
  constructor(sources: readonly SourceFile[], made: MadeFiles | null = null) {
    this.#sources = sources;
    this.#made = made;
    try {
      for (const source of sources) {
        const { path, bytes } = source;
        if (isMade(source)) {
          this.#files.push(null);
          continue;
        }
        const file = openFile(path);
        this.#files.push(file);
        const { size } = file.statSync();
        if (size !== bytes) {
          throw InputError.of("changed", { file: path }, `${bytes} bytes as when it was checked`, size);
        }
      }
    } catch (thrown) {
      this[Symbol.dispose]();
      throw thrown;
    }
  }

  [Symbol.dispose](): void {
    for (const file of this.#files.splice(0)) file?.close();
    this.#made?.[Symbol.dispose]();
  }

  /** The numbers of a vector. */
  vector(v: VectorSource): Float32Array {
    return decodeElements(v.format, this.#read(v.file, v.offset, v.length * (v.format === "f32" ? 4 : 2)), v.length);
  }

  /** Row r of a matrix, see {@linkcode forEachRow}. */
  row(matrix: MatrixSource, r: number): Float32Array {
    let values: Float32Array = new Float32Array(0);
    this.#decodeRows(matrix, r, r + 1, (_, row) => values = row);
    return values;
  }

  /**
   * Visits the rows of a matrix in order, dequantized except for the scale of {@linkcode rowScale}: block scales are in
   * the values.
   *
   * @param visit Receives the row's number and its `cols` values.
   */
  forEachRow(matrix: MatrixSource, visit: (r: number, values: Float32Array) => void): void {
    // A transposed matrix has its rows scattered over all of its bytes, so they are decoded together.
    const strip = matrix.transposed
      ? matrix.rows
      : Math.max(1, Math.floor(STRIP_BYTES / Math.max(1, matrix.rowStride)));
    for (let r = 0; r < matrix.rows; r += strip) {
      this.#decodeRows(matrix, r, Math.min(r + strip, matrix.rows), visit);
    }
  }

  #decodeRows(matrix: MatrixSource, from: number, to: number, visit: (r: number, values: Float32Array) => void): void {
    const { format, file, offset, cols, rowBytes, rowStride, scale } = matrix;
    if (cols === 0) {
      for (let r = from; r < to; r++) visit(r, new Float32Array(0));
      return;
    }
    if (matrix.transposed) return this.#decodeTransposed(matrix, from, to, visit);
    const bytes = this.#read(file, offset + from * rowStride, (to - from - 1) * rowStride + rowBytes);
    const blocks = Math.ceil(cols / BLOCK);
    const scales = scale.kind === "e8m0"
      ? this.#read(scale.file, scale.offset + from * scale.rowStride, (to - from - 1) * scale.rowStride + blocks)
      : null;
    for (let r = from; r < to; r++) {
      const at = (r - from) * rowStride;
      const values = decodeElements(format, bytes.subarray(at, at + rowBytes), cols);
      if (scale.kind === "e8m0" && scales) {
        const first = (r - from) * scale.rowStride;
        applyBlockScales(values, scales.subarray(first, first + blocks));
      }
      visit(r, values);
    }
  }

  #decodeTransposed(
    { format, file, offset, rows, cols, rowBytes, rowStride }: MatrixSource,
    from: number,
    to: number,
    visit: (r: number, values: Float32Array) => void,
  ): void {
    const bytes = this.#read(file, offset, (cols - 1) * rowStride + rowBytes);
    const stored = Array.from({ length: cols }, (_, c) => {
      const at = c * rowStride;
      return decodeElements(format, bytes.subarray(at, at + rowBytes), rows);
    });
    for (let r = from; r < to; r++) visit(r, Float32Array.from(stored, (column) => column[r]!));
  }

  #read(file: number, offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    const handle = this.#files[file]!;
    if (handle === null) {
      this.#made!.read(file, offset, bytes);
      return bytes;
    }
    handle.seekSync(offset, Deno.SeekMode.Start);
    for (let at = 0; at < length;) {
      const count = handle.readSync(bytes.subarray(at));
      if (count === null) {
        throw InputError.saying(
          "changed",
          { file: this.#sources[file]!.path },
          `ends at byte ${offset + at}, expected weights there`,
        );
      }
      at += count;
    }
    return bytes;
  }
}

function openFile(path: string): StoredFile {
  try {
    return openStored(path);
  } catch (thrown) {
    if (thrown instanceof Deno.errors.NotCapable) throw thrown;
    throw InputError.saying("unreadable", { file: path }, `cannot be opened: ${reason(thrown)}`);
  }
}

/** What the sum over a row is to be multiplied with: the scale of an FP8 tensor or row; 1 of the other formats. */
export function rowScale({ scale }: MatrixSource, r: number): number {
  if (scale.kind === "tensor") return scale.value;
  return scale.kind === "row" ? scale.values[r]! : 1;
}
