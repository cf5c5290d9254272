/**
 * Reads and writes safetensors files: whole tensors, or pieces of tensors larger than memory.
 *
 * @module
 */
import { openSafetensors, type SafetensorsDtype, type TensorInfo } from "../checkpoint/safetensors.ts";
import { refuseChanged } from "../checkpoint/identity.ts";
import { SafetensorsWriter, type WriteOptions, type WrittenDtype } from "../checkpoint/write_safetensors.ts";
import { printable } from "../describe.ts";
import { InputError } from "../errors.ts";
import { decodeElements } from "../formats/decode.ts";
import type { PlainFormat } from "../formats/format.ts";
import { readable, readExactly } from "../read.ts";
import { refuseOtherThanText, wrongKind } from "./known.ts";

export type { SafetensorsDtype, TensorInfo } from "../checkpoint/safetensors.ts";
export { SafetensorsWriter } from "../checkpoint/write_safetensors.ts";
export type { WriteOptions, WrittenDtype, WrittenTensor } from "../checkpoint/write_safetensors.ts";

/** A safetensors file whose header was read and validated. Nothing stays open. */
export interface SafetensorsReader {
  /** The path as it was given. */
  readonly path: string;
  /** By name, in the order of their data. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** The header's `__metadata__`. */
  readonly metadata: ReadonlyMap<string, string>;
  /**
   * The bytes of a tensor, row-major and little-endian.
   *
   * @param name One of {@linkcode SafetensorsReader.tensors}.
   * @returns A new array of its bytes.
   * @throws {InputError} if there is no such tensor, or the file changed since its header was read.
   * @throws {TypeError} if `name` is no string.
   */
  bytes(name: string): Uint8Array<ArrayBuffer>;
  /**
   * The numbers of a tensor of dtype F32, BF16 or F16.
   *
   * @param name One of {@linkcode SafetensorsReader.tensors}.
   * @returns Its numbers as float32, row-major; exact.
   * @throws {InputError} as {@linkcode SafetensorsReader.bytes}, and for other dtypes.
   */
  numbers(name: string): Float32Array;
}

/** Formats of plain numbers by the names that safetensors gives them. */
const PLAIN: Partial<Record<SafetensorsDtype, PlainFormat>> = { F32: "f32", BF16: "bf16", F16: "f16" };

/**
 * Opens a file and reads its header. Everything that the header claims is checked before any tensor is read by it.
 *
 * @param path Path of the file.
 * @returns Names, dtypes and shapes of its tensors, and the means to read them.
 * @throws {InputError} if it is not there, cannot be read, or is not a well-formed safetensors file.
 * @throws {TypeError} if `path` is no string.
 *
 * @example
 * ```ts
 * import { readSafetensors } from "@mxoss/mxoss/safetensors";
 * import { assertEquals } from "@std/assert";
 *
 * const file = readSafetensors("models/tiny-gpt-oss/model.safetensors");
 * const norm = file.tensors.get("model.norm.weight")!;
 * assertEquals(file.numbers("model.norm.weight").length, norm.shape[0]);
 * ```
 */
export function readSafetensors(path: string): SafetensorsReader {
  refuseOtherThanText("path", path);
  const { tensors, metadata, identity } = openSafetensors(path);
  const find = (name: string): TensorInfo => {
    const found = tensors.get(name);
    refuseOtherThanText("name", name);
    if (found === undefined) throw InputError.saying("wrong_value", { file: path }, `no tensor ${printable(name)}`);
    return found;
  };
  const bytes = (name: string): Uint8Array<ArrayBuffer> => {
    const { offset, bytes } = find(name);
    const read = readable(path, () => {
      using file = Deno.openSync(path);
      return readExactly(file, path, offset, bytes);
    });
    refuseChanged([identity]);
    return read;
  };
  const numbers = (name: string): Float32Array => {
    const { dtype, shape } = find(name), format = PLAIN[dtype];
    if (format === undefined) {
      throw InputError.of("wrong_value", { file: path, tensor: printable(name) }, "F32, BF16 or F16", dtype);
    }
    return decodeElements(format, bytes(name), shape.reduce((product, size) => product * size, 1));
  };
  return { path, tensors, metadata, bytes, numbers };
}

/** A tensor to write. */
export interface TensorData {
  /** Safetensors' name of the dtype. */
  readonly dtype: WrittenDtype;
  /** Sizes, the outermost first; `[]` is a single number. */
  readonly shape: readonly number[];
  /** Its elements, row-major: a typed array of the dtype, or its bytes, little-endian. */
  readonly data: ArrayBufferView<ArrayBufferLike>;
}

/**
 * Writes a file that is either whole or not there: under a temporary name beside its own, which it gets at the end.
 *
 * @param path Where to write.
 * @param tensors Tensors by name.
 * @param options Whether a file that is there is replaced, and texts for the header.
 * @throws {InputError} if the file is there and `force` is not set, or its directory cannot be written to.
 * @throws {RangeError} if a tensor's data is not as long as its shape says, or its name, dtype or shape is none.
 * @throws {TypeError} if a tensor's data is a typed array of another dtype, or an argument is of another kind.
 * @throws {FailureError} if the disk is full or fails.
 *
 * @example
 * ```ts
 * import { readSafetensors, writeSafetensors } from "@mxoss/mxoss/safetensors";
 * import { assertEquals } from "@std/assert";
 *
 * const path = Deno.makeTempFileSync({ suffix: ".safetensors" });
 * writeSafetensors(path, { ids: { dtype: "F32", shape: [2], data: Float32Array.of(7, 8) } }, { force: true });
 * assertEquals(readSafetensors(path).numbers("ids"), Float32Array.of(7, 8));
 * Deno.removeSync(path);
 * ```
 */
export function writeSafetensors(
  path: string,
  tensors: Readonly<Record<string, TensorData>>,
  options: WriteOptions = {},
): void {
  refuseOtherThanText("path", path);
  // A Map has no such entries: an empty file would take the place of what is there.
  if (typeof tensors !== "object" || tensors === null || Symbol.iterator in tensors) {
    throw wrongKind("tensors", "an object of tensors by name", tensors);
  }
  const entries = Object.entries(tensors);
  const other = entries.find(([, tensor]) => typeof tensor !== "object" || tensor === null);
  if (other !== undefined) throw wrongKind(`tensor ${printable(other[0])}`, "an object", other[1]);
  const declared = entries.map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  using writer = SafetensorsWriter.create(path, declared, options);
  for (const [name, { data }] of entries) writer.append(name, data);
  writer.commit();
}
