/** The self-test's memory and its pseudo-random contents: numbers, linears, rows. The same in every run. */
import { NUMBER_FORMAT } from "../../../kernels/abi/types.ts";
import type { DeviceRange, GpuDevice, PinnedBuffer } from "../../../ffi/runtime.ts";
import { float32ToBf16 } from "../../formats/bf16.ts";
import { bytesOf, isMxFormat, type WeightFormat } from "../../formats/format.ts";
import type { Calls } from "./calls.ts";
import { downloadFloats, uploadFloats } from "./staging.ts";
import type { GpuLinear, GpuTensor } from "./tensors.ts";

/** Shape of the linears: sizes that leave the last tile, and the last step, of every kernel incomplete. */
export const ROWS = 144, COLS = 224;

/** Bytes of the memory that the tests share. */
const ARENA_BYTES = 4 * 2 ** 20;

export class Samples implements Disposable {
  readonly device: GpuDevice;
  readonly #staging: PinnedBuffer;
  readonly #arena: DeviceRange;
  #used = 0;
  #state = 1;

  constructor(readonly calls: Calls) {
    this.device = calls.kernels.device;
    this.#staging = this.device.allocatePinned(2 ** 20);
    this.#arena = this.device.allocate(ARENA_BYTES).range();
  }

  /** Takes all memory back, for another test. */
  reset(): void {
    this.#used = 0;
  }

  /** A linear of random weights in the format of another one. */
  linear(like: GpuLinear, cols = COLS, rows = ROWS): GpuLinear {
    const { format, suffix } = like, transposed = suffix.endsWith("_t");
    const [lines, numbers] = transposed ? [cols, rows] : [rows, cols];
    const rowStride = bytesOf(format, numbers);
    const bytes = new Uint8Array(lines * rowStride);
    if (format === "bf16") {
      new Uint16Array(bytes.buffer).forEach((_, i, all) => all[i] = float32ToBf16(this.random()));
    } else if (format === "f32") new Float32Array(bytes.buffer).forEach((_, i, all) => all[i] = this.random());
    else bytes.forEach((_, i) => bytes[i] = this.#next() & (CODE_MASK[format] ?? 0xff));
    const isMx = isMxFormat(format);
    const scales = Uint8Array.from({ length: rows * cols / 32 }, () => 125 + this.#next() % 4);
    return {
      ...like,
      rows,
      cols,
      rowStride,
      weight: this.#bytes(bytes),
      scale: isMx ? this.#bytes(scales) : null,
      scaleStride: isMx ? cols / 32 : 0,
      tensorScale: 1,
      bias: this.floats(Float32Array.from({ length: rows }, () => this.random())),
      biasFormat: NUMBER_FORMAT.f32,
    };
  }

  /** Rows of random bf16 numbers as float32. */
  rows(rows: number, width: number): GpuTensor {
    const tensor = this.tensor(rows, width), word = new Uint32Array(1), float = new Float32Array(word.buffer);
    const values = Float32Array.from({ length: rows * tensor.stride }, () => {
      word[0] = float32ToBf16(this.random()) << 16;
      return float[0]!;
    });
    uploadFloats(this.calls.stream, this.#staging, tensor.range, values);
    return tensor;
  }

  /** Rows of zeros. */
  tensor(rows: number, width: number): GpuTensor {
    const stride = Math.ceil(width / 32) * 32, range = this.take(4 * rows * stride);
    this.calls.stream.fill(range, 0);
    return { name: "self-test", rows, rowsPerToken: 1, width, stride, range };
  }

  /** Normalized mean square error of b, for rows of two tensors. */
  compare(a: GpuTensor, b: GpuTensor, rows: number): number {
    const read = (t: GpuTensor) => downloadFloats(this.calls.stream, this.#staging, t.range, rows * t.stride);
    const x = read(a), y = read(b);
    let squares = 0, error = 0;
    for (let i = 0; i < x.length; i++) {
      squares += x[i]! ** 2;
      error += (x[i]! - y[i]!) ** 2;
    }
    return error / squares;
  }

  /** Undefined memory. */
  take(bytes: number): DeviceRange {
    const range = this.#arena.buffer.range(this.#used, bytes);
    this.#used = Math.ceil((this.#used + bytes) / 256) * 256;
    return range;
  }

  #bytes(bytes: Uint8Array<ArrayBuffer>): DeviceRange {
    const padded = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
    padded.set(bytes);
    return this.floats(new Float32Array(padded.buffer));
  }

  /** Integers in device memory. */
  words(values: Int32Array<ArrayBuffer>): DeviceRange {
    return this.floats(new Float32Array(values.buffer));
  }

  /** Numbers in device memory. */
  floats(values: Float32Array): DeviceRange {
    const range = this.take(values.byteLength);
    uploadFloats(this.calls.stream, this.#staging, range, values);
    return range;
  }

  /** A table of one pointer. */
  pointerTo(range: DeviceRange): DeviceRange {
    const records = this.device.createArguments(), table = this.take(8);
    records.pointer(range);
    this.calls.stream.uploadRecords(table, records);
    return table;
  }

  /** Pseudo-random 16 bits; always the same sequence. */
  #next(): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return this.#state >>> 16;
  }

  /** A number in [-2, 2), about the size of an activation. */
  random(): number {
    return this.#next() / 16384 - 2;
  }

  [Symbol.dispose](): void {
    this.#arena.buffer[Symbol.dispose]();
    this.#staging[Symbol.dispose]();
  }
}

/**
 * Bits of random bytes that give finite numbers below 2 in size, where not all do; f16 bytes stay below 2^-14 to 2 in
 * both halves.
 */
const CODE_MASK: Partial<Record<WeightFormat, number>> = {
  f16: 0x3b,
  fp8_e4m3: 0xbf,
  // The sign is left out: a negative zero is its NaN.
  fp8_e4m3fnuz: 0x3f,
};
