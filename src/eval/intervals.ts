/**
 * How sure one can be of a mean over tokens. Divergences of tokens break what textbook intervals rest on: neighbours
 * are alike, sequences differ, and a handful of tokens holds most of the sum, so that the spread of a sample says too
 * little about the tokens that it missed. Three things are done about it:
 *
 * - Sums over whole sequences, and over blocks of {@linkcode BLOCK} tokens, are the observations, never tokens. The
 *   wider of both intervals counts: there may be few sequences, and blocks of one sequence may be alike.
 * - The spread is that of the values without one observation each (the jackknife), so that a long sequence, which pulls
 *   the mean towards itself, does not seem to agree with it.
 * - Student's t has as many degrees of freedom as observations that the spread effectively comes from,
 *   (sum d^2)^2 / sum d^4 for deviations d, and in an interval of a mean half as many. Where one observation holds
 *   everything, t is 12.7.
 * - A mean of what cannot be negative gets its interval on the scale of cube roots, on which its skewed distribution
 *   is nearly symmetric (Wilson and Hilferty's transformation).
 *
 * Observations that are all equal do not say how unequal others may be: they bound nothing, so that a setting whose
 * predictions are the reference's on every token at hand is not said to have them on all text.
 *
 * A single sequence says nothing of other texts: its blocks, and eighths of it, bound what more of the same text would
 * come to, and no setting is told from another by it.
 *
 * None of this is proven for every tail. `tests/eval/coverage_test.ts` holds it to a coverage of 93% on data whose
 * truth is known.
 *
 * An interval for the truth is too narrow for the value that as much other text would give: that has luck of its own,
 * so that the difference of both has twice the variance. Where every interval of the first were exact, it would hold
 * the second in 83% of cases only. Means and shares have an interval for such a repetition, too
 * ({@linkcode REPETITION}): of means the same interval with a standard error that is the root of 2 times as large, on
 * the same scale; of shares that of a test of two shares.
 */
import { studentP, studentQuantile } from "./student.ts";
import { type Interval, TAIL, wilsonInterval, Z_95 } from "./statistics.ts";

/** Tokens of a block that counts as one observation. */
export const BLOCK = 32;

/** What an interval is for: the truth, or the value that as much other text would give. */
export type Purpose = typeof TRUTH | typeof REPETITION;
/** By what the standard error counts in an interval for the truth. */
const TRUTH = 1;
/** By what it counts in an interval for a repetition, whose own error comes to that of the first. */
export const REPETITION = Math.SQRT2;

/** An estimate with its 95% interval; bounds are infinite where the data do not bound it. */
export interface Estimate extends Interval {
  readonly value: number;
}

/** Values of the tokens of each sequence, in order. */
export type Sequences = readonly ArrayLike<number>[];

/** Sums over the tokens of one observation: of the values, and of what they are divided by. */
export interface Observation {
  readonly sum: number;
  readonly weight: number;
}

/** The same tokens as observations of several sizes. */
export type Groupings = readonly (readonly Observation[])[];

/**
 * Whole sequences, and blocks of them; what is left over of a sequence joins its last block. Of a single sequence,
 * where it is long enough, also pieces: its blocks may be alike.
 */
export function groupings(sequences: Sequences): Groupings {
  const used = sequences.filter((values) => values.length > 0);
  const parts = (size: (length: number) => number) =>
    used.flatMap((values) =>
      blocksOf(values.length, size(values.length)).map(([start, end]) => observation(values, start, end))
    );
  const groups = [used.map((values) => observation(values, 0, values.length)), parts(() => BLOCK)];
  const pieces = used.length === 1 ? Math.floor(used[0]!.length / PIECES) : 0;
  return pieces > BLOCK ? [...groups, parts(() => pieces)] : groups;
}

/** Pieces of a single sequence. */
const PIECES = 8;

/** Where the blocks of a sequence begin and end. */
export function blocksOf(length: number, size = BLOCK): [start: number, end: number][] {
  const count = Math.max(1, Math.floor(length / size));
  return Array.from({ length: count }, (_, i) => [i * size, i === count - 1 ? length : (i + 1) * size]);
}

function observation(values: ArrayLike<number>, start: number, end: number): Observation {
  let sum = 0;
  for (let i = start; i < end; i++) sum += values[i]!;
  return { sum, weight: end - start };
}

/** Half the width of the interval of a ratio of sums, and what tells how far from 0 the ratio is. */
interface Spread {
  readonly value: number;
  readonly half: number;
  readonly error: number;
  readonly freedom: number;
}

/**
 * Part of the effective number of observations that counts as degrees of freedom: half of them in an interval of a
 * mean, as a sample without the largest of them looks more alike than it is.
 */
const CAUTION = { cautious: 0.5, plain: 1 } as const;

/** Relative deviation below which observations count as equal. */
const EQUAL = 1e-12;

function spreadOf(observations: readonly Observation[], kind: keyof typeof CAUTION): Spread {
  const n = observations.length;
  let sum = 0, weight = 0;
  for (const o of observations) {
    sum += o.sum;
    weight += o.weight;
  }
  const value = sum / weight;
  if (n < 2) return { value, half: Infinity, error: Infinity, freedom: 1 };
  let squares = 0, fourths = 0;
  for (const o of observations) {
    // How far the value is from what it were without this one, but for a factor that all have.
    const square = ((o.sum - value * o.weight) / Math.max(Number.EPSILON, 1 - o.weight / weight)) ** 2;
    squares += square;
    fourths += square * square;
  }
  // Equal but for the rounding of sums, or too close for the squares of deviations to be told from 0.
  if (fourths === 0 || squares < (EQUAL * sum) ** 2) return { value, half: Infinity, error: 0, freedom: n - 1 };
  const error = Math.sqrt(squares * (n - 1) / n) / weight;
  const freedom = Math.max(1, Math.min(n - 1, CAUTION[kind] * squares * squares / fourths));
  return { value, half: error * studentQuantile(0.975, freedom), error, freedom };
}

/** The grouping with the widest interval. */
function widest(groups: Groupings, kind: keyof typeof CAUTION): Spread {
  return groups.map((observations) => spreadOf(observations, kind)).reduce((a, b) =>
    a.half === Infinity ? b : b.half === Infinity || a.half > b.half ? a : b
  );
}

/** A ratio of sums that cannot be negative. */
export function positiveRatio(groups: Groupings, purpose: Purpose = TRUTH): Estimate {
  const { value, half: own } = widest(groups, "cautious"), half = purpose * own;
  if (value === 0 || half === Infinity) return { value, low: value === value ? 0 : NaN, high: Infinity };
  const third = half / value / 3;
  return { value, low: value * Math.max(0, 1 - third) ** 3, high: value * (1 + third) ** 3 };
}

/** Mean of values that may be negative, no few of which own it: logarithms. */
export function signedMean(sequences: Sequences, purpose: Purpose = TRUTH): Estimate {
  const { value, half: own } = widest(groupings(sequences), "cautious"), half = purpose * own;
  return { value, low: value - half, high: value + half };
}

/**
 * Blocks of tokens from which a sample is likely to hold one of the rare tokens that own a mean: of what cannot be
 * negative, of changes of either sign, of squares of changes, and of negative log probabilities.
 */
export const FEWEST = { positive: 32, signed: 64, squares: 96, surprise: 32 } as const;
/** Sequences of which one is likely to be an odd one; texts differ less in how surprising their tokens are. */
export const FEWEST_SEQUENCES = 6;

/** Whether there are too few to bound what rare tokens decide: simulations held 40 to 90% of the truths. */
export function missesRare(groups: Groupings, kind: keyof typeof FEWEST = "positive"): boolean {
  const [sequences, blocks] = groups;
  return blocks!.length < FEWEST[kind] || kind !== "surprise" && sequences!.length < FEWEST_SEQUENCES;
}

/** A ratio of sums that rare tokens may own; of few blocks its upper end is open. */
export function rareRatio(
  groups: Groupings,
  purpose: Purpose = TRUTH,
  kind: Exclude<keyof typeof FEWEST, "signed"> = "positive",
): Estimate {
  const estimate = positiveRatio(groups, purpose);
  return missesRare(groups, kind) ? { ...estimate, high: Infinity } : estimate;
}

/** Likewise where values may be negative: as cautious as where they may not, and of few blocks both ends are open. */
export function rareSignedMean(sequences: Sequences, purpose: Purpose = TRUTH): Estimate {
  const groups = groupings(sequences), { value, half: own } = widest(groups, "cautious");
  const half = missesRare(groups, "signed") ? Infinity : purpose * own;
  return { value, low: value - half, high: value + half };
}

/** A difference between two settings on the same tokens. */
export interface PairedMean extends Estimate {
  /** Two-sided p-value of the hypothesis that there is none. */
  readonly p: number;
  /** Standard error of the difference. */
  readonly error: number;
}

/**
 * Mean difference of two settings on the same tokens, given what the observations of each sum up to. Its interval is as
 * cautious as that of a mean of positive values, because one setting may have rare large values that the other has not.
 */
export function pairedMean(first: Groupings, second: Groupings): PairedMean {
  const differences = first.map((observations, g) =>
    observations.map(({ sum, weight }, i) => ({ sum: sum - second[g]![i]!.sum, weight }))
  );
  const { value, half } = widest(differences, "cautious");
  const { error, freedom } = widest(differences, "plain");
  // Nothing differs anywhere, or there is a single sequence, whose text may be an odd one: neither tells the two apart.
  // Where all differ by the same, their signs are what is left to test.
  const signs = value === 0 ? 1 : Math.min(1, 2 ** (1 - first[0]!.length));
  const tells = first[0]!.length > 1 && error !== Infinity;
  const p = !tells ? 1 : error === 0 ? signs : studentP(value / error, freedom);
  return { value, low: value - half, high: value + half, p, error: tells ? error : Infinity };
}

/**
 * How many independent tokens would bound a share as these do, at most their number: from the width of its interval
 * over whole sequences or blocks.
 */
function effectiveTokens(sequences: Sequences, kind: keyof typeof CAUTION): number {
  const groups = groupings(sequences);
  const tokens = groups[0]!.reduce((sum, { weight }) => sum + weight, 0);
  const { value, half } = widest(groups, kind);
  const variance = value * (1 - value);
  if (!(variance > 0)) return tokens;
  // A single observation does not say how many tokens it is worth; equal ones are no worse than independent tokens.
  if (half === Infinity) return groups[1]!.length > 1 ? tokens : 1;
  return Math.min(tokens, variance * (Z_95 / half) ** 2);
}

/**
 * A share of tokens: values are 0 and 1. Wilson's interval with as many trials as there are effective tokens; for a
 * repetition {@linkcode repeatedShare}.
 */
export function shareOf(sequences: Sequences, purpose: Purpose = TRUTH): Estimate {
  const all = flatten(sequences);
  const value = all.reduce((sum, x) => sum + x, 0) / all.length;
  const trials = effectiveTokens(sequences, "plain");
  if (purpose === REPETITION) return { value, ...repeatedShare(value, trials) };
  // Where nothing is seen on one side, the interval must not come to an end that depends on rounding.
  const successes = value === 1 ? trials : value * trials;
  return { value, ...wilsonInterval(successes, trials) };
}

/**
 * Shares that as many further trials may have: those that the test of two shares with their common variance does not
 * reject. Unlike an interval for the truth it reaches 0 and 1 where few trials fail: a repetition may have no failure.
 */
function repeatedShare(x: number, trials: number): Interval {
  // (x - y)^2 = 2 m (1 - m) z^2 / trials, where m = (x + y) / 2, is quadratic in y.
  const c = Z_95 ** 2 / trials, a = 1 + c / 2, b = x + c / 2 - c * x / 2, d = x * x - c * x + c * x * x / 2;
  const root = Math.sqrt(Math.max(0, b * b - a * d));
  // Rounding must not leave out the share itself, which is an end where nothing or everything fails.
  return { low: Math.max(0, Math.min(x, (b - root) / a)), high: Math.min(1, Math.max(x, (b + root) / a)) };
}

/**
 * A quantile with Woodruff's interval: which ranks the true one may have in the sample, by the binomial distribution of
 * as many trials as there are effective tokens.
 *
 * @param p 0.5 to 1.
 * @returns An infinite upper bound where larger values than all that were seen may have the rank.
 */
export function quantileOf(sequences: Sequences, p: number): Estimate {
  const sorted = flatten(sequences).sort((a, b) => a - b);
  const value = quantileOfSorted(sorted, p);
  const below = sequences.map((values) => Array.from(values, (x) => x <= value ? 1 : 0));
  const trials = Math.max(1, Math.floor(effectiveTokens(below, "cautious")));
  const [fewest, most] = likelyCounts(trials, 1 - p);
  return {
    value,
    low: quantileOfSorted(sorted, Math.max(0, 1 - (most + 1) / trials)),
    high: fewest === 0 ? Infinity : quantileOfSorted(sorted, 1 - (fewest - 1) / trials),
  };
}

/** The least and the largest number of successes that 95% of experiments have, 2.5% at most beyond either. */
function likelyCounts(trials: number, p: number): [fewest: number, most: number] {
  let log = trials * Math.log1p(-p), sum = Math.exp(log), fewest = sum > TAIL ? 0 : null, k = 0;
  for (; sum < 1 - TAIL && k < trials; k++) {
    log += Math.log((trials - k) / (k + 1)) + Math.log(p / (1 - p));
    sum += Math.exp(log);
    if (fewest === null && sum > TAIL) fewest = k + 1;
  }
  return [fewest ?? 0, k];
}

/** A quantile of values in ascending order, interpolated between neighbours. */
export function quantileOfSorted(sorted: ArrayLike<number>, p: number): number {
  const at = p * (sorted.length - 1), below = Math.floor(at), above = Math.min(below + 1, sorted.length - 1);
  const low = sorted[below]!, high = sorted[above]!;
  return low + (at - below) * (high - low);
}

/** All values, one after the other. */
export function flatten(sequences: Sequences): Float64Array {
  const all = new Float64Array(sequences.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const values of sequences) {
    all.set(values, at);
    at += values.length;
  }
  return all;
}
