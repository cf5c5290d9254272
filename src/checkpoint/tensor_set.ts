/**
 * The tensors of a checkpoint as a layout takes them: by name, with the shape and dtype that it expects, each
 * remembered as used.
 */
import { bytesOf } from "../formats/format.ts";
import { InputError } from "../errors.ts";
import { anyOf, printable, shapeText } from "../describe.ts";
import type { StoredTensor, WeightFiles } from "./files.ts";
import type { RandomContents } from "./random/contents.ts";
import type { SafetensorsDtype } from "./safetensors.ts";
import type { MatrixSource, VectorSource } from "./source.ts";

/** Dtypes of plain numbers, and what the rest of the program calls them. */
export const PLAIN = { BF16: "bf16", F16: "f16", F32: "f32" } as const;
const PLAIN_DTYPES = ["BF16", "F16", "F32"] as const;
/** Tensors by name. */
export class TensorSet {
  /** Taken scales of MX blocks, bytes or plain numbers, whose values no header can show. */
  readonly e8m0: StoredTensor[] = [];
  /** What messages about the whole set begin with. */
  readonly place: string;
  readonly #weights: WeightFiles;
  readonly #used = new Set<string>();

  constructor(weights: WeightFiles, dir: string) {
    this.#weights = weights;
    this.place = weights.files.length === 1 ? weights.files[0]!.path : dir;
  }

  has(name: string): boolean {
    return this.#weights.tensors.has(name);
  }

  /** A tensor of any dtype and shape; null if there is none. */
  find(name: string): StoredTensor | null {
    const tensor = this.#weights.tensors.get(name);
    if (tensor === undefined) return null;
    this.#used.add(name);
    return tensor;
  }

  /**
   * A tensor.
   *
   * @throws {InputError} if it is missing, or of another dtype or shape.
   */
  take<T extends SafetensorsDtype>(
    name: string,
    dtypes: readonly T[],
    shape: readonly number[],
  ): StoredTensor & { readonly dtype: T } {
    const expected = `${anyOf(dtypes)} ${shapeText(shape)}`;
    const tensor = this.find(name);
    if (tensor === null) throw InputError.of("missing", { file: this.place, tensor: name }, expected, "nothing");
    if (!hasShape(tensor, shape) || !isOneOf(tensor, dtypes)) this.refuse(tensor, expected);
    return tensor as StoredTensor & { readonly dtype: T };
  }

  /** Refuses a tensor for its dtype or shape. */
  refuse(tensor: StoredTensor, expected: string): never {
    const got = `${tensor.dtype} ${shapeText(tensor.shape)}`;
    throw InputError.of("wrong_value", { file: this.pathOf(tensor), tensor: printable(tensor.name) }, expected, got);
  }

  /** Path of the file that a tensor is in. */
  pathOf(tensor: StoredTensor): string {
    return this.#weights.files[tensor.file]!.path;
  }

  /** What a tensor's bytes are made of, where they are in no file. */
  randomOf(tensor: StoredTensor): RandomContents | undefined {
    return this.#weights.files[tensor.file]!.random;
  }

  /** A vector of plain numbers. */
  vector(name: string, length: number): VectorSource {
    const { dtype, file, offset } = this.take(name, PLAIN_DTYPES, [length]);
    return { name, format: PLAIN[dtype], length, file, offset };
  }

  /** The rows of a matrix of plain numbers, as vectors. */
  vectors(name: string, rows: number, length: number): VectorSource[] {
    const { dtype, file, offset } = this.take(name, PLAIN_DTYPES, [rows, length]);
    const format = PLAIN[dtype], bytes = bytesOf(format, length);
    return Array.from({ length: rows }, (_, row) => ({ name, format, length, file, offset: offset + row * bytes }));
  }

  /** A matrix of plain numbers. */
  matrix(name: string, rows: number, cols: number): MatrixSource {
    return this.matrices(name, [], rows, cols)[0]!;
  }

  /**
   * Matrices of plain numbers in one tensor.
   *
   * @param lead Dimensions before those of a matrix: none, or how many matrices.
   */
  matrices(name: string, lead: readonly number[], rows: number, cols: number, transposed = false): MatrixSource[] {
    const stored = transposed ? [cols, rows] : [rows, cols];
    const { dtype, file, offset } = this.take(name, PLAIN_DTYPES, [...lead, ...stored]);
    const format = PLAIN[dtype];
    const rowBytes = bytesOf(format, transposed ? rows : cols), bytes = (transposed ? cols : rows) * rowBytes;
    return Array.from({ length: lead[0] ?? 1 }, (_, i) => ({
      name,
      format,
      rows,
      cols,
      transposed,
      file,
      offset: offset + i * bytes,
      rowBytes,
      rowStride: rowBytes,
      scale: { kind: "none" },
    }));
  }

  /** Names of tensors that were not taken. */
  unused(): string[] {
    return [...this.#weights.tensors.keys()].filter((name) => !this.#used.has(name));
  }
}

/** Whether a tensor has a shape. */
export function hasShape(tensor: StoredTensor, shape: readonly number[]): boolean {
  return tensor.shape.length === shape.length && shape.every((size, i) => tensor.shape[i] === size);
}

/** Whether a tensor's dtype is among some. */
export function isOneOf<T extends SafetensorsDtype>(
  tensor: StoredTensor,
  dtypes: readonly T[],
): tensor is StoredTensor & { readonly dtype: T } {
  return (dtypes as readonly SafetensorsDtype[]).includes(tensor.dtype);
}
