/** `linear` for one input row as integers where its blocks fit, by the loop of eight output rows (`one_row.rs`). */
import { fixedStride } from "../../src/backends/emulate/areas.ts";
import { integers, normals } from "../formats/seeded.ts";
import { assertEquals } from "../assert.ts";
import { BLOCK_BYTES, linear, prepare } from "./fixed_rows.ts";
import { assertSameBits, Machine } from "./module.ts";

/** What is done to the numbers of a block, so that most such blocks do not fit, or have one to three digits. */
const KINDS: readonly ((x: number, i: number) => number)[] = [
  (x, i) => x * 2 ** -(i * 5 % 23),
  (x) => Math.trunc(x * 4) / 4 || 1,
  (x) => Math.trunc(x * 512) / 512 || 1,
  (x, i) => i % 32 < 8 ? 1.5 : (Math.trunc(x * 32) * 2 + 1) / 2 ** 16,
];

/** A row whose blocks are of kinds that `next` chooses. */
function row(width: number, seed: number, next: () => number): Float32Array {
  const kinds = Array.from({ length: Math.ceil(width / 32) }, () => KINDS[next() % 4]!);
  return normals(seed, width).map((v, i) => Math.fround(kinds[i >> 5]!(v, i)));
}

/** Weights of any codes, with scales of any of these bytes. */
function weights(machine: Machine, rows: number, cols: number, bytes: readonly number[], ends = false) {
  const next = integers(rows + cols), blocks = Math.ceil(cols / 32);
  const codes = machine.bytes(Uint8Array.from({ length: rows * blocks * 16 }, () => next() % 256), 1);
  const chosen = Uint8Array.from({ length: rows * blocks }, () => bytes[next() % bytes.length]!);
  const scales = ends ? machine.last(chosen) : machine.bytes(chosen, 1);
  const values = Array.from({ length: rows }, () => new Float32Array(1));
  return { values, factors: [], words: [3, 0, rows, cols, codes.address, blocks * 16, scales.address, blocks, 1] };
}

Deno.test("linear() gives one row of blocks of every kind the bits of floats, whatever its length", () => {
  const next = integers(8), seen = [0, 0, 0, 0];
  for (const [cols, rows] of [[32, 8], [77, 19], [480, 16], [512, 9], [544, 35], [2880, 24], [16384, 8], [16416, 8]]) {
    const machine = new Machine(64), matrix = weights(machine, rows!, cols!, [118, 125, 127, 128, 135]);
    const inputs = Array.from({ length: 3 }, (_, i) => row(cols!, 30 + i, next));
    const prepared = prepare(machine, inputs, [0, 0, 0], 12);
    const blocks = Math.floor(cols! / 32);
    inputs.forEach((_, i) => {
      const at = i * fixedStride(cols!) + blocks * BLOCK_BYTES;
      prepared.fixed.data.subarray(at, at + blocks).forEach((digits) => seen[digits]!++);
    });
    for (const n of [1, 3]) {
      const floats = linear(machine, matrix, prepared, n, false);
      assertSameBits(linear(machine, matrix, prepared, n, true), floats, `${n} by ${rows} x ${cols}`);
    }
  }
  assertEquals(seen.map((count) => count > 100), [true, true, true, true]);
});

Deno.test("linear() gives one row of blocks of every kind the bits of floats under every scale byte", () => {
  const next = integers(9), bytes = Array.from({ length: 256 }, (_, byte) => byte);
  for (const cols of [160, 608]) {
    // With few of them that are no normal numbers, and with none.
    for (const some of [bytes, [...bytes.slice(1, 255), ...bytes.slice(1, 255), 0], bytes.slice(1, 255)]) {
      const machine = new Machine(16), matrix = weights(machine, 64, cols, some);
      for (const size of [1, 2 ** -40, 2 ** 40]) {
        const x = row(cols, 50, next).map((v) => v * size);
        const prepared = prepare(machine, [x], [0, 0, 0], 12);
        const floats = linear(machine, matrix, prepared, 1, false);
        assertSameBits(linear(machine, matrix, prepared, 1, true), floats, `${cols} columns of ${size}`);
      }
    }
  }
});

Deno.test("linear() gives rows beyond the sizes of integers, and rows of no numbers, the bits of floats", () => {
  const machine = new Machine(32), cols = 320, matrix = weights(machine, 16, cols, [118, 127, 135]);
  const next = integers(10);
  for (const special of [NaN, Infinity, -Infinity, 3e38, -3e38, 2 ** -149, -(2 ** -127), -0]) {
    for (const col of [0, 31, 200, 319]) {
      const x = row(cols, 60, next);
      x[col] = special;
      const prepared = prepare(machine, [x], [0, 0, 0], 12);
      const floats = linear(machine, matrix, prepared, 1, false);
      assertSameBits(linear(machine, matrix, prepared, 1, true), floats, `${special} in column ${col}`);
    }
  }
});

Deno.test("linear() gives one row the bits of floats where scales end with the memory, and eight leave three", () => {
  const next = integers(11);
  for (const blocks of [1, 3, 15, 16, 17, 31, 33]) {
    const machine = new Machine(16), cols = 32 * blocks;
    // Some that are no normal numbers among them, or none; such ones beside which they do not vanish.
    for (const bytes of [[118, 127, 135], [127, 0, 255], [0, 1, 2]]) {
      machine.clear();
      // Three rows are left by eight.
      const matrix = weights(machine, 11, cols, bytes, true), x = row(cols, 70, next);
      const prepared = prepare(machine, [x], [0, 0, 0], 12);
      const floats = linear(machine, matrix, prepared, 1, false);
      assertSameBits(linear(machine, matrix, prepared, 1, true), floats, `${blocks} blocks, ${bytes}`);
    }
  }
});
