/** Whether the means of two settings on the same tokens differ, and on how many more it would show. */
import { bounded, CAUTIOUS, type Estimate, type Groupings, PLAIN, skewedEnds, TRUTH, widest } from "./intervals.ts";
import { Z_POWER } from "./statistics.ts";
import { studentP } from "./student.ts";

/** A difference between two settings on the same tokens. */
export interface PairedMean extends Estimate {
  /** Two-sided p-value of the hypothesis that there is none. */
  readonly p: number;
  /** Standard error of the difference. */
  readonly error: number;
  /** What `p` is the largest p-value of; none where nothing tells the two apart, or signs alone do. */
  readonly tests: readonly Statistic[];
}

/** A difference over its standard error, as what is tested. */
export interface Statistic {
  readonly t: number;
  /** Degrees of freedom of Student's t. */
  readonly freedom: number;
  /** Of the difference: 0 where the test does not follow it. */
  readonly skewness: number;
}

/**
 * Mean difference of two settings on the same tokens, given what the observations of each sum up to. Its interval is as
 * cautious as that of a mean of positive values, because one setting may have rare large values that the other has not.
 *
 * @param rare Whether rare values may own the means, so that the test has to be as cautious: below 0.05 just where the
 *   interval does not hold 0. Of logarithms it need not be.
 */
export function pairedMean(first: Groupings, second: Groupings, rare = false): PairedMean {
  const differences = first.map((observations, g) =>
    observations.map((one, i) => ({ ...one, sum: one.sum - second[g]![i]!.sum }))
  );
  const { value, half } = widest(differences, CAUTIOUS), skewed = skewedEnds(differences, TRUTH);
  const { error, freedom } = widest(differences, PLAIN);
  // Nothing differs anywhere, or there is a single sequence, whose text may be an odd one: neither tells the two apart.
  // Where all differ by the same, their signs are what is left to test.
  const signs = value === 0 ? 1 : Math.min(1, 2 ** (1 - first[0]!.length));
  const tells = first[0]!.length > 1 && error !== Infinity;
  // One that never differs from the reference is closer than one that does in any text, whatever owns that one's mean.
  const same = value !== 0 && [first, second].some(([sums]) => sums!.every(({ sum }) => sum === 0));
  const bySigns = error === 0 || rare && same;
  const tests = !tells || bySigns ? [] : rare ? rareTests(differences) : [{ t: value / error, freedom, skewness: 0 }];
  const p = !tells ? 1 : bySigns ? signs : Math.max(...tests.map(pOf));
  const low = Math.min(value - half, skewed.low), high = Math.max(value + half, skewed.high);
  return { value, low, high, p, error: tells ? error : Infinity, tests };
}

/** The tests whose intervals {@linkcode pairedMean} joins: Student's t, and Hall's of it. */
function rareTests(differences: Groupings): Statistic[] {
  const { value, error, freedom } = widest(differences, CAUTIOUS);
  return [
    { t: value / error, freedom, skewness: 0 },
    ...bounded(differences).map((one) => ({ t: one.value / one.error, freedom: one.freedom, skewness: one.skewness })),
  ];
}

function pOf({ t, freedom, skewness: k }: Statistic): number {
  if (k === 0) return studentP(t, freedom);
  const transformed = t + k * t ** 2 / 3 + k ** 2 * t ** 3 / 27 + k / 6;
  return transformed * t > 0 ? studentP(transformed, freedom) : 1;
}

/**
 * How many times the tokens at hand would show the difference four times in five, were it just as large: with as many
 * times the degrees of freedom, and less skewness as well.
 *
 * @param level p-value below which it shows.
 * @returns null where nothing differs, or signs alone are tested.
 */
export function timesNeeded({ value, tests }: PairedMean, level: number): number | null {
  if (value === 0 || tests.length === 0 || !tests.every(({ t }) => Number.isFinite(t))) return null;
  const shows = (times: number) =>
    tests.every(({ t, freedom, skewness }) => {
      const root = Math.sqrt(times), least = Math.abs(t) * root - Z_POWER;
      const then = { freedom: Math.min(NORMAL, times * freedom), skewness: skewness / root };
      return least > 0 && pOf({ t: Math.sign(t) * least, ...then }) < level;
    });
  let low = 1, high = 1;
  while (shows(low)) low /= 2;
  while (!shows(high)) high *= 2;
  for (let i = 0; i < STEPS; i++) {
    const middle = (low + high) / 2;
    if (shows(middle)) high = middle;
    else low = middle;
  }
  return Number.isFinite(high) ? high : null;
}

/** Bisections of a factor of two that leave nothing of it which a number of tokens shows. */
const STEPS = 30;
/** Degrees of freedom from which Student's t is normal for that. */
const NORMAL = 1e4;
