/**
 * How sure one can be of an accuracy, and of a difference between two. All intervals are 95% intervals, all tests
 * two-sided.
 */

/** 97.5% quantile of the normal distribution: a 95% interval leaves out 2.5% at either end. */
export const Z_95 = 1.959963984540054;
/** 80% quantile of the normal distribution: the power that a number of problems or tokens shall have. */
export const Z_POWER = 0.8416212335729143;
/** p-value, corrected for the number of tests, below which two settings are told apart. */
export const APART = 0.05;

/** Bounds of an interval. */
export interface Interval {
  readonly low: number;
  readonly high: number;
}

/**
 * Wilson's score interval of a proportion. Unlike the textbook one it is sound near 0 and 1, where saturated tasks
 * live, and never leaves [0, 1].
 *
 * @param successes 0 to `trials`.
 * @param trials At least 1.
 */
export function wilsonInterval(successes: number, trials: number): Interval {
  const z2 = Z_95 * Z_95;
  const share = successes / trials;
  const centre = (share + z2 / (2 * trials)) / (1 + z2 / trials);
  const half = Z_95 / (1 + z2 / trials) * Math.sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials));
  return {
    low: successes === 0 ? 0 : Math.max(0, centre - half),
    high: successes === trials ? 1 : Math.min(1, centre + half),
  };
}

/** How the same problems went under two settings. */
export interface Discordance {
  /** Problems solved under the first setting only. */
  readonly lost: number;
  /** Problems solved under the second only. */
  readonly gained: number;
}

/** Pairs up the results of two settings on the same problems, in the same order. */
export function discordance(first: readonly boolean[], second: readonly boolean[]): Discordance {
  let lost = 0, gained = 0;
  first.forEach((right, i) => {
    if (right && !second[i]) lost++;
    if (!right && second[i]) gained++;
  });
  return { lost, gained };
}

/** p-values of McNemar's test. */
export interface McNemar {
  /** Exact (binomial): never too small, conservative. */
  readonly exact: number;
  /** Mid-p: close to the nominal level even with few discordant pairs; the one to read. */
  readonly mid: number;
}

/**
 * McNemar's test that two settings solve equally many problems. Only problems on which they differ count: under the
 * null hypothesis each is a toss of a coin.
 */
export function mcnemar({ lost, gained }: Discordance): McNemar {
  const tosses = lost + gained;
  const fewer = Math.min(lost, gained);
  let logChoose = 0, tail = 0, last = 1;
  for (let k = 0; k <= fewer; k++) {
    if (k > 0) logChoose += Math.log(tosses - k + 1) - Math.log(k);
    last = Math.exp(logChoose - tosses * Math.LN2);
    tail += last;
  }
  return { exact: Math.min(1, 2 * tail), mid: Math.min(1, 2 * tail - last) };
}

/**
 * Difference of two accuracies on the same problems (second minus first), with Agresti and Min's interval: Wald's,
 * after half a problem was added to each of the four outcomes, so that "no problem differed" does not claim certainty.
 *
 * @param trials Number of problems, at least 1.
 */
export function pairedDifference({ lost, gained }: Discordance, trials: number): Interval & { difference: number } {
  const n = trials + 2;
  const centre = (gained - lost) / n;
  const half = Z_95 * Math.sqrt(gained + lost + 1 - (gained - lost) ** 2 / n) / n;
  return {
    difference: (gained - lost) / trials,
    low: Math.max(-1, centre - half),
    high: Math.min(1, centre + half),
  };
}

/**
 * The smallest true difference that McNemar's test would notice with 80% power on so many problems, when the two
 * settings disagree on as many of them as was seen, or on as many as the difference itself takes. Smaller differences
 * are noise to an evaluation of this size.
 *
 * @returns A difference of accuracies, 0 to 1.
 */
export function detectableDifference({ lost, gained }: Discordance, trials: number): number {
  const seen = (lost + gained + 1) / (trials + 2);
  // Connor's sample size for McNemar's test, solved for the difference by bisection; it falls as the difference grows.
  const needed = (d: number) => {
    const disagree = Math.max(seen, d);
    return (Z_95 * Math.sqrt(disagree) + Z_POWER * Math.sqrt(disagree - d * d)) ** 2 / (d * d);
  };
  let low = 0, high = 1;
  if (needed(high) > trials) return 1;
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (needed(middle) > trials) low = middle;
    else high = middle;
  }
  return high;
}

/** Holm's correction: p-values that stay honest when several settings are compared with the first one. */
export function holm(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((a, b) => values[a]! - values[b]!);
  const adjusted = new Array<number>(values.length);
  let least = 0;
  order.forEach((index, rank) => {
    least = Math.max(least, Math.min(1, values[index]! * (values.length - rank)));
    adjusted[index] = least;
  });
  return adjusted;
}
