/**
 * Finds what a scale of MX blocks must not be and no header shows: e8m0's NaN, and where scales are stored as plain
 * numbers, all that e8m0 has no byte for.
 */
import { asset } from "../assets.ts";
import { isHeld, openStored, type StoredFile } from "../stored_files.ts";
import { decodeElements } from "../formats/decode.ts";
import { bytesOf, type PlainFormat } from "../formats/format.ts";
import { FailureError, InputError, type Mistake } from "../errors.ts";
import { readable, readInto } from "../read.ts";
import { onThreadFailure, startThread } from "../thread.ts";
import { PLAIN, type TensorSet } from "./tensor_set.ts";

const NAN_BYTE = 255;
/** Bytes held at a time: they stay in a core's cache between reading and looking. */
const CHUNK_BYTES = 1 << 18;

/** Where scales lie, for another thread too. */
export interface ScaleTensor {
  readonly path: string;
  readonly name: string;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly bytes: number;
  /** The numbers that it has instead of e8m0 bytes. */
  readonly numbers?: PlainFormat;
}

/** All scales of MX blocks that a layout took, in the order of the files. */
export function scaleTensors(tensors: TensorSet): ScaleTensor[] {
  return tensors.e8m0.toSorted((a, b) => a.file - b.file || a.offset - b.offset)
    .map((tensor) => {
      const { name, shape, offset, bytes } = tensor;
      const numbers = (PLAIN as Readonly<Record<string, PlainFormat>>)[tensor.dtype];
      return { path: tensors.pathOf(tensor), name, shape, offset, bytes, ...(numbers ? { numbers } : {}) };
    });
}

/**
 * Reads scales and refuses NaN, and numbers that are no powers of two of e8m0's.
 *
 * @throws {InputError} naming the tensor and the index of its first byte 255, or of its first such number.
 */
export function refuseNanScales(scales: readonly ScaleTensor[]): void {
  const buffer = new Uint8Array(Math.min(CHUNK_BYTES, scales.reduce((most, { bytes }) => Math.max(most, bytes), 0)));
  for (let i = 0; i < scales.length;) {
    const { path } = scales[i]!;
    readable(path, () => {
      using opened = openStored(path);
      for (; scales[i]?.path === path; i++) scan(opened, path, scales[i]!, buffer);
    });
  }
}

/** What the thread says: what is wrong with them, or nothing. */
export type ScalesReply = { readonly mistake: Mistake | null; readonly message: string } | null;

/** Scales of fewer bytes are read before a thread has started. */
const WORTH_A_THREAD = 2 ** 27;

/**
 * {@linkcode refuseNanScales} on a thread of its own where that is worth one and can be had (those of gpt-oss-20b are
 * 0.75 GB), else at once.
 *
 * @param worth Bytes from which on a thread is started; for tests.
 * @returns Resolves when they were read.
 * @throws {InputError} as it does.
 * @throws {FailureError} if the thread fails.
 */
export function refuseNanScalesBeside(
  scales: readonly ScaleTensor[],
  worth: number = navigator.hardwareConcurrency > 1 ? WORTH_A_THREAD : Infinity,
): Promise<void> {
  const worker = scales.reduce((sum, { bytes }) => sum + bytes, 0) >= worth ? threadFor(scales) : null;
  if (worker === null) {
    refuseNanScales(scales);
    return Promise.resolve();
  }
  const answer = Promise.withResolvers<void>();
  worker.onmessage = ({ data }: MessageEvent<ScalesReply>) => {
    if (data === null) answer.resolve();
    else answer.reject(data.mistake === null ? new FailureError(data.message) : new InputError(data.mistake));
  };
  onThreadFailure(worker, "the thread that reads scales", answer.reject);
  worker.postMessage(scales);
  return answer.promise.finally(() => worker.terminate());
}

/** A thread that has yet to be told what to read; null where it could not read that, or there is none to be had. */
function threadFor(scales: readonly ScaleTensor[]): Worker | null {
  if (scales.some(({ path }) => isHeld(path))) return null;
  try {
    return startThread(asset("src/checkpoint/scales_worker.ts"), "scales", "a thread that reads scales");
  } catch (thrown) {
    if (thrown instanceof FailureError) return null;
    throw thrown;
  }
}

function scan(file: StoredFile, path: string, tensor: ScaleTensor, buffer: Uint8Array<ArrayBuffer>): void {
  for (let at = 0; at < tensor.bytes; at += buffer.length) {
    const chunk = buffer.subarray(0, Math.min(buffer.length, tensor.bytes - at));
    readInto(file, path, tensor.offset + at, chunk);
    if (tensor.numbers !== undefined) {
      scanNumbers(path, tensor, tensor.numbers, at, chunk);
      continue;
    }
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

function scanNumbers(path: string, { name, shape }: ScaleTensor, format: PlainFormat, at: number, chunk: Uint8Array) {
  const size = bytesOf(format, 1), values = decodeElements(format, chunk, chunk.length / size);
  const bits = new Uint32Array(values.buffer);
  const found = values.findIndex((value, i) => !isE8m0(value, bits[i]!));
  if (found < 0) return;
  throw InputError.of(
    "wrong_value",
    { file: path, tensor: name },
    "powers of two from 2^-127 to 2^127, as e8m0 has them",
    `${values[found]} at [${unravel(at / size + found, shape).join(", ")}]`,
  );
}

/** Whether a number and its bits are those of a power of two that e8m0 has a byte for. */
const isE8m0 = (value: number, bits: number): boolean =>
  value > 0 && value < Infinity && ((bits & 0x7f_ffff) === 0 || value === LEAST);
const LEAST = 2 ** -127;

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
