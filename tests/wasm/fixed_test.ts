import { roundToBf16 } from "../../src/formats/bf16.ts";
import { fixedStride } from "../../src/backends/emulate/areas.ts";
import { integers, normals } from "../formats/seeded.ts";
import { assert, assertEquals } from "../assert.ts";
import { assertSameBits, type F32, Machine } from "./module.ts";
import { awkwardRows, INPUTS } from "./inputs.ts";
import { BLOCK_BYTES, linear, prepare } from "./fixed_rows.ts";
import { fixedDigits, fixedLane } from "./twins.ts";
import { storeMatrix } from "./weights.ts";

/** Stored formats that are multiplied as integers, and what is added to those. */
const OFFSETS = { mxfp4: 12, mxfp6_e2m3: 60 } as const;

for (const [name, , words] of INPUTS) {
  Deno.test(`prepare() writes as integers what fits, exactly and in the fewest digits (${name})`, () => {
    for (const offset of [12, 60]) {
      const width = 96, rows = awkwardRows(width), machine = new Machine();
      const { out, fixed } = prepare(machine, rows, words, offset);
      const view = new DataView(fixed.data.buffer, fixed.data.byteOffset, fixed.data.length);
      for (let r = 0; r < rows.length; r++) {
        const row = r * fixedStride(width);
        assertEquals(view.getUint8(row + 3 * BLOCK_BYTES + 3), 255, "the end");
        for (let b = 0; b < 3; b++) {
          const at = row + b * BLOCK_BYTES;
          const numbers = out.data.subarray(r * width + 32 * b, r * width + 32 * (b + 1));
          const lanes = [0, 1, 2, 3].map((lane) => Array.from({ length: 8 }, (_, v) => numbers[4 * v + lane]!));
          const digits = view.getUint8(row + 3 * BLOCK_BYTES + b);
          assertEquals(digits, fixedDigits(lanes, offset), `row ${r}, block ${b}: digits`);
          if (digits === 0) continue;
          lanes.forEach((lane, l) => {
            const { integers, unit, start, integerStart } = fixedLane(view, at, l, digits, offset);
            integers.forEach((x, v) =>
              assert(x * unit === lane[v], `row ${r}, block ${b}, lane ${l}: ${x} * ${unit}, expected ${lane[v]}`)
            );
            assert(start === -offset * integers.reduce((sum, x) => sum + x), `row ${r}, block ${b}: start ${start}`);
            assertEquals(integerStart, start + 0, `row ${r}, block ${b}: start as an integer`);
            assertEquals(fixedLane(view, at, l, 3, offset).integers, integers, "zeros after the last digit");
          });
        }
      }
    }
  });
}

Deno.test("prepare() writes no block as integers whose smallest number vanishes beside its largest", () => {
  const machine = new Machine(), row = new Float32Array(32);
  // Columns 0 and 8 are of one lane.
  row[0] = 2 ** 80;
  row[8] = 2 ** -100;
  const { fixed } = prepare(machine, [row], [0, 0, 0], 12);
  assertEquals(fixed.data[BLOCK_BYTES], 0);
});

Deno.test("prepare() writes as integers what just fits: exponents of 80, numbers of 21 bits in three digits", () => {
  const machine = new Machine();
  for (const sign of [1, -1]) {
    for (
      const [numbers, digits] of [
        [[2 ** 80], 1],
        [[1.5 * 2 ** 80], 1],
        [[2 ** 81], 0],
        [[2 ** -80], 1],
        [[1.5 * 2 ** -81], 0],
        // Of one lane; a sum of 2^20 and 1 times 12 is below 2^24.
        [[1, 2 ** -20], 3],
        [[1, 2 ** -21], 0],
        [[1.25, 2 ** -19, 2 ** -20], 3],
        [[1.5, 2 ** -20], 0],
      ] as const
    ) {
      const row = new Float32Array(32);
      numbers.forEach((number, i) => row[8 * i] = sign * number);
      const lanes = [[...numbers], [0], [0], [0]];
      assertEquals(fixedDigits(lanes, 12), digits, `the twin's digits of ${numbers}`);
      const { fixed } = prepare(machine, [row], [0, 0, 0], 12);
      assertEquals(fixed.data[BLOCK_BYTES], digits, `${numbers}`);
    }
  }
});

for (const format of Object.keys(OFFSETS) as (keyof typeof OFFSETS)[]) {
  for (const [name, , words] of INPUTS) {
    Deno.test(`linear() gives the bits of floats from integers (${format}, inputs ${name})`, () => {
      const next = integers(5);
      for (const width of [320, 77, 20]) {
        const machine = new Machine(16);
        const weights = Array.from({ length: 13 }, (_, r) => normals(900 + r, width, 2 ** (next() % 9 - 4)));
        const matrix = storeMatrix(machine, weights, { format });
        const rows = awkwardRows(width);
        // One row alone, groups of two to eight, and more groups than one.
        for (let from = 0, count = 1; from < rows.length; from += count, count = count % 17 + 1) {
          const some = rows.slice(from, from + count);
          const prepared = prepare(machine, some, words, OFFSETS[format]);
          const floats = linear(machine, matrix, prepared, some.length, false);
          assertSameBits(linear(machine, matrix, prepared, some.length, true), floats, `${count} rows from ${from}`);
        }
      }
    });
  }
}

Deno.test("linear() gives any number of rows of one digit, and of two, the bits of floats", () => {
  for (const format of Object.keys(OFFSETS) as (keyof typeof OFFSETS)[]) {
    const machine = new Machine(16), width = 64;
    const matrix = storeMatrix(machine, Array.from({ length: 9 }, (_, r) => normals(40 + r, width)), { format });
    const next = integers(3);
    // Four bits, over up to so many powers of two.
    for (const [digits, powers] of [[1, 1], [2, 10]] as const) {
      const number = () => (next() % 31 - 15) * 2 ** (next() % powers);
      const rows = Array.from({ length: 17 }, () => Float32Array.from({ length: width }, number));
      const prepared = prepare(machine, rows, [0, 0, 0], OFFSETS[format]);
      const blocks = rows.flatMap((_, r) => [0, 1].map((b) => r * fixedStride(width) + 2 * BLOCK_BYTES + b));
      assertEquals(Math.max(...blocks.map((at) => prepared.fixed.data[at]!)), digits);
      for (let n = 1; n <= rows.length; n++) {
        const floats = linear(machine, matrix, prepared, n, false);
        assertSameBits(linear(machine, matrix, prepared, n, true), floats, `${n} rows of ${digits} digits, ${format}`);
      }
    }
  }
});

Deno.test("linear() gives a few rows the bits of floats where one alone has three digits, or does not fit", () => {
  const width = 64, next = integers(4), number = () => (next() % 31 - 15) * 2 ** (next() % 10);
  for (const format of Object.keys(OFFSETS) as (keyof typeof OFFSETS)[]) {
    for (const [smallest, most] of [[2 ** -8, 3], [2 ** -30, 255]] as const) {
      for (const n of [2, 5, 6, 9, 16]) {
        const machine = new Machine();
        const matrix = storeMatrix(machine, Array.from({ length: 9 }, (_, r) => normals(40 + r, width)), { format });
        for (const odd of [0, n >> 1, n - 1]) {
          const rows = Array.from({ length: n }, () => Float32Array.from({ length: width }, number));
          // Columns 0 and 8 are of one lane.
          rows[odd]!.fill(0, 0, 32).set([256, 0, 0, 0, 0, 0, 0, 0, smallest]);
          const x = prepare(machine, rows, [0, 0, 0], OFFSETS[format]);
          const digits = rows.map((_, r) => x.fixed.data[r * fixedStride(width) + 2 * (BLOCK_BYTES + 1) + 1]!);
          assertEquals(digits.map((digits) => digits > 2 ? digits : 2), rows.map((_, r) => r === odd ? most : 2));
          const floats = linear(machine, matrix, x, n, false);
          assertSameBits(linear(machine, matrix, x, n, true), floats, `${format}, row ${odd} of ${n}`);
        }
      }
    }
  }
});

Deno.test("linear() gives the bits of floats from integers under every scale byte", () => {
  const machine = new Machine(), blocks = 4, rows = 256;
  const next = integers(6);
  const codes = machine.bytes(Uint8Array.from({ length: rows * blocks * 16 }, () => next() % 256));
  const scales = machine.bytes(Uint8Array.from({ length: rows * blocks }, (_, i) => (i >> 2) ^ (i & 3)));
  const words = [3, 0, rows, blocks * 32, codes.address, blocks * 16, scales.address, blocks, 1];
  const matrix = { values: Array.from({ length: rows }, () => new Float32Array(1)), factors: [], words };
  for (const size of [1, 1e-6, 1e6]) {
    const x = prepare(machine, [3, 4, 5].map((seed) => normals(seed, blocks * 32, size)), [0, 0, 0], 12);
    for (const n of [1, 3]) {
      assertSameBits(linear(machine, matrix, x, n, true), linear(machine, matrix, x, n, false), `${n} of ${size}`);
    }
  }
});

Deno.test("most blocks fit: bf16 numbers of a normal distribution, and all quantized ones", () => {
  const counts = (rows: readonly Float32Array[], words: readonly (number | F32)[]): number[] => {
    const machine = new Machine(32), width = 2880;
    const { fixed } = prepare(machine, rows, words, 12), counts = [0, 0, 0, 0];
    rows.forEach((_, r) => {
      const at = r * fixedStride(width) + BLOCK_BYTES * width / 32;
      fixed.data.subarray(at, at + width / 32).forEach((digits) => counts[digits]!++);
    });
    return counts;
  };
  const rows = Array.from({ length: 20 }, (_, r) => normals(70 + r, 2880).map(roundToBf16));
  const [unfit, , two] = counts(rows, [0, 0, 0]);
  // Of 1,800 blocks: some 2 in 100 do not fit, 14 need a third digit.
  assert(unfit! < 60 && two! > 1400, `${unfit} do not fit, ${two} have two digits`);
  for (const [name, { kind }, words] of INPUTS) {
    if (kind === "mx") assertEquals(counts(rows, words)[0], 0, name);
  }
});

Deno.test("linear() gives a few rows the bits of floats by the smallest and largest units and block scales", () => {
  for (const [format, code, bits, offset] of [["mxfp4", 3, 20, 12], ["mxfp6_e2m3", 5, 18, 60]] as const) {
    const machine = new Machine(), width = 64, rows = 8, bytes = format === "mxfp4" ? 32 : 48, next = integers(7);
    const codes = machine.bytes(Uint8Array.from({ length: rows * bytes }, next), 1).address;
    const x = Array.from({ length: 3 }, () => new Float32Array(width));
    x[0]!.forEach((_, i) => x[0]![i] = next() % 31 - 15);
    // Columns 0 and 8 are of one lane: the smallest unit that a block has, and the largest one.
    x[1]!.set([2 ** -80, 0, 0, 0, 0, 0, 0, 0, 2 ** (-80 - bits)], 32);
    x[2]!.set([2 ** 80], 32);
    const prepared = prepare(machine, x, [0, 0, 0], offset), at = fixedStride(width) + 2 * BLOCK_BYTES + 1;
    assertEquals([prepared.fixed.data[at], prepared.fixed.data[at + fixedStride(width)]], [3, 1]);
    for (const exponent of [0, 23, 24, 25, 26, 27, 28, 30, 32, 40, 47, 48, 54, 55, 60]) {
      for (const byte of [127 - exponent, 127 + exponent]) {
        const scales = machine.bytes(new Uint8Array(2 * rows).fill(byte)).address;
        const words = [code, 0, rows, width, codes, bytes, scales, 2, 1];
        const matrix = { values: Array.from({ length: rows }, () => new Float32Array(width)), factors: [], words };
        const floats = linear(machine, matrix, prepared, 3, false);
        assertSameBits(linear(machine, matrix, prepared, 3, true), floats, `${format}, ${byte}`);
      }
    }
  }
});
