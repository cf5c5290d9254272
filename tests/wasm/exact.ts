/** The float32 arithmetic of `linear` ("The order of a dot product" in wasm/ABI.md), bit by bit and slowly. */
import { decodeElements } from "../../src/formats/decode.ts";
import type { WeightFormat } from "../../src/formats/format.ts";
import { decodeE8m0 } from "../../src/formats/scales.ts";
import { preparedOrder } from "./twins.ts";

const f32 = Math.fround;
const number = new Float64Array(1), halves = new Uint32Array(number.buffer);

/** a * b + c of float32 numbers, rounded to float32 once. */
export function fused(a: number, b: number, c: number): number {
  // Exact, as float64 has more than twice the bits; so is what the sum is off by.
  const product = a * b, sum = product + c;
  const back = sum - product, off = (product - (sum - back)) + (c - back);
  if (!(off > 0 || off < 0)) return f32(sum);
  // Of the two numbers beside the exact sum, that whose last bit is set: no rounding takes it for a tie.
  number[0] = sum;
  if ((halves[0]! & 1) === 0) {
    const away = off > 0 === sum > 0;
    if (!away && halves[0] === 0) halves[1]!--;
    if (away) halves[0]!++;
    else halves[0]!--;
  }
  return f32(number[0]);
}

/** A dot product of rows in prepared order; block b of w counts 2^(scales[b] - 127) times. */
function exactDot(w: Float32Array, x: Float32Array, scales: Uint8Array | null): number {
  const sum = [0, 0, 0, 0];
  for (let block = 0; block < w.length; block += 32) {
    const scale = scales && decodeE8m0(scales[block / 32]!);
    for (let lane = 0; lane < 4; lane++) {
      let t = 0;
      for (let i = block + lane; i < block + 32; i += 4) t = fused(w[i]!, x[i]!, t);
      sum[lane] = scale === null ? f32(sum[lane]! + t) : fused(t, scale, sum[lane]!);
    }
  }
  return f32(f32(sum[0]! + sum[1]!) + f32(sum[2]! + sum[3]!)) + 0;
}

/** A stored matrix: the bytes of each row, and of MX formats the scale bytes. */
export interface StoredRows {
  readonly format: WeightFormat;
  readonly cols: number;
  readonly codes: readonly Uint8Array[];
  readonly scales: readonly Uint8Array[] | null;
}

/** All dot products of stored rows and input rows: [input row][row], float32. */
export function exactProducts(stored: StoredRows, x: readonly Float32Array[]): Float32Array[] {
  const rows = stored.codes.map((codes) =>
    Float32Array.from(preparedOrder(decodeElements(stored.format, codes, stored.cols)))
  );
  return x.map((row) => {
    const prepared = Float32Array.from(preparedOrder(row));
    return Float32Array.from(rows, (w, r) => exactDot(w, prepared, stored.scales && stored.scales[r]!));
  });
}
