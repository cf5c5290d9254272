/**
 * Online rotation of a linear's input, as AMD Quark exports it: the row is multiplied by a prescale, then block by
 * block by one small matrix (mostly a Hadamard matrix), and only then quantized. The weights were multiplied by its
 * inverse when they were made, so without quantization nothing would change.
 */
import { roundAllToBf16, roundToBf16 } from "./bf16.ts";

/** What happens to a row before its input format. */
export interface InputRotation {
  /** Columns of a block; divides the row's length. */
  readonly size: number;
  /** [size, size], row-major: element j of a block becomes the sum over i of element i times matrix[i, j]. */
  readonly matrix: Float64Array;
  /** One factor (float32, > 0) per column, applied first; null: none. */
  readonly prescale: Float32Array | null;
}

/**
 * Rotates one row.
 *
 * Sums run in float64, as Quark's do; the prescaled and the rotated row are rounded to float32 each.
 *
 * @param row Left as it is.
 * @param toBf16 Round both to bfloat16 instead, and the prescale before it is used, as Quark does in such a model.
 * @param out Where the result goes; a new row if left out.
 */
export function rotateRow(
  row: Float32Array,
  { size, matrix, prescale }: InputRotation,
  toBf16: boolean,
  out: Float32Array = new Float32Array(row.length),
): Float32Array {
  const scaled = prescale === null ? row : row.map((x, i) => x * (toBf16 ? roundToBf16(prescale[i]!) : prescale[i]!));
  if (prescale !== null && toBf16) roundAllToBf16(scaled);
  const sums = new Float64Array(size);
  for (let start = 0; start < row.length; start += size) {
    sums.fill(0);
    for (let i = 0; i < size; i++) {
      const x = scaled[start + i]!, at = i * size;
      for (let j = 0; j < size; j++) sums[j]! += x * matrix[at + j]!;
    }
    out.set(sums, start);
  }
  if (toBf16) roundAllToBf16(out);
  return out;
}

/** Whether two linears rotate their inputs alike. */
export function sameRotation(a: InputRotation | null, b: InputRotation | null): boolean {
  if (a === null || b === null) return a === b;
  const same = <T extends Float32Array | Float64Array>(x: T | null, y: T | null) =>
    x === y || x !== null && y !== null && x.length === y.length && x.every((value, i) => value === y[i]);
  return a.size === b.size && same(a.matrix, b.matrix) && same(a.prescale, b.prescale);
}
