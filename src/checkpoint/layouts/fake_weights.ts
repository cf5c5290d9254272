/**
 * Plain weights that were quantized and dequantized, against the scales beside them. AMD Quark quantizes such weights
 * once more by these when it loads them: where that changes them, they went through other scales.
 */
import { printable, shapeText } from "../../describe.ts";
import { InputError } from "../../errors.ts";
import { decodeElements } from "../../formats/decode.ts";
import { ELEMENTS, quantize } from "../../formats/elements.ts";
import { BLOCK, isMxFormat, mxElementOf } from "../../formats/format.ts";
import { decodeE8m0 } from "../../formats/scales.ts";
import type { WeightSpec } from "../quark/entry_spec.ts";
import type { MatrixSource } from "../source.ts";
import type { StoredTensor } from "../files.ts";
import { PLAIN, type TensorSet } from "../tensor_set.ts";
import type { ScaleReader } from "./values.ts";

/** How far numbers may be from their quantized ones: rounding to bfloat16, once more than in this program. */
const NEAR = 2 ** -7;

/**
 * Looks at the first row of each matrix.
 *
 * @param specOf The format that the config has for matrix `i`; null: none.
 * @throws {InputError} naming the weight, and its first number that would be another one.
 */
export function refuseOtherScales(
  tensors: TensorSet,
  reader: ScaleReader,
  weight: StoredTensor,
  scale: StoredTensor,
  matrices: readonly Pick<MatrixSource, "format" | "rows" | "cols" | "offset" | "rowBytes">[],
  specOf: (matrix: number) => WeightSpec | null,
): void {
  for (const [i, { format: plain, rows, cols, offset, rowBytes }] of matrices.entries()) {
    const spec = specOf(i);
    if (spec === null || spec.scale === "none") continue;
    const { format } = spec, blocks = spec.scale === "e8m0" ? Math.ceil(cols / BLOCK) : 1;
    const element = ELEMENTS[isMxFormat(format) ? mxElementOf(format) : "e4m3fn"];
    const one = scale.shape.every((size) => size === 1);
    const first = one ? 0 : spec.scale === "tensor" ? i : i * rows * blocks;
    const scales = numbersAt(reader, scale, first, blocks);
    const values = decodeElements(
      plain as "bf16" | "f16" | "f32",
      reader.bytes(weight, offset - weight.offset, rowBytes),
      cols,
    );
    values.forEach((value, column) => {
      const by = scales[spec.scale === "e8m0" ? Math.floor(column / BLOCK) : 0]!;
      const again = quantize(element, Math.fround(value / by)) * by;
      // Of what is infinite a share is infinite too: all would be near it.
      if (Number.isFinite(value) && Math.abs(again - value) <= NEAR * Math.abs(value)) return;
      const at = shapeText(matrices.length > 1 ? [i, 0, column] : [0, column]);
      throw InputError.of(
        "contradiction",
        { file: tensors.pathOf(weight), tensor: printable(weight.name) },
        `numbers that ${printable(scale.name)} does not change, as AMD Quark quantizes them by it`,
        `${value} at ${at}, which becomes ${Math.fround(again)}`,
      );
    });
  }
}

/** Some scales of a tensor of e8m0 bytes or plain numbers. */
function numbersAt(reader: ScaleReader, scale: StoredTensor, first: number, count: number): Float32Array {
  const each = scale.bytes / scale.shape.reduce((product, size) => product * size, 1);
  const bytes = reader.bytes(scale, first * each, count * each);
  if (each === 1) return Float32Array.from(bytes, decodeE8m0);
  if (scale.dtype === "F64") return Float32Array.from(new Float64Array(bytes.buffer));
  return decodeElements(PLAIN[scale.dtype as keyof typeof PLAIN], bytes, count);
}
