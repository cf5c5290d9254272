/** A model in one GGUF file, or in several that llama.cpp's gguf-split has made of it. */
import { basename, dirname, join } from "node:path";
import { InputError } from "../../errors.ts";
import { printable } from "../../describe.ts";
import type { GgufValue } from "./cursor.ts";
import { type GgufFile, type GgufTensor, openGguf } from "./header.ts";
import { refuseMistaken } from "./mistaken.ts";

/** The files of a model as one. */
export interface GgufModel {
  readonly files: readonly GgufFile[];
  /** Metadata of the first file; the others have none but their numbers. */
  readonly values: ReadonlyMap<string, GgufValue>;
  /** Tensors of all files by name, and in which file each is. */
  readonly tensors: ReadonlyMap<string, GgufTensor & { readonly file: number }>;
}

const COUNT = "split.count", NUMBER = "split.no", TENSORS = "split.tensors.count";
const NAME = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/;

/**
 * Opens a model by its file, or by any one of its files.
 *
 * @throws {InputError} where one is missing or is no GGUF file, or they are not of one model.
 */
export function openGgufModel(path: string): GgufModel {
  refuseMistaken(path);
  // Where a file says that it is one of none or of one, it is the whole model.
  const opened = openGguf(path), count = Math.max(1, numberOf(opened, COUNT) ?? 1);
  const [, stem, , of] = NAME.exec(basename(path)) ?? [];
  if (count > 1 && Number(of) !== count) {
    const expected = `a name that ends in -00001-of-${String(count).padStart(5, "0")}.gguf, as one of ${count} files`;
    throw InputError.of("wrong_value", { file: path }, expected);
  }
  const files = count === 1 ? [opened] : Array.from({ length: count }, (_, i) => {
    const name = `${stem}-${String(i + 1).padStart(5, "0")}-of-${of}.gguf`;
    return name === basename(path) ? opened : openGguf(join(dirname(path), name));
  });
  const tensors = new Map<string, GgufTensor & { readonly file: number }>();
  for (const [i, file] of files.entries()) {
    if (count > 1) {
      refuseOther(file, NUMBER, i);
      refuseOther(file, COUNT, count);
    }
    for (const [name, tensor] of file.tensors) {
      if (tensors.has(name)) {
        const got = `it in ${files[tensors.get(name)!.file]!.path}, too`;
        throw InputError.of("malformed", { file: file.path, tensor: printable(name) }, "each tensor once", got);
      }
      tensors.set(name, { ...tensor, file: i });
    }
  }
  if (numberOf(files[0]!, TENSORS) !== null) refuseOther(files[0]!, TENSORS, tensors.size);
  return { files, values: files[0]!.values, tensors };
}

function numberOf({ values }: GgufFile, key: string): number | null {
  const value = values.get(key);
  return typeof value === "object" && "value" in value ? value.value : null;
}

function refuseOther(file: GgufFile, key: string, expected: number): void {
  const got = numberOf(file, key);
  if (got !== expected) throw InputError.of("wrong_value", { file: file.path, key }, `${expected}`, got ?? "nothing");
}
