/** `digits` and `pick`: the likeliest tokens by bytes are those of all logits. */
import { bf16ToFloat32, roundToBf16 } from "../../src/formats/bf16.ts";
import { likeliestOf } from "../../src/model/likeliest.ts";
import { integers, normals } from "../formats/seeded.ts";
import { assert, assertEquals } from "../assert.ts";
import { dose } from "../soak.ts";
import { linear } from "./linear.ts";
import { Machine } from "./module.ts";
import { digitsOf, FACT_WORDS, pairsOf, type Seen, threadsPick } from "./pick.ts";
import { preparedOrder } from "./twins.ts";
import { storeMatrix } from "./weights.ts";

type Rows = readonly Float32Array[];

/** bf16 numbers. */
const rounded = (rows: Rows): Float32Array[] => rows.map((row) => row.map(roundToBf16));

/** What the slow twin says: all logits by `linear`, then the first largest, or the first that is no number. */
function ofAll(weights: Rows, x: Rows): number[] {
  const machine = new Machine(32),
    matrix = storeMatrix(machine, weights, {
      format: "bf16",
    });
  return linear(machine, [{ matrix, x }])[0]!.map(likeliestOf);
}

/**
 * The same by bytes, by one thread, by three, with two digits of every row, and by digits of weights that are kept; and
 * the logits that were computed.
 */
function byBytes(weights: Rows, x: Rows): { ids: number[]; computed: number } {
  const all: Seen[] = [
    threadsPick(weights, x, { threads: 1, digits: 1 }),
    threadsPick(weights, x, { threads: 3, digits: 1 }),
    threadsPick(weights, x, { threads: 2, digits: 2 }),
    threadsPick(weights, x, { threads: 1, digits: "mixed" }),
    threadsPick(weights, x, { threads: 1, digits: 1, kept: true }),
    threadsPick(weights, x, { threads: 3, digits: "mixed", kept: true }),
  ];
  for (const { ids } of all) assertEquals(ids, all[0]!.ids);
  return all[0]!;
}

/** Asserts that both say the same; returns the part of the logits that was computed. */
function assertSame(weights: Rows, x: Rows, what = ""): number {
  const { ids, computed } = byBytes(weights, x);
  assertEquals(ids, ofAll(weights, x), what);
  return computed / weights.length / x.length;
}

const matrix = (rows: number, cols: number, seed: number, deviation = 1) =>
  rounded(Array.from({ length: rows }, (_, r) => normals(1000 * seed + r, cols, deviation)));
const inputs = (rows: number, cols: number, seed: number) =>
  Array.from({ length: rows }, (_, r) => normals(7000 * seed + r, cols));

Deno.test("digits() gives the digits and bounds of its slow twin", () => {
  const rows = [...inputs(3, 96, 1), new Float32Array(96), inputs(1, 96, 2)[0]!.map((v, i) => i === 5 ? 4000 : v)];
  rows.push(rows[0]!.map((v) => v * 2 ** -60), rows[0]!.map((v) => v * 2 ** 60), rows[1]!.map((v) => v * 2 ** 40));
  // The largest in the first column, and in the last one; at the limits of sizes, and a bit beyond.
  for (const at of [0, 95]) rows.push(rows[0]!.map((v, i) => i === at ? -4000 : v));
  for (const size of [2 ** 50, 2 ** -50, 2 ** 50 * (1 + 2 ** -23), 2 ** -50 * (1 - 2 ** -24)]) {
    rows.push(new Float32Array(96).map((_, i) => (i === 5 ? size : i % 2 ? size / 3 : -size / 7)));
  }
  for (const odd of [NaN, Infinity, -Infinity]) rows.push(rows[0]!.map((v, i) => i === 77 ? odd : v));
  const machine = new Machine(), cols = 96, stride = cols + 32;
  const x = machine.floats(rows.length * stride), out = machine.bytes(rows.length * 2 * cols);
  const facts = machine.integers(rows.length * FACT_WORDS);
  rows.forEach((row, r) => x.data.set(preparedOrder(row), r * stride));
  machine.run("digits", [x.address, stride, cols, out.address, facts.address], rows.length, [out, facts]);
  rows.forEach((row, r) => {
    const twin = digitsOf(row), at = r * FACT_WORDS, numbers = new Float32Array(facts.data.buffer, facts.address);
    assertEquals(facts.data[at], twin === null ? 0 : 1, `${r}`);
    if (twin === null) return;
    assertEquals([...numbers.subarray(at + 1, at + 6)], twin.facts, `${r}`);
    assertEquals([...out.data.subarray(r * 2 * cols, (r + 1) * 2 * cols)], [...twin.bytes], `${r}`);
  });
  assertEquals(rows.map(digitsOf).filter((twin) => twin === null).length, 8);
});

Deno.test("pick() finds the likeliest of random logits, of which it computes few", () => {
  for (const [vocab, cols, n] of [[1, 32, 1], [11, 32, 2], [12, 64, 3], [13, 96, 12], [40, 256, 17]] as const) {
    assertSame(matrix(vocab, cols, vocab), inputs(n, cols, vocab), `${vocab} x ${cols}`);
  }
  for (let seed = 0; seed < dose(4, 200); seed++) {
    const part = assertSame(matrix(997, 128, seed, 0.1), inputs(13, 128, seed), `${seed}`);
    assert(part < 0.25, `${part} of the logits were computed`);
  }
  // More than one panel of columns, and more pairs than pass over one together.
  for (const [vocab, cols, n] of [[25, 576, 33], [38, 608, 35], [600, 1184, 64]] as const) {
    const part = assertSame(matrix(vocab, cols, vocab, 0.1), inputs(n, cols, vocab), `${vocab} x ${cols}`);
    assert(part < 0.4, `${part} of ${vocab} x ${cols} logits were computed`);
  }
});

Deno.test("pick() tells logits apart that differ by the last bit, and takes the first of equal ones", () => {
  for (let seed = 0; seed < dose(6, 200); seed++) {
    const cols = 64, next = integers(seed), x = inputs(12, cols, seed), base = matrix(1, cols, seed)[0]!;
    // All rows but some are one row, whose last bits are turned here and there.
    const weights = Array.from({ length: 150 }, () => {
      const row = base.slice(), turns = next() % 3;
      for (let i = 0; i < turns; i++) {
        const at = next() % cols, bits = new Uint32Array(row.buffer);
        bits[at]! ^= 0x10000;
      }
      return row;
    });
    assertSame(weights, x, `${seed}`);
  }
  // Sums of whole numbers, many of them equal, far from each other.
  const next = integers(5);
  const whole = (rows: number) =>
    Array.from({ length: rows }, () => Float32Array.from({ length: 32 }, () => next() % 3));
  assertSame(whole(500), whole(14));
  assertSame(new Array(100).fill(base(3)), inputs(12, 32, 3));
});

Deno.test("pick() allows for what sums of float32 round, where nothing else is left of its bound", () => {
  // A half is left of each weight's digits, the most that there may be, and all of that in the input's direction.
  const cols = 1024, x = [new Float32Array(cols).fill(7938)], [, first, , , missed] = digitsOf(x[0]!)!.facts;
  assertEquals([first, missed], [126, 2 ** -126]);
  for (let seed = 0; seed < dose(8, 60); seed++) {
    const next = integers(seed + 40);
    const row = Float32Array.from({ length: cols }, (_, i) => i === 0 ? 127 : 60.5 + 2 * (next() % 34));
    // The same numbers in other orders, so that only rounding tells their sums apart.
    const weights = Array.from({ length: 60 }, () => {
      const turned = row.slice();
      for (let i = cols - 1; i > 1; i--) {
        const other = 1 + next() % i;
        [turned[i], turned[other]] = [turned[other]!, turned[i]!];
      }
      return turned;
    });
    assertSame(weights, x, `${seed}`);
  }
});

/** The numbers from 0 on. */
const range = (count: number) => Array.from({ length: count }, (_, i) => i);

const base = (seed: number) => matrix(1, 32, seed)[0]!;

Deno.test("pick() is right where rows are of very different sizes, have outliers, are zero or tiny", () => {
  for (let seed = 0; seed < dose(6, 200); seed++) {
    const cols = 96, next = integers(seed);
    const weights = matrix(240, cols, seed).map((row, r) => {
      const kind = next() % 8;
      if (kind === 0) return row.fill(0);
      if (kind === 1) row[next() % cols]! *= 2 ** (next() % 12);
      if (kind === 2) return row.map((v) => v * 2 ** -(next() % 130));
      if (kind === 3) return row.map((v) => roundToBf16(v * 2 ** -133));
      if (kind === 4) return row.map((v) => v * 2 ** (r % 60 - 30));
      return kind === 5 ? row.map((v, i) => i % 2 ? 0 : v) : row;
    });
    const x = inputs(15, cols, seed).map((row, r) => {
      if (r % 3 === 1) row[next() % cols]! *= 1000;
      return r % 5 === 4 ? row.map((v) => v * 2 ** (next() % 60 - 30)) : row;
    });
    assertSame(weights, x, `${seed}`);
  }
  // Where all logits are negative, and where all are zeros of one sign or another.
  const positive = matrix(50, 32, 9).map((row) => row.map(Math.abs)),
    x = inputs(12, 32, 9).map((row) => row.map(Math.abs));
  assertSame(positive, x.map((row) => row.map((v) => -v)));
  assertSame(new Array(30).fill(new Float32Array(32)), x);
  assertSame([...positive.map((row) => row.map((v) => v * 2 ** 60)), ...positive], x);
});

Deno.test("pick() names the first logit that is no number, wherever its weight stands", () => {
  const cols = 64, x = inputs(12, cols, 4);
  for (const odd of [NaN, Infinity, -Infinity]) {
    // One of some rows, some of a tile, all of the first tiles, and all rows.
    for (const places of [[0], [59], [30, 7], [58, 13, 12], range(24), range(60)]) {
      const weights = matrix(60, cols, 4);
      for (const row of places) weights[row]![row % cols] = odd;
      assertSame(weights, x, `${odd} in ${places}`);
      assertEquals(byBytes(weights, x).ids[0], ~Math.min(...places));
    }
  }
  // A weight that is a number, with a logit that is none.
  const weights = matrix(60, cols, 4);
  weights[20]!.fill(bf16ToFloat32(0x7f7f));
  assertSame(weights, x.map((row) => row.map((v) => v * 1000)));
});

/** A row whose logit with inputs that begin with 63 and 1 is just below `logit`. */
function below(logit: number, cols: number): Float32Array {
  const row = new Float32Array(cols), high = Math.floor(logit / 63) - 1;
  row[0] = roundToBf16(high);
  row[1] = roundToBf16(Math.ceil(logit - 63 * row[0]) - 1);
  return row;
}

Deno.test("pick() computes every logit that its bound leaves, to the last one", () => {
  const cols = 64, many = (v: number, i: number) => i < 2 ? 0 : v;
  // What products of digits miss is nearly the whole bound, of inputs and of weights; another logit is a little lower.
  const inputsOff = Float32Array.from({ length: cols }, (_, i) => i === 0 ? 63 : i === 1 ? 1 : 20.49);
  const weightsOff = Float32Array.from({ length: cols }, (_, i) => i === 0 ? 63 : i === 1 ? 1 : 63);
  const ones = Float32Array.from({ length: cols }, (_, i) => many(1, i));
  const between = Float32Array.from({ length: cols }, (_, i) => i === 2 ? 1 : many(130 / 256, i));
  for (const [row, input] of [[ones, inputsOff], [between, weightsOff]] as const) {
    const logit = row.reduce((sum, w, i) => sum + w * input[i]!, 0), rival = below(logit, cols);
    const behind = logit - rival.reduce((sum, w, i) => sum + w * input[i]!, 0);
    assert(behind > 0 && behind <= 1, `${behind} behind`);
    for (const at of [1, 11, 12, 40]) {
      const weights = Array.from({ length: 50 }, (_, r) => r === at ? row : rival), x = new Array(12).fill(input);
      assertSame(weights, x, `${at}`);
      assertEquals(byBytes(weights, x).ids[0], at);
    }
  }
});

Deno.test("pick() takes second digits of the right row, input and columns for its bound", () => {
  // Second digits decide: first ones are small, and a weight has the sign of what they leave. Of every other input most
  // of that is negative, so that sums that take too much of anything are too small for one of both.
  const cols = 1024, next = integers(3), part = () => next() % 1000 / 1000;
  // Of 16 columns of 32 half as much is left, of every other two inputs the first ones.
  const size = (input: number, i: number) => (0.1 + 0.39 * part()) / ((i >> 4 & 1) === (input >> 1 & 1) ? 2 : 1);
  const left = range(12).map((input) =>
    range(cols).map((i) => (part() < 0.1 === (input % 2 === 0) ? -1 : 1) * size(input, i))
  );
  const x = left.map((rest) => Float32Array.from(rest, (v, i) => i === 0 ? 63 : next() % 3 - 1 + v));
  const row = (input: number) => Float32Array.from(left[input]!, (v, i) => i === 0 ? 0 : 127 * Math.sign(v));
  // In the tile before, of each input's row one that is a little lower.
  const rivals = range(12).map((input) => {
    const rival = row(input), at = rival.findIndex((w, i) => w * x[input]![i]! > 0);
    rival[at]! *= 126.5 / 127;
    return rival;
  });
  assertSame([...rivals, ...range(12).map(row)], x);
  const { ids } = threadsPick([...rivals, ...range(12).map(row)], x, { threads: 1, digits: 1 });
  assertEquals(ids, range(12).map((input) => 12 + input));
});

Deno.test("pick() leaves floors behind that are logits of their rows", () => {
  const cols = 64, weights = matrix(300, cols, 6), x = inputs(12, cols, 6);
  const { floors, logits } = threadsPick(weights, x, { threads: 3, digits: 1 });
  floors.forEach((floor, i) => assertEquals(floor, logits[i]));
});

Deno.test("pick() looks at the digits that it keeps, and where it keeps none at the weights again", () => {
  const cols = 64, x = inputs(4, cols, 8).map((row) => row.map(Math.abs));
  // A row that is far from the likeliest, and one that would be it.
  const weights = matrix(40, cols, 8).map((row, r) => r === 17 ? row.map((v) => -Math.abs(v)) : row);
  const exchanged = [17, new Float32Array(cols).fill(100)] as const, before = ofAll(weights, x);
  for (const threads of [1, 3]) {
    assertEquals(threadsPick(weights, x, { threads, digits: 1, kept: true, exchanged }).ids, before);
    assertEquals(threadsPick(weights, x, { threads, digits: 1, exchanged }).ids, [17, 17, 17, 17]);
  }
});

Deno.test("rows of digits are paired so that each is there", () => {
  assertEquals(pairsOf([1, 1, 2, 1]), [0, 2, 6, 6, 4, 5]);
  assertEquals(pairsOf([2, 2]), [0, 1, 2, 3]);
});
