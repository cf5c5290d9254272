/** The sums of one operation of one layer, counted by hand on a few rows. */
import type { ModelConfig } from "../../src/checkpoint/model_config.ts";
import type { Pair } from "../../src/eval/lockstep.ts";
import { OperationSums, reroutedRatio } from "../../src/eval/operation_sums.ts";
import { type Groupings, groupings, skewedRatio } from "../../src/eval/intervals.ts";
import { ObservedErrors } from "../../src/eval/observed_errors.ts";
import { shareOf } from "../../src/eval/shares.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";
import { cubes, LENGTHS } from "./simulated.ts";

/** The interval of a relative error. */
function intervalOf(groups: Groupings) {
  const { low, high } = reroutedRatio(groups);
  return { low: Math.sqrt(low), high: Math.sqrt(high) };
}

const CONFIG = { topK: 2, experts: 4 } as ModelConfig;

/** Three tokens from position 10 on, two experts each, one column; of the last token B chose one other expert. */
const SLOTS: Pair = {
  ...{ layer: 1, operation: "experts.down_proj", start: 10, rows: 6, width: 1 },
  expertsA: Int32Array.of(0, 1, 2, 3, 0, 3),
  expertsB: Int32Array.of(1, 0, 2, 3, 3, 2),
  a: Float32Array.of(1, 2, 4, 4, 8, 2),
  // The first token's experts are the other way round and equal; expert 3 is off by 1 in both tokens that share it.
  b: Float32Array.of(2, 1, 4, 5, 3, 7),
};

Deno.test("slot rows are compared with the row of the same expert, and counted where B did not choose it", () => {
  const sums = new OperationSums(1, "experts.down_proj", 1, 0, 0.3);
  sums.addFree(SLOTS, CONFIG, 0);
  const { total, unmatchedRows, own } = sums.result();
  assertEquals([unmatchedRows, total.rows, total.maxError], [1, 5, 1]);
  assertEquals(sums.observed(), { total: [[{ sum: 2, weight: 41 }], [{ sum: 2, weight: 41 }]], own: null });
  assertEquals(total.relativeError, Math.sqrt(2 / (1 + 4 + 16 + 16 + 4)));
  // Nothing was computed on equal inputs.
  assertEquals(own, null);
  assertEquals(sums.details(), { firstPosition: null, affectedRows: 0, affectedInterval: null, experts: new Map() });
});

Deno.test("operations keep step block by block where all of a block went to other experts", () => {
  // Two texts of 33 tokens: the last one of either is a block of its own.
  const observed = (reroutedIn: number) => {
    const sums = new OperationSums(1, "experts.down_proj", 1, 0, 0.3);
    for (const sequence of [0, 1]) {
      const rows = 66,
        experts = (other: boolean) => Int32Array.from({ length: rows }, (_, i) => i % 2 + (other && i >= 64 ? 2 : 0));
      const values = (by: number) => Float32Array.from({ length: rows }, (_, i) => 1 + by * (1 + i % 3));
      sums.addFree(
        {
          ...{ layer: 1, operation: "experts.down_proj", start: 0, rows, width: 1, a: values(0), b: values(0.1) },
          ...{ expertsA: experts(false), expertsB: experts(sequence === reroutedIn) },
        },
        CONFIG,
        sequence,
      );
    }
    return sums;
  };
  const [first, second, none] = [0, 1, 2].map(observed), blocks = (sums: OperationSums) => sums.observed().total[1]!;
  assertEquals([first, second, none].map((sums) => blocks(sums!).map(({ weight }) => weight)), [
    [64, 0, 64, 2],
    [64, 2, 64, 0],
    [64, 2, 64, 2],
  ]);
  // What is not there says nothing of how sure the error is: three blocks bound it, as if there had been no fourth.
  const three = blocks(first!).filter(({ weight }) => weight > 0), groups = [first!.observed().total[0]!, three];
  assertEquals(first!.result().total.interval, intervalOf(groups));
});

Deno.test("rows off by more than what is explained are found by expert, share and first position", () => {
  const sums = new OperationSums(1, "experts.down_proj", 1, 0.01, 0.3);
  sums.addForced(SLOTS, CONFIG, 0);
  // Off by a quarter and by a half; the row without a counterpart is in no sum.
  const { affectedInterval, ...details } = sums.details();
  assert(affectedInterval!.low < 1 / 5 && affectedInterval!.high > 1 / 5);
  assertEquals(details, {
    firstPosition: 12,
    affectedRows: 1 / 5,
    experts: new Map([[0, 0], [1, 0], [2, 0], [3, Math.sqrt(2 / 20)]]),
  });
  const { own, unmatchedRows, explained } = sums.result();
  assertEquals([own?.rows, own?.relativeError, unmatchedRows, explained], [5, Math.sqrt(2 / 41), 0, 0.01]);
  // A single row is one that was computed on equal inputs, too.
  const single = new OperationSums(0, "o_proj", 1, 0, 0.3), row = { a: Float32Array.of(4), b: Float32Array.of(3) };
  single.addForced({ ...SLOTS, operation: "o_proj", rows: 1, ...row }, CONFIG, 0);
  assertEquals(single.observed().own, [[{ sum: 1, weight: 16 }], [{ sum: 1, weight: 16 }]]);

  // A piece of earlier positions that comes later moves the first position back, and rows of tokens have no experts.
  const tokens = new OperationSums(0, "o_proj", 1, 0, 0.3);
  for (const start of [20, 5, 30]) {
    const rows = { a: Float32Array.of(1, 1, 1), b: Float32Array.of(1, 2, 1.3) };
    tokens.addForced({ ...SLOTS, operation: "o_proj", start, rows: 3, ...rows }, CONFIG, 0);
  }
  const { firstPosition, affectedRows, experts } = tokens.details();
  assertEquals([firstPosition, affectedRows, experts], [6, 3 / 9, new Map()]);
});

Deno.test("the same choice of experts in another order is no difference of the routing", () => {
  const pair: Pair = {
    ...{ layer: 0, operation: "route", start: 0, rows: 2, width: 2 },
    ...{ expertsA: Int32Array.of(0, 1, 2, 3), expertsB: Int32Array.of(1, 0, 2, 1) },
    ...{ a: Float32Array.of(0.75, 0.25, 0.5, 0.5), b: Float32Array.of(0.25, 0.75, 0.75, 0.25) },
  };
  const sums = new OperationSums(0, "route", CONFIG.experts, 0, 0);
  sums.addForced(pair, CONFIG, 0);
  // The second token gives to experts 1 and 2 what A gives to expert 3, a half each.
  const { own } = sums.result();
  assertEquals([own?.rows, own?.relativeError], [2, Math.sqrt(0.375 / (0.625 + 0.5))]);
  assertEquals(sums.details().firstPosition, 1);
});

Deno.test("channels stand out by their own error, and by all before them where there is none of their own", () => {
  const a = new Float32Array(20).fill(1), without = { expertsA: undefined, expertsB: undefined };
  const at = (channel: number): Pair => {
    const b = a.map((x, i) => i === channel ? 2 : x);
    return { ...SLOTS, ...without, operation: "o_proj", rows: 1, width: 20, a, b };
  };
  const sums = new OperationSums(0, "o_proj", 20, 0, 0), channels = () => sums.result().outliers.map((o) => o.channel);
  sums.addFree(at(3), CONFIG, 0);
  assertEquals(channels(), [3]);
  sums.addForced(at(-1), CONFIG, 0);
  assertEquals(channels(), [3]);
  sums.addForced(at(5), CONFIG, 0);
  assertEquals(channels(), [5]);
});

Deno.test("slot rows of several columns are compared whole", () => {
  const pair: Pair = {
    ...{ ...SLOTS, rows: 4, width: 2, expertsA: Int32Array.of(0, 1, 2, 3), expertsB: Int32Array.of(1, 0, 3, 2) },
    ...{ a: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8), b: Float32Array.of(3, 4, 1, 2, 7, 9, 5, 6) },
  };
  const sums = new OperationSums(1, "experts.down_proj", 2, 0, 0);
  sums.addForced(pair, CONFIG, 0);
  const { own } = sums.result();
  assertEquals([own?.rows, own?.maxError, own?.relativeError], [4, 1, Math.sqrt(1 / 204)]);
});

Deno.test("rows that are not explained have the interval of their share, and errors that of their ratio", () => {
  const sums = new OperationSums(0, "o_proj", 1, 0, 0.3), lengths = [70, 41, 96, 64, 33];
  const off = (sequence: number, i: number) => (i * 7 + sequence) % (3 + sequence) === 0;
  assertEquals(sums.observed(), { total: [[], []], own: null });
  lengths.forEach((rows, sequence) => {
    const a = new Float32Array(rows).fill(2), b = a.map((x, i) => off(sequence, i) ? 2 * x : x);
    sums.addForced({ ...SLOTS, operation: "o_proj", start: 0, rows, a, b }, CONFIG, sequence);
  });
  const flags = lengths.map((rows, sequence) => Array.from({ length: rows }, (_, i) => Number(off(sequence, i))));
  const [whole, blocks] = sums.observed().own!, { low, high } = sums.details().affectedInterval!;
  assertEquals(whole, flags.map((own) => ({ sum: 4 * own.reduce((x, y) => x + y, 0), weight: 4 * own.length })));
  // Blocks are 32 positions each, the last one what is left.
  assertEquals(blocks!.map(({ weight }) => weight / 4), [32, 32, 6, 32, 9, 32, 32, 32, 32, 32, 32, 1]);
  const expected = shareOf(flags), { interval } = sums.result().own!, ratio = skewedRatio([whole!, blocks!]);
  assert(sums.details().affectedRows === flags.flat().reduce((x, y) => x + y, 0) / flags.flat().length);
  assertAlmostEquals(low, expected.low, 0.01);
  assertAlmostEquals(high, expected.high, 0.01);
  assertEquals(interval, { low: Math.sqrt(ratio.low), high: Math.sqrt(ratio.high) });
});

Deno.test("ObservedErrors leaves out observations of nothing, but not errors where there is no signal", () => {
  const errors = new ObservedErrors(),
    ratio = (groups: Groupings) => {
      assertEquals(groups.map((all) => all.map(({ sum, weight }) => [sum, weight])), [
        [[1, 4], [0, 0.5], [0.25, 0]],
        [[1, 4], [0, 0.5], [0.25, 0]],
      ]);
      return { value: 1, low: 0.25, high: 4 };
    };
  for (const [sequence, error, signal] of [[0, 1, 4], [1, 0, 0], [2, 0, 0.5], [3, 0.25, 0]] as const) {
    errors.add(sequence, 0, { error, signal });
  }
  assertEquals(errors.interval(ratio), { low: 0.5, high: 2 });
  assertEquals(errors.interval(() => ({ value: 1, low: 0.25, high: Infinity })), null);
});

Deno.test("reroutedRatio() is as far again from the ratio of few blocks, and less where it is near", () => {
  const check = (groups: Groupings, power: number) => {
    const { value, low, high } = skewedRatio(groups), found = reroutedRatio(groups);
    assertEquals([found.value, found.low], [value, low]);
    assertAlmostEquals(found.high, high * (high / value) ** power, 1e-12 * found.high);
  };
  const nine = groupings(cubes(LENGTHS.nine)), one = groupings(cubes(LENGTHS.one)), { value, high } = skewedRatio(one);
  check(nine, 1);
  assert(high / value < 1.2);
  check(one, 4 * (high / value - 1));
  // 96 blocks are not few.
  for (const [blocks, power] of [[96, 0], [95, 1]] as const) {
    check(
      groupings(cubes(Array.from({ length: blocks }, () => 32)).map((v, s) => v.map((x) => s < 2 ? 99 * x : x))),
      power,
    );
  }
  assertEquals(reroutedRatio(groupings([[5]])), { value: 5, low: 0, high: Infinity });
});
