/**
 * Plain twins of the kernels: the same operations on arrays, with float64 sums and no regard for speed. What is exact
 * in a kernel is float32 here too, operation by operation.
 */
import { bf16ToFloat32, roundToBf16 } from "../../src/formats/bf16.ts";

const f32 = Math.fround;

/** Rounds to bfloat16 if asked to, else to float32. */
export const rounded = (round: boolean, x: number): number => round ? roundToBf16(x) : f32(x);

/** Numbers of vectors and tables: their code in descriptors, and their bytes. */
export const NUMBER_FORMATS = { bf16: 0, f32: 1, f16: 2 } as const;
export type NumberFormat = keyof typeof NUMBER_FORMATS;

/** Number i of stored bytes. */
export function readNumber(bytes: Uint8Array, format: NumberFormat, i: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (format === "f32") return view.getFloat32(4 * i, true);
  return format === "f16" ? view.getFloat16(2 * i, true) : bf16ToFloat32(view.getUint16(2 * i, true));
}

/** x / sqrt(mean(x^2) + eps) * w */
export function rmsNorm(x: ArrayLike<number>, w: ArrayLike<number>, eps: number): number[] {
  let squares = 0;
  for (let i = 0; i < x.length; i++) squares += x[i]! ** 2;
  const factor = 1 / Math.sqrt(squares / x.length + eps);
  return Array.from(x, (v, i) => v * factor * w[i]!);
}

/** Rotates one head: pairs (d, d + head_dim / 2). */
export function rotate(x: Float32Array, cos: ArrayLike<number>, sin: ArrayLike<number>, round: boolean): void {
  const half = x.length / 2;
  for (let i = 0; i < half; i++) {
    const a = x[i]!, b = x[i + half]!;
    x[i] = rounded(round, f32(f32(a * cos[i]!) - f32(b * sin[i]!)));
    x[i + half] = rounded(round, f32(f32(b * cos[i]!) + f32(a * sin[i]!)));
  }
}

/** sum over i of a[i] * b[i] */
export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** Softmax attention of one query over keys and values that are all visible, with a sink. */
export function attention(
  q: ArrayLike<number>,
  keys: readonly ArrayLike<number>[],
  values: readonly ArrayLike<number>[],
  sink: number,
  scale: number,
): number[] {
  const scores = keys.map((key) => scale * dot(q, key));
  const most = Math.max(sink, ...scores);
  const weights = scores.map((score) => Math.exp(score - most));
  const total = weights.reduce((sum, weight) => sum + weight, Math.exp(sink - most));
  return Array.from(q, (_, d) => values.reduce((sum, value, j) => sum + weights[j]! * value[d]!, 0) / total);
}

/** The topK largest logits, ties to the lower index, and the softmax over them. */
export function route(logits: ArrayLike<number>, topK: number): { ids: number[]; weights: number[] } {
  const ids = Array.from(logits, (_, i) => i).sort((a, b) => logits[b]! - logits[a]! || a - b).slice(0, topK);
  const powers = ids.map((id) => Math.exp(logits[id]! - logits[ids[0]!]!));
  const total = powers.reduce((a, b) => a + b);
  return { ids, weights: powers.map((power) => power / total) };
}

/** (u + 1) * g * sigmoid(alpha * g) of the clamped pairs (g, u) of z. */
export function swiglu(z: ArrayLike<number>, alpha: number, limit: number): number[] {
  return Array.from({ length: z.length / 2 }, (_, n) => {
    const g = Math.min(z[2 * n]!, limit), u = Math.max(-limit, Math.min(z[2 * n + 1]!, limit));
    return (u + 1) * g / (1 + Math.exp(-alpha * g));
  });
}

/**
 * Columns in prepared order: of every 8 first the even ones, then the odd ones; padded with zeros to a multiple of 32.
 */
export function preparedOrder(row: ArrayLike<number>): number[] {
  const width = Math.ceil(row.length / 32) * 32;
  return Array.from({ length: width }, (_, i) => row[8 * Math.floor(i / 8) + [0, 2, 4, 6, 1, 3, 5, 7][i % 8]!] ?? 0);
}

/**
 * Digits to the base 256 that the numbers of a fixed row's block need, see wasm/ABI.md; 0 where they do not fit.
 *
 * @param lanes The numbers of each lane.
 * @param offset The largest magnitude of a weight as an integer.
 */
export function fixedDigits(lanes: readonly (readonly number[])[], offset: number): number {
  const units = lanes.map((lane) => {
    const most = Math.max(...lane.map(Math.abs));
    return most === 0 ? 1 : 2 ** Math.floor(Math.log2(most));
  });
  if (!units.every((power) => power >= 2 ** -80 && power <= 2 ** 80)) return 0;
  for (const bits of [6, 14, 16, 17, 18, 19, 20]) {
    const digits = Math.floor(bits / 8) + 1, ones = (256 ** digits - 1) / 255;
    // Lanes of one digit share their unit.
    const shared = Math.max(...units.filter((_, l) => lanes[l]!.some((x) => x !== 0)));
    const fits = lanes.every((lane, l) => {
      const unit = digits === 1 && shared > 0 ? shared : units[l]!;
      const integers = lane.map((x) => x * 2 ** bits / unit);
      const sum = integers.reduce((sum, x) => sum + Math.abs(x), 0);
      return sum * offset < 2 ** 24 &&
        integers.every((x) => Number.isInteger(x) && x >= -128 * ones && x <= 127 * ones);
    });
    if (fits) return digits;
  }
  return 0;
}

/**
 * A lane of a fixed row's block, as wasm/ABI.md lays it out.
 *
 * @returns The integers of its columns; their unit; what is added to sums of products, as an integer, read from either
 *   place.
 */
export function fixedLane(
  view: DataView,
  block: number,
  lane: number,
  digits: number,
  offset: number,
): { integers: number[]; unit: number; start: number; integerStart: number } {
  const unit = view.getFloat32(block + 4 * lane, true), at = block + 16 + 4 * lane;
  const integers = Array.from({ length: 8 }, (_, v) => {
    let x = 0;
    for (let d = digits - 1; d >= 0; d--) {
      x = 256 * x + view.getInt8(block + 32 + 32 * d + 16 * (v % 2) + 4 * lane + (v >> 1));
    }
    return x;
  });
  const asFloat = 8 * 2 ** (8 * digits - 1) * 2 * offset <= 2 ** 24;
  const start = asFloat ? view.getFloat32(at, true) / unit : view.getInt32(at, true);
  return { integers, unit, start, integerStart: view.getInt32(at + 112, true) };
}
