/** Parts of a tapped result, put together by hand: `compare` shows errors of operations that ranks computed. */
import { rankRanges } from "../../src/checkpoint/shard.ts";
import { assemble, type Part } from "../../src/parallel/assemble.ts";
import { randomCheckpoint } from "../../src/checkpoint/random/checkpoint.ts";
import { SHAPES } from "../../src/checkpoint/random/layouts.ts";
import type { TappedOperation } from "../../src/model/operations.ts";
import { assertEquals } from "../assert.ts";

// Ranks 0 and 1 own experts 0 to 3, ranks 2 and 3 the others; heads of half a block are cut within each group.
const { config } = randomCheckpoint({
  shape: { ...SHAPES.tiny, heads: 8, kvHeads: 4, headDim: 8, intermediate: 96, experts: 8 },
  layout: "hf_bf16",
});
const SIZES = { tp: 2, ep: 2 }, ROWS = 3;
const ranges = [0, 1, 2, 3].map((rank) => rankRanges(config, SIZES, rank));

/** A part whose numbers say where they belong; wider than what the rank owns, by what is no result. */
const partOf = (start: number, own: number, value: (row: number, col: number) => number, spare = 5): Part => {
  const width = own + spare, values = new Float32Array(ROWS * width).fill(-1e6);
  for (let r = 0; r < ROWS; r++) for (let c = 0; c < own; c++) values[r * width + c] = value(r, start + c);
  return { width, values };
};
const place = (row: number, col: number) => 1000 * row + col;
const whole = (width: number, scale = 1) => ({
  width,
  values: Float32Array.from({ length: ROWS * width }, (_, i) => scale * place(Math.floor(i / width), i % width)),
});
const put = (name: TappedOperation, parts: readonly Part[]) => assemble(name, config, ranges, ROWS, parts);

Deno.test("assemble() puts heads side by side, of the groups that hold the same of the first", () => {
  assertEquals(ranges.map(({ group }) => group), [0, 0, 1, 1]);
  for (const [name, units] of [["q_proj", "heads"], ["attention", "heads"], ["rotary.k", "kvHeads"]] as const) {
    const parts = ranges.map(({ [units]: { start, end }, group }) =>
      partOf(8 * start, 8 * (end - start), group === 0 ? place : () => NaN)
    );
    assertEquals(put(name, parts), whole(8 * config[units]), name);
  }
});

Deno.test("assemble() takes a key-value head that ranks share once", () => {
  const shared = { ...config, kvHeads: 1, headDim: 32 },
    both = [0, 1].map((rank) => rankRanges(shared, { tp: 2, ep: 1 }, rank));
  const parts = [partOf(0, 32, place), partOf(0, 32, place)];
  assertEquals(assemble("k_proj", shared, both, ROWS, parts), whole(32));
});

Deno.test("assemble() adds what groups of experts computed of their part of the columns", () => {
  for (const [name, unit] of [["experts.gate_up_proj", 2], ["experts.swiglu", 1]] as const) {
    // A row is an expert's; the group that does not own it has zeros.
    const parts = ranges.map(({ intermediate: { start, end }, epRank }) =>
      partOf(unit * start, unit * (end - start), (row, col) => row % 2 === epRank ? place(row, col) : 0)
    );
    assertEquals(put(name, parts), whole(unit * 96), name);
  }
});

Deno.test("assemble() sums terms in float32 in the order of ranks, and leaves the parts as they are", () => {
  const terms = [1, 2 ** 24, -(2 ** 24), 3].map((term) => partOf(0, 4, () => term, 0));
  const before = terms.map(({ values }) => values.slice());
  // 2^24 swallows the 1 before it.
  assertEquals(put("experts.down_proj", terms), { width: 4, values: new Float32Array(ROWS * 4).fill(3) });
  assertEquals(terms.map(({ values }) => values), before);
  assertEquals(put("o_proj", terms), terms[0]);
});
