/** `linear` against its twin that sums in the order of wasm/ABI.md one number after the other: the same bits. */
import { roundToBf16 } from "../../src/formats/bf16.ts";
import { encodePlain } from "../../src/formats/encode.ts";
import { bytesOf, isPlain } from "../../src/formats/format.ts";
import { qdqRow } from "../../src/formats/qdq.ts";
import { fixedStride } from "../../src/backends/emulate/areas.ts";
import { assertEquals } from "../assert.ts";
import { dose } from "../soak.ts";
import { exactProducts, fused, type StoredRows } from "./exact.ts";
import { linear, padded, scratchBytes } from "./linear.ts";
import { assertSameBits, F32, Machine } from "./module.ts";
import { Choices, randomInput, randomMatrix, randomRow, randomShape } from "./random_linear.ts";
import { NUMBER_FORMATS, type NumberFormat, readNumber } from "./twins.ts";
import { FORMATS } from "./weights.ts";

const f32 = Math.fround;

/** What lies behind the outputs of a row. */
const UNWRITTEN = 12345;

/** Places stored rows with gaps between them, at an address of no alignment or where the memory ends. */
function place(c: Choices, machine: Machine, rows: readonly Uint8Array[], atEnd: boolean) {
  const gap = c.of([0, 0, 1, 5, 16]), stride = rows[0]!.length + gap;
  const bytes = new Uint8Array(stride * rows.length - gap).fill(0x7f);
  rows.forEach((row, r) => bytes.set(row, r * stride));
  return { address: (atEnd ? machine.last(bytes) : machine.bytes(bytes, c.below(16))).address, stride };
}

/** Rows of numbers of some bytes as columns. */
const columns = (rows: readonly Uint8Array[], size: number): Uint8Array[] =>
  Array.from(
    { length: rows[0]!.length / size },
    (_, col) =>
      Uint8Array.from({ length: rows.length * size }, (_, i) => rows[Math.floor(i / size)]![col * size + i % size]!),
  );

/** Words 0 to 8 of a record, and the FP8 scales of rows, else 1. */
function matrixWords(c: Choices, machine: Machine, { format, codes, scales, cols }: StoredRows, atEnd: number) {
  const rows = codes.length, isFp8 = format.startsWith("fp8"), transposed = isPlain(format) && c.once(3);
  const weights = place(c, machine, transposed ? columns(codes, bytesOf(format, 1)) : codes, atEnd === 1);
  const kind = isFp8 ? c.between(2, 3) : scales ? 1 : 0, factor = isFp8 ? f32(c.of([1, 0.37, 3e-5])) : 1;
  const factors = Float32Array.from({ length: rows }, (_, r) => factor * (kind === 3 ? 1 + r % 3 : 1));
  let scale: readonly (number | F32)[] = [kind === 2 ? new F32(factor) : 0, 0];
  if (kind === 3) scale = [machine.bytes(new Uint8Array(factors.buffer), 1).address, 0];
  if (scales) {
    const placed = place(c, machine, scales, atEnd === 2);
    scale = [placed.address, placed.stride];
  }
  const words = [FORMATS.indexOf(format), +transposed, rows, cols, weights.address, weights.stride, ...scale, kind];
  return { words, factors };
}

/** Places input rows as `prepare` makes them: words 11 and 12, 21 and 22, and the rows that they stand for. */
function inputWords(c: Choices, machine: Machine, rows: readonly Float32Array[], stored: StoredRows, pairs: number) {
  const { cols, format } = stored, { input, words } = randomInput(c), n = rows.length;
  const offset = format === "mxfp4" ? 12 : format === "mxfp6_e2m3" ? 60 : 0, isFixed = offset > 0 && !c.once(3);
  const isPacked = !isFixed && n === pairs && c.once(6), stride = Math.ceil(cols / 4) * 4;
  const xStride = isPacked ? 0 : padded(cols) + 4 * c.below(3);
  const x = machine.floats(n * stride), fixed = isFixed ? machine.bytes(n * fixedStride(cols)) : null;
  const out = machine.floats(isPacked ? 4 * Math.ceil(n / 4) * padded(cols) : n * xStride);
  x.data.fill(NaN);
  out.data.fill(NaN);
  rows.forEach((row, r) => x.data.set(row, r * stride));
  const fixedWords = [fixed?.address ?? 0, fixed ? fixedStride(cols) : 0];
  const record = [out.address, xStride, x.address, stride, cols, ...words, 0, 0, ...fixedWords, offset, n];
  const units = isPacked ? Math.ceil(n / 5) : n;
  machine.run("prepare", record, units, fixed ? [out, fixed] : [out], scratchBytes(cols));
  return {
    values: rows.map((row) => qdqRow(row, input, false)),
    x: [out.address, xStride],
    fixed: fixedWords,
    isPacked,
  };
}

/** Words 9 and 10, 18 and 19, and what they make of a sum. */
function finishWords(c: Choices, machine: Machine, factors: Float32Array, inputRows: number) {
  const format = c.of(Object.keys(NUMBER_FORMATS) as NumberFormat[]), round = c.once(3);
  const bias = c.once(3) ? encodePlain(c.numbers(factors.length), format) : null;
  const scales = c.once(4) ? Array.from({ length: inputRows }, (_, i) => f32(0.3 + i / 11)) : null;
  const finish = (sum: number, row: number, from: number) => {
    let y = f32(sum * factors[row]!);
    if (scales) y = f32(y * scales[from]!);
    if (bias) y = f32(y + readNumber(bias, format, row));
    return round ? roundToBf16(y) : y;
  };
  const address = bias ? machine.bytes(bias, c.below(4)).address : 0;
  const last = [scales ? machine.floats(scales).address : 0, +round];
  return { bias: [address, NUMBER_FORMATS[format]], last, finish };
}

/** One product: the words of its record around the number of its first unit, and a check of what it gives. */
function product(c: Choices, machine: Machine, atEnd: number) {
  const { rows, cols, pairs } = randomShape(c, 1_000_000);
  const stored = randomMatrix(c, c.once(2) ? "mxfp4" : c.of(FORMATS), rows, cols);
  const inputs = Array.from({ length: c.once(3) ? Math.max(1, pairs - c.below(3)) : pairs }, () => randomRow(c, cols));
  const matrix = matrixWords(c, machine, stored, atEnd), prepared = inputWords(c, machine, inputs, stored, pairs);
  const { bias, last, finish } = finishWords(c, machine, matrix.factors, inputs.length);
  const listed = !prepared.isPacked && (inputs.length !== pairs || c.once(4));
  const from = Array.from({ length: pairs }, (_, i) => listed ? c.below(inputs.length) : i);
  const to = Array.from({ length: pairs }, (_, i) => listed ? pairs - 1 - i : i);
  const lists = [from, to].map((list) => listed ? machine.integers(list).address : 0);
  const stride = rows + c.below(4), out = machine.floats(pairs * stride);
  out.data.fill(UNWRITTEN);
  const ways = c.once(3) ? machine.integers([c.between(0, 3), 0, 0]) : null;
  return {
    first: [...matrix.words, ...bias, ...prepared.x, out.address, stride, pairs, ...lists, ...last],
    last: [...prepared.fixed, ways?.address ?? 0],
    units: Math.ceil(rows / 8),
    outputs: ways ? [out, ways] : [out],
    cols,
    check() {
      const sums = exactProducts(stored, prepared.values);
      from.forEach((from, i) => {
        const got = out.data.subarray(to[i]! * stride, to[i]! * stride + rows);
        const expected = sums[from]!.map((sum, row) => finish(sum, row, from));
        assertSameBits(got, expected, `${stored.format} ${rows} x ${cols}, pair ${i} of ${pairs}`);
        const gap = out.data.subarray(to[i]! * stride + rows, (to[i]! + 1) * stride);
        assertSameBits(gap, gap.map(() => UNWRITTEN), `behind pair ${i} of ${pairs}`);
      });
    },
  };
}

Deno.test("fused() rounds once", () => {
  assertEquals(fused(1 + 2 ** -23, 1 + 2 ** -23, 0), 1 + 2 ** -22);
  // A tie of float32 that what float64 forgets decides.
  const [tie, less] = [1 + 2 ** -12, 2 ** -149];
  assertEquals([fused(tie, tie, less), fused(tie, tie, 0), fused(tie, tie, -less)], [
    1 + 2 ** -11 + 2 ** -23,
    1 + 2 ** -11,
    1 + 2 ** -11,
  ]);
  assertEquals(fused(-tie, tie, -less), -(1 + 2 ** -11 + 2 ** -23));
  assertEquals([fused(2 ** -100, 2 ** -100, 0), fused(-(2 ** -100), 2 ** -100, 0), fused(-0, 1, 0)], [0, -0, 0]);
});

Deno.test("linear() gives the bits of sums one after the other, of random products", () => {
  const machine = new Machine(96);
  for (let seed = 0; seed < dose(60, 3000); seed++) {
    const c = new Choices(seed), atEnd = c.below(4);
    machine.clear();
    const products = Array.from(
      { length: c.once(3) ? c.between(2, 3) : 1 },
      (_, i) => product(c, machine, i === 0 ? atEnd : 0),
    );
    let units = 0;
    const records = products.flatMap(({ first, last, units: own }) => {
      units += own;
      return [...first, units - own, ...last];
    });
    const outputs = products.flatMap(({ outputs }) => outputs), widest = Math.max(...products.map(({ cols }) => cols));
    const cuts = Array.from({ length: units - 1 }, (_, i) => i + 1).filter(() => c.once(3));
    try {
      machine.run("linear", [products.length, ...records], units, outputs, scratchBytes(widest), cuts);
      for (const { check } of products) check();
    } catch (cause) {
      throw new Error(`seed ${seed}`, { cause });
    }
  }
});

Deno.test("linear() leaves no zero negative where all products vanish", () => {
  const cols = 192, blocks = cols / 32, x = new Float32Array(cols).fill(-(2 ** -60));
  for (const [rows, block] of [1, 8, 64].flatMap((rows) => [[rows, 0], [rows, blocks - 1]] as const)) {
    // A block of products that vanish by its scale, then zeros, or zeros before it.
    const codes = new Uint8Array(rows * blocks * 16);
    for (let r = 0; r < rows; r++) codes.fill(0x11, (r * blocks + block) * 16, (r * blocks + block + 1) * 16);
    for (const pairs of [1, 2, 3, 4, 5, 6, 7, 8, 12, 24, 25, 30]) {
      const machine = new Machine(), values = Array.from({ length: rows }, () => new Float32Array(cols));
      const scales = machine.bytes(rows * blocks).address;
      const words = [3, 0, rows, cols, machine.bytes(codes).address, blocks * 16, scales, blocks, 1];
      const [out] = linear(machine, [{ matrix: { values, factors: [], words }, x: new Array(pairs).fill(x) }]);
      for (const row of out!) assertSameBits(row, new Float32Array(rows), `${pairs} rows by ${rows} x ${cols}`);
    }
  }
});
