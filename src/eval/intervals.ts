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
 *   is nearly symmetric (Wilson and Hilferty's transformation). Where rare tokens own it, it reaches as far as the
 *   skewness at hand tells, too (Hall's transformation): a sample that lacks the one text in a hundred that holds a
 *   quarter of all has smaller ones of its kind.
 *
 * Observations that are all equal do not say how unequal others may be: they bound nothing, so that a setting whose
 * predictions are the reference's on every token at hand is not said to have them on all text.
 *
 * A single sequence says nothing of other texts: its blocks, and eighths of it, bound what more of the same text would
 * come to, and no setting is told from another by it.
 *
 * Sequences that a text is cut into are of the same chapters and articles, so that neighbours are alike. They count as
 * fewer independent ones, by the factor by which that makes the variance of their mean larger
 * ({@linkcode timesAlike}).
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
import { studentQuantile } from "./student.ts";
import { type Interval, TAIL } from "./statistics.ts";

/** Tokens of a block that counts as one observation. */
export const BLOCK = 32;

/** What an interval is for: the truth, or the value that as much other text would give. */
export type Purpose = typeof TRUTH | typeof REPETITION;
/** By what the standard error counts in an interval for the truth. */
export const TRUTH = 1;
/** By what it counts in an interval for a repetition, whose own error comes to that of the first. */
export const REPETITION = Math.SQRT2;

/** An estimate with its 95% interval; bounds are infinite where the data do not bound it. */
export interface Estimate extends Interval {
  readonly value: number;
}

/** Where sequences are from: texts of their own, or one that was cut into them, which stand in its order. */
export type Origin = typeof APART_TEXTS | typeof ONE_TEXT;
export const APART_TEXTS = "texts", ONE_TEXT = "text";

/** Values of the tokens of each sequence, in order. */
export type Sequences = readonly ArrayLike<number>[];

/** Sums over the tokens of one observation: of the values, and of what they are divided by. */
export interface Observation {
  readonly sum: number;
  readonly weight: number;
  /** Whether it goes on in the text where the observation before it ends. */
  readonly follows?: boolean;
}

/** The same tokens as observations of several sizes. */
export type Groupings = readonly (readonly Observation[])[];

/**
 * Whole sequences, and blocks of them; what is left over of a sequence joins its last block. Of a single sequence,
 * where it is long enough, also pieces: its blocks may be alike.
 *
 * @param origin Of the sequences.
 */
export function groupings(sequences: Sequences, origin: Origin = APART_TEXTS): Groupings {
  const used = sequences.filter((values) => values.length > 0);
  const parts = (size: (length: number) => number) =>
    used.flatMap((values) =>
      blocksOf(values.length, size(values.length)).map(([start, end]) => observation(values, start, end))
    );
  const whole = used.map((values) => observation(values, 0, values.length));
  const groups = asNeighbours([whole, parts(() => BLOCK)], origin);
  const pieces = used.length === 1 ? Math.floor(used[0]!.length / PIECES) : 0;
  return pieces > BLOCK ? [...groups, parts(() => pieces)] : groups;
}

/** The same groupings, each of whose whole sequences follows the one before it if they are of one text. */
export function asNeighbours(groups: Groupings, origin: Origin): Groupings {
  if (origin !== ONE_TEXT) return groups;
  return groups.map((observations, i) =>
    i === 0 ? observations.map((one) => ({ ...one, follows: true })) : observations
  );
}

/** Pieces of a single sequence. */
const PIECES = 8;

/** Where the blocks of a sequence begin and end; the last may lack one token, which a sequence does not predict. */
export function blocksOf(length: number, size = BLOCK): [start: number, end: number][] {
  const count = Math.max(1, Math.floor((length + 1) / size));
  return Array.from({ length: count }, (_, i) => [i * size, i === count - 1 ? length : (i + 1) * size]);
}

function observation(values: ArrayLike<number>, start: number, end: number): Observation {
  let sum = 0;
  for (let i = start; i < end; i++) sum += values[i]!;
  return { sum, weight: end - start };
}

/** Half the width of the interval of a ratio of sums, and what tells how far from 0 the ratio is. */
export interface Spread {
  readonly value: number;
  readonly half: number;
  readonly error: number;
  readonly freedom: number;
  /** Skewness of the ratio itself, which that of the observations brings. */
  readonly skewness: number;
}

/**
 * Part of the effective number of observations that counts as degrees of freedom: half of them in an interval, as a
 * sample without the largest of them looks more alike than it is.
 */
export const CAUTIOUS = 0.5;
/** All of it, for the error of a test and where values have an end near by. */
export const PLAIN = 1;

/** Degrees of freedom that so many observations have at least. */
const NO_FEWER = (_observations: number): number => 1;

/** Relative deviation below which observations count as equal. */
const EQUAL = 1e-12;

function spreadOf(observations: readonly Observation[], caution: number, atLeast = NO_FEWER, tail = TAIL): Spread {
  const n = observations.length, { sum, weight } = totalOf(observations), value = sum / weight;
  if (n < 2) return { value, half: Infinity, error: Infinity, freedom: 1, skewness: 0 };
  let squares = 0, cubes = 0, fourths = 0;
  for (const deviation of deviationsOf(observations)) {
    const square = deviation ** 2;
    squares += square;
    cubes += square * deviation;
    fourths += square * square;
  }
  // Equal but for the rounding of sums, or too close for the squares of deviations to be told from 0.
  if (fourths === 0 || squares < (EQUAL * sum) ** 2) {
    return { value, half: Infinity, error: 0, freedom: n - 1, skewness: 0 };
  }
  // As if so many in a row were the same: then all of them are worth so many fewer.
  const times = timesAlike(observations), error = Math.sqrt(times * squares * (n - 1) / n) / weight;
  const freedom = Math.max(atLeast(n / times), Math.min(n - 1, caution * squares * squares / fourths) / times);
  const skewness = Math.sqrt(times) * cubes / squares ** 1.5;
  return { value, half: error * studentQuantile(1 - tail, freedom), error, freedom, skewness };
}

function totalOf(observations: readonly Observation[]): Observation {
  let sum = 0, weight = 0;
  for (const o of observations) {
    sum += o.sum;
    weight += o.weight;
  }
  return { sum, weight };
}

/** How far the ratio is from what it were without each one, but for a factor that all have. */
function deviationsOf(observations: readonly Observation[]): number[] {
  const { sum, weight } = totalOf(observations), value = sum / weight;
  return observations.map((o) => (o.sum - value * o.weight) / Math.max(Number.EPSILON, 1 - o.weight / weight));
}

/**
 * By what likenesses of neighbours in a text make the variance of a mean larger than independent observations would:
 * one and twice the sum of the autocorrelations before the first that is not positive, from which on they are noise.
 */
export function timesAlike(observations: readonly Observation[]): number {
  if (!observations.some(({ follows }) => follows)) return 1;
  const deviations = deviationsOf(observations), squares = deviations.reduce((total, d) => total + d * d, 0);
  let times = 1;
  for (let lag = 1; lag < deviations.length / 2; lag++) {
    let products = 0;
    for (let i = lag; i < deviations.length; i++) products += deviations[i]! * deviations[i - lag]!;
    if (!(products > 0)) break;
    times += 2 * products / squares;
  }
  return times;
}

/** The grouping with the widest interval. */
export function widest(
  groups: Groupings,
  caution: number,
  atLeast = NO_FEWER,
  tail = TAIL,
): Pick<Spread, "value" | "half" | "error" | "freedom"> {
  return groups.map((observations) => spreadOf(observations, caution, atLeast, tail)).reduce((a, b) =>
    a.half === Infinity ? b : b.half === Infinity || a.half > b.half ? a : b
  );
}

/** The cautious spreads of the groupings that bound something. */
export function bounded(groups: Groupings): Spread[] {
  return groups.map((observations) => spreadOf(observations, CAUTIOUS)).filter(({ half }) => half !== Infinity);
}

/**
 * The ends of an interval that follows the skewness of the observations, of the grouping by which it reaches farthest:
 * Hall's cubic transformation of Student's t, which can be inverted everywhere.
 */
export function skewedEnds(groups: Groupings, purpose: Purpose): Interval {
  let low = Infinity, high = -Infinity;
  for (const { value, half, error, skewness } of bounded(groups)) {
    const t = half / error;
    const inverse = (x: number) =>
      Math.abs(skewness) < 1e-9 ? x : 3 / skewness * (Math.cbrt(1 + skewness * (x - skewness / 6)) - 1);
    low = Math.min(low, value - purpose * error * inverse(t));
    high = Math.max(high, value - purpose * error * inverse(-t));
  }
  return { low, high };
}

/**
 * A ratio of sums that cannot be negative.
 *
 * @param tail Part that its interval leaves out at either end.
 */
export function positiveRatio(groups: Groupings, purpose: Purpose = TRUTH, tail = TAIL): Estimate {
  const { value, half: own } = widest(groups, CAUTIOUS, NO_FEWER, tail), half = purpose * own;
  if (value === 0 || half === Infinity) return { value, low: value === value ? 0 : NaN, high: Infinity };
  const third = half / value / 3;
  return { value, low: value * Math.max(0, 1 - third) ** 3, high: value * (1 + third) ** 3 };
}

/** Mean of values that may be negative, no few of which own it: logarithms. */
export function signedMean(sequences: Sequences, purpose: Purpose = TRUTH, origin?: Origin): Estimate {
  const { value, half: own } = widest(groupings(sequences, origin), CAUTIOUS), half = purpose * own;
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

/**
 * A ratio of sums that cannot be negative and follows the skewness of the observations. Its lower end is that of cube
 * roots, as what may be missing of a sample makes a mean larger.
 */
export function skewedRatio(groups: Groupings, purpose: Purpose = TRUTH): Estimate {
  const estimate = positiveRatio(groups, purpose);
  return { ...estimate, high: Math.max(estimate.high, skewedEnds(groups, purpose).high) };
}

/** Likewise of a ratio that rare tokens may own; of few blocks its upper end is open. */
export function rareRatio(
  groups: Groupings,
  purpose: Purpose = TRUTH,
  kind: Exclude<keyof typeof FEWEST, "signed"> = "positive",
): Estimate {
  const estimate = skewedRatio(groups, purpose);
  return missesRare(groups, kind) ? { ...estimate, high: Infinity } : estimate;
}

/** Likewise where values may be negative: as cautious as where they may not, and of few blocks both ends are open. */
export function rareSignedMean(sequences: Sequences, purpose: Purpose = TRUTH, origin?: Origin): Estimate {
  const groups = groupings(sequences, origin), { value, half: own } = widest(groups, CAUTIOUS);
  const half = missesRare(groups, "signed") ? Infinity : purpose * own, skewed = skewedEnds(groups, purpose);
  return { value, low: Math.min(value - half, skewed.low), high: Math.max(value + half, skewed.high) };
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
