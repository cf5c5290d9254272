/** Rows as integers ("Fixed rows" in wasm/ABI.md), and their products, for the tests of them. */
import { fixedStride } from "../../src/backends/emulate/areas.ts";
import { BY_DOTS, BY_PAIRS, padded, scratchBytes } from "./linear.ts";
import { assertSameBits, type F32, type Machine } from "./module.ts";
import type { Matrix } from "./weights.ts";

/** Bytes of a block. */
export const BLOCK_BYTES = 144;

/** Rows in a machine's memory, as floats and as integers. */
export function prepare(
  machine: Machine,
  rows: readonly Float32Array[],
  words: readonly (number | F32)[],
  offset: number,
) {
  const width = rows[0]!.length, stride = Math.ceil(width / 4) * 4;
  const x = machine.floats(rows.length * stride), out = machine.floats(rows.length * padded(width));
  const fixed = machine.bytes(rows.length * fixedStride(width));
  rows.forEach((row, r) => x.data.set(row, r * stride));
  machine.run(
    "prepare",
    [
      ...[out.address, padded(width), x.address, stride, width, ...words, 1, 0],
      ...[fixed.address, fixedStride(width), offset],
    ],
    rows.length,
    [out, fixed],
  );
  return { out, fixed, width };
}

/** What is multiplied beside all rows in their order, and what is told of it. */
export interface Asked {
  /** Pairs (row, row of outputs); by default row i to row i. */
  readonly pairs?: readonly (readonly [number, number])[];
  /** Receives how many tiles of rows and input rows were multiplied as integers, and how many in float32. */
  readonly counts?: { integers: number; float32: number };
}

/**
 * Products of all rows with a matrix, by one call; as integers by two calls, one for each way to multiply bytes, of
 * which this processor would take one, and asserts that both have the same bits. Counts are of {@linkcode BY_DOTS}.
 */
export function linear(
  machine: Machine,
  matrix: Matrix,
  rows: ReturnType<typeof prepare>,
  n: number,
  integers: boolean,
  asked: Asked = {},
) {
  if (!integers) return linearBy(0, machine, matrix, { out: rows.out, width: rows.width }, n, asked);
  const [byPairs, byDots] = [BY_PAIRS, BY_DOTS].map((way) => linearBy(way, machine, matrix, rows, n, asked));
  assertSameBits(byPairs!, byDots!, "pairs of bytes");
  return byDots!;
}

/** Products by a way; as integers where there are fixed rows. */
export function linearBy(
  way: number,
  machine: Machine,
  matrix: Matrix,
  { out, fixed, width }: Omit<ReturnType<typeof prepare>, "fixed"> & Partial<ReturnType<typeof prepare>>,
  n: number,
  { pairs, counts }: Asked = {},
) {
  const outRows = matrix.values.length;
  const y = machine.floats(n * outRows), ways = machine.integers([way, 0, 0]);
  const list = (values: number[] | undefined) => values === undefined ? 0 : machine.integers(values).address;
  machine.run(
    "linear",
    [
      ...[1, ...matrix.words, 0, 0, out.address, padded(width), y.address, outRows, pairs?.length ?? n],
      ...[list(pairs?.map(([from]) => from)), list(pairs?.map(([, to]) => to)), 0, 0, 0],
      ...[fixed?.address ?? 0, fixedStride(width), ways.address],
    ],
    Math.ceil(outRows / 8),
    [y, ways],
    scratchBytes(width),
  );
  if (counts) [counts.integers, counts.float32] = [ways.data[1]!, ways.data[2]!];
  return y.data.slice();
}

/**
 * Whether this processor multiplies and adds bytes by one instruction, without which few rows are not picked by
 * bytes: others, of x86, let sums of two products end at 2^15 - 1.
 */
export function multipliesBytes(): boolean {
  const vector = (byte: number) => [0xfd, 0x0c, ...new Array<number>(16).fill(byte)];
  // i32x4.relaxed_dot_i8x16_i7x16_add_s of 127, 255 and 0, and i32x4.extract_lane 0.
  const body = [0, ...vector(127), ...vector(255), ...vector(0), 0xfd, 0x93, 0x02, 0xfd, 0x1b, 0, 0x0b];
  const header = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
  const types = [1, 5, 1, 0x60, 0, 1, 0x7f], functions = [3, 2, 1, 0], exported = [7, 5, 1, 1, 0x66, 0, 0];
  const code = [0x0a, body.length + 2, 1, body.length, ...body];
  const module = new WebAssembly.Module(Uint8Array.of(...header, ...types, ...functions, ...exported, ...code));
  const sum = new WebAssembly.Instance(module).exports["f"] as () => number;
  return sum() !== 2 * (2 ** 15 - 1);
}
