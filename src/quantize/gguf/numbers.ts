/** Numbers of a GGUF file's tensors in the dtype that the checkpoint has them in, none rounded. */
import { MXFP4_BYTES, Q8_0_BYTES } from "../../checkpoint/gguf/types.ts";
import type { RangeReader } from "../../conversion/range_reader.ts";
import { printable } from "../../describe.ts";
import { InputError } from "../../errors.ts";
import { decodeQ8, fitBf16, upperHalves } from "./blocks.ts";
import type { ReadTensor } from "./tensors.ts";

/** Bytes that are read at once: whole blocks of each type. */
export const READ_BYTES = MXFP4_BYTES * Q8_0_BYTES * (1 << 14);
/** Largest float32 tensor that is looked through for whether bfloat16 holds it; larger ones stay float32. */
const LOOKED_THROUGH = 1 << 26;

/** What pieces are made with. */
export interface Source {
  readonly reader: RangeReader;
  /** Paths of the files. */
  readonly paths: readonly string[];
}

/** Dtypes of plain numbers in a checkpoint. */
export type PlainDtype = "BF16" | "F16" | "F32";

/** Bytes of a tensor from `at` on. */
export function readBytes(
  { reader }: Source,
  { file, offset }: ReadTensor,
  at: number,
  bytes: number,
): Uint8Array<ArrayBuffer> {
  const buffer = new Uint8Array(bytes);
  reader.read(file, offset + at, buffer);
  return buffer;
}

/** The narrowest dtype that holds the numbers of all tensors as they are; small float32 tensors are read for it. */
export function dtypeOf(from: readonly ReadTensor[], source: Source): PlainDtype {
  const dtypes = new Set(from.map((one) => ownDtype(one, source)));
  return dtypes.size === 1 ? [...dtypes][0]! : "F32";
}

function ownDtype(from: ReadTensor, source: Source): PlainDtype {
  if (from.format === "BF16" || from.format === "F16") return from.format;
  const isLooked = from.format === "F32" && from.bytes <= LOOKED_THROUGH;
  return isLooked && fitBf16(new Uint32Array(readBytes(source, from, 0, from.bytes).buffer)) ? "BF16" : "F32";
}

/**
 * Numbers of a tensor as words of a dtype that holds them.
 *
 * @param at Byte of the tensor that they begin with; of Q8_0 a block's first.
 * @throws {InputError} for a scale of Q8_0 that is not finite.
 */
export function readWords(
  source: Source,
  from: ReadTensor,
  dtype: PlainDtype,
  at: number,
  bytes: number,
): Uint16Array<ArrayBuffer> | Uint32Array<ArrayBuffer> {
  const { buffer } = readBytes(source, from, at, bytes);
  if (from.format === "Q8_0") return new Uint32Array(decoded(new Uint8Array(buffer), from, at, source).buffer);
  if (dtype !== "F32") return from.format === "F32" ? upperHalves(new Uint32Array(buffer)) : new Uint16Array(buffer);
  if (from.format === "F32") return new Uint32Array(buffer);
  if (from.format === "F16") return new Uint32Array(Float32Array.from(new Float16Array(buffer)).buffer);
  return Uint32Array.from(new Uint16Array(buffer), (half) => half << 16);
}

function decoded(bytes: Uint8Array, from: ReadTensor, at: number, { paths }: Source): Float32Array<ArrayBuffer> {
  const numbers = decodeQ8(bytes);
  if (numbers !== null) return numbers;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let block = 0;
  while (Number.isFinite(view.getFloat16(block * Q8_0_BYTES, true))) block++;
  const got = `${view.getFloat16(block * Q8_0_BYTES, true)} of block ${at / Q8_0_BYTES + block}`;
  throw InputError.of("wrong_value", { file: paths[from.file]!, tensor: printable(from.name) }, "finite scales", got);
}

/** Words as bytes. */
export const bytesOfWords = ({ buffer, byteOffset, byteLength }: ArrayBufferView<ArrayBuffer>) =>
  new Uint8Array(buffer, byteOffset, byteLength);
