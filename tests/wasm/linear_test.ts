import { encodePlain } from "../../src/formats/encode.ts";
import { isPlain } from "../../src/formats/format.ts";
import type { InputFormat } from "../../src/formats/input.ts";
import { qdqRow } from "../../src/formats/qdq.ts";
import { decodeE8m0 } from "../../src/formats/scales.ts";
import { assertEquals } from "../assert.ts";
import { integers, normals } from "../formats/seeded.ts";
import { type Bias, linear, matrixRows } from "./linear.ts";
import { assertNear, assertSameBits, Machine } from "./module.ts";
import { dot, NUMBER_FORMATS, type NumberFormat, preparedOrder, readNumber, rounded } from "./twins.ts";
import { type Storage, storageName, STORAGES, storeMatrix } from "./weights.ts";

const MX_INPUT: InputFormat = { kind: "mx", element: "e2m1", rule: "even" };

for (const storage of STORAGES) {
  for (const [rows, cols] of [[8, 32], [13, 77], [21, 608], [5, 20], [3, 1]] as const) {
    Deno.test(`linear() multiplies (${storageName(storage)}, ${rows} x ${cols})`, () => {
      const machine = new Machine();
      const matrix = storeMatrix(machine, matrixRows(rows, cols), storage);
      const x = matrixRows(7, cols, 2);
      const bias: Bias = { format: "bf16", values: Array.from({ length: rows }, (_, r) => (r - 4) / 8) };
      // One row, two, and seven: every path gives the same bits.
      const outs = [1, 2, 7].map((n) => linear(machine, [{ matrix, bias, x: x.slice(0, n) }])[0]!);
      for (const [n, out] of outs[2]!.entries()) {
        const expected = matrix.values.map((row, r) => dot(row, x[n]!) * matrix.factors[r]! + bias.values[r]!);
        assertNear(out, expected, `row ${n}`);
      }
      assertSameBits(outs[0]![0]!, outs[2]![0]!, "one row and seven");
      assertSameBits(outs[1]![0]!, outs[2]![0]!, "two rows and seven");
      assertSameBits(outs[1]![1]!, outs[2]![1]!, "two rows and seven");
    });
  }
}

Deno.test("linear() gives the same bits for the same numbers in every format", () => {
  for (const name of ["mxfp4", "mxfp6_e3m2", "mxfp6_e2m3"] as const) {
    const machine = new Machine(), cols = 672, rows = 19;
    const stored = storeMatrix(machine, matrixRows(rows, cols), { format: name });
    const others: Storage[] = [
      { format: "bf16" },
      { format: "f32" },
      { format: "bf16", transposed: true },
      { format: "f32", transposed: true },
    ];
    for (const n of [1, 5]) {
      const x = matrixRows(n, cols, 3);
      const expected = linear(machine, [{ matrix: stored, x }])[0]!;
      for (const other of others) {
        const out = linear(machine, [{ matrix: storeMatrix(machine, stored.values, other), x }])[0]!;
        out.forEach((row, r) =>
          assertSameBits(row, expected[r]!, `${name} as ${storageName(other)}, row ${r} of ${n}`)
        );
      }
    }
  }
});

Deno.test("linear() sums in the order that ABI.md names", () => {
  // Numbers of 8 bits and many sizes: a product is exact, so whether it is fused with the sum changes nothing, but
  // every sum rounds.
  const machine = new Machine(), cols = 96, rows = 40;
  const next = integers(9);
  const numbers = () => Float32Array.from({ length: cols }, () => (next() % 512 - 256) * 2 ** (next() % 10 - 5));
  const w = Array.from({ length: rows }, numbers), x = numbers();
  const expected = w.map((row) => {
    const sum = [0, 0, 0, 0];
    const [pw, px] = [preparedOrder(row), preparedOrder(x)];
    for (let block = 0; block < cols; block += 32) {
      const t = [0, 0, 0, 0];
      for (let i = block; i < block + 32; i++) t[i % 4] = Math.fround(t[i % 4]! + pw[i]! * px[i]!);
      t.forEach((v, lane) => sum[lane] = Math.fround(sum[lane]! + v));
    }
    return Math.fround(Math.fround(sum[0]! + sum[1]!) + Math.fround(sum[2]! + sum[3]!));
  });
  const matrix = storeMatrix(machine, w, { format: "bf16" });
  for (const n of [1, 2]) {
    const [out] = linear(machine, [{ matrix, x: Array.from({ length: n }, () => x) }]);
    for (const row of out!) assertSameBits(row, expected);
  }
});

Deno.test("linear() applies scales, bias and rounding in order", () => {
  for (const rowScales of [false, true]) {
    for (const format of Object.keys(NUMBER_FORMATS) as NumberFormat[]) {
      for (const n of [1, 3]) {
        const machine = new Machine(), cols = 64;
        const matrix = storeMatrix(machine, matrixRows(10, cols), { format: "fp8_e4m3", rowScales });
        const x = matrixRows(n, cols, 4), xScales = [0.3, 7, 1e-3].slice(0, n).map(Math.fround);
        const biasBytes = encodePlain(normals(8, 10), format);
        const bias = { format, values: Array.from({ length: 10 }, (_, r) => readNumber(biasBytes, format, r)) };
        const plain = { ...matrix, words: [...matrix.words.slice(0, 6), 0, 0, 0] };
        const [sums] = linear(machine, [{ matrix: plain, x }]);
        const [out] = linear(machine, [{ matrix, bias, x, xScales, round: true }]);
        for (let i = 0; i < n; i++) {
          const expected = Array.from(sums![i]!, (sum, r) => {
            const scaled = Math.fround(Math.fround(sum * matrix.factors[r]!) * xScales[i]!);
            return rounded(true, Math.fround(scaled + bias.values[r]!));
          });
          assertSameBits(out![i]!, expected, `${format}, row ${i}`);
        }
      }
    }
  }
});

Deno.test("linear() reads and writes the rows it is told to, of several matrices in one call", () => {
  const machine = new Machine(), cols = 64;
  const matrices = [13, 8, 30].map((rows, i) =>
    storeMatrix(machine, matrixRows(rows, cols, i + 5), { format: (["mxfp4", "bf16", "f32"] as const)[i]! })
  );
  const x = matrixRows(6, cols, 9);
  const pairs = [[[5, 2]], [], [[0, 3], [4, 0], [4, 1]]] as const;
  const out = linear(machine, matrices.map((matrix, i) => ({ matrix, x, pairs: pairs[i]! })));
  const direct = matrices.map((matrix) => linear(machine, [{ matrix, x }])[0]!);
  for (const [i, list] of pairs.entries()) {
    for (const [from, to] of list) assertSameBits(out[i]![to]!, direct[i]![from]!, `matrix ${i}, row ${to}`);
  }
  // Nothing else is written.
  assertSameBits(out[0]![0]!, new Float32Array(13));
  assertSameBits(out[2]![2]!, new Float32Array(30));
});

Deno.test("linear() takes nothing of the block before for a last block that is cut", () => {
  for (const storage of STORAGES.filter(({ format }) => isPlain(format))) {
    const machine = new Machine(), cols = 77, numbers = matrixRows(9, cols);
    // Beyond the 13 columns of the last block: its product with what fills up an input row is not a number.
    numbers[3]![32 + 20] = Infinity;
    const matrix = storeMatrix(machine, numbers, storage);
    for (const n of [1, 2, 30]) {
      const [out] = linear(machine, [{ matrix, x: Array.from({ length: n }, () => new Float32Array(cols).fill(1)) }]);
      for (const row of out!) {
        assertEquals(Array.from(row, Number.isFinite), numbers.map((_, r) => r !== 3));
        assertEquals(row[3], Infinity, `${storageName(storage)}, ${n} rows`);
      }
    }
  }
});

Deno.test("linear() keeps to its scratch however many rows there are", () => {
  for (const [cols, count] of [[32, 131], [64, 257], [700, 130], [2880, 128]] as const) {
    const machine = new Machine(32), rows = matrixRows(count, cols, 6);
    // Small integers but for the last row.
    const integers = rows.map((row, i) => i === count - 1 ? row : qdqRow(row, MX_INPUT, false));
    for (const [format, x] of [["mxfp4", rows], ["mxfp4", integers], ["bf16", rows]] as const) {
      machine.clear();
      const matrix = storeMatrix(machine, matrixRows(9, cols), { format });
      const [out] = linear(machine, [{ matrix, x }]);
      for (const n of [0, 63, 68, count - 1]) {
        assertNear(out![n]!, matrix.values.map((row) => dot(row, x[n]!)), `row ${n}`);
        assertSameBits(out![n]!, linear(machine, [{ matrix, x: [x[n]!] }])[0]![0]!, `row ${n} alone`);
      }
    }
  }
});

Deno.test("linear() applies every scale byte in every place", () => {
  const blocks = 7, rows = 256 * blocks;
  for (const n of [1, 2]) {
    const machine = new Machine();
    // Row r: weights of 1 and scale byte r / 7 in block r % 7, zeros elsewhere.
    const codes = machine.bytes(rows * blocks * 16), scales = machine.bytes(new Uint8Array(rows * blocks).fill(127));
    for (let r = 0; r < rows; r++) {
      const block = r * blocks + r % blocks;
      codes.data.fill(0x22, block * 16, (block + 1) * 16);
      scales.data[block] = Math.floor(r / blocks);
    }
    const words = [3, 0, rows, blocks * 32, codes.address, blocks * 16, scales.address, blocks, 1];
    const values = Array.from({ length: rows }, () => new Float32Array(blocks * 32));
    const x = Array.from({ length: n }, () => new Float32Array(blocks * 32).fill(2 ** -10));
    const [out] = linear(machine, [{ matrix: { values, factors: [], words }, x }]);
    const expected = values.map((_, r) => decodeE8m0(Math.floor(r / blocks)) * 2 ** -5);
    for (const row of out!) assertSameBits(row, expected, `${n} rows`);
  }
});
