/** Random inputs, the same in every run. */
import { roundAllToBf16 } from "../../formats/bf16.ts";
import { decodeElements } from "../../formats/decode.ts";
import { encodePlain } from "../../formats/encode.ts";
import type { WeightFormat } from "../../formats/format.ts";
import { decodeE8m0 } from "../../formats/scales.ts";
import { input } from "./job.ts";
import type { LinearFields } from "./structs.ts";

/** Numbers from a seed (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }
  /** In [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }
  /** In 0..end-1. */
  below(end: number): number {
    return Math.floor(this.next() * end);
  }
  /** About normal. */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.next())) * Math.cos(2 * Math.PI * this.next());
  }
  /** Normal numbers as float32, or as bf16 numbers. */
  row(length: number, bf16: boolean, size = 1): Float32Array {
    const values = new Float32Array(length);
    for (let i = 0; i < length; i++) values[i] = this.normal() * size;
    if (bf16) roundAllToBf16(values);
    return values;
  }
}

/** A stored matrix: for kernels, and as numbers. */
export interface RandomLinear {
  readonly fields: LinearFields;
  /** [rows][cols], MX scales inside; of FP8 without the scale. */
  readonly rows: readonly Float32Array[];
  /** What multiplies a row's sum. */
  readonly rowScales: Float32Array;
  readonly bias: Float32Array;
}

/** Puts a NaN among FP8 weights; gives the matrix. */
export function withNan(linear: RandomLinear, row: number, col: number): RandomLinear {
  const { weight, rowStride, fnuz } = linear.fields;
  weight!.bytes[row * rowStride + col] = fnuz ? 0x80 : 0xff;
  linear.rows[row]![col] = NaN;
  return linear;
}

/** Numbers that are stored as they are, by rows or, with `_t`, by columns. */
type PlainFormat = "bf16" | "f32" | "f16" | "bf16_t" | "f32_t" | "f16_t";
/** Blocks with a scale. */
type MxFormat = "mxfp4" | "mxfp6_e3m2" | "mxfp6_e2m3";
/** Name of a weight format in entry points. */
export type KernelFormat = PlainFormat | MxFormat | "fp8";

/** How {@linkcode randomLinear} departs from a plain matrix. */
export interface LinearOptions {
  readonly bias?: boolean;
  readonly fnuz?: boolean;
  /** One scale per row (fp8), or one for the matrix. */
  readonly rowScales?: boolean;
  /** Extra bytes between rows, as in a slice. */
  readonly gap?: number;
}

function pack(values: Float32Array, format: "bf16" | "f16" | "f32"): { bytes: Uint8Array; values: Float32Array } {
  const bytes = encodePlain(values, format);
  return { bytes, values: decodeElements(format, bytes, values.length) };
}

/**
 * Bytes after a matrix of plain numbers or FP8. They and those between its rows are NaNs: what a kernel reads there
 * must not count, not even times zero.
 */
const BEHIND = 64;

/** Stored bytes of a matrix, and the numbers that they stand for. */
interface Stored {
  readonly fields: Partial<LinearFields>;
  readonly rows: readonly Float32Array[];
  /** What multiplies a row's sum, where it is not 1. */
  readonly rowScales?: Float32Array;
}

/** A random matrix in a format, its stored bytes and its numbers. */
export function randomLinear(
  r: Random,
  format: KernelFormat,
  rows: number,
  cols: number,
  o: LinearOptions = {},
): RandomLinear {
  const gap = o.gap ?? 0, bias = o.bias === false ? null : r.row(rows, true);
  const stored = storedMatrix(r, format, rows, cols, gap, o);
  return {
    fields: {
      rows,
      cols,
      scale: null,
      scaleStride: 0,
      tensorScale: 1,
      fnuz: o.fnuz ?? false,
      bias: bias && input(pack(bias, "bf16").bytes as Uint8Array<ArrayBuffer>),
      biasFormat: 0,
      weight: null,
      rowStride: 0,
      ...stored.fields,
    },
    rows: stored.rows,
    rowScales: stored.rowScales ?? new Float32Array(rows).fill(1),
    bias: bias ?? new Float32Array(rows),
  };
}

function storedMatrix(
  r: Random,
  format: KernelFormat,
  rows: number,
  cols: number,
  gap: number,
  o: LinearOptions,
): Stored {
  switch (format) {
    case "fp8":
      return fp8Matrix(r, rows, cols, gap, o);
    case "mxfp4":
    case "mxfp6_e3m2":
    case "mxfp6_e2m3":
      return mxMatrix(r, format, rows, cols, gap);
    default:
      return plainMatrix(r, format, rows, cols, gap);
  }
}

/** Numbers that are stored as they are, by rows or (`_t`) by columns. */
function plainMatrix(r: Random, format: PlainFormat, rows: number, cols: number, gap: number): Stored {
  const plain = format.replace("_t", "") as "bf16" | "f32" | "f16", size = plain === "f32" ? 4 : 2;
  const numbers = Array.from({ length: rows }, () => pack(r.row(cols, false, 0.1), plain).values);
  const transposed = format.endsWith("_t");
  const outer = transposed ? cols : rows, inner = transposed ? rows : cols, stride = inner * size + gap;
  const bytes = new Uint8Array(outer * stride + BEHIND).fill(0xff);
  for (let i = 0; i < outer; i++) {
    const line = transposed ? Float32Array.from(numbers, (row) => row[i]!) : numbers[i]!;
    bytes.set(pack(line, plain).bytes, i * stride);
  }
  return { fields: { weight: input(bytes), rowStride: stride }, rows: numbers };
}

/** Codes of all finite FP8 numbers, with one scale or one a row. */
function fp8Matrix(r: Random, rows: number, cols: number, gap: number, o: LinearOptions): Stored {
  const stride = cols + gap, bytes = new Uint8Array(rows * stride + BEHIND).fill(0xff);
  const disk: WeightFormat = o.fnuz ? "fp8_e4m3fnuz" : "fp8_e4m3", nan = o.fnuz ? [0x80] : [0x7f, 0xff];
  const numbers = Array.from({ length: rows }, (_, i) => {
    const codes = Uint8Array.from({ length: cols }, () => {
      const code = r.below(256);
      return nan.includes(code) ? 0x30 : code;
    });
    bytes.set(codes, i * stride);
    return decodeElements(disk, codes, cols);
  });
  const weight = { weight: input(bytes), rowStride: stride };
  if (!o.rowScales) {
    const scale = 0.03125 * 1.1;
    return { fields: { ...weight, tensorScale: scale }, rows: numbers, rowScales: new Float32Array(rows).fill(scale) };
  }
  const scales = Float32Array.from({ length: rows }, () => Math.fround(0.01 + 0.02 * r.next()));
  return { fields: { ...weight, scale: input(scales) }, rows: numbers, rowScales: scales };
}

/** Blocks of 32 elements of any codes, each with a power of two. */
function mxMatrix(r: Random, format: MxFormat, rows: number, cols: number, gap: number): Stored {
  const blocks = cols / 32, blockBytes = format === "mxfp4" ? 16 : 24, stride = blocks * blockBytes + gap;
  const bytes = new Uint8Array(rows * stride), scales = new Uint8Array(rows * blocks);
  const numbers = Array.from({ length: rows }, (_, i) => {
    const codes = Uint8Array.from({ length: blocks * blockBytes }, () => r.below(256));
    bytes.set(codes, i * stride);
    const values = decodeElements(format, codes, cols);
    for (let b = 0; b < blocks; b++) {
      const byte = 118 + r.below(12);
      scales[i * blocks + b] = byte;
      for (let c = 32 * b; c < 32 * b + 32; c++) values[c]! *= decodeE8m0(byte);
    }
    return values;
  });
  const weight = { weight: input(bytes), rowStride: stride };
  return { fields: { ...weight, scale: input(scales), scaleStride: blocks }, rows: numbers };
}

/** y = x W^T * scales + bias in float64. */
export function product(linear: RandomLinear, x: ArrayLike<number>, xScale = 1): Float64Array {
  return Float64Array.from(linear.rows, (row, i) => {
    let sum = 0;
    for (let c = 0; c < row.length; c++) sum += row[c]! * x[c]!;
    return sum * linear.rowScales[i]! * xScale + linear.bias[i]!;
  });
}
