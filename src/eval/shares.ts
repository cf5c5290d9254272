/** How sure one can be of a share of tokens, and of a quantile of their values: as many as are independent. */
import {
  CAUTIOUS,
  type Estimate,
  FEWEST_SEQUENCES,
  flatten,
  type Groupings,
  groupings,
  type Origin,
  PLAIN,
  type Purpose,
  REPETITION,
  type Sequences,
  timesAlike,
  TRUTH,
  widest,
} from "./intervals.ts";
import { type Interval, levelOf, TAIL, wilsonInterval, Z_95 } from "./statistics.ts";

/**
 * How many independent tokens would bound a share as these do, at most their number: from the width of its interval
 * over whole sequences or blocks.
 */
function effectiveTokens(
  groups: Groupings,
  cautionOf: (share: number) => number,
  atLeast?: (observations: number) => number,
  choices = 1,
): number {
  const { tokens, share } = totalOf(groups);
  const { value, half } = widest(groups, cautionOf(share), atLeast, TAIL / choices);
  const variance = value * (1 - value);
  // Few texts that show nothing do not say how alike their tokens are: then each block counts as one.
  if (!(variance > 0)) return groups[0]!.length < FEWEST_SEQUENCES ? groups[1]!.length : tokens;
  // A single observation does not say how many tokens it is worth; equal ones are no worse than independent tokens.
  if (half === Infinity) return groups[1]!.length > 1 ? tokens : 1;
  return Math.max(leastTrials(groups), Math.min(tokens, variance * (levelOf(choices) / half) ** 2));
}

/** All tokens, and the share of them. */
function totalOf([sequences]: Groupings): { tokens: number; share: number } {
  const tokens = sequences!.reduce((sum, { weight }) => sum + weight, 0);
  return { tokens, share: sequences!.reduce((sum, o) => sum + o.sum, 0) / tokens };
}

/** A share of tokens, whose values are 0 and 1. */
export function shareOf(sequences: Sequences, purpose: Purpose = TRUTH, origin?: Origin): Estimate {
  return shareOfGroups(groupings(sequences, origin), purpose);
}

/**
 * Likewise of what each token has between 0 and 1. Wilson's interval with as many trials as there are effective tokens;
 * for a repetition {@linkcode repeatedShare}.
 *
 * @param choices So many times as seldom its interval for the truth leaves that out.
 */
export function shareOfGroups(groups: Groupings, purpose: Purpose = TRUTH, choices = 1): Estimate {
  const { share: value } = totalOf(groups);
  // The nearer a share is to 0 or 1, the more it is decided by rare tokens, as a mean may be.
  const caution = (share: number) => PLAIN - (PLAIN - CAUTIOUS) * Math.abs(2 * share - 1);
  const trials = effectiveTokens(groups, caution, fewestFreedom, choices);
  if (purpose === REPETITION) return { value, ...repeatedShare(value, trials) };
  return { value, ...wilsonInterval(value * trials, trials, levelOf(choices)) };
}

/**
 * Trials at least: texts, or blocks of the only one, vary no more than if all tokens of each were as its first, nor
 * neighbours in a text than if as many as are alike were.
 */
function leastTrials([sequences, blocks]: Groupings): number {
  const observations = sequences!.length > 1 ? sequences! : blocks!;
  const tokens = observations.reduce((sum, { weight }) => sum + weight, 0);
  return 1 / timesAlike(observations) / observations.reduce((sum, { weight }) => sum + (weight / tokens) ** 2, 0);
}

/**
 * Degrees of freedom of a share at least: up to two, as far as a quarter of its observations goes. No observation can
 * be farther off than a share of 0 or 1 is, so that few of them do not own it as they may own a mean.
 */
function fewestFreedom(observations: number): number {
  return Math.max(1, Math.min(2, (observations - 1) / 4));
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
export function quantileOf(sequences: Sequences, p: number, origin?: Origin): Estimate {
  // Without a comparison of ours, which would scatter what is not a number: so it is beyond all numbers.
  const sorted = flatten(sequences).sort();
  const value = quantileOfSorted(sorted, p);
  const below = sequences.map((values) => Array.from(values, (x) => x <= value ? 1 : 0));
  const trials = Math.max(1, Math.floor(effectiveTokens(groupings(below, origin), () => CAUTIOUS)));
  const [fewest, most] = likelyCounts(trials, 1 - p);
  const high = fewest === 0 ? Infinity : quantileOfSorted(sorted, 1 - (fewest - 1) / trials);
  return {
    value,
    low: quantileOfSorted(sorted, Math.max(0, 1 - (most + 1) / trials)),
    high: Number.isNaN(high) ? Infinity : high,
  };
}

/**
 * Several quantiles, each with an interval of its own ({@linkcode quantileOf}), and no end that falls where the
 * quantile rises: a quantile is no less than a lower one, so that what bounds that from below bounds it, too, and what
 * bounds a higher one from above does so likewise.
 *
 * @param ps 0.5 to 1, in ascending order.
 */
export function quantilesOf(sequences: Sequences, ps: readonly number[], origin?: Origin): Estimate[] {
  const found = ps.map((p) => quantileOf(sequences, p, origin));
  return found.map(({ value }, i) => ({
    value,
    low: Math.max(...found.slice(0, i + 1).map(({ low }) => low)),
    high: Math.min(...found.slice(i).map(({ high }) => high)),
  }));
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
