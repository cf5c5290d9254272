/** gpt-oss-20b, and records and structs of kernels/ABI.md filled with random data of its shapes. */
import type { ArgumentWriter, DeviceRange } from "../../ffi/runtime.ts";
import { PAGE_POSITIONS, pagesFor } from "../../src/model/pages.ts";
import { type Harness, pattern } from "./harness.ts";

export const H = 2880, I = 2880, HEADS = 64, KV_HEADS = 8, D = 64, EXPERTS = 32, TOP_K = 4, VOCAB = 201088;

const CODE_BITS: Readonly<Record<string, number>> = {
  bf16: 16,
  bf16_t: 16,
  mxfp4: 4,
  mxfp6_e3m2: 6,
  mxfp6_e2m3: 6,
  fp8: 8,
};

/** Bytes of a stored matrix with its scales. */
export function matrixBytes(format: string, rows: number, cols: number): number {
  return rows * cols * CODE_BITS[format]! / 8 + (format.startsWith("mx") ? rows * cols / 32 : 0);
}

/** A matrix in device memory. */
export interface DeviceLinear {
  readonly weight: DeviceRange;
  readonly scale: DeviceRange | null;
  readonly bias: DeviceRange;
  readonly format: string;
  readonly rows: number;
  readonly cols: number;
}

export const ranged = (range: DeviceRange, offset: number, bytes: number): DeviceRange =>
  range.buffer.range(range.offset + offset, bytes);

/** `count` random matrices side by side. */
export function linears(h: Harness, format: string, rows: number, cols: number, count: number): DeviceLinear[] {
  const bits = CODE_BITS[format]!, bytes = Math.ceil(rows * cols * bits / 8 / 256) * 256, mx = format.startsWith("mx");
  const weights = h.memory(bytes * count, pattern(bits === 16 ? "bf16" : "codes", 32 << 20));
  const scaleBytes = Math.ceil(rows * cols / 32 / 256) * 256;
  const scales = mx ? h.memory(scaleBytes * count, pattern("scales", 4 << 20)) : null;
  const bias = h.memory(rows * 2, pattern("bf16", 65536));
  return Array.from({ length: count }, (_, i) => ({
    ...{ format, rows, cols, bias },
    weight: ranged(weights, i * bytes, bytes),
    scale: scales && ranged(scales, i * scaleBytes, scaleBytes),
  }));
}

/** Members of MxLinear. */
export function linearMembers(w: ArgumentWriter, l: DeviceLinear): void {
  const stride = l.format === "bf16_t" ? l.rows * 2 : l.cols * CODE_BITS[l.format]! / 8;
  w.pointer(l.weight).pointer(l.scale).pointer(l.bias).i64(stride).i64(l.scale ? l.cols / 32 : 0).i32(l.rows).i32(
    l.cols,
  )
    .f32(l.format === "fp8" ? 0.01 : 1).i32(0).i32(0).i32(0);
}

/** MxGroup. */
export function group(
  w: ArgumentWriter,
  ls: readonly DeviceLinear[],
  outs: readonly DeviceRange[],
  strides: readonly number[],
): void {
  w.struct();
  for (let i = 0; i < 4; i++) {
    if (ls[i]) linearMembers(w, ls[i]!);
    else for (let k = 0; k < 8; k++) w.i64(0);
  }
  for (let i = 0; i < 4; i++) w.pointer(outs[i] ?? null);
  for (let i = 0; i < 4; i++) w.i32(strides[i] ?? 0);
  w.i32(ls.length).i32(0).i32(0).i32(0).end();
}

/** MxInput. */
export function input(w: ArgumentWriter, x: DeviceRange, stride: number, norm: DeviceRange | null, kind = 0): void {
  w.struct().pointer(x).pointer(null).pointer(norm).i32(stride).i32(0).f32(1e-5).i32(kind).i32(0).f32(0.02).i32(1).i32(
    0,
  ).end();
}

/** MxCache of bf16 numbers. */
export interface BenchCache {
  readonly k: DeviceRange;
  readonly v: DeviceRange;
  readonly pages: DeviceRange;
  readonly tableStride: number;
  readonly window: number;
}

/** Bytes of so many pages of a kv head. */
const headBytes = (pages: number): number => pages * PAGE_POSITIONS * D * 2;

export function cache(w: ArgumentWriter, c: BenchCache): void {
  w.struct().pointer(c.k).pointer(c.v).pointer(c.pages).i64(headBytes(c.tableStride)).i32(0).i32(c.tableStride)
    .i32(HEADS)
    .i32(KV_HEADS).i32(D).i32(c.window).f32(1).f32(1).f32(0.125).i32(0).end();
}

/** Random caches. */
export function caches(h: Harness, positions: number, window: number, count: number): BenchCache[] {
  const tableStride = pagesFor(positions), bytes = KV_HEADS * headBytes(tableStride);
  const all = h.memory(2 * bytes * count, pattern("bf16", 16 << 20));
  // In reverse, which is as far from one after the other as any order.
  const pages = i32s(h, Array.from({ length: tableStride }, (_, i) => tableStride - 1 - i));
  return Array.from({ length: count }, (_, i) => ({
    k: ranged(all, 2 * i * bytes, bytes),
    v: ranged(all, (2 * i + 1) * bytes, bytes),
    pages,
    tableStride,
    window,
  }));
}

/** Int32 numbers on the device. */
export function i32s(h: Harness, values: ArrayLike<number>): DeviceRange {
  return h.memory(values.length * 4, new Uint8Array(Int32Array.from(values).buffer));
}

/** Device array of experts. */
export function expertRecords(h: Harness, experts: readonly DeviceLinear[]): DeviceRange {
  return h.records(64 * experts.length, (w) => experts.forEach((l) => linearMembers(w, l)));
}
