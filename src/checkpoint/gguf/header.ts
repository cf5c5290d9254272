/**
 * The head of a GGUF file (versions 2 and 3, little-endian): its metadata, and where its tensors lie. Source of the
 * format: docs/gguf.md of ggml. Sizes are checked before they are used: files come from strangers.
 */
import { printable, shapeText, show } from "../../describe.ts";
import { InputError } from "../../errors.ts";
import { foreignBytes } from "../../foreign.ts";
import { readable, readExactly } from "../../read.ts";
import { openStored, statStored } from "../../stored_files.ts";
import { Cursor, type GgufValue, Short } from "./cursor.ts";
import { READ_TYPES, typeName } from "./types.ts";

/** A tensor in a file. */
export interface GgufTensor {
  readonly name: string;
  /** Sizes as other formats have them, the outermost first: the file has them the other way round. */
  readonly shape: readonly number[];
  /** Id of its type; {@linkcode READ_TYPES} knows those that are read. */
  readonly type: number;
  /** From the start of the file. */
  readonly offset: number;
  /** Bytes of its data; null where its type is not known. */
  readonly bytes: number | null;
}

/** What the head of a file says. */
export interface GgufFile {
  readonly path: string;
  /** Size of the file. */
  readonly bytes: number;
  readonly values: ReadonlyMap<string, GgufValue>;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

const MAGIC = 0x46554747;
const VERSIONS = [2, 3];
const ALIGNMENT_KEY = "general.alignment";
const DEFAULT_ALIGNMENT = 32;
/** A head is some 14 MB with the vocabulary of gpt-oss: it is read at once, and a larger one once more. */
const HEAD_BYTES = [1 << 25, 1 << 28];
const MAX_VALUES = 1 << 16, MAX_TENSORS = 1 << 16, MAX_DIMENSIONS = 4;

/**
 * Reads the head of a file.
 *
 * @throws {InputError} when it is no GGUF file, is cut short, or says what cannot be.
 */
export function openGguf(path: string): GgufFile {
  return readable(path, () => {
    const { isFile, isDirectory } = statStored(path);
    if (!isFile) {
      const got = isDirectory ? "a directory" : "a device or a pipe";
      throw InputError.of("wrong_value", { file: path }, "a GGUF file", got);
    }
    using file = openStored(path);
    const { size } = file.statSync();
    for (const most of HEAD_BYTES) {
      const head = readExactly(file, path, 0, Math.min(size, most));
      try {
        return parse(head, path, size);
      } catch (thrown) {
        if (!(thrown instanceof Short)) throw thrown;
      }
      if (head.length === size) throw InputError.saying("malformed", { file: path }, "ends within its header");
    }
    throw InputError.of("too_large", { file: path }, `a header of at most ${HEAD_BYTES.at(-1)} bytes`, "more");
  });
}

function parse(head: Uint8Array<ArrayBuffer>, path: string, size: number): GgufFile {
  const cursor = new Cursor(head, path);
  if (head.length < 4 || cursor.u32() !== MAGIC) {
    throw InputError.of("malformed", { file: path }, "a GGUF file", foreignBytes(head) ?? "none");
  }
  const version = cursor.u32();
  if (!VERSIONS.includes(version)) {
    const swapped = VERSIONS.some((known) => known << 24 === version);
    cursor.fail("version", "2 or 3", swapped ? "a file of big-endian machines" : version);
  }
  const tensorCount = cursor.count("number of tensors", MAX_TENSORS);
  const valueCount = cursor.count("number of values", MAX_VALUES);
  const values = new Map<string, GgufValue>();
  for (let i = 0; i < valueCount; i++) {
    const key = cursor.text("a key");
    if (values.has(key)) cursor.fail(printable(key), "each key once", "it twice");
    values.set(key, cursor.value(printable(key)));
  }
  const infos = Array.from({ length: tensorCount }, () => readTensor(cursor));
  const alignment = alignmentOf(values, cursor);
  const start = Math.ceil(cursor.at / alignment) * alignment;
  const tensors = new Map<string, GgufTensor>();
  for (const { name, offset, ...info } of infos) {
    if (tensors.has(name)) cursor.fail(`tensor ${printable(name)}`, "each tensor once", "it twice");
    if (offset % alignment !== 0) cursor.fail(`tensor ${printable(name)}`, `an offset by ${alignment}`, offset);
    tensors.set(name, { ...info, name, offset: start + offset });
  }
  refuseOverlaps([...tensors.values()], path, size);
  return { path, bytes: size, values, tensors };
}

function readTensor(cursor: Cursor) {
  const name = cursor.text("name of a tensor"), about = `tensor ${printable(name)}`;
  const dimensions = cursor.u32();
  if (dimensions > MAX_DIMENSIONS) cursor.fail(about, `at most ${MAX_DIMENSIONS} dimensions`, dimensions);
  const sizes = Array.from({ length: dimensions }, () => cursor.count(about, Number.MAX_SAFE_INTEGER));
  const shape = sizes.toReversed(), elements = sizes.reduce((product, size) => product * size, 1);
  if (!Number.isSafeInteger(elements)) cursor.fail(about, "fewer than 2^53 numbers", shapeText(shape));
  const type = cursor.u32(), known = READ_TYPES.get(type);
  if (known !== undefined && (shape.at(-1) ?? 1) % known.block !== 0) {
    cursor.fail(about, `rows of whole blocks of ${known.block} (${typeName(type)})`, shapeText(shape));
  }
  const bytes = known === undefined ? null : elements / known.block * known.bytes;
  return { name, shape, type, bytes, offset: cursor.count(about, Number.MAX_SAFE_INTEGER) };
}

function alignmentOf(values: ReadonlyMap<string, GgufValue>, cursor: Cursor): number {
  const said = values.get(ALIGNMENT_KEY);
  if (said === undefined) return DEFAULT_ALIGNMENT;
  const value = typeof said === "object" && "value" in said && said.isInteger ? said.value : 0;
  const isPower = value > 0 && value <= 1 << 20 && (value & (value - 1)) === 0;
  return isPower ? value : cursor.fail(ALIGNMENT_KEY, "a power of two", value > 0 ? value : show(said));
}

/** Refuses tensors that end outside of the file, or lie in one another. */
function refuseOverlaps(tensors: readonly GgufTensor[], path: string, size: number): void {
  let last: GgufTensor | null = null, end = 0;
  for (const tensor of tensors.toSorted((a, b) => a.offset - b.offset)) {
    const { name, offset, bytes } = tensor;
    if (last !== null && offset < end) {
      const got = `its data in that of ${printable(last.name)}`;
      throw InputError.of("malformed", { file: path, tensor: printable(name) }, "data of its own", got);
    }
    if (offset + (bytes ?? 0) > size) {
      const expected = `${offset + (bytes ?? 0)} bytes, up to its end`;
      throw InputError.of("malformed", { file: path, tensor: printable(name) }, expected, `a file of ${size}`);
    }
    if ((bytes ?? 0) > 0) [last, end] = [tensor, offset + bytes!];
  }
}
