/**
 * Stored matrices in another format: what `quantize` writes and what loading makes on the fly come from here, so that
 * both are the same bytes.
 */
import type { MatrixSource } from "../checkpoint/source.ts";
import { isMxFormat, isPlain, mxElementOf, type WeightFormat } from "../formats/format.ts";
import { largestMagnitude } from "../formats/scales.ts";
import { type Codec, FP8_MAX, type Tile } from "./codec.ts";
import type { RangeReader } from "./range_reader.ts";

/** What matrices are made with. */
export interface Tools {
  readonly reader: RangeReader;
  readonly codec: Codec;
}

/** Some rows of the new matrix; valid until the next ones. */
export interface EncodedRows {
  /** Packed. */
  readonly codes: Uint8Array;
  /** e8m0 bytes of the rows' blocks; empty for other formats. */
  readonly scales: Uint8Array;
}

const NO_SCALES = new Uint8Array(0);

/**
 * The rows of a matrix in another format, in order.
 *
 * @param scales What numbers are divided by: see {@linkcode fp8Scales}; null for formats that need none.
 * @param measured Whether `scales` are of rows, and measured on the way: a row is read once.
 * @throws {InputError} for a number that is NaN or infinite.
 */
export function* encodeMatrix(
  from: MatrixSource,
  format: WeightFormat,
  scales: Float32Array | null,
  { reader, codec }: Tools,
  measured = false,
): Generator<EncodedRows> {
  const scaleOf = (row: number) => scales![scales!.length === 1 ? 0 : row]!;
  for (const tile of codec.tiles(from, reader)) {
    if (isMxFormat(format)) yield codec.encodeMx(tile, mxElementOf(format));
    else if (isPlain(format)) yield { codes: codec.encodeBf16(tile), scales: NO_SCALES };
    else {
      if (measured) eachRow(tile, from.cols, (row, amax) => scales![row] = fp8Scale(amax));
      yield { codes: codec.encodeFp8(tile, scaleOf), scales: NO_SCALES };
    }
  }
}

/** The FP8 scales of a matrix, float32: one for each row, or one for all of it. */
export function fp8Scales(from: MatrixSource, per: "row" | "tensor", { reader, codec }: Tools): Float32Array {
  const largest = new Float64Array(per === "row" ? from.rows : 1);
  for (const tile of codec.tiles(from, reader)) {
    eachRow(tile, from.cols, (row, amax) => {
      const at = per === "row" ? row : 0;
      largest[at] = Math.max(largest[at]!, amax);
    });
  }
  return Float32Array.from(largest, fp8Scale);
}

/** Visits the largest magnitude of each row of a tile. */
function eachRow({ values, first, rows }: Tile, cols: number, visit: (row: number, amax: number) => void): void {
  for (let r = 0; r < rows; r++) visit(first + r, largestMagnitude(values, r * cols, (r + 1) * cols));
}

/** Scale of zeros only: any number above 0 will do. */
const SCALE_OF_ZERO = 2 ** -23;
const SMALLEST_NORMAL = 2 ** -126;

/** The scale by which the largest magnitude becomes the largest FP8 number, float32. */
export function fp8Scale(amax: number): number {
  return amax === 0 ? SCALE_OF_ZERO : Math.max(Math.fround(amax / FP8_MAX), SMALLEST_NORMAL);
}
