/**
 * Formulas of intervals; tests/eval/coverage_test.ts and its like hold how often intervals have the truth. Expected
 * values are from SciPy 1.17.1 and NumPy: means without one observation each, quantiles of Student's t, and the root of
 * Hall's cubic by bisection.
 */
import {
  blocksOf,
  CAUTIOUS,
  type Estimate,
  flatten,
  groupings,
  missesRare,
  PLAIN,
  positiveRatio,
  rareRatio,
  rareSignedMean,
  REPETITION,
  signedMean,
  skewedEnds,
  skewedRatio,
  TRUTH,
  widest,
} from "../../src/eval/intervals.ts";
import { studentQuantile } from "../../src/eval/student.ts";
import { TAIL } from "../../src/eval/statistics.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";
import { cubes, LENGTHS } from "./simulated.ts";

/** Holds that numbers are the expected ones to ten digits. */
function assertNumbers(found: readonly number[], expected: readonly number[], what: string): void {
  assertEquals(found.length, expected.length, what);
  found.forEach((x, i) => {
    const y = expected[i]!;
    if (x !== y) assertAlmostEquals(x, y, 1e-10 * Math.max(1, Math.abs(y)), `${what}, number ${i}`);
  });
}

const bounds = ({ low, high }: Pick<Estimate, "low" | "high">) => [low, high];

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

Deno.test("flatten() has all values and no other, one sequence after the other", () => {
  assertEquals(flatten([[3, 1], [], [2], Float32Array.of(0.5)]), Float64Array.of(3, 1, 2, 0.5));
  assertEquals(flatten([]), new Float64Array(0));
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

/**
 * Of each example: its mean; half the width, error and degrees of freedom, cautiously and plainly; the ends for what is
 * positive, of a repetition, and at a quarter of the tail; those of the values less 0.3, and of a repetition; the ends
 * that follow the skewness, and of a repetition.
 */
const EXPECTED: Readonly<Record<keyof typeof LENGTHS, readonly (readonly number[])[]>> = {
  nine: [
    [0.535740646566],
    [0.370317910267, 0.0821513568691, 1.9079827897],
    [0.232493162641, 0.0821513568691, 3.8159655794],
    [0.244194036528, 0.997936189745],
    [0.164145815184, 1.24863334423],
    [0.0715050532808, 1.76847001062],
    [-0.134577263701, 0.606058556833],
    [-0.287967964523, 0.759449257656],
    [0.215739010822, 0.997816890132],
    [0.0831899933157, 1.18921513707],
  ],
  one: [
    [0.259616487857],
    [0.0264502658233, 0.00450556597948, 1.52687285605],
    [0.0141970079769, 0.00450556597948, 3.0537457121],
    [0.234054322718, 0.286975191595],
    [0.223977940613, 0.298848112299],
    [0.198685587276, 0.33188170858],
    [-0.0668337779661, -0.0139332463196],
    [-0.0777898367985, -0.00297718748722],
    [0.171736048524, 0.277779058713],
    [0.135334778685, 0.285302241889],
  ],
  two: [
    [0.396101666475],
    [1.67799420759, 0.132061008179, 1],
    [1.67799420759, 0.132061008179, 1],
    [0, 5.55888215413],
    [0, 10.6626666249],
    [0, 116.973632586],
    [-1.58189254112, 1.77409587407],
    [-2.27694049948, 2.46914383243],
    [-1.21699347877, 2.59684995255],
    [-1.88515936533, 3.50842974001],
  ],
  few: [
    [0.450113618527],
    [1.72081751999, 0.135431275957, 1],
    [0.727076564997, 0.135431275957, 1.63482726436],
    [0, 5.29539753323],
    [0, 9.90435378688],
    [0, 102.533579426],
    [-1.57070390146, 1.87093113852],
    [-2.28348985661, 2.58371709367],
    [-0.288908676038, 2.55498783646],
    [-0.595021733343, 3.42685528461],
  ],
};

Deno.test("intervals are those that SciPy gives, for the truth and for a repetition", () => {
  for (const [name, expected] of Object.entries(EXPECTED)) {
    const sequences = cubes(LENGTHS[name as keyof typeof LENGTHS]), groups = groupings(sequences);
    const signed = sequences.map((values) => values.map((x) => x - 0.3));
    const spread = (caution: number) => {
      const { half, error, freedom } = widest(groups, caution);
      return [half, error, freedom];
    };
    const found = [
      [positiveRatio(groups).value],
      spread(CAUTIOUS),
      spread(PLAIN),
      bounds(positiveRatio(groups)),
      bounds(positiveRatio(groups, REPETITION)),
      bounds(positiveRatio(groups, TRUTH, TAIL / 4)),
      bounds(signedMean(signed)),
      bounds(signedMean(signed, REPETITION)),
      bounds(skewedEnds(groups, TRUTH)),
      bounds(skewedEnds(groups, REPETITION)),
    ];
    found.forEach((numbers, i) => assertNumbers(numbers, expected[i]!, `${name}, row ${i}`));
    // Cube roots reach farther here; too few blocks bound nothing that rare tokens own.
    assertEquals(skewedRatio(groups).high, Math.max(positiveRatio(groups).high, skewedEnds(groups, TRUTH).high));
    assertEquals(bounds(rareRatio(groups)), [positiveRatio(groups).low, Infinity]);
    assertEquals(bounds(rareSignedMean(signed)), [-Infinity, Infinity]);
  }
});

Deno.test("an interval of what one text of 60 owns ends where SciPy's skewness has it, and below by cube roots", () => {
  const sequences = cubes(Array.from({ length: 60 }, (_, s) => 33 + s % 5))
    .map((values, s) => values.map((x) => s === 7 ? 12 * x : x));
  const groups = groupings(sequences), signed = sequences.map((values) => values.map((x) => (x - 0.3) / 2));
  assertNumbers(bounds(positiveRatio(groups)), [0.0232060271922, 2.77287031929], "cube roots");
  assertNumbers(bounds(skewedEnds(groups, TRUTH)), [0.180653667627, 1.65289630725], "skewness");
  assertNumbers(bounds(skewedRatio(groups, REPETITION)), [0.000151796931134, 4.38502845802], "repetition");
  assertEquals(rareRatio(groups), positiveRatio(groups));
  // 60 blocks are few for values of either sign.
  assertEquals(bounds(rareSignedMean(signed)), [-Infinity, Infinity]);
  // Of many texts as uneven as an exponential distribution, skewness reaches farther than cube roots.
  const odd = groupings(Array.from({ length: 400 }, (_, s) => new Float64Array(32).fill(-Math.log((s + 0.5) / 400))));
  const { high } = skewedEnds(odd, TRUTH);
  assert(high > positiveRatio(odd).high);
  assertEquals(bounds(rareRatio(odd)), [positiveRatio(odd).low, high]);
});

Deno.test("intervals for a repetition of what rare tokens own reach farther on both sides", () => {
  const levels = Array.from({ length: 400 }, (_, s) => new Float64Array(32).fill(-Math.log((s + 0.5) / 400)));
  for (const sign of [1, -1]) {
    const sequences = levels.map((values) => values.map((x) => sign * x)), groups = groupings(sequences);
    const { value, half: own } = widest(groups, CAUTIOUS), half = REPETITION * own;
    const skewed = skewedEnds(groups, REPETITION);
    // The tail has the end that follows skewness, the other side the one that does not.
    const ends = sign > 0 ? [value - half, skewed.high] : [skewed.low, value + half];
    assert(ends[0]! <= Math.min(skewed.low, value - half) && ends[1]! >= Math.max(skewed.high, value + half));
    assertEquals(bounds(rareSignedMean(sequences, REPETITION)), ends);
  }
  const groups = groupings(levels),
    roots = positiveRatio(groups, REPETITION),
    { high } = skewedEnds(groups, REPETITION);
  assert(high > roots.high && high > skewedEnds(groups, TRUTH).high);
  for (const ends of [skewedRatio, rareRatio]) assertEquals(bounds(ends(groups, REPETITION)), [roots.low, high]);
});

Deno.test("rareRatio() is open above as its kind of values needs more blocks or texts", () => {
  const highs = (texts: number, tokens: number) => {
    const groups = groupings(cubes(Array.from({ length: texts }, () => tokens)));
    return (["positive", "squares", "surprise"] as const).map((kind) => rareRatio(groups, TRUTH, kind).high < Infinity);
  };
  assertEquals([highs(60, 33), highs(96, 33), highs(2, 512)], [
    [true, false, true],
    [true, true, true],
    [false, false, true],
  ]);
});

Deno.test("observations that are equal, or one alone, bound nothing; those that hardly differ do", () => {
  const equal = (value: number, odd = value) =>
    groupings(Array.from({ length: 10 }, (_, s) => new Float64Array(64).fill(s === 3 ? odd : value)));
  const half = (groups: ReturnType<typeof groupings>) => widest(groups, CAUTIOUS).half;
  // But for rounding they are.
  assertEquals([half(equal(0.1)), half(equal(1, 1 + 1e-14))], [Infinity, Infinity]);
  assert(half(equal(1, 1 + 1e-10)) < 1e-9);
  // Fourth powers of deviations are below what float64 holds.
  assertEquals([half(equal(1e-100, 2e-100)), half(equal(0, 1e-200))], [Infinity, Infinity]);
  assertEquals(widest(equal(1), PLAIN), { value: 1, half: Infinity, error: 0, freedom: 19, skewness: 0 });
  const one = groupings([[5]]);
  assertEquals(widest(one, PLAIN), { value: 5, half: Infinity, error: Infinity, freedom: 1, skewness: 0 });
  assertEquals(positiveRatio(one), { value: 5, low: 0, high: Infinity });
  assertEquals(positiveRatio(equal(0)), { value: 0, low: 0, high: Infinity });
  assertEquals(positiveRatio(groupings([[NaN]])), { value: NaN, low: NaN, high: Infinity });
  assertEquals(positiveRatio(equal(NaN)), { value: NaN, low: NaN, high: NaN });
  assertEquals(skewedEnds(one, TRUTH), { low: Infinity, high: -Infinity });
  // All that there is in one observation: there is nothing to compare it with.
  assertEquals(half([[{ sum: 1, weight: 1 }, { sum: 0, weight: 0 }]]), Infinity);
});

Deno.test("the widest interval counts among those that bound something", () => {
  // Whole sequences are equal, their halves are not.
  const alike = Array.from({ length: 8 }, () => Float64Array.from({ length: 64 }, (_, i) => i < 32 ? 1 : 3));
  const [whole, blocks] = groupings(alike), error = 1 / Math.sqrt(15);
  const expected = { value: 2, half: error * studentQuantile(0.975, 15), error, freedom: 15, skewness: 0 };
  for (const groups of [[whole!, blocks!], [blocks!, whole!]]) {
    const found = widest(groups, PLAIN);
    assertNumbers(Object.values(found), Object.values(expected), "blocks");
    // Symmetric: no skewness moves the ends.
    const { half } = widest(groups, CAUTIOUS);
    assertNumbers(bounds(skewedEnds(groups, TRUTH)), [2 - half, 2 + half], "ends");
  }
  const near = blocks!.map(({ weight }, i) => ({ sum: weight * (2 + (i % 2 ? 0.1 : -0.1)), weight }));
  for (const groups of [[near, blocks!], [blocks!, near]]) {
    assertAlmostEquals(widest(groups, PLAIN).half, expected.half, 1e-12);
  }
});

Deno.test("few blocks or sequences bound nothing that rare tokens own", () => {
  const groups = (sequences: number, blocks: number) =>
    [sequences, blocks].map((count) => new Array(count).fill({ sum: 1, weight: 32 }));
  for (const [kind, blocks] of [["positive", 32], ["signed", 64], ["squares", 96]] as const) {
    const found = [[6, blocks], [6, blocks - 1], [5, blocks]].map(([n, m]) => missesRare(groups(n!, m!), kind));
    assertEquals(found, [false, true, true], kind);
  }
  // Texts differ less in how surprising their tokens are.
  assertEquals([32, 31].map((blocks) => missesRare(groups(1, blocks), "surprise")), [false, true]);
  assertEquals([32, 31].map((blocks) => missesRare(groups(6, blocks))), [false, true]);
});
