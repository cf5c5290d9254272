import { integers } from "../formats/seeded.ts";
import { linear, matrixRows } from "./linear.ts";
import { assertSameBits, Machine } from "./module.ts";
import { FORMATS } from "./weights.ts";

/** Formats with a scale for each block, and bytes of a block. */
const BLOCK_BYTES = { mxfp4: 16, mxfp6_e3m2: 24, mxfp6_e2m3: 24 };
const COLS = 64, ROWS = 8, BIAS = 127;

/** A matrix of any codes, all of whose blocks have one scale, but for one block. */
function matrixOf(machine: Machine, format: keyof typeof BLOCK_BYTES, exponent: number) {
  const bytes = BLOCK_BYTES[format], blocks = COLS / 32, next = integers(exponent + BIAS);
  const codes = machine.bytes(Array.from({ length: ROWS * blocks * bytes }, () => next() % 256));
  const scales = machine.bytes(new Uint8Array(ROWS * blocks).fill(BIAS));
  scales.data[3 * blocks + 1] = exponent + BIAS;
  const words = [FORMATS.indexOf(format), 0, ROWS, COLS, codes.address, blocks * bytes, scales.address, blocks, 1];
  return { values: Array.from({ length: ROWS }, () => new Float32Array(COLS)), factors: [], words };
}

/** Exponents of scales, and magnitudes of inputs, at and beyond the limits of what is multiplied into the weights. */
const SCALES = [-127, -100, -21, -20, 0, 20, 21, 100];
const INPUTS = [0, 2 ** -149, 2 ** -130, 2 ** -124, 2 ** -101, 2 ** -100, 1, 2 ** 80, 2 ** 81, 2 ** 126, Infinity, NaN];

for (const format of Object.keys(BLOCK_BYTES) as (keyof typeof BLOCK_BYTES)[]) {
  Deno.test(`linear() gives a row the same bits alone and among many, of any scale and size (${format})`, () => {
    for (const exponent of SCALES) {
      // Beside those, one whose products with this scale are subnormal.
      for (const magnitude of [...INPUTS, 2 ** (-140 - exponent)]) {
        const machine = new Machine(), matrix = matrixOf(machine, format, exponent);
        // All digits of a float32; other groups of rows are ordinary. As many as are multiplied by tiles.
        const x = matrixRows(26, COLS, 7).map((row) => row.map((v) => v + v * 2 ** -20));
        x[2]!.forEach((v, col) => x[2]![col] = col < 32 ? 0 : magnitude * (1 + Math.abs(v) / 3));
        const [many] = linear(machine, [{ matrix, x, way: "float32" }]);
        for (const i of [0, 2]) {
          assertSameBits(many![i]!, linear(machine, [{ matrix, x: [x[i]!] }])[0]![0]!, `2^${exponent}, ${magnitude}`);
        }
      }
    }
  });
}

/** A matrix of the largest number of a format, with scales that make no product infinite; nothing lies behind those. */
function largest(machine: Machine, format: keyof typeof BLOCK_BYTES, cols: number) {
  const bytes = BLOCK_BYTES[format], blocks = Math.ceil(cols / 32), code = bytes === 16 ? [0x77] : [0xdf, 0xf7, 0x7d];
  const codes = machine.bytes(Array.from({ length: ROWS * blocks * bytes }, (_, i) => code[i % code.length]!));
  const scales = machine.last(new Uint8Array(ROWS * blocks).fill(BIAS - 10));
  const words = [FORMATS.indexOf(format), 0, ROWS, cols, codes.address, blocks * bytes, scales.address, blocks, 1];
  return { values: Array.from({ length: ROWS }, () => new Float32Array(cols)), factors: [], words };
}

for (const format of Object.keys(BLOCK_BYTES) as (keyof typeof BLOCK_BYTES)[]) {
  Deno.test(`linear() sees one number that is too large for ordinary rows, wherever it is (${format})`, () => {
    // Three blocks, the last one cut or not; more than scales are read at once; two panels.
    for (const cols of [66, 96, 162, 610]) {
      const machine = new Machine();
      // Rows that are the first or last of five or four that are multiplied together.
      for (const row of [0, 3, 4, 5, 25]) {
        for (const col of [0, 31, 32, cols - 1]) {
          const x = Array.from({ length: 26 }, () => new Float32Array(cols).fill(1));
          x[row]![col] = 1.5 * 2 ** 126;
          machine.clear();
          const matrix = largest(machine, format, cols);
          for (const way of [undefined, "float32"] as const) {
            const [out] = linear(machine, [{ matrix, x, ...(way && { way }) }]);
            assertSameBits(out![row]!, new Float32Array(ROWS).fill(Infinity), `row ${row}, column ${col} of ${cols}`);
          }
        }
      }
    }
  });
}
