import { fixedStride } from "../../src/backends/emulate/areas.ts";
import { integers, normals } from "../formats/seeded.ts";
import { assert, assertEquals } from "../assert.ts";
import { BLOCK_BYTES, linear, linearBy, prepare } from "./fixed_rows.ts";
import { BY_PAIRS, TILE } from "./linear.ts";
import { assertSameBits, Machine } from "./module.ts";
import { type Matrix, storeMatrix } from "./weights.ts";

const OFFSET = 12, WIDTH = 96, OUT_ROWS = 13;
const matrixIn = (machine: Machine): Matrix =>
  storeMatrix(machine, Array.from({ length: OUT_ROWS }, (_, r) => normals(60 + r, WIDTH)), { format: "mxfp4" });

/** Rows of numbers of four bits: each third one of numbers of one size, others of sizes that differ by up to 2^9. */
function rowsOf(count: number, seed: number): Float32Array[] {
  const next = integers(seed);
  const number = (powers: number) => (next() % 31 - 15) * 2 ** (next() % powers);
  return Array.from({ length: count }, (_, r) => {
    return Float32Array.from({ length: WIDTH }, () => number(r % 3 === 0 ? 1 : 10));
  });
}

/** Multiplies as integers, in float32, and asserts that both give the same bits; says how many tiles were integers. */
function bothWays(machine: Machine, matrix: Matrix, rows: ReturnType<typeof prepare>, n: number): number {
  const counts = { integers: 0, float32: 0 };
  assertSameBits(linear(machine, matrix, rows, n, true, { counts }), linear(machine, matrix, rows, n, false), `${n}`);
  return counts.integers;
}

Deno.test("linear() multiplies many fixed rows of one digit or two as integers, to the bit as in float32", () => {
  const machine = new Machine(64), matrix = matrixIn(machine), all = 130;
  const rows = prepare(machine, rowsOf(all, 7), [0, 0, 0], OFFSET);
  const most = (r: number) => rows.fixed.data[r * fixedStride(WIDTH) + WIDTH / 32 * (BLOCK_BYTES + 1) + 1];
  assertEquals([0, 1, 2, 3].map(most), [1, 2, 2, 1]);
  // Groups of five to eight rows, and one, two and three parts of them.
  for (const n of [17, 18, 19, 32, 64, 65, all]) {
    assertEquals(bothWays(machine, matrix, rows, n), Math.ceil(OUT_ROWS / TILE) * n);
  }
});

Deno.test("linear() multiplies many fixed rows by pairs of bytes up to 24 of them, and of one digit by tiles", () => {
  const machine = new Machine(64), matrix = matrixIn(machine), tiles = Math.ceil(OUT_ROWS / TILE);
  const two = prepare(machine, rowsOf(25, 7), [0, 0, 0], OFFSET);
  const one = prepare(machine, rowsOf(60, 7).filter((_, r) => r % 3 === 0), [0, 0, 0], OFFSET);
  // Tiles do not look at fixed rows. Those of one digit are small integers as float32, too, as row 24 is, which tiles
  // multiply with no other.
  for (const [rows, n, integers, float32] of [[two, 24, 24, 0], [two, 25, 1, 24], [one, 20, 20, 0]] as const) {
    const counts = { integers: 0, float32: 0 };
    linearBy(BY_PAIRS, machine, matrix, rows, n, { counts });
    assertEquals(counts, { integers: tiles * integers, float32: tiles * float32 }, `${n}`);
  }
});

Deno.test("linear() multiplies many fixed rows in float32 where one of them has three digits, or does not fit", () => {
  // The first one, one in the middle, the last one.
  for (const [smallest, row] of [2 ** -9, 2 ** -30].flatMap((smallest) => [0, 11, 19].map((r) => [smallest, r]))) {
    const machine = new Machine(64), rows = rowsOf(20, 9);
    rows.forEach((numbers, r) => r % 3 === 0 && numbers.set(rowsOf(20, 10)[1]!));
    // Columns 0 and 8 are of one lane, whose other numbers are smaller than 2^14.
    rows[row!]!.set([2 ** 9, 0, 0, 0, 0, 0, 0, 0, smallest!]);
    const x = prepare(machine, rows, [0, 0, 0], OFFSET);
    assertEquals(bothWays(machine, matrixIn(machine), x, 20), 0, `${smallest} in ${row}`);
  }
});

Deno.test("linear() multiplies the columns after the last whole block of many fixed rows", () => {
  for (const width of [33, 77, 95]) {
    const machine = new Machine(64), weights = Array.from({ length: OUT_ROWS }, (_, r) => normals(60 + r, width));
    const rows = prepare(machine, rowsOf(24, 7).map((row) => row.slice(0, width)), [0, 0, 0], OFFSET);
    bothWays(machine, storeMatrix(machine, weights, { format: "mxfp4" }), rows, 24);
  }
});

Deno.test("linear() multiplies many fixed rows under every scale byte", () => {
  const machine = new Machine(16), blocks = 4, rows = 256, next = integers(6);
  const codes = machine.bytes(Uint8Array.from({ length: rows * blocks * 16 }, () => next() % 256));
  const scales = machine.bytes(Uint8Array.from({ length: rows * blocks }, (_, i) => (i >> 2) ^ (i & 3)));
  const words = [3, 0, rows, blocks * 32, codes.address, blocks * 16, scales.address, blocks, 1];
  const matrix = { values: Array.from({ length: rows }, () => new Float32Array(1)), factors: [], words };
  const x = prepare(machine, Array.from({ length: 17 }, (_, r) => normals(r, blocks * 32)), [4, 0, 0x3f800000], OFFSET);
  const whole = bothWays(machine, matrix, x, 17);
  assert(whole > 0 && whole < 17 * rows / TILE, `${whole} tiles and rows as integers`);
});

Deno.test("linear() multiplies parts of many fixed rows one by one where eight output rows have extreme scales", () => {
  const machine = new Machine(64), blocks = WIDTH / 32, next = integers(6);
  const codes = machine.bytes(Uint8Array.from({ length: OUT_ROWS * blocks * 16 }, () => next() % 256));
  const scales = machine.bytes(new Uint8Array(OUT_ROWS * blocks).fill(125));
  // Of eight output rows, of the four and the one that are left.
  for (const row of [3, 9, 12]) scales.data[row * blocks + 1] = 90;
  const words = [3, 0, OUT_ROWS, WIDTH, codes.address, blocks * 16, scales.address, blocks, 1];
  const matrix = { values: Array.from({ length: OUT_ROWS }, () => new Float32Array(1)), factors: [], words };
  const rows = prepare(machine, rowsOf(130, 7), [0, 0, 0], OFFSET);
  for (const n of [17, 65, 130]) assertEquals(bothWays(machine, matrix, rows, n), 0, `${n}`);
});

Deno.test("linear() multiplies the fixed rows that it is told to, whatever lies between them", () => {
  const machine = new Machine(64), matrix = matrixIn(machine), all = 60, n = 40;
  const rows = rowsOf(all, 8);
  for (let r = 0; r < all; r += 4) rows[r]!.fill(NaN);
  const prepared = prepare(machine, rows, [0, 0, 0], OFFSET);
  const pairs = Array.from({ length: n }, (_, i) => [(i * 7 % 45 / 3 | 0) * 4 + 1 + i % 3, i * 11 % n] as const);
  const counts = { integers: 0, float32: 0 };
  const whole = linear(machine, matrix, prepared, n, true, { pairs, counts });
  assertEquals(counts, { integers: 2 * n, float32: 0 });
  assertSameBits(whole, linear(machine, matrix, prepared, n, false, { pairs }));
});
