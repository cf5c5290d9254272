/** Formulas of intervals; tests/eval/coverage_test.ts and its like hold how often intervals have the truth. */
import { blocksOf, CAUTIOUS, groupings, rareSignedMean, widest } from "../../src/eval/intervals.ts";
import { studentQuantile } from "../../src/eval/student.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";

Deno.test("blocksOf() cuts whole blocks, the last of which takes what is left or lacks one token", () => {
  assertEquals(blocksOf(64), [[0, 32], [32, 64]]);
  // 64 tokens, the first of which nothing predicts.
  assertEquals(blocksOf(63), [[0, 32], [32, 63]]);
  assertEquals(blocksOf(62), [[0, 62]]);
  assertEquals(blocksOf(94), [[0, 32], [32, 94]]);
  assertEquals([blocksOf(1), blocksOf(5, 2)], [[[0, 1]], [[0, 2], [2, 4], [4, 5]]]);
  assertEquals(blocksOf(1023).length, 32);
});

/** Where Hall's cubic (1992, "On the removal of skewness by transformation") is x: it rises everywhere. */
function solved(skewness: number, x: number): number {
  const cubic = (t: number) => t + skewness * t ** 2 / 3 + skewness ** 2 * t ** 3 / 27 + skewness / 6;
  let low = -100, high = 100;
  for (let i = 0; i < 200; i++) {
    const middle = (low + high) / 2;
    if (cubic(middle) < x) low = middle;
    else high = middle;
  }
  return low;
}

Deno.test("rareSignedMean() reaches as far as Hall's transformation of each grouping's skewness", () => {
  // Levels of sequences are those of an exponential distribution, to the right and to the left.
  for (const sign of [1, -1]) {
    const sequences = Array.from({ length: 200 }, (_, s) => {
      const level = -Math.log((s + 0.5) / 200);
      return Float64Array.from({ length: 64 }, (_, i) => sign * (level + Math.sin(s * 31 + i * 7) / 5));
    });
    const { value, low, high } = rareSignedMean(sequences);
    const ends = groupings(sequences).flatMap((observations) => {
      const n = observations.length, mean = observations.reduce((sum, o) => sum + o.sum, 0) / n;
      const off = observations.map((o) => (o.sum - mean) * n / (n - 1));
      const power = (k: number) => off.reduce((sum, d) => sum + d ** k, 0);
      const error = Math.sqrt(power(2) * (n - 1) / n) / (n * observations[0]!.weight);
      const t = studentQuantile(0.975, Math.max(1, Math.min(n - 1, CAUTIOUS * power(2) ** 2 / power(4))));
      const skewness = power(3) / power(2) ** 1.5;
      assertEquals(Math.sign(skewness), sign);
      return [t, -t].map((x) => value - error * solved(skewness, x));
    });
    const { half } = widest(groupings(sequences), CAUTIOUS);
    assertAlmostEquals(low, Math.min(value - half, ...ends), 1e-9);
    assertAlmostEquals(high, Math.max(value + half, ...ends), 1e-9);
    // Further on the side of the tail than Student's interval.
    assert(sign > 0 ? high > value + 1.05 * half : low < value - 1.05 * half, `${low} ${value} ${high} half ${half}`);
  }
});

Deno.test("groupings() cuts a single long sequence into eight pieces as well, and several into none", () => {
  const long = Array.from({ length: 1000 }, (_, i) => i % 7), total = long.reduce((sum, x) => sum + x);
  const sizes = (...sequences: number[][]) => groupings(sequences).map(({ length }) => length);
  // In blocks of 32, of which the last takes what is left over.
  assertEquals([sizes(long), sizes([], long), sizes(long, long)], [[1, 31, 8], [1, 31, 8], [2, 62]]);
  // Pieces no longer than blocks would be nothing new.
  assertEquals([sizes(long.slice(0, 263)), sizes(long.slice(0, 264))], [[1, 8], [1, 8, 8]]);
  for (const group of groupings([long])) {
    assertEquals(group.reduce((sum, { weight }) => sum + weight, 0), 1000);
    assertEquals(group.reduce((sum, one) => sum + one.sum, 0), total);
  }
});
