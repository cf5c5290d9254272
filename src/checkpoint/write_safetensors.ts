/** Writes a safetensors file that is either whole or not there. */
import { dirname } from "node:path";
import { printable, shapeText, show } from "../describe.ts";
import { InputError } from "../errors.ts";
import { cannotWrite, refuseSpecial, TemporaryFile } from "./atomic.ts";
import { option, words } from "../words.ts";

/** Safetensors' names of the dtypes that can be written. */
export type WrittenDtype = "F32" | "I32" | "BF16" | "F16" | "U8" | "F8_E4M3" | "F8_E4M3FNUZ";

/** Bytes of one element of each dtype that can be written. */
const ELEMENT_BYTES: Readonly<Record<WrittenDtype, number>> = {
  F32: 4,
  I32: 4,
  BF16: 2,
  F16: 2,
  U8: 1,
  F8_E4M3: 1,
  F8_E4M3FNUZ: 1,
};

/** Typed arrays that hold elements of each dtype; bytes may be of any. */
const ARRAYS: Readonly<Record<WrittenDtype, readonly string[]>> = {
  F32: ["Float32Array"],
  I32: ["Int32Array"],
  BF16: ["Uint16Array"],
  F16: ["Uint16Array", "Float16Array"],
  U8: [],
  F8_E4M3: [],
  F8_E4M3FNUZ: [],
};
const BYTES: readonly string[] = ["Uint8Array", "DataView"];

/** A tensor to be written, row-major. */
export interface WrittenTensor {
  /** Name in the header. */
  readonly name: string;
  /** Type of its elements. */
  readonly dtype: WrittenDtype;
  /** Sizes, the outermost first; `[]` is a single element. */
  readonly shape: readonly number[];
}

/** Bytes of a tensor's data. */
export function writtenBytes({ dtype, shape }: WrittenTensor): number {
  return shape.reduce((product, size) => product * size, ELEMENT_BYTES[dtype]);
}

/** How a file is written. */
export interface WriteOptions {
  /** Replace a file that is there; default: it is refused. */
  readonly force?: boolean;
  /** Texts for the header's `__metadata__`. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** A tensor's place in the file. */
interface Place {
  readonly dtype: WrittenDtype;
  readonly start: number;
  readonly bytes: number;
  written: number;
}

/** Name in the header of what is no tensor. */
const METADATA = "__metadata__";

/** Alignment of the data section, in bytes; readers that map the file count on it. */
const ALIGNMENT = 8;

/**
 * A safetensors file being written under a temporary name beside its own. The header is known from the start, so
 * tensors larger than memory can be appended piece by piece, several of them in turns.
 *
 * @example
 * ```ts
 * import { SafetensorsWriter } from "@mxoss/mxoss/safetensors";
 *
 * const path = Deno.makeTempFileSync({ suffix: ".safetensors" });
 * using writer = SafetensorsWriter.create(path, [{ name: "ids", dtype: "I32", shape: [4] }], { force: true });
 * writer.append("ids", Int32Array.of(7, 8));
 * writer.append("ids", Int32Array.of(9, 10));
 * writer.commit();
 * Deno.removeSync(path);
 * ```
 */
export class SafetensorsWriter implements Disposable {
  readonly #path: string;
  readonly #force: boolean;
  readonly #file: TemporaryFile;
  readonly #places: ReadonlyMap<string, Place>;

  private constructor(path: string, tensors: readonly WrittenTensor[], options: WriteOptions) {
    if (typeof path !== "string") throw new TypeError(`path: expected a string, got ${show(path)}`);
    refuseOtherOptions(options);
    const { header, places } = layOut(tensors, options.metadata);
    this.#path = path;
    this.#force = options.force ?? false;
    this.#places = places;
    refuseTarget(path, this.#force);
    this.#file = new TemporaryFile(path);
    this.#file.write(header, 0);
  }

  /**
   * Starts a file.
   *
   * @param path Where the file will be.
   * @param tensors What it will hold.
   * @param options Whether a file that is there is replaced, and texts for the header.
   * @returns The writer, which is disposed of in every case: without a commit it leaves nothing.
   * @throws {RangeError} for a name that is declared twice, is `__metadata__` or has half a surrogate pair, and for
   *   sizes that are no counts.
   * @throws {TypeError} for names and texts that are no strings, tensors that are no list, and options that are none.
   * @throws {InputError} where the file is there and `force` is not set, or cannot be written.
   */
  static create(path: string, tensors: readonly WrittenTensor[], options: WriteOptions = {}): SafetensorsWriter {
    return new SafetensorsWriter(path, tensors, options);
  }

  /**
   * Appends little-endian elements to a tensor.
   *
   * @param name The tensor's name.
   * @param elements The elements that follow those appended before: a typed array of the dtype, or bytes.
   * @throws {RangeError} for a name that was not declared, or more bytes than its shape has.
   * @throws {TypeError} for elements of another kind, and after the file was committed or given up.
   * @throws {FailureError} when the disk is full or fails.
   */
  append(name: string, elements: ArrayBufferView<ArrayBufferLike>): void {
    const place = this.#places.get(name);
    if (place === undefined) throw new RangeError(`tensor ${nameText(name)}: was not declared`);
    refuseOthers(name, place.dtype, elements);
    if (place.written + elements.byteLength > place.bytes) {
      const more = place.written + elements.byteLength - place.bytes;
      throw new RangeError(`tensor ${nameText(name)}: ${more} bytes more than were declared`);
    }
    const bytes = new Uint8Array(elements.buffer, elements.byteOffset, elements.byteLength);
    this.#file.write(bytes, place.start + place.written);
    place.written += elements.byteLength;
  }

  /**
   * Brings the file to the disk and gives it its name.
   *
   * @throws {RangeError} if a tensor is not complete.
   * @throws {InputError} if a file of that name has appeared meanwhile and `force` is not set.
   * @throws {FailureError} when the disk is full or fails.
   * @throws {TypeError} after the file was committed or given up.
   */
  commit(): void {
    for (const [name, { written, bytes }] of this.#places) {
      if (written !== bytes) {
        throw new RangeError(`tensor ${nameText(name)}: ${written} bytes written, ${bytes} declared`);
      }
    }
    refuseTarget(this.#path, this.#force);
    this.#file.commit();
  }

  /** Removes the temporary file, unless {@linkcode commit} gave it its name. */
  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]();
  }
}

/** Refuses elements whose bytes would be read as other numbers: float32 for bf16, integers for floats. */
function refuseOthers(name: string, dtype: WrittenDtype, elements: ArrayBufferView<ArrayBufferLike>): void {
  // The kind, also of what is made from such an array, as Node's Buffer is.
  const kind = Object.prototype.toString.call(elements).slice("[object ".length, -1);
  const expected = [...ARRAYS[dtype], ...BYTES], isView = ArrayBuffer.isView(elements);
  if (isView && expected.includes(kind) && !(elements.buffer as ArrayBuffer).detached) return;
  const got = isView && expected.includes(kind) ? `${kind} whose buffer is detached` : kind;
  throw new TypeError(`tensor ${nameText(name)}: expected ${expected.join(" or ")} for ${dtype}, got ${got}`);
}

const nameText = (name: unknown): string => typeof name === "string" ? printable(name) : show(name);

/** @throws {TypeError} for options that are none, or of another kind: a file would be replaced, or its texts lost. */
function refuseOtherOptions(options: WriteOptions): void {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`options: expected an object, got ${show(options)}`);
  }
  const other = Object.keys(options).find((name) => name !== "force" && name !== "metadata");
  if (other !== undefined) throw new TypeError(`options: expected force and metadata, got ${printable(other)}`);
  const { force = false, metadata = {} } = options;
  if (typeof force !== "boolean") throw new TypeError(`force: expected true or false, got ${show(force)}`);
  // A Map has no entries that an object has, and a list is none when it is written.
  if (typeof metadata !== "object" || metadata === null || Symbol.iterator in metadata) {
    throw new TypeError(`metadata: expected an object of texts, got ${show(metadata)}`);
  }
  for (const [key, text] of Object.entries(metadata)) {
    if (typeof text !== "string") {
      throw new TypeError(`metadata ${printable(key)}: expected a string, got ${show(text)}`);
    }
    if (key.isWellFormed() && text.isWellFormed()) continue;
    throw new RangeError(`metadata ${printable(key)}: expected Unicode text, got half a surrogate pair`);
  }
}

/** Refuses what would make a header that nobody can read. */
function refuseOtherTensors(tensors: readonly WrittenTensor[]): void {
  if (!Array.isArray(tensors)) throw new TypeError(`tensors: expected a list, got ${show(tensors)}`);
  for (const tensor of tensors) {
    if (typeof tensor !== "object" || tensor === null) throw new TypeError(`tensors: expected objects, got ${tensor}`);
    const { name, dtype, shape } = tensor as WrittenTensor;
    if (typeof name !== "string") throw new TypeError(`tensors: expected a name that is a string, got ${show(name)}`);
    const where = `tensor ${nameText(name)}`;
    if (!name.isWellFormed()) throw new RangeError(`${where}: expected Unicode text, got half a surrogate pair`);
    if (!Object.hasOwn(ELEMENT_BYTES, dtype)) {
      throw new RangeError(`${where}: expected ${Object.keys(ELEMENT_BYTES).join(", ")}, got ${dtype}`);
    }
    // `every` of an array passes over its holes.
    const isShape = Array.isArray(shape) && Array.from(shape).every((size) => Number.isSafeInteger(size) && size >= 0);
    if (!isShape) {
      throw new RangeError(`${where}: ${Array.isArray(shape) ? shapeText(shape) : show(shape)} is no shape`);
    }
  }
}

/**
 * Header bytes, and where each tensor's data goes: wide elements first, so that every tensor is aligned to its element.
 */
function layOut(tensors: readonly WrittenTensor[], metadata: WriteOptions["metadata"]) {
  refuseOtherTensors(tensors);
  const ordered = tensors.toSorted((a, b) =>
    ELEMENT_BYTES[b.dtype] - ELEMENT_BYTES[a.dtype] || (a.name < b.name ? -1 : 1)
  );
  // Without a prototype, so that any name is one of its own.
  const entries: Record<string, unknown> = Object.create(null);
  if (metadata !== undefined) entries[METADATA] = metadata;
  const sizes: { name: string; dtype: WrittenDtype; start: number; bytes: number }[] = [];
  let end = 0;
  for (const tensor of ordered) {
    const { name, dtype, shape } = tensor, bytes = writtenBytes(tensor);
    if (name === METADATA || Object.hasOwn(entries, name)) {
      const problem = name === METADATA ? "the name of the header's texts" : "declared twice";
      throw new RangeError(`tensor ${nameText(name)}: ${problem}`);
    }
    if (!Number.isSafeInteger(end + bytes)) {
      throw new RangeError(`tensor ${nameText(name)}: ${shapeText(shape)} is no shape`);
    }
    entries[name] = { dtype, shape, data_offsets: [end, end + bytes] };
    sizes.push({ name, dtype, start: end, bytes });
    end += bytes;
  }
  const text = new TextEncoder().encode(JSON.stringify(entries));
  const padded = Math.ceil(text.length / ALIGNMENT) * ALIGNMENT;
  const header = new Uint8Array(8 + padded).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(padded), true);
  header.set(text, 8);
  const places = sizes.map(({ name, dtype, start, bytes }) =>
    [name, { dtype, start: header.length + start, bytes, written: 0 }] as const
  );
  return { header, places: new Map<string, Place>(places) };
}

/**
 * Refuses a file that must not be written, before anything is computed for it.
 *
 * @throws {InputError} where the file is there and `force` is not set, it is not a regular file, or its directory is
 *   missing.
 */
export function refuseTarget(path: string, force: boolean): void {
  if (refuseSpecial(path) !== null) {
    if (!force) {
      throw InputError.saying("occupied", { file: path }, words`exists already; ${option("force")} replaces it`);
    }
    return;
  }
  const above = dirname(path);
  try {
    Deno.statSync(above);
  } catch (missing) {
    if (!(missing instanceof Deno.errors.NotFound)) throw cannotWrite(path, missing);
    throw InputError.saying("missing", { file: path }, `cannot be written: no directory ${above}`);
  }
}
