/** Runs the kernel `linear` for the tests of it. */
import { encodePlain } from "../../src/formats/encode.ts";
import { normals } from "../formats/seeded.ts";
import { assert } from "../assert.ts";
import type { F32, Machine, Placed } from "./module.ts";
import { NUMBER_FORMATS, type NumberFormat, preparedOrder } from "./twins.ts";
import type { Matrix } from "./weights.ts";

/** A bias in a format, or none. */
export interface Bias {
  readonly format: NumberFormat;
  readonly values: number[];
}

/** One matrix of a call, with its rows. */
export interface Product {
  readonly matrix: Matrix;
  readonly bias?: Bias;
  readonly x: readonly Float32Array[];
  /** Pairs (x row, out row); by default row i to row i. */
  readonly pairs?: readonly (readonly [number, number])[];
  readonly xScales?: readonly number[];
  readonly round?: boolean;
  /** Multiply nothing as integers, or as processors without a dot product of bytes do, or as those that have one. */
  readonly way?: "float32" | "pairs of bytes" | "dot products";
  /** Receives how many tiles of rows and input rows were multiplied as integers, and how many in float32. */
  readonly counts?: { integers: number; float32: number };
}

/** How bytes are multiplied ("ways" in wasm/ABI.md). */
export const BY_PAIRS = 2, BY_DOTS = 3;
/** Numbers of ways. */
const WAYS = { float32: 1, "pairs of bytes": BY_PAIRS, "dot products": BY_DOTS };

/** What lies behind the outputs of a row. */
const GAP = 12345;

export const TILE = 8;
export const padded = (cols: number) => Math.ceil(cols / 32) * 32;
/** What ABI.md promises a linear. */
export const scratchBytes = (cols: number) => 4 * 132 * padded(cols) + 40960;

/** Runs products in one call; returns their outputs, [out row][rows]. */
export function linear(machine: Machine, products: readonly Product[]): Float32Array[][] {
  let units = 0;
  const counters: (Placed<Int32Array<ArrayBufferLike>> | undefined)[] = [];
  const records: (number | F32)[] = [];
  const outputs: { placed: Placed<Float32Array<ArrayBufferLike>>; rows: number; stride: number; count: number }[] = [];
  for (const { matrix, bias, x, pairs, xScales, round = false, way, counts } of products) {
    const rows = matrix.values.length, cols = matrix.values[0]!.length;
    const xStride = padded(cols) + 32, stride = rows + 3;
    const xs = machine.floats(x.length * xStride);
    xs.data.fill(NaN);
    x.forEach((row, r) => xs.data.set(preparedOrder(row), r * xStride));
    const count = pairs === undefined ? x.length : Math.max(-1, ...pairs.map(([, to]) => to)) + 1;
    const placed = machine.floats(count * stride);
    for (let r = 0; r < count; r++) placed.data.fill(GAP, r * stride + rows, (r + 1) * stride);
    const counter = counts || way ? machine.integers([way === undefined ? 0 : WAYS[way], 0, 0]) : undefined;
    counters.push(counter);
    const list = (values: number[] | undefined) => values === undefined ? 0 : machine.integers(values).address;
    records.push(
      ...matrix.words,
      bias === undefined ? 0 : machine.bytes(encodePlain(Float32Array.from(bias.values), bias.format), 1).address,
      bias === undefined ? 0 : NUMBER_FORMATS[bias.format],
      xs.address,
      xStride,
      placed.address,
      stride,
      pairs?.length ?? x.length,
      list(pairs?.map(([from]) => from)),
      list(pairs?.map(([, to]) => to)),
      xScales === undefined ? 0 : machine.floats(xScales).address,
      +round,
      units,
      0,
      0,
      counter?.address ?? 0,
    );
    units += Math.ceil(rows / TILE);
    outputs.push({ placed, rows, stride, count });
  }
  const widest = Math.max(...products.map(({ matrix }) => matrix.values[0]!.length));
  machine.run(
    "linear",
    [products.length, ...records],
    units,
    [...outputs.map(({ placed }) => placed), ...counters.filter((counter) => counter !== undefined)],
    scratchBytes(widest),
  );
  products.forEach(({ counts }, i) => {
    const counter = counters[i];
    if (counts && counter) [counts.integers, counts.float32] = [counter.data[1]!, counter.data[2]!];
  });
  return outputs.map(({ placed: { data }, rows, stride, count }) =>
    Array.from({ length: count }, (_, r) => {
      assert(data.subarray(r * stride + rows, (r + 1) * stride).every((v) => v === GAP), `written behind row ${r}`);
      return data.slice(r * stride, r * stride + rows);
    })
  );
}

export const matrixRows = (rows: number, cols: number, seed = 1) =>
  Array.from({ length: rows }, (_, r) => normals(100 * seed + r, cols, 0.5));
