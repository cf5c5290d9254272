import { intervalText, medianText, quotient, scaled, type Spread, spreadOf } from "../../src/bench/spread.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";

const range = (n: number) => Array.from({ length: n }, (_, i) => i + 1);

Deno.test("spreadOf() gives the median, and the narrowest interval that covers it with 95%", () => {
  // Probabilities of fair coins: 1 - 2 (1 + 10) / 2^10 for the second of ten from either end.
  assertEquals(spreadOf(range(10).reverse()), { median: 5.5, low: 2, high: 9, coverage: 1 - 22 / 1024, runs: 10 });
  assertEquals(spreadOf([3, 1, 2]), { median: 2, low: 1, high: 3, coverage: 0.75, runs: 3 });
  assertEquals(spreadOf([7]), { median: 7, low: 7, high: 7, coverage: 0, runs: 1 });
  assertEquals(spreadOf(range(6)).coverage, 1 - 2 / 64);
});

Deno.test("spreadOf() covers as often as it says: all outcomes of coins, one for each run", () => {
  for (const runs of [3, 5, 6, 8, 9, 12, 16]) {
    const { low, high, coverage } = spreadOf(range(runs));
    assert(runs < 6 || coverage >= 0.95, `${coverage} for ${runs} runs`);
    // The true median lies between the k-th and the next figure where k of the figures are below it.
    let covered = 0;
    for (let outcome = 0; outcome < 2 ** runs; outcome++) {
      let below = 0;
      for (let bits = outcome; bits > 0; bits &= bits - 1) below++;
      if (below >= low && below < high) covered++;
    }
    assertAlmostEquals(coverage, covered / 2 ** runs, 1e-12);
  }
});

Deno.test("scaled() and quotient() carry the interval along", () => {
  const a = spreadOf([8, 10, 12]), b = spreadOf([4, 5, 6]);
  assertEquals(scaled(a, 2), { median: 20, low: 16, high: 24, coverage: 0.75, runs: 3 });
  assertEquals(quotient(a, b), { median: 2, low: 8 / 6, high: 3, coverage: 0.5, runs: 3 });
});

Deno.test("figures are written with no digit after the first uncertain one", () => {
  const text = (median: number, low: number, high: number, most?: number) => {
    const spread: Spread = { median, low, high, coverage: 0.95, runs: 9 };
    return `${medianText(spread, most)} ${intervalText(spread)}`;
  };
  assertEquals(text(23.4142, 22.9, 24.1), "23.4 [22.9, 24.1]");
  assertEquals(text(23.4142, 20, 27), "23 [20, 27]");
  assertEquals(text(1234.5, 1200, 1270), "1230 [1200, 1270]");
  assertEquals(text(0.01234, 0.0119, 0.0131), "0.0123 [0.0119, 0.0131]");
  // Never none, however wide, and never more than four, however narrow.
  assertEquals(text(3, 1, 200), "3 [1, 200]");
  assertEquals(text(3.14159265, 3.14159264, 3.14159266), "3.142 [3.142, 3.142]");
  assertEquals(medianText({ median: 51.294, low: 51.29, high: 51.3, coverage: 1, runs: 9 }, 2), "51");
});

Deno.test("a figure that was measured once has no interval, and not the digits of one that is narrow", () => {
  const one = spreadOf([0.4712]), rate = spreadOf([1234.5]);
  assertEquals([medianText(one, 3), intervalText(one)], ["0.47", "(one run)"]);
  assertEquals([medianText(rate), intervalText(quotient(rate, one))], ["1200", "(one run)"]);
  assertEquals([medianText(spreadOf([1234, 1236])), intervalText(spreadOf([1234, 1236]))], ["1235", "[1234, 1236]"]);
});
