import { isFp8 } from "../../formats/input.ts";
import { qdqRow, quantizeFp8 } from "../../formats/qdq.ts";
import { rotateRow } from "../../formats/rotation.ts";
import type { ReferenceTensor, Round } from "./tensor.ts";
import { rowScale, type WeightFiles } from "./weight_files.ts";
import type { ReferenceLinear } from "./weights.ts";

/** A row that a GEMM reads. The true input is `values * scale`. */
export interface PreparedRow {
  readonly values: Float32Array;
  readonly scale: number;
}

/**
 * Applies a linear's rotation and input format to a row.
 *
 * With FP8 weights an FP8 input stays quantized, and its scale multiplies the sum, as FP8 matrix instructions work.
 * With all other weights the input is dequantized again and rounded to the dtype, so its scale is 1.
 */
export function prepareRow(
  row: Float32Array,
  { input, rotation, multipliesCodes }: Pick<ReferenceLinear, "input" | "rotation" | "multipliesCodes">,
  toBf16: boolean,
): PreparedRow {
  const x = rotation === null ? row : rotateRow(row, rotation, toBf16);
  if (multipliesCodes && isFp8(input)) return quantizeFp8(x, input);
  return { values: qdqRow(x, input, toBf16), scale: 1 };
}

/** Which row of the prepared inputs makes which row of the output. */
export interface RowPair {
  readonly from: PreparedRow;
  readonly to: number;
}

/** out[to] = from W^T + b for every pair; the sum, the scales and the bias in float64, then one rounding. */
export function gemm(
  out: ReferenceTensor,
  pairs: readonly RowPair[],
  linear: ReferenceLinear,
  files: WeightFiles,
  round: Round,
): void {
  files.forEachRow(linear.source, (r, weights) => {
    const weightScale = rowScale(linear.source, r), bias = linear.bias?.[r] ?? 0;
    for (const { from, to } of pairs) {
      out.values[to * out.width + r] = round(dot(from.values, weights) * weightScale * from.scale + bias);
    }
  });
}

/** Sum of products in float64, where each product of two float32 is exact. */
export function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < b.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** out[t] = QDQ(x[t]) W^T + b for the first n rows. */
export function linear(
  out: ReferenceTensor,
  x: ReferenceTensor,
  n: number,
  weights: ReferenceLinear,
  files: WeightFiles,
  toBf16: boolean,
  round: Round,
): void {
  const pairs = Array.from({ length: n }, (_, t): RowPair => ({
    from: prepareRow(x.row(t), weights, toBf16),
    to: t,
  }));
  gemm(out, pairs, weights, files, round);
}
