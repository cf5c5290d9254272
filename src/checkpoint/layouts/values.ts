/** Reads calibrated scales: the few numbers that a plan needs before weights are loaded. */
import { openStored, type StoredFile } from "../../stored_files.ts";
import { InputError } from "../../errors.ts";
import type { StoredTensor } from "../files.ts";
import { readRandom } from "../random/contents.ts";
import { readable, readExactly } from "../../read.ts";
import { isOneOf, type TensorSet } from "../tensor_set.ts";

/** Dtypes of stored scales; all are widened to float32, F64 is rounded. */
const SCALE_DTYPES = ["BF16", "F16", "F32", "F64"] as const;

const WIDEN: Record<(typeof SCALE_DTYPES)[number], (buffer: ArrayBuffer) => Float32Array<ArrayBuffer>> = {
  BF16: (buffer) => new Float32Array(Uint32Array.from(new Uint16Array(buffer), (bits) => bits << 16).buffer),
  F16: (buffer) => Float32Array.from(new Float16Array(buffer)),
  F32: (buffer) => new Float32Array(buffer),
  F64: (buffer) => Float32Array.from(new Float64Array(buffer)),
};

/** Reads scales, keeping files open in between. */
export class ScaleReader implements Disposable {
  readonly #tensors: TensorSet;
  readonly #open = new Map<string, StoredFile>();

  constructor(tensors: TensorSet) {
    this.#tensors = tensors;
  }

  /**
   * All numbers of a tensor.
   *
   * @param lengths Allowed counts of numbers. The shape is not checked otherwise: a scalar may be stored as [] or [1].
   * @throws {InputError} for another dtype or number of numbers, and for numbers that are not finite and above 0.
   */
  read(tensor: StoredTensor, lengths: readonly number[]): Float32Array<ArrayBuffer> {
    const path = this.#tensors.pathOf(tensor);
    const values = this.numbers(tensor, lengths);
    const wrong = values.findIndex((value) => !(value > 0 && value < Infinity));
    if (wrong < 0) return values;
    const at = values.length === 1 ? "" : ` at element ${wrong}`;
    throw InputError.of(
      "wrong_value",
      { file: path, tensor: tensor.name },
      "finite scales above 0",
      `${values[wrong]}${at}`,
    );
  }

  /**
   * All numbers of a tensor, whatever they are.
   *
   * @param lengths As of {@linkcode ScaleReader.read}.
   * @throws {InputError} for another dtype or number of numbers.
   */
  numbers(tensor: StoredTensor, lengths: readonly number[]): Float32Array<ArrayBuffer> {
    const length = tensor.shape.reduce((product, size) => product * size, 1);
    if (!isOneOf(tensor, SCALE_DTYPES) || !lengths.includes(length)) {
      this.#tensors.refuse(tensor, `BF16, F16, F32 or F64 with ${[...new Set(lengths)].join(" or ")} elements`);
    }
    return WIDEN[tensor.dtype](this.bytes(tensor).buffer);
  }

  /** The raw bytes of a tensor, or some of them. */
  bytes(tensor: StoredTensor, from = 0, count = tensor.bytes - from): Uint8Array<ArrayBuffer> {
    const path = this.#tensors.pathOf(tensor), random = this.#tensors.randomOf(tensor);
    if (random !== undefined) {
      const bytes = new Uint8Array(count);
      readRandom(random, tensor.offset + from, bytes);
      return bytes;
    }
    return readable(path, () => readExactly(this.#file(path), path, tensor.offset + from, count));
  }

  #file(path: string): StoredFile {
    let file = this.#open.get(path);
    if (file === undefined) this.#open.set(path, file = openStored(path));
    return file;
  }

  [Symbol.dispose](): void {
    for (const file of this.#open.values()) file.close();
  }
}
