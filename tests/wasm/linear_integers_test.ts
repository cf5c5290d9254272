import type { InputFormat } from "../../src/formats/input.ts";
import { qdqRow } from "../../src/formats/qdq.ts";
import { assertEquals } from "../assert.ts";
import { integers, normals } from "../formats/seeded.ts";
import { linear, matrixRows, TILE } from "./linear.ts";
import { assertSameBits, Machine } from "./module.ts";
import { preparedOrder } from "./twins.ts";
import { type Matrix, storeMatrix } from "./weights.ts";

/** Formats of weights that are small integers, and what brings inputs to small integers. */
const WEIGHTS = ["mxfp4", "mxfp6_e2m3"] as const;
const INPUTS: readonly InputFormat[] = [
  { kind: "mx", element: "e2m1", rule: "even" },
  { kind: "mx", element: "e2m1", rule: "floor" },
  { kind: "mx", element: "e2m3", rule: "even" },
];

/** A dot product, sum by sum in the order that ABI.md names. */
function twin(w: Float32Array, x: Float32Array): number {
  const sum = [0, 0, 0, 0], [pw, px] = [preparedOrder(w), preparedOrder(x)];
  for (let block = 0; block < pw.length; block += 32) {
    const t = [0, 0, 0, 0];
    for (let i = block; i < block + 32; i++) t[i % 4] = Math.fround(t[i % 4]! + pw[i]! * px[i]!);
    t.forEach((v, lane) => sum[lane] = Math.fround(sum[lane]! + v));
  }
  return Math.fround(Math.fround(sum[0]! + sum[1]!) + Math.fround(sum[2]! + sum[3]!));
}

/**
 * Multiplies with integers where they fit, by each way to multiply bytes, in float32, and row by row; asserts that all
 * give the same bits.
 *
 * @returns The outputs, and how many tiles times input rows were multiplied in either way.
 */
function bothWays(machine: Machine, matrix: Matrix, x: readonly Float32Array[]) {
  const counts = { integers: 0, float32: 0 }, none = { integers: 0, float32: 0 };
  const [out] = linear(machine, [{ matrix, x, counts }]);
  const [expected] = linear(machine, [{ matrix, x, way: "float32", counts: none }]);
  // One of them is what this processor would take.
  const [pairs] = linear(machine, [{ matrix, x, way: "pairs of bytes" }]);
  const [dots] = linear(machine, [{ matrix, x, way: "dot products" }]);
  expected!.forEach((row, i) => [out, pairs, dots].forEach((some) => assertSameBits(some![i]!, row, `row ${i}`)));
  assertEquals(none.integers, 0);
  for (const i of [0, x.length - 1]) assertSameBits(linear(machine, [{ matrix, x: [x[i]!] }])[0]![0]!, out![i]!);
  return { out: out!, ...counts };
}

for (const format of WEIGHTS) {
  for (const input of INPUTS) {
    const name = input.kind === "mx" ? `${input.element} ${input.rule}` : input.kind;
    Deno.test(`linear() multiplies ${format} as integers with ${name}, to the bit as in float32`, () => {
      for (const [rows, cols, pairs] of [[8, 32, 9], [13, 77, 10], [5, 608, 67], [1, 1, 12]] as const) {
        const machine = new Machine();
        const matrix = storeMatrix(machine, matrixRows(rows, cols, rows), { format });
        const x = matrixRows(pairs, cols, pairs + 2).map((row, i) =>
          qdqRow(row.map((v) => v * 2 ** (i % 40 - 20)), input, i % 2 === 0)
        );
        const { out, integers, float32 } = bothWays(machine, matrix, x);
        assertEquals([integers, float32], [Math.ceil(rows / TILE) * pairs, 0]);
        out.forEach((row, i) => assertSameBits(row, matrix.values.map((w) => twin(w, x[i]!)), `row ${i}`));
      }
    });
  }
}

Deno.test("linear() multiplies every FP4 number with every FP4 number exactly", () => {
  const machine = new Machine(),
    numbers = [0, 0.5, 1, 1.5, 2, 3, 4, 6],
    signed = [...numbers, ...numbers.map((v) => -v)];
  // Row w holds a number in one column, which differs by row, and 6 in another, so that the block's scale is 1.
  const w = signed.map((v, i) => Float32Array.from({ length: 32 }, (_, c) => c === i ? v : c === 31 ? 6 : 0));
  const matrix = storeMatrix(machine, w, { format: "mxfp4" });
  matrix.values.forEach((row, i) => assertSameBits(row, w[i]!));
  const x = signed.map((v) => new Float32Array(32).fill(v));
  const { out, float32 } = bothWays(machine, matrix, x);
  assertEquals(float32, 0);
  x.forEach((row, i) => assertSameBits(out[i]!, signed.map((v) => v * row[0]! + 6 * row[0]! || 0), `times ${row[0]}`));
});

Deno.test("linear() falls back to float32 for four rows with a block that does not fit, and only there", () => {
  const machine = new Machine(64), cols = 96, rows = 11;
  const matrix = storeMatrix(machine, matrixRows(rows, cols), { format: "mxfp4" });
  const fitting = () => matrixRows(12, cols, 3).map((row) => qdqRow(row, INPUTS[0]!, true));
  const awkward: readonly [number, boolean][] = [
    [0, true],
    [-0, true],
    [63, true],
    [-63 * 2 ** -5, true],
    [65, false],
    [127, false],
    [1 + 2 ** -6, false],
    [2 ** 60, false],
    [2 ** 67, false],
    [2 ** -50, false],
    [2 ** -149, false],
    [Infinity, false],
    [-Infinity, false],
    [NaN, false],
    [3e38, false],
  ];
  for (const [value, fits] of awkward) {
    const x = fitting();
    // Beside a 1, so that the quantum is one that the others of the block are multiples of.
    x[5]!.fill(0, 32, 64);
    x[5]!.set([1, value], 40);
    const { integers, float32 } = bothWays(machine, matrix, x);
    assertEquals([integers, float32], fits ? [24, 0] : [16, 8], `${value}`);
  }
  // Blocks of their own: any power of two fits, up to a limit.
  for (
    const [exponent, fits] of [[0, true], [64, true], [66, false], [-55, true], [-56, false], [-149, false]] as const
  ) {
    const x = fitting();
    x[5]!.fill(2 ** exponent, 32, 64);
    assertEquals(bothWays(machine, matrix, x).float32, fits ? 0 : 8, `2^${exponent}`);
  }
});

Deno.test("linear() falls back to float32 for eight rows with a scale beyond the limits, and only there", () => {
  for (const byte of [0, 1, 66, 67, 127, 187, 188, 253, 254, 255]) {
    const machine = new Machine(), blocks = 3, rows = 24, next = integers(byte);
    const codes = machine.bytes(Array.from({ length: rows * blocks * 16 }, () => next() % 256));
    const scales = machine.bytes(new Uint8Array(rows * blocks).fill(120));
    scales.data[13 * blocks + 1] = byte;
    const words = [3, 0, rows, blocks * 32, codes.address, blocks * 16, scales.address, blocks, 1];
    const values = Array.from({ length: rows }, () => new Float32Array(blocks * 32));
    const x = Array.from({ length: 9 }, (_, i) => qdqRow(normals(i, blocks * 32), INPUTS[0]!, true));
    const { integers: whole, float32 } = bothWays(machine, { values, factors: [], words }, x);
    assertEquals([whole, float32], byte < 67 || byte > 187 ? [18, 9] : [27, 0], `${byte}`);
  }
});

Deno.test("linear() multiplies as integers the pairs that it is told to, whatever lies between them", () => {
  const machine = new Machine(), cols = 160;
  const matrix = storeMatrix(machine, matrixRows(9, cols), { format: "mxfp4" });
  // Every third row is not made of integers.
  const x = matrixRows(40, cols, 4).map((row, i) => i % 3 === 0 ? row : qdqRow(row, INPUTS[0]!, true));
  const pairs = Array.from({ length: 30 }, (_, i) => [(i * 7 + 1) % 40, (i * 11) % 30] as const);
  const counts = { integers: 0, float32: 0 };
  const [out] = linear(machine, [{ matrix, x, pairs, counts }]);
  const fits = Array.from({ length: 8 }, (_, q) => pairs.slice(4 * q, 4 * q + 4).every(([from]) => from % 3 !== 0));
  assertEquals(counts.integers / 2, pairs.filter((_, i) => fits[i >> 2]).length);
  for (const [from, to] of pairs) {
    assertSameBits(out![to]!, matrix.values.map((w) => twin(w, x[from]!)).map((v, r) => from % 3 ? v : out![to]![r]!));
    assertSameBits(out![to]!, linear(machine, [{ matrix, x: [x[from]!] }])[0]![0]!, `row ${to}`);
  }
});

Deno.test("linear() multiplies as integers all fours of many rows but those that do not fit, the last ones too", () => {
  const cols = 64, rows = 9;
  for (const format of WEIGHTS) {
    for (
      const [pairs, unfit] of [
        // At most 32 fours together, the last one of fewer rows or not; 33 are cut into 17 and 16.
        ...[[128, [31]], [126, [0, 16, 31]], [121, [30, 17]], [68, [16]], [129, [16, 17]]] as const,
        // Only the first one does not fit, or no other does.
        ...[[29, [0]], [12, [1, 2]]] as const,
      ]
    ) {
      const machine = new Machine(64), matrix = storeMatrix(machine, matrixRows(rows, cols), { format });
      const x = matrixRows(pairs, cols, 3).map((row) => qdqRow(row, INPUTS[0]!, true));
      const members = unfit.map((four) => x.slice(4 * four, 4 * four + 4));
      for (const four of members) four.at(-1)!.set(normals(5, cols));
      const { integers, float32 } = bothWays(machine, matrix, x);
      const floats = members.flat().length;
      assertEquals([integers, float32], [2 * (pairs - floats), 2 * floats], `${pairs} rows but ${unfit}`);
    }
  }
});

Deno.test("linear() multiplies rows of more blocks as integers than stay in a cache", () => {
  for (const format of WEIGHTS) {
    // 49 blocks, the last one cut, and 97.
    for (const [rows, cols] of [[13, 1556], [3, 3104]] as const) {
      const machine = new Machine(64), matrix = storeMatrix(machine, matrixRows(rows, cols), { format });
      const x = matrixRows(9, cols, 3).map((row) => qdqRow(row, INPUTS[0]!, true));
      const { out, float32 } = bothWays(machine, matrix, x);
      assertEquals(float32, 0);
      out.forEach((row, i) => assertSameBits(row, matrix.values.map((w) => twin(w, x[i]!)), `row ${i}`));
    }
  }
});

Deno.test("linear() multiplies no blocks as integers whose numbers have more bits", () => {
  const machine = new Machine(), cols = 96;
  const matrix = storeMatrix(machine, matrixRows(8, cols), { format: "mxfp4" });
  // Some output rows together, and a tile for many rows.
  for (const n of [20, 30]) {
    const { integers, float32 } = bothWays(machine, matrix, matrixRows(n, cols, 2));
    assertEquals([integers, float32], [0, n]);
  }
  // Not a block format.
  const plain = storeMatrix(machine, matrixRows(8, cols), { format: "bf16" });
  assertEquals(
    bothWays(machine, plain, matrixRows(20, cols, 2).map((row) => qdqRow(row, INPUTS[0]!, true))).integers,
    0,
  );
});

Deno.test("linear() gives zeros for many rows of no columns, as a rank may have them", () => {
  const none = { values: [new Float32Array(0), new Float32Array(0)], factors: [] };
  for (const [format, scaleKind] of [[3, 1], [0, 0]] as const) {
    const machine = new Machine();
    const matrix = { ...none, words: [format, 0, 2, 0, 0, 0, 0, 0, scaleKind] };
    const [out] = linear(machine, [{ matrix, x: Array.from({ length: 12 }, () => new Float32Array(0)) }]);
    for (const row of out!) assertSameBits(row, new Float32Array(2));
  }
});
