/** A matrix in another format than it is stored in, as a file that is made while it is read. */
import type { MatrixSource, ScaleSource, SourceFile } from "../checkpoint/source.ts";
import { blocksOf, bytesOf, isMxFormat, type WeightFormat, type WeightScale } from "../formats/format.ts";

/** How a weight is stored. */
export interface StoredAs {
  readonly format: WeightFormat;
  readonly scale: WeightScale;
}

/**
 * The matrix in its new format. FP8 scales are 0 until it is loaded: they follow from numbers that are not read before.
 *
 * @param files Gets the made file.
 */
export function madeOf(from: MatrixSource, { format, scale: kind }: StoredAs, files: SourceFile[]): MatrixSource {
  const { name, rows, cols } = from, rowBytes = bytesOf(format, cols), file = files.length;
  const codes = rows * rowBytes, blocks = isMxFormat(format) ? blocksOf(cols) : 0;
  files.push({ path: files[from.file]!.path, bytes: codes + rows * blocks, made: { from, format, scales: null } });
  const scales: Readonly<Record<WeightScale, () => ScaleSource>> = {
    none: () => ({ kind: "none" }),
    e8m0: () => ({ kind: "e8m0", file, offset: codes, rowStride: blocks }),
    tensor: () => ({ kind: "tensor", value: 0 }),
    row: () => ({ kind: "row", values: new Float32Array(rows) }),
  };
  const scale = scales[kind]();
  return { name, format, rows, cols, transposed: false, file, offset: 0, rowBytes, rowStride: rowBytes, scale };
}
