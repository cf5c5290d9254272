/** Intervals of shares and quantiles of tokens that do not depend on one another, against the textbook's. */
import { REPETITION } from "../../src/eval/intervals.ts";
import { quantileOf, quantileOfSorted, quantilesOf, shareOf } from "../../src/eval/shares.ts";
import { flatten } from "../../src/eval/intervals.ts";
import { Random } from "../../src/session/random.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";
import { dose } from "../soak.ts";
import { population, RARE, sample } from "./simulated.ts";

const COUNT = 400, Z = 1.959963984540054;

/** Values as texts of one token each, in no order. */
const texts = (of: (place: number) => number) =>
  Array.from({ length: COUNT }, (_, i) => Float64Array.of(of(i * 7919 % COUNT)));

Deno.test("shareOf() gives Wilson's interval of independent tokens", () => {
  for (const successes of [0, 3, 40, 200, 397, 400]) {
    const { value, low, high } = shareOf(texts((i) => i < successes ? 1 : 0));
    assertEquals(value, successes / COUNT);
    // Its ends are the shares of which what was seen is 1.96 standard errors away.
    for (const end of [low, high]) {
      if (end === value) assert(end === 0 || end === 1);
      else assertAlmostEquals((value - end) ** 2, Z ** 2 * end * (1 - end) / COUNT, 1e-12);
    }
    assert(low <= value && value <= high && high > low);
  }
});

Deno.test("shareOf() for a repetition ends where a test with one variance for two shares tells them apart", () => {
  const of = (successes: number) => shareOf(texts((i) => i < successes ? 1 : 0), REPETITION);
  const apart = (x: number, y: number) => (x - y) ** 2 * COUNT / (Z ** 2 * (x + y) * (1 - (x + y) / 2));
  for (const successes of [40, 200, 360]) {
    const { value, low, high } = of(successes);
    assertEquals(value, successes / COUNT);
    assertAlmostEquals(apart(value, low), 1, 1e-9);
    assertAlmostEquals(apart(value, high), 1, 1e-9);
    assert(low < value && value < high);
  }
  // Not even a share of none is told from three of 400.
  assert(apart(3 / COUNT, 0) < 1);
  assertEquals([of(3).low, of(397).high, of(0).low, of(400).high], [0, 1, 0, 1]);
  for (const [x, y] of [[3 / COUNT, of(3).high], [0, of(0).high], [1, of(400).low]] as const) {
    assertAlmostEquals(apart(x, y), 1, 1e-9);
  }
});

Deno.test("quantileOf() reaches over the ranks that the binomial distribution gives 95%", () => {
  // Of 399 trials (400, rounded down) so many succeed at least and at most, 2.5% beyond either, by exact fractions.
  const counts = { 0.5: [180, 219], 0.9: [29, 52], 0.99: [1, 8], 0.995: [0, 5], 0.999: [0, 2] } as const;
  for (const [p, [fewest, most]] of Object.entries(counts)) {
    const { value, low, high } = quantileOf(texts((i) => i), Number(p));
    assertAlmostEquals(value, Number(p) * 399, 1e-9);
    assertAlmostEquals(low, 399 - most - 1, 1e-9, p);
    // Nobody knows what lies above all.
    if (fewest === 0) assertEquals(high, Infinity);
    else assertAlmostEquals(high, 399 - fewest + 1, 1e-9, p);
  }
  assertEquals(quantileOf([Float64Array.of(5)], 0.5), { value: 5, low: 5, high: Infinity });
});

Deno.test("quantilesOf() has no end that falls where quantiles rise, and holds them as often as without that", () => {
  const all = population(dose(1000, 4000), RARE).map(({ a }) => a), ps = [0.5, 0.9, 0.95, 0.99, 0.999];
  const sorted = flatten(all).sort(), truths = ps.map((p) => quantileOfSorted(sorted, p));
  const rises = (ends: readonly number[]) => ends.every((end, i) => i === 0 || end >= ends[i - 1]!);
  for (const count of [5, 16, 32]) {
    const random = new Random(7n), tries = dose(60, 600), held = ps.map(() => 0);
    let bent = 0, alone = 0;
    for (let i = 0; i < tries; i++) {
      const drawn = sample(all, count, random), found = quantilesOf(drawn, ps);
      assert(rises(found.map(({ low }) => low)) && rises(found.map(({ high }) => high)));
      const own = ps.map((p) => quantileOf(drawn, p));
      if (!rises(own.map(({ low }) => low)) || !rises(own.map(({ high }) => high))) bent++;
      found.forEach(({ value, low, high }, k) => {
        assert(low <= value && value <= high, `${low} ${value} ${high}`);
        if (low <= truths[k]! && truths[k]! <= high) held[k]!++;
        if (own[k]!.low <= truths[k]! && truths[k]! <= own[k]!.high) alone++;
      });
    }
    assert(bent > 0, `${bent} of ${tries} were bent`);
    assertEquals(held.reduce((sum, n) => sum + n), alone);
    assert(Math.min(...held) >= 0.93 * tries, `${count} sequences: ${held} of ${tries}`);
  }
});
