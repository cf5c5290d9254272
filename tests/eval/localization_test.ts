/** In which layer most goes wrong, and how sure that is: simulated errors whose largest is known. */
import type { DivergenceResult } from "../../src/eval/divergence_schema.ts";
import { groupings, positiveRatio } from "../../src/eval/intervals.ts";
import { divergenceLines } from "../../src/eval/report/divergence_tables.ts";
import { flipsText } from "../../src/eval/report/prediction_tables.ts";
import { RouterFlips } from "../../src/eval/router_flips.ts";
import { rivalsOf, worstOperation } from "../../src/eval/summary.ts";
import { Random } from "../../src/session/random.ts";
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { dose } from "../soak.ts";
import { divergence, predictions } from "./results.ts";
import { population, sample, SMOOTH } from "./simulated.ts";

type Operation = DivergenceResult["operations"][number];

/** An operation of this layer with the squared errors of sequences' tokens, all of whose signals are 1. */
function withOwn(layer: number, errors: readonly Float64Array[], of: Operation): Operation {
  const { value, low, high } = positiveRatio(groupings(errors));
  const interval = Number.isFinite(high) ? { low: Math.sqrt(low), high: Math.sqrt(high) } : null;
  return { ...of, layer, own: { ...of.own!, relative_error: Math.sqrt(value), interval } };
}

Deno.test("the operation that errs the most is among those that are named, 95 times of 100", () => {
  const all = population(400, { ...SMOOTH, own: 1.4 }), random = new Random(37n), tries = dose(100, 2000);
  const [made] = divergence(0.1).operations;
  let right = 0, held = 0, alone = 0;
  for (let i = 0; i < tries; i++) {
    const drawn = sample(all, 8, random), given = divergence(0.1);
    // The second layer errs by 10% more than the first, and eight times as much, in squares, as the others.
    const operations = [1, 1.21, 0.13, 0.12].map((factor, layer) =>
      withOwn(layer, drawn.map(({ a, b }) => (layer % 2 === 0 ? a : b).map((x) => factor * x)), made!)
    );
    const found = { ...given, operations }, worst = worstOperation(found)!, others = rivalsOf(found);
    const named = operations.filter((o) => o === worst || o.own!.interval!.high! >= worst.own!.interval!.low!);
    assertEquals(named.length, others + 1);
    if (worst.layer === 1) right++;
    if (named.some(({ layer }) => layer === 1)) held++;
    if (named.every(({ layer }) => layer < 2)) alone++;
  }
  assert(held >= 0.95 * tries && right < 0.95 * tries, `${held} and ${right} of ${tries}`);
  assert(alone >= 0.4 * tries, `${alone} of ${tries} leave out what errs a third as much`);
});

Deno.test("the table says how many operations may err as much, and gives errors and flips with their intervals", () => {
  const named = { label: "B", predictions: predictions(0.1), divergence: divergence(0.1) };
  const [cells] = divergenceLines([named]).rows;
  assertEquals(cells!.slice(1, 3), ["0.10 [0.09, 0.11]", "embed, or 8 more"]);
  // What earlier versions wrote has no interval of flips.
  assertEquals(cells![4], "13%");
  assertEquals(flipsText({ ...named.divergence.router, interval: { low: 0.01, high: 0.4 } }), "13% [1, 40]");
  assertEquals(flipsText({ ...named.divergence.router, flipped: 0, interval: null }), "0% (none seen)");
  assertMatch(flipsText({ ...named.divergence.router, interval: null }), /\[-, -\]/);
});

Deno.test("intervals of router flips hold their share 93 times of 100, also of flips that come together", () => {
  const random = new Random(41n), tries = dose(100, 2000), rate = 0.06;
  const config = { layers: 1, topK: 1, experts: 2 };
  let held = 0;
  for (let i = 0; i < tries; i++) {
    const flips = new RouterFlips(config);
    for (let sequence = 0; sequence < 8; sequence++) {
      // Half of the sequences have none, and a token flips sooner where the one before it did.
      const own = random.fraction() < 0.5 ? 0 : 2 * rate, rows = 60 + Math.floor(60 * random.fraction());
      let before = random.fraction() < own;
      const expertsB = Int32Array.from({ length: rows }, () => {
        if (random.fraction() > 0.5) before = random.fraction() < own;
        return Number(before);
      });
      const pair = { layer: 0, operation: "route" as const, start: 0, rows, width: 1, expertsA: new Int32Array(rows) };
      const logits = new Float32Array(2 * rows), at = { sequence, start: 0, tokens: new Int32Array(rows) };
      flips.add({ ...pair, a: logits, b: logits, expertsB }, logits, at);
    }
    const { interval } = flips.summary();
    if (interval === null || interval.low <= rate && rate <= interval.high) held++;
  }
  assert(held >= 0.93 * tries, `${held} of ${tries}`);
});
