/** Finds e8m0's NaN, the one value that a scale must not have and that no header shows. */
import { openStored, type StoredFile } from "../stored_files.ts";
import { InputError } from "../errors.ts";
import type { StoredTensor } from "./files.ts";
import { readable, readInto } from "../read.ts";
import type { TensorSet } from "./tensor_set.ts";

const NAN_BYTE = 255;
/** Bytes held at a time: they stay in a core's cache between reading and looking. */
const CHUNK_BYTES = 1 << 18;

/**
 * Reads all e8m0 scales that a layout took, in the order of the files, and refuses NaN.
 *
 * @throws {InputError} naming the tensor and the index of its first byte 255.
 */
export function refuseNanScales(tensors: TensorSet): void {
  const scales = tensors.e8m0.toSorted((a, b) => a.file - b.file || a.offset - b.offset);
  const buffer = new Uint8Array(Math.min(CHUNK_BYTES, scales.reduce((most, { bytes }) => Math.max(most, bytes), 0)));
  for (let i = 0; i < scales.length;) {
    const { file } = scales[i]!, path = tensors.pathOf(scales[i]!);
    readable(path, () => {
      using opened = openStored(path);
      for (; scales[i]?.file === file; i++) scan(opened, path, scales[i]!, buffer);
    });
  }
}

function scan(file: StoredFile, path: string, tensor: StoredTensor, buffer: Uint8Array<ArrayBuffer>): void {
  for (let at = 0; at < tensor.bytes; at += buffer.length) {
    const chunk = buffer.subarray(0, Math.min(buffer.length, tensor.bytes - at));
    readInto(file, path, tensor.offset + at, chunk);
    const found = indexOfNan(chunk);
    if (found < 0) continue;
    const index = unravel(at + found, tensor.shape).join(", ");
    throw InputError.of(
      "wrong_value",
      { file: path, tensor: tensor.name },
      "e8m0 scales from 0 to 254",
      `255 (NaN) at [${index}]`,
    );
  }
}

/** Bytes looked at together. */
const STEP_BYTES = 32;

/**
 * The index of the first byte 255, or -1. Scales of weights are nearly always below 2 (byte 128), and that no byte's
 * highest bit is set can be seen of four at once: three times as fast as `indexOf`, which is left for the others.
 *
 * @param bytes Looked at four by four where they begin at a multiple of 4 in their buffer.
 */
export function indexOfNan(bytes: Uint8Array): number {
  const whole = bytes.byteOffset % 4 === 0 ? bytes.length - bytes.length % STEP_BYTES : 0;
  const words = new Int32Array(bytes.buffer, whole > 0 ? bytes.byteOffset : 0, whole >> 2);
  let set = 0;
  for (let i = 0; i < words.length; i += 8) {
    set |= words[i]! | words[i + 1]! | words[i + 2]! | words[i + 3]! |
      words[i + 4]! | words[i + 5]! | words[i + 6]! | words[i + 7]!;
  }
  const from = (set & 0x8080_8080) === 0 ? whole : 0;
  return bytes.indexOf(NAN_BYTE, from);
}

/** Indices of an element from its place in row-major order. */
function unravel(place: number, shape: readonly number[]): number[] {
  let rest = place;
  return shape.toReversed().map((size) => {
    const index = rest % size;
    rest = Math.floor(rest / size);
    return index;
  }).reverse();
}
