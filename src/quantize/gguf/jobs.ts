/** How each piece of a GGUF file is written. */
import type { WrittenTensor } from "../../checkpoint/write_safetensors.ts";
import type { ShardJob } from "../write_shards.ts";
import { blocksJob, transposedJob } from "./expert_jobs.ts";
import { bytesOfWords, dtypeOf, READ_BYTES, readWords, type Source } from "./numbers.ts";
import type { JoinedBias, Piece, PlainTensor } from "./tensors.ts";

/** The job of a piece. Small float32 tensors are read now, to choose their dtype. */
export function jobOf(piece: Piece, source: Source): ShardJob {
  switch (piece.kind) {
    case "plain":
      return plainJob(piece, source);
    case "joined":
      return joinedJob(piece, source);
    case "experts":
      return blocksJob(piece, source);
    case "transposed":
      return transposedJob(piece, source);
  }
}

function plainJob({ name, shape, from }: PlainTensor, source: Source): ShardJob {
  const dtype = dtypeOf([from], source), tensor: WrittenTensor = { name, dtype, shape };
  return {
    tensors: [tensor],
    *run(sink) {
      for (let at = 0; at < from.bytes; at += READ_BYTES) {
        sink(name, bytesOfWords(readWords(source, from, dtype, at, Math.min(READ_BYTES, from.bytes - at))));
        yield;
      }
    },
  };
}

/** Two vectors of each expert whose numbers alternate. */
function joinedJob({ name, shape, from }: JoinedBias, source: Source): ShardJob {
  const dtype = dtypeOf(from, source);
  return {
    tensors: [{ name, dtype, shape }],
    *run(sink) {
      const [gate, up] = from.map((one) => readWords(source, one, dtype, 0, one.bytes));
      const both = dtype === "F32" ? new Uint32Array(2 * gate!.length) : new Uint16Array(2 * gate!.length);
      gate!.forEach((word, i) => both[2 * i] = word);
      up!.forEach((word, i) => both[2 * i + 1] = word);
      sink(name, bytesOfWords(both));
      yield;
    },
  };
}
