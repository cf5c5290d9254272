/**
 * The safetensors container: eight bytes of header length, a JSON header, and data. Everything that the header claims
 * is checked before anything is allocated by it; tensors lie side by side without hole, overlap or rest, so that a file
 * means one thing only.
 */
import { openStored, statStored } from "../stored_files.ts";
import { InputError } from "../errors.ts";
import { printable, shapeText } from "../describe.ts";
import { foreignFile } from "../foreign.ts";
import { kindOf } from "./atomic.ts";
import { type HeaderEntry, MAX_TENSORS, scanHeader } from "./header.ts";
import { type FileIdentity, identify } from "./identity.ts";
import type { RandomContents } from "./random/contents.ts";
import { readable, readExactly } from "../read.ts";

/** Safetensors' names of element types; `F8_E4M3` is float8_e4m3fn. */
export type SafetensorsDtype =
  | "BOOL"
  | "F4"
  | "F6_E2M3"
  | "F6_E3M2"
  | "U8"
  | "I8"
  | "F8_E4M3"
  | "F8_E4M3FNUZ"
  | "F8_E5M2"
  | "F8_E5M2FNUZ"
  | "F8_E8M0"
  | "U16"
  | "I16"
  | "F16"
  | "BF16"
  | "U32"
  | "I32"
  | "F32"
  | "U64"
  | "I64"
  | "F64"
  | "C64";

/** Bits of one element of each dtype that the format knows. */
const DTYPE_BITS: Readonly<Record<SafetensorsDtype, number>> = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E4M3: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2: 8,
  F8_E5M2FNUZ: 8,
  F8_E8M0: 8,
  U16: 16,
  I16: 16,
  F16: 16,
  BF16: 16,
  U32: 32,
  I32: 32,
  F32: 32,
  U64: 64,
  I64: 64,
  F64: 64,
  C64: 64,
};

/** A tensor in a file, row-major, little-endian. */
export interface TensorInfo {
  /** Name in the header. */
  readonly name: string;
  /** Type of its elements. */
  readonly dtype: SafetensorsDtype;
  /** Sizes, the outermost first; `[]` is a single element. */
  readonly shape: readonly number[];
  /** Bytes from the start of the file. Nothing is promised about its alignment. */
  readonly offset: number;
  /** Bytes of its data. */
  readonly bytes: number;
}

/** A validated file. */
export interface SafetensorsFile {
  readonly path: string;
  /** Size of the file. */
  readonly bytes: number;
  /** Bytes before the data: the header and its length. */
  readonly dataStart: number;
  /** By name, in the order of their data. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** The header's `__metadata__`. */
  readonly metadata: ReadonlyMap<string, string>;
}

/** A validated file on disk. */
export interface OpenedSafetensors extends SafetensorsFile {
  /** As it was before anything was read of it. */
  readonly identity: FileIdentity;
  /** See `SourceFile.random`. */
  readonly random?: RandomContents;
}

/** Largest header, as in the reference implementation of the format; here of all files of a checkpoint together. */
export const MAX_HEADER_BYTES = 100_000_000;
const LENGTH_BYTES = 8;
const BRACE = 0x7b;

/** What the remaining files of a checkpoint may still hold. */
export interface HeaderRoom {
  readonly bytes: number;
  readonly tensors: number;
}
const WHOLE_ROOM: HeaderRoom = { bytes: MAX_HEADER_BYTES, tensors: MAX_TENSORS };

/**
 * Opens a file, reads its header and closes it.
 *
 * @throws {InputError} when it is not there, cannot be read, or is not a well-formed safetensors file.
 */
export function openSafetensors(path: string, room: HeaderRoom = WHOLE_ROOM): OpenedSafetensors {
  return readable(path, () => {
    const found = statStored(path), { isFile, size } = found, identity = identify(path);
    // A pipe would block when it is opened.
    if (!isFile) throw InputError.of("wrong_value", { file: path }, "a file", kindOf(found));
    if (size < LENGTH_BYTES) {
      throw InputError.of(
        "wrong_value",
        { file: path },
        `at least ${LENGTH_BYTES} bytes of header length`,
        `${size} bytes`,
      );
    }
    using file = openStored(path);
    const begin = readExactly(file, path, 0, Math.min(size, LENGTH_BYTES + 1));
    // A length may begin as the file of another tool does, but a header begins with a brace.
    const foreign = begin[LENGTH_BYTES] === BRACE ? null : foreignFile(path);
    if (foreign !== null) throw InputError.of("malformed", { file: path }, "a safetensors file", foreign);
    const length = headerLength(begin, size, path);
    if (length > room.bytes) {
      throw InputError.of(
        "too_large",
        { file: path, name: `header length ${length}` },
        `at most ${MAX_HEADER_BYTES} for all files of a checkpoint together`,
      );
    }
    const parsed = parseSafetensors(readExactly(file, path, LENGTH_BYTES, length), size, path, room.tensors);
    return { ...parsed, identity };
  });
}

/**
 * The tensors that a header describes.
 *
 * @param header The header's bytes, without the length.
 * @param fileBytes Size of the whole file.
 * @param path What messages begin with.
 * @param most How many tensors it may describe.
 * @throws {InputError} when the header is malformed or does not fit the file.
 */
export function parseSafetensors(
  header: Uint8Array<ArrayBuffer>,
  fileBytes: number,
  path: string,
  most: number = MAX_TENSORS,
): SafetensorsFile {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(header);
  } catch {
    throw InputError.of("malformed", { file: path, key: "header" }, "UTF-8", "other bytes");
  }
  const { entries, metadata } = scanHeader(text, path, most);
  const dataStart = LENGTH_BYTES + header.length;
  return { path, bytes: fileBytes, dataStart, tensors: place(entries, dataStart, fileBytes, path), metadata };
}

function headerLength(bytes: Uint8Array<ArrayBuffer>, fileBytes: number, path: string): number {
  const length = new DataView(bytes.buffer).getBigUint64(0, true);
  if (length > BigInt(fileBytes - LENGTH_BYTES)) {
    throw InputError.saying(
      "malformed",
      { file: path },
      `header length ${length} goes beyond the file's ${fileBytes} bytes`,
    );
  }
  if (length > BigInt(MAX_HEADER_BYTES)) {
    throw InputError.of("too_large", { file: path, name: `header length ${length}` }, `at most ${MAX_HEADER_BYTES}`);
  }
  return Number(length);
}

function place(
  entries: readonly HeaderEntry[],
  dataStart: number,
  fileBytes: number,
  path: string,
): ReadonlyMap<string, TensorInfo> {
  const tensors = new Map<string, TensorInfo>();
  let last = { name: "", end: 0 };
  // Empty tensors go before others that begin at the same place.
  for (const entry of entries.toSorted((a, b) => a.begin - b.begin || a.end - b.end)) {
    const { name, begin, end } = entry;
    const bytes = sizeOf(entry, path);
    if (begin < last.end) {
      throw InputError.saying(
        "malformed",
        { file: path },
        `tensors ${printable(last.name)} and ${
          printable(name)
        } overlap: one ends at ${last.end}, one begins at ${begin}`,
      );
    }
    if (begin > last.end) {
      throw InputError.saying(
        "malformed",
        { file: path },
        `a hole of ${begin - last.end} bytes before tensor ${printable(name)}`,
      );
    }
    if (dataStart + end > fileBytes) {
      throw InputError.saying(
        "malformed",
        { file: path },
        `truncated: tensor ${printable(name)} ends at byte ${dataStart + end}, the file at ${fileBytes}`,
      );
    }
    tensors.set(name, {
      name,
      dtype: entry.dtype as SafetensorsDtype,
      shape: entry.shape,
      offset: dataStart + begin,
      bytes,
    });
    last = { name, end };
  }
  const rest = fileBytes - dataStart - last.end;
  if (rest !== 0) throw InputError.saying("malformed", { file: path }, `${rest} trailing bytes after the last tensor`);
  return tensors;
}

/** Bytes of a tensor, from its dtype and shape, which its offsets must confirm. */
function sizeOf({ name, dtype, shape, begin, end }: HeaderEntry, path: string): number {
  const subject = `${path}: tensor ${printable(name)}`;
  if (!Object.hasOwn(DTYPE_BITS, dtype)) {
    throw InputError.of("wrong_value", { name: subject }, "a dtype of safetensors", `"${printable(dtype)}"`);
  }
  let bits: number = DTYPE_BITS[dtype as SafetensorsDtype];
  for (const size of shape) {
    bits *= size;
    if (bits > Number.MAX_SAFE_INTEGER) {
      throw InputError.saying("wrong_value", { name: subject }, `shape ${shapeText(shape)} overflows`);
    }
  }
  if (end < begin) {
    throw InputError.of("wrong_value", { name: `${subject}: data_offsets` }, "begin before end", `[${begin}, ${end}]`);
  }
  if (bits !== (end - begin) * 8) {
    throw InputError.saying(
      "wrong_value",
      { name: subject },
      `${dtype} ${shapeText(shape)} takes ${bits / 8} bytes, but data_offsets [${begin}, ${end}] hold ${end - begin}`,
    );
  }
  return end - begin;
}
