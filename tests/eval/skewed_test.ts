/**
 * Intervals of means that one text in 200 holds a quarter of, and of shares that go from text to text as few do: what
 * the embedded model's own predictions are like under `w_mxfp4_a_mxfp4`.
 */
import { type Estimate, groupings, positiveRatio, rareRatio } from "../../src/eval/intervals.ts";
import { pairedMean } from "../../src/eval/paired_mean.ts";
import { shareOf } from "../../src/eval/shares.ts";
import { APART } from "../../src/eval/statistics.ts";
import { Random } from "../../src/session/random.ts";
import { assert, assertEquals } from "../assert.ts";
import { dose, SOAK } from "../soak.ts";
import { Normal, sample } from "./simulated.ts";

const COVERAGE = 0.93;

/** Share of samples whose interval holds the truth. */
function coverage<T>(
  all: readonly T[],
  truth: number,
  count: number,
  estimate: (sampled: T[]) => Estimate,
): number {
  const random = new Random(71n), tries = dose(300, 2000);
  let held = 0;
  for (let i = 0; i < tries; i++) {
    const { low, high } = estimate(sample(all, count, random));
    if (low <= truth && truth <= high) held++;
  }
  return held / tries;
}

const mean = (all: readonly ArrayLike<number>[]) => {
  const values = all.flatMap((sequence) => Array.from(sequence));
  return values.reduce((sum, x) => sum + x, 0) / values.length;
};

/** Sequences of 96 tokens, in each of which one holds nearly all: the sums fall as the real ones do, by their rank. */
function uneven(): Float64Array[] {
  const normal = new Normal(new Random(3n)), texts = 200;
  return Array.from({ length: texts }, (_, i) => {
    const values = Float64Array.from({ length: 96 }, () => 1e-6 * Math.exp(2 * normal.next()));
    values[40] = 7 * (i + 1) ** -1.2;
    return values;
  });
}

Deno.test("one of 200 texts holds a quarter of the simulated sum", () => {
  const sums = uneven().map((values) => values.reduce((sum, x) => sum + x, 0));
  const most = Math.max(...sums) / sums.reduce((sum, x) => sum + x, 0);
  assert(most > 0.24 && most < 0.3, `${most}`);
});

Deno.test("intervals of a mean of which one text in 200 holds a quarter hold the truth, and cube roots do not", () => {
  const all = uneven(), truth = mean(all);
  for (const count of SOAK ? [12, 20, 30, 50, 100, 200] : [12, 30, 100]) {
    const share = coverage(all, truth, count, (sampled) => rareRatio(groupings(sampled)));
    assert(share >= COVERAGE, `${count} texts: ${share}`);
  }
  const roots = coverage(all, truth, 30, (sampled) => positiveRatio(groupings(sampled)));
  assert(roots < 0.9, `${roots}`);
});

Deno.test("so do those of differences between two such settings", () => {
  const all = uneven(), other = all.map((values) => values.map((x) => x / 3));
  const pairs = all.map((values, i) => [values, other[i]!] as const), truth = mean(all) - mean(other);
  for (const count of [12, 30, 100]) {
    const share = coverage(
      pairs,
      truth,
      count,
      (sampled) => pairedMean(groupings(sampled.map(([a]) => a)), groupings(sampled.map(([, b]) => b))),
    );
    assert(share >= COVERAGE, `${count} texts: ${share}`);
  }
});

Deno.test("a mean that few texts own is told from an even one as seldom as promised, where intervals say so", () => {
  const all = uneven(), truth = mean(all);
  // As far on average: nothing is closer.
  const pairs = all.map((values) => [values, values.map(() => truth)] as const);
  const differs = (sampled: typeof pairs, rare: boolean) =>
    pairedMean(groupings(sampled.map(([a]) => a)), groupings(sampled.map(([, b]) => b)), rare);
  const random = new Random(73n), tries = dose(300, 2000);
  for (const count of [12, 30, 100]) {
    let wrong = 0, careless = 0;
    for (let i = 0; i < tries; i++) {
      const sampled = sample(pairs, count, random), { p, low, high } = differs(sampled, true);
      assertEquals(p < APART, low > 0 || high < 0, `${p} of [${low}, ${high}]`);
      if (p < APART) wrong++;
      if (differs(sampled, false).p < APART) careless++;
    }
    assert(wrong / tries <= 1 - COVERAGE, `${count} texts: ${wrong} of ${tries}`);
    assert(count === 100 || careless / tries > 0.15, `${count} texts: ${careless} of ${tries}`);
  }
});

Deno.test("a setting that never differs is told from one of whose mean few texts own the most", () => {
  const values = groupings(uneven().slice(0, 40)), none = groupings(uneven().slice(0, 40).map((v) => v.map(() => 0)));
  for (const [a, b] of [[values, none], [none, values]] as const) {
    assertEquals(pairedMean(a, b, true).p, 2 ** -39);
  }
  assertEquals(pairedMean(none, none, true).p, 1);
});

Deno.test("a mean that one text nearly takes away says nothing of a difference, and never more than that", () => {
  // 39 differences of about 1, and one that leaves of their sum a little: skewness alone turns the sign of Hall's t.
  const p = (odd: number) => {
    const of = (value: (i: number) => number) =>
      groupings(Array.from({ length: 40 }, (_, i) => Float64Array.of(value(i))));
    return pairedMean(of((i) => i === 7 ? 0 : 1 + i % 5 / 100), of((i) => i === 7 ? odd : 0), true).p;
  };
  assertEquals([p(38.5), p(37)], [1, 1]);
  assert(p(30) > 0.5 && p(30) < 1);
});

/** Texts of 1,024 tokens, of which another share is right in each: its logarithm has this standard deviation. */
function texts(wrong: number, spread: number): Uint8Array[] {
  const random = new Random(5n), normal = new Normal(random);
  return Array.from({ length: 300 }, () => {
    const rate = Math.min(0.9, wrong * Math.exp(spread * normal.next() - spread ** 2 / 2));
    return Uint8Array.from({ length: 1024 }, () => random.fraction() < rate ? 0 : 1);
  });
}

for (const [wrong, spread] of [[0.03, 1], [0.02, 1.5], [0.2, 0.8], [0.003, 1]] as const) {
  Deno.test(`intervals of a share hold the truth where ${wrong} goes wrong, by e^${spread} more or less a text`, () => {
    const all = texts(wrong, spread), truth = mean(all);
    // What is so far from text to text needs more of them than 32: 8 to 32 hold it 90 to 94 times.
    const counts = spread > 1 ? [3, 4, 5] : [3, 4, 5, 6, 8, 16, 32];
    for (const count of SOAK ? counts : [3, 5, ...(spread > 1 ? [] : [8])]) {
      const share = coverage(all, truth, count, shareOf);
      assert(share >= COVERAGE, `${count} texts: ${share}`);
    }
  });
}

Deno.test("few texts in which nothing differs bound the share by their blocks, more by their tokens", () => {
  const low = (count: number) => shareOf(Array.from({ length: count }, () => new Uint8Array(640).fill(1))).low;
  // n / (n + z^2) of Wilson's interval.
  const z2 = 1.959963984540054 ** 2, of = (n: number) => n / (n + z2);
  assertEquals([5, 6].map((count) => low(count).toFixed(9)), [of(5 * 20), of(6 * 640)].map((x) => x.toFixed(9)));
});
