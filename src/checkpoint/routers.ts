/**
 * Refuses NaN and infinities in routers. Anywhere else a NaN spreads to the logits, which are checked; in a router it
 * only keeps an expert from being chosen, and nothing would show that.
 */
import { openStored, type StoredFile } from "../stored_files.ts";
import { bytesOf } from "../formats/format.ts";
import { InputError } from "../errors.ts";
import { decodeElements } from "../formats/decode.ts";
import { firstNonFinite } from "../formats/finite.ts";
import { printable } from "../describe.ts";
import { readable, readExactly } from "../read.ts";
import type { LinearSource, ModelSource, SourceFile } from "./source.ts";

/**
 * Reads the routers' weights and biases.
 *
 * @throws {InputError} naming the tensor with the first NaN or infinity.
 */
export function refuseRouters(files: readonly SourceFile[], { layers }: ModelSource["tree"]): void {
  let opened: { readonly index: number; readonly file: StoredFile } | null = null;
  const read = (index: number, offset: number, bytes: number) =>
    readable(files[index]!.path, () => {
      if (opened?.index !== index) {
        opened?.file.close();
        opened = { index, file: openStored(files[index]!.path) };
      }
      return readExactly(opened.file, files[index]!.path, offset, bytes);
    });
  try {
    for (const { router: { weight, bias } } of layers) {
      const stored = weight.transposed ? weight.cols : weight.rows,
        length = weight.transposed ? weight.rows : weight.cols;
      if (weight.rows * weight.cols > 0) {
        const bytes = read(weight.file, weight.offset, (stored - 1) * weight.rowStride + weight.rowBytes);
        for (let row = 0; row < stored; row++) {
          const from = row * weight.rowStride;
          const values = decodeElements(weight.format, bytes.subarray(from, from + weight.rowBytes), length);
          refuse(values, weight, files, `${row}, `);
        }
      }
      if (bias === null) continue;
      const bytes = read(bias.file, bias.offset, bytesOf(bias.format, bias.length));
      refuse(decodeElements(bias.format, bytes, bias.length), bias, files, "");
    }
  } finally {
    (opened as { readonly file: StoredFile } | null)?.file.close();
  }
}

function refuse(
  values: Float32Array,
  { name, file }: Pick<LinearSource["weight"], "name" | "file">,
  files: readonly SourceFile[],
  row: string,
): void {
  const at = firstNonFinite(values);
  if (at < 0) return;
  throw InputError.of(
    "wrong_value",
    { file: files[file]!.path, tensor: printable(name) },
    "numbers",
    `${values[at]} at [${row}${at}]`,
  );
}
