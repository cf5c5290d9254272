/** How each piece of a GGUF file is written. */
import type { RangeReader } from "../../conversion/range_reader.ts";
import { MXFP4_BYTES, Q8_0_BYTES } from "../../checkpoint/gguf/types.ts";
import { BLOCK } from "../../formats/format.ts";
import { printable } from "../../describe.ts";
import { InputError } from "../../errors.ts";
import type { WrittenDtype, WrittenTensor } from "../../checkpoint/write_safetensors.ts";
import type { ShardJob, Sink } from "../write_shards.ts";
import { CODE_BYTES, decodeQ8, fitBf16, splitBlocks, upperHalves } from "./blocks.ts";
import type { ExpertBlocks, JoinedBias, Piece, PlainTensor, ReadTensor } from "./tensors.ts";

/** Bytes that are read at once: whole blocks of each type. */
const READ_BYTES = MXFP4_BYTES * Q8_0_BYTES * (1 << 14);
/** Largest float32 tensor that is looked through for whether bfloat16 holds it; larger ones stay float32. */
const LOOKED_THROUGH = 1 << 26;

/** What pieces are made with. */
export interface Source {
  readonly reader: RangeReader;
  /** Paths of the files. */
  readonly paths: readonly string[];
}

/** The job of a piece. Small float32 tensors are read now, to choose their dtype. */
export function jobOf(piece: Piece, source: Source): ShardJob {
  if (piece.kind === "experts") return expertJob(piece, source);
  return piece.kind === "joined" ? joinedJob(piece, source) : plainJob(piece, source);
}

function read({ reader }: Source, { file, offset }: ReadTensor, at: number, bytes: number): Uint8Array<ArrayBuffer> {
  const buffer = new Uint8Array(bytes);
  reader.read(file, offset + at, buffer);
  return buffer;
}

const words = (bytes: Uint8Array<ArrayBuffer>) => new Uint32Array(bytes.buffer);

/** The narrowest dtype that holds a tensor's numbers as they are. */
function dtypeOf(from: ReadTensor, source: Source): "BF16" | "F16" | "F32" {
  if (from.format === "BF16" || from.format === "F16") return from.format;
  const isLooked = from.format === "F32" && from.bytes <= LOOKED_THROUGH;
  return isLooked && fitBf16(words(read(source, from, 0, from.bytes))) ? "BF16" : "F32";
}

function plainJob({ name, shape, from }: PlainTensor, source: Source): ShardJob {
  const dtype = dtypeOf(from, source), tensor: WrittenTensor = { name, dtype, shape };
  return {
    tensors: [tensor],
    *run(sink) {
      for (let at = 0; at < from.bytes; at += READ_BYTES) {
        const bytes = read(source, from, at, Math.min(READ_BYTES, from.bytes - at));
        sink(name, from.format === "Q8_0" ? numbersOf(bytes, from, at, source) : asDtype(bytes, from, dtype));
        yield;
      }
    },
  };
}

const asDtype = (bytes: Uint8Array<ArrayBuffer>, { format }: ReadTensor, dtype: WrittenDtype) =>
  format === "F32" && dtype === "BF16" ? upperHalves(words(bytes)) : bytes;

function numbersOf(bytes: Uint8Array, from: ReadTensor, at: number, { paths }: Source): Float32Array<ArrayBuffer> {
  const numbers = decodeQ8(bytes);
  if (numbers !== null) return numbers;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let block = 0;
  while (Number.isFinite(view.getFloat16(block * Q8_0_BYTES, true))) block++;
  const got = `${view.getFloat16(block * Q8_0_BYTES, true)} of block ${at / Q8_0_BYTES + block}`;
  throw InputError.of("wrong_value", { file: paths[from.file]!, tensor: printable(from.name) }, "finite scales", got);
}

/** Two vectors of each expert whose numbers alternate. */
function joinedJob({ name, shape, from }: JoinedBias, source: Source): ShardJob {
  const dtypes = new Set(from.map((one) => dtypeOf(one, source)));
  const dtype = dtypes.size === 1 ? [...dtypes][0]! : "F32";
  return {
    tensors: [{ name, dtype, shape }],
    *run(sink) {
      const [gate, up] = from.map((one) => widened(read(source, one, 0, one.bytes), one));
      const both = new Float32Array(2 * gate!.length);
      gate!.forEach((value, i) => both[2 * i] = value);
      up!.forEach((value, i) => both[2 * i + 1] = value);
      sink(name, narrowed(both, dtype));
      yield;
    },
  };
}

function widened(bytes: Uint8Array<ArrayBuffer>, { format }: ReadTensor): Float32Array<ArrayBuffer> {
  if (format === "F32") return new Float32Array(bytes.buffer);
  if (format === "F16") return Float32Array.from(new Float16Array(bytes.buffer));
  return new Float32Array(Uint32Array.from(new Uint16Array(bytes.buffer), (half) => half << 16).buffer);
}

function narrowed(numbers: Float32Array<ArrayBuffer>, dtype: "BF16" | "F16" | "F32"): ArrayBufferView {
  if (dtype === "F32") return numbers;
  return dtype === "F16" ? Float16Array.from(numbers) : upperHalves(new Uint32Array(numbers.buffer));
}

function expertJob(piece: ExpertBlocks, source: Source): ShardJob {
  const { blocks, scales, experts, rows, cols, from } = piece;
  const each = cols / BLOCK, parts = from.length, outRows = rows * parts;
  return {
    tensors: [
      { name: blocks, dtype: "U8", shape: [experts, outRows, each, CODE_BYTES] },
      { name: scales, dtype: "U8", shape: [experts, outRows, each] },
    ],
    *run(sink: Sink) {
      const codes = new Uint8Array(outRows * each * CODE_BYTES), scaleBytes = new Uint8Array(outRows * each);
      const rowBytes = each * MXFP4_BYTES;
      for (let expert = 0; expert < experts; expert++) {
        for (const [part, tensor] of from.entries()) {
          const bytes = read(source, tensor, expert * rows * rowBytes, rows * rowBytes);
          for (let row = 0; row < rows; row++) {
            const to = (row * parts + part) * each;
            const own = bytes.subarray(row * rowBytes, (row + 1) * rowBytes);
            const nan = splitBlocks(own, codes, to * CODE_BYTES, scaleBytes, to);
            if (nan >= 0) refuseNan(source, tensor, `expert ${expert}, row ${row}, block ${nan}`);
          }
        }
        sink(blocks, codes);
        sink(scales, scaleBytes);
        yield;
      }
    },
  };
}

function refuseNan({ paths }: Source, { file, name }: ReadTensor, place: string): never {
  const subject = { file: paths[file]!, tensor: printable(name) };
  throw InputError.of("wrong_value", subject, "scales that are numbers", `NaN (255) of ${place}`);
}
