/** How experts of a GGUF file are written: one after the other, so that a layer's need not fit in memory. */
import { MXFP4_BYTES } from "../../checkpoint/gguf/types.ts";
import { printable } from "../../describe.ts";
import { InputError } from "../../errors.ts";
import { BLOCK } from "../../formats/format.ts";
import type { ShardJob, Sink } from "../write_shards.ts";
import { CODE_BYTES, splitBlocks } from "./blocks.ts";
import { bytesOfWords, dtypeOf, type PlainDtype, READ_BYTES, readBytes, readWords, type Source } from "./numbers.ts";
import type { ExpertBlocks, ReadTensor, TransposedExperts } from "./tensors.ts";
import { type Words, writeTransposed } from "./transpose.ts";

/** Experts that stay MXFP4. */
export function blocksJob(piece: ExpertBlocks, source: Source): ShardJob {
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
          const bytes = readBytes(source, tensor, expert * rows * rowBytes, rows * rowBytes);
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

/** Most bytes of memory that transposing takes. */
export interface Room {
  /** Of the new tensor. Of what is larger than this, a file is read repeatedly. */
  readonly held: number;
  /** Of the old one, or a row of it. */
  readonly read: number;
}

/** Gate and up of an expert of gpt-oss fit in float32. */
const ROOM: Room = { held: 1 << 26, read: READ_BYTES };

/** Experts that are not MXFP4, transposed. */
export function transposedJob(piece: TransposedExperts, source: Source, room = ROOM): ShardJob {
  const { name, experts, rows, cols, from } = piece;
  const dtype = dtypeOf(from, source), width = rows * from.length;
  const most = Math.max(1, Math.floor(room.held / (width * (dtype === "F32" ? 4 : 2))));
  return {
    tensors: [{ name, dtype, shape: [experts, cols, width] }],
    *run(sink: Sink) {
      const height = Math.min(most, cols);
      const held: Words = dtype === "F32" ? new Uint32Array(height * width) : new Uint16Array(height * width);
      for (let expert = 0; expert < experts; expert++) {
        for (let first = 0; first < cols; first += height) {
          const count = Math.min(height, cols - first);
          yield* gather(piece, source, { expert, first, count, dtype, most: room.read }, held);
          const bytes = bytesOfWords(held.subarray(0, count * width));
          for (let at = 0; at < bytes.length; at += room.read) {
            sink(name, bytes.subarray(at, at + room.read));
            yield;
          }
        }
      }
    },
  };
}

/** Columns of one expert, and what they are made. */
interface Strip {
  readonly expert: number;
  readonly first: number;
  readonly count: number;
  readonly dtype: PlainDtype;
  /** Bytes that are read at once. */
  readonly most: number;
}

/** Makes columns of an expert rows of the new tensor. */
function* gather(
  { experts, rows, cols, from }: TransposedExperts,
  source: Source,
  { expert, first, count, dtype, most }: Strip,
  to: Words,
): Generator<undefined, void> {
  for (const [part, tensor] of from.entries()) {
    const rowBytes = tensor.bytes / (experts * rows), step = Math.max(1, Math.floor(most / rowBytes));
    for (let row = 0; row < rows; row += step) {
      const read = Math.min(step, rows - row);
      const words = readWords(source, tensor, dtype, (expert * rows + row) * rowBytes, read * rowBytes);
      writeTransposed(
        { words, rows: read, cols, first, count },
        { words: to, width: rows * from.length, at: row * from.length + part, step: from.length },
      );
      yield;
    }
  }
}
