/** `linear` for a few input rows, by the loops that decode two to four output rows for several of them. */
import { assertEquals } from "../assert.ts";
import { integers } from "../formats/seeded.ts";
import { linear, matrixRows } from "./linear.ts";
import { assertSameBits, Machine } from "./module.ts";
import { storeMatrix } from "./weights.ts";

/** Ways that differ where rows of MXFP4 multiply by panels, which processors without a dot product of bytes do not. */
const WAYS = ["pairs of bytes", "dot products"] as const;

/** Rows of numbers of very different sizes, which are no small integers, some of them special. */
function inputs(pairs: number, cols: number): Float32Array[] {
  const rows = matrixRows(pairs, cols, 7).map((row) => row.map((v, i) => Math.fround(v * 2 ** -(i * 5 % 17))));
  const specials = [Infinity, NaN, 2 ** -149, -(2 ** -130), 3e38, -0];
  // One row of each group stays finite.
  specials.forEach((special, i) => {
    if (2 * i + 1 < pairs) rows[2 * i + 1]![(i * 11) % cols] = special;
  });
  return rows;
}

for (const format of ["mxfp4", "bf16"] as const) {
  Deno.test(`linear() gives a few rows the bits that each has alone (${format})`, () => {
    for (
      const [rows, cols, numbers] of [
        [35, 96, [2, 3, 4, 5, 6, 7, 13, 16, 17]],
        [9, 77, [4, 24, 25]],
        // Output rows that no four and no three divide, an odd number of them, fewer than are multiplied together.
        [22, 64, [2, 3]],
        [13, 160, [2, 3, 5]],
        [1, 64, [2, 3]],
        [2, 32, [2, 3, 4]],
        [3, 31, [5]],
        // One column beyond whole blocks, or one less.
        [6, 33, [2, 3, 6]],
        [6, 63, [2, 3, 6]],
        // By panels: no block beside them, one and a cut one, two tiles of output rows and one more.
        [64, 192, [5, 6, 7, 8, 9, 10, 11, 12, 13]],
        // Sums of all these output rows at once would not fit the scratch.
        [800, 192, [12]],
        [203, 429, [7, 12, 23]],
        [130, 384, [8, 24, 25]],
      ]
    ) {
      for (const pairs of numbers as number[]) {
        const machine = new Machine(64), x = inputs(pairs, cols as number);
        const matrix = storeMatrix(machine, matrixRows(rows as number, cols as number, 3), { format });
        const chosen = [...new Set([0, 1, 2, 3, 4, 5, 6, pairs - 1].filter((i) => i < pairs))];
        const alone = chosen.map((i) => linear(machine, [{ matrix, x: [x[i]!] }])[0]![0]!);
        for (const way of WAYS) {
          const counts = { integers: 0, float32: 0 };
          const [out] = linear(machine, [{ matrix, x, counts, way }]);
          if (pairs > 2) assertEquals(counts, { integers: 0, float32: Math.ceil((rows as number) / 8) * pairs });
          chosen.forEach((i, n) => assertSameBits(out![i]!, alone[n]!, `row ${i} of ${pairs}, ${way}`));
        }
      }
    }
  });

  // Where a row has an infinity or NaN, so have its outputs, whatever is wrong with them.
  Deno.test(`linear() gives each of a few rows of finite numbers the bits that it has alone (${format})`, () => {
    for (const [rows, cols, numbers] of [[13, 64, [2, 3, 4, 5, 6]], [64, 192, [7, 8, 9, 10, 11, 12, 13]]] as const) {
      const machine = new Machine(), matrix = storeMatrix(machine, matrixRows(rows, cols, 3), { format });
      const x = matrixRows(13, cols, 7).map((row) => row.map((v, i) => Math.fround(v * 2 ** -(i * 5 % 17))));
      const alone = x.map((row) => linear(machine, [{ matrix, x: [row] }])[0]![0]!);
      for (const pairs of numbers) {
        const [out] = linear(machine, [{ matrix, x: x.slice(0, pairs), way: "dot products" }]);
        out!.forEach((row, i) => assertSameBits(row, alone[i]!, `row ${i} of ${pairs}`));
      }
    }
  });

  Deno.test(`linear() finishes the outputs of a few rows as those of one alone (${format})`, () => {
    for (const [rows, cols] of [[19, 64], [67, 205]] as const) {
      const machine = new Machine(), x = inputs(9, cols), values = Array.from({ length: rows }, (_, i) => i / 7 - 1);
      const matrix = storeMatrix(machine, matrixRows(rows, cols, 3), { format });
      const xScales = x.map((_, i) => Math.fround(0.3 + i / 11)), bias = { format: "bf16", values } as const;
      for (const round of [false, true]) {
        // Out rows in another order than rows of x, one of which is read twice.
        const pairs = [[3, 0], [8, 2], [0, 1], [3, 5], [5, 4], [7, 3], [2, 6]] as const;
        const outs = WAYS.map((way) => linear(machine, [{ matrix, bias, x, pairs, xScales, round, way }])[0]!);
        for (const [from, to] of pairs) {
          const alone = linear(machine, [{ matrix, bias, x, pairs: [[from, 0]], xScales, round }]);
          outs.forEach((out) => assertSameBits(out[to]!, alone[0]![0]!, `row ${from} of ${rows} x ${cols}`));
        }
      }
    }
  });
}

Deno.test("linear() gives a few rows the bits that each has alone with block scales of any size", () => {
  for (const byte of [0, 1, 2, 66, 67, 101, 127, 128, 187, 188, 252, 253, 254, 255]) {
    const machine = new Machine(), x = inputs(4, 64);
    const codes = machine.bytes(Array.from({ length: 2 * 32 }, (_, i) => i * 37 % 256), 1).address;
    const scales = machine.bytes([127, byte, byte, 127], 1).address,
      values = [new Float32Array(64), new Float32Array(64)];
    const matrix = { values, factors: [1, 1], words: [3, 0, 2, 64, codes, 32, scales, 2, 1] };
    const [out] = linear(machine, [{ matrix, x }]);
    x.forEach((row, i) =>
      assertSameBits(out![i]!, linear(machine, [{ matrix, x: [row] }])[0]![0]!, `${byte}, row ${i}`)
    );
  }
});

Deno.test("linear() gives rows of a panel the bits that each has alone with block scales of any size", () => {
  const bytes = [0, 1, 2, 66, 67, 101, 127, 128, 187, 188, 252, 253, 254, 255], rows = 64, cols = 192;
  const machine = new Machine(), x = inputs(7, cols);
  const codes = machine.bytes(Array.from({ length: rows * cols / 2 }, (_, i) => i * 37 % 256), 1).address;
  const scales = machine.bytes(Array.from({ length: rows * cols / 32 }, (_, i) => bytes[i % 13 + (i >> 4 & 1)]!), 1);
  const values = Array.from({ length: rows }, () => new Float32Array(cols));
  const matrix = {
    ...{ values, factors: Array<number>(rows).fill(1) },
    words: [3, 0, rows, cols, codes, cols / 2, scales.address, cols / 32, 1],
  };
  const outs = WAYS.map((way) => linear(machine, [{ matrix, x, way }])[0]!);
  x.forEach((row, i) => {
    const alone = linear(machine, [{ matrix, x: [row] }])[0]![0]!;
    outs.forEach((out) => assertSameBits(out[i]!, alone, `row ${i}`));
  });
});

Deno.test("linear() reads nothing behind the weights of panels where the memory ends, as it touches next rows", () => {
  // Output rows that pass over panels in two parts, in one, in three; whole panels, or with blocks beside them.
  for (const [rows, cols, pairs] of [[194, 192, 7], [195, 256, 13], [64, 192, 12], [386, 224, 8]] as const) {
    const next = integers(rows), x = inputs(pairs, cols), gap = 80, stride = cols / 2 + gap;
    const codes = Uint8Array.from({ length: rows * stride - gap }, next);
    const values = Array.from({ length: rows }, () => new Float32Array(cols));
    const [last, other] = [true, false].map((ends) => {
      const machine = new Machine(), scales = machine.bytes(new Uint8Array(rows * cols / 32).fill(125)).address;
      const { address } = ends ? machine.last(codes) : machine.bytes(codes, 1);
      const words = [3, 0, rows, cols, address, stride, scales, cols / 32, 1];
      return linear(machine, [{ matrix: { values, factors: [], words }, x, way: "dot products" }])[0]!;
    });
    last!.forEach((row, i) => assertSameBits(row, other![i]!, `row ${i} of ${rows} x ${cols}`));
  }
});
