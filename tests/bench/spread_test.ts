import { intervalText, medianText, quotient, scaled, type Spread, spreadOf } from "../../src/bench/spread.ts";
import { Random } from "../../src/session/random.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";
import { dose } from "../soak.ts";
import { Normal } from "../eval/simulated.ts";

/** From 1 to n, far from one another as they come: in steps that have no factor in common with n. */
const range = (n: number) => {
  const step = [5, 7, 3, 4, 2, 1].find((s) => n % s !== 0 || s === 1)!;
  return Array.from({ length: n }, (_, i) => i * step % n + 1);
};

const runs = (runs: number, independent = runs) => ({ runs, independent });

Deno.test("spreadOf() gives the median, and the narrowest interval that covers it with 95%", () => {
  // Probabilities of fair coins: 1 - 2 (1 + 10) / 2^10 for the second of ten from either end.
  assertEquals(spreadOf(range(10).reverse()), { median: 5.5, low: 2, high: 9, coverage: 1 - 22 / 1024, ...runs(10) });
  assertEquals(spreadOf([3, 1, 2]), { median: 2, low: 1, high: 3, coverage: 0.75, ...runs(3) });
  assertEquals(spreadOf([7]), { median: 7, low: 7, high: 7, coverage: 0, ...runs(1) });
  assertEquals(spreadOf(range(6)).coverage, 1 - 2 / 64);
});

Deno.test("spreadOf() covers as often as it says: all outcomes of coins, one for each run", () => {
  for (const count of [3, 5, 6, 8, 9, 12, 16]) {
    const { low, high, coverage } = spreadOf(range(count));
    assert(count < 6 || coverage >= 0.95, `${coverage} for ${count} runs`);
    // The true median lies between the k-th and the next figure where k of the figures are below it.
    let covered = 0;
    for (let outcome = 0; outcome < 2 ** count; outcome++) {
      let below = 0;
      for (let bits = outcome; bits > 0; bits &= bits - 1) below++;
      if (below >= low && below < high) covered++;
    }
    assertAlmostEquals(coverage, covered / 2 ** count, 1e-12);
  }
});

Deno.test("scaled() and quotient() carry the interval along", () => {
  const a = spreadOf([8, 10, 12]), b = spreadOf([4, 5, 6]);
  assertEquals(scaled(a, 2), { median: 20, low: 16, high: 24, coverage: 0.75, ...runs(3) });
  assertEquals(quotient(a, b), { median: 2, low: 8 / 6, high: 3, coverage: 0.5, ...runs(3) });
});

Deno.test("figures are written with no digit after the first uncertain one", () => {
  const text = (median: number, low: number, high: number, most?: number) => {
    const spread: Spread = { median, low, high, coverage: 0.95, ...runs(9) };
    return `${medianText(spread, most)} ${intervalText(spread)}`;
  };
  assertEquals(text(23.4142, 22.9, 24.1), "23.4 [22.9, 24.1]");
  assertEquals(text(23.4142, 20, 27), "23 [20, 27]");
  assertEquals(text(1234.5, 1200, 1270), "1230 [1200, 1270]");
  assertEquals(text(0.01234, 0.0119, 0.0131), "0.0123 [0.0119, 0.0131]");
  // Never none, however wide, and never more than four, however narrow.
  assertEquals(text(3, 1, 200), "3 [1, 200]");
  assertEquals([text(9600, 23, 41_000), text(0.3, 0.0123, 2.1)], ["10000 [20, 41000]", "0.3 [0.01, 2.1]"]);
  assertEquals(text(3.14159265, 3.14159264, 3.14159266), "3.142 [3.141, 3.142]");
  assertEquals(medianText({ median: 51.294, low: 51.29, high: 51.3, coverage: 1, ...runs(9) }, 2), "51");
});

Deno.test("a figure that was measured once has no interval, and not the digits of one that is narrow", () => {
  const one = spreadOf([0.4712]), rate = spreadOf([1234.5]);
  assertEquals([medianText(one, 3), intervalText(one)], ["0.47", "(one run)"]);
  assertEquals([medianText(rate), intervalText(quotient(rate, one))], ["1200", "(one run)"]);
  assertEquals([medianText(spreadOf([1234, 1236])), intervalText(spreadOf([1234, 1236]))], ["1235", "[1234, 1236]"]);
});

/** Runs whose logarithms are the ones before times a factor, and luck of their own; the median is 1. */
function drifting(count: number, factor: number, normal: Normal): number[] {
  let state = normal.next();
  return Array.from({ length: count }, () => {
    state = factor * state + Math.sqrt(1 - factor ** 2) * normal.next();
    return Math.exp(0.3 * state);
  });
}

/** How often intervals hold the median 1, and how wide they are on average. */
function held(count: number, factor: number, of = spreadOf): [share: number, width: number] {
  const normal = new Normal(new Random(13n)), tries = dose(600, 6000);
  let holding = 0, width = 0;
  for (let i = 0; i < tries; i++) {
    const { low, high } = of(drifting(count, factor, normal));
    if (low <= 1 && 1 <= high) holding++;
    width += high - low;
  }
  return [holding / tries, width / tries];
}

Deno.test("intervals hold the median where runs are like those before them, as on a machine that warms up", () => {
  for (const count of [16, 32, 64]) {
    for (const factor of [0, 0.3, 0.5, 0.7]) {
      const [share] = held(count, factor);
      // 16 runs that are as like as 0.7 do not show how far they go.
      assert(share >= (count === 16 && factor === 0.7 ? 0.9 : 0.935), `${count} runs, ${factor}: ${share}`);
    }
  }
  // As if they were independent, which they are not: in any order.
  const shuffled = (values: readonly number[]) => spreadOf(values.toSorted((a, b) => (a * 1e9) % 1 - (b * 1e9) % 1));
  const [careless, narrow] = held(64, 0.7, shuffled), [careful, wide] = held(64, 0.7);
  assert(careless < 0.8 && careful > 0.935 && wide > 1.5 * narrow, `${careless} and ${careful}, ${narrow} and ${wide}`);
  // Independent runs pay little for it.
  assert(held(64, 0)[1] < 1.2 * held(64, 0, shuffled)[1]);
});

Deno.test("of few runs that are like those before them intervals hold the median as seldom as docs say", () => {
  // [runs, part of the one before it, least and largest share]; with room for the luck of so many tries.
  for (const [count, factor, least, most] of [[6, 0.5, 0.81, 0.89], [12, 0.3, 0.92, 0.98], [12, 0.7, 0.83, 0.91]]) {
    const [share] = held(count!, factor!);
    assert(least! <= share && share <= most!, `${count} runs, ${factor}: ${share}`);
  }
});

Deno.test("runs that only rise tell little, and those that take turns no more than they are", () => {
  const rising = spreadOf(Array.from({ length: 64 }, (_, i) => 100 + i));
  assert(rising.independent <= 3 && rising.coverage < 0.95, JSON.stringify(rising));
  assertEquals([rising.low, rising.high], [100, 163]);
  const turns = spreadOf(Array.from({ length: 64 }, (_, i) => 100 + (i % 2) + i / 1000));
  assertEquals([turns.runs, turns.independent], [64, 64]);
  assertEquals(spreadOf(new Array<number>(20).fill(5)), {
    median: 5,
    low: 5,
    high: 5,
    coverage: spreadOf(range(20)).coverage,
    ...runs(20),
  });
});
