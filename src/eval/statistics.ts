/**
 * How sure one can be of an accuracy, and of a difference between two. All intervals are 95% intervals, all tests
 * two-sided.
 */
import { type Discordance, pairedP, pairedPower } from "./paired.ts";
import { betaQuantile } from "./student.ts";

/** 97.5% quantile of the normal distribution: a 95% interval leaves out 2.5% at either end. */
export const Z_95 = 1.959963984540054;
/** Power that a number of problems or tokens shall have, and its quantile of the normal distribution. */
const POWER = 0.8;
export const Z_POWER = 0.8416212335729143;
/** p-value, corrected for the number of tests, below which two settings are told apart. */
export const APART = 0.05;

/** Bounds of an interval. */
export interface Interval {
  readonly low: number;
  readonly high: number;
}

/**
 * The exact interval of a proportion (Clopper and Pearson): it holds the truth 95 times of 100 or more, whatever that
 * is. Wilson's does so on average only, and just 84 times of 100 near 1, where saturated tasks live.
 *
 * @param successes 0 to `trials`.
 * @param trials At least 1.
 */
export function exactInterval(successes: number, trials: number): Interval {
  const failures = trials - successes;
  return {
    low: successes === 0 ? 0 : betaQuantile(TAIL, successes, failures + 1),
    high: failures === 0 ? 1 : betaQuantile(1 - TAIL, successes + 1, failures),
  };
}

/** Part that an interval leaves out at either end. */
export const TAIL = 0.025;

/**
 * Wilson's score interval of a proportion, which takes parts of trials, too. Unlike the textbook one it never leaves
 * [0, 1].
 *
 * @param successes 0 to `trials`.
 * @param trials More than 0.
 * @param z Standard errors that it reaches.
 */
export function wilsonInterval(successes: number, trials: number, z = Z_95): Interval {
  const z2 = z * z;
  const share = successes / trials;
  const centre = (share + z2 / (2 * trials)) / (1 + z2 / trials);
  const half = z / (1 + z2 / trials) * Math.sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials));
  return {
    low: successes === 0 ? 0 : Math.max(0, centre - half),
    high: successes === trials ? 1 : Math.min(1, centre + half),
  };
}

/** A difference of accuracies. */
export interface PairedDifference extends Interval {
  readonly difference: number;
  /** p-value that there is none: {@linkcode pairedP}. */
  readonly p: number;
}

/**
 * Difference of two accuracies on the same problems (second minus first), with Tango's score interval: the differences
 * that a test with the variance which each of them implies does not reject. Unlike Wald's and its kin it covers where
 * few problems differ and all in one direction: where none of n does, it reaches 3.84 / (n + 3.84). Where
 * {@linkcode pairedP}, by which settings are told apart, does not find a difference, it holds 0.
 *
 * Over all outcomes of 2 to 200 problems it holds each of the true differences that were tried 91 times of 100 or more,
 * and of 13 or more, up to half of the problems, 92.7 times.
 * Where the difference is large, or there is a handful of problems, score intervals alone hold as little as 83: there
 * it is joined with what the exact intervals of both shares leave.
 */
export function pairedDifference(pair: Discordance, trials: number): PairedDifference {
  const difference = (pair.gained - pair.lost) / trials, p = pairedP(pair, trials), found = p < APART;
  // One problem says nothing of a difference: there are both directions, and none.
  if (trials === 1) return { difference, p, low: -1, high: 1 };
  const low = leastOfMore(pair, trials);
  const high = -leastOfMore({ lost: pair.gained, gained: pair.lost }, trials);
  return { difference, p, low: found ? low : Math.min(0, low), high: found ? high : Math.max(0, high) };
}

/**
 * The lower end of the interval of a difference; the upper one is that of the other direction. It is the least of those
 * where more is gained, so that it does not fall with what speaks for more, as each rule by itself does not: where they
 * take over from one another are the places to look at.
 */
function leastOfMore({ lost, gained }: Discordance, trials: number): number {
  const most = trials - lost, own = leastDifference(lost, gained, trials);
  // From here on exact intervals count.
  const from = trials < FEW ? gained : Math.max(gained, Math.floor(LARGE * trials + lost) + 1);
  if (from > most) return own;
  const joined = Math.min(own, leastDifference(lost, from, trials));
  // And from here on they say that there is a difference.
  let below = from, above = most;
  while (above - below > 1) {
    const middle = (below + above) >> 1;
    if (exactBound(lost, middle, trials) > 0) above = middle;
    else below = middle;
  }
  return Math.min(joined, leastDifference(lost, above, trials));
}

function leastDifference(lost: number, gained: number, trials: number): number {
  const score = scoreBound(lost, gained, trials);
  if (trials >= FEW && Math.abs(gained - lost) <= LARGE * trials) return score;
  const exact = exactBound(lost, gained, trials);
  // What the test finds is not lost by that.
  return score > 0 && exact <= 0 ? score : Math.max(-1, Math.min(score, exact));
}

/** What the exact intervals of both shares leave. */
function exactBound(lost: number, gained: number, trials: number): number {
  const less = exactInterval(lost, trials), more = exactInterval(gained, trials);
  return Math.min(
    more.low - (lost === 0 && trials >= FEW ? 0 : less.high),
    gained === 0 ? -less.high : Infinity,
  );
}

/** From so many problems on they are no handful, and above which a difference is large. */
const FEW = 10, LARGE = 0.5;

/** The least difference that is not rejected, by bisection; the largest is that of the other direction. */
function scoreBound(lost: number, gained: number, trials: number): number {
  const difference = (gained - lost) / trials;
  const rejects = (d: number) => {
    // The share of lost problems that is likeliest where the difference is d.
    const b = (2 * trials - gained + lost) * d - gained - lost, c = -lost * d * (1 - d);
    const share = (Math.sqrt(Math.max(0, b * b - 8 * trials * c)) - b) / (4 * trials);
    return (difference - d) ** 2 * trials > Z_95 ** 2 * (2 * share + d * (1 - d));
  };
  let low = -1, high = difference;
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (rejects(middle)) low = middle;
    else high = middle;
  }
  return low;
}

/**
 * The smallest true difference that {@linkcode pairedP} would notice with 80% power on so many problems, when the two
 * settings disagree on as many of them as was seen, or on as many as the difference itself takes. Smaller differences
 * are noise to an evaluation of this size.
 *
 * @param comparisons Settings that are compared with the first: at the level of the strictest of so many corrected
 *   tests.
 * @returns A difference of accuracies, 0 to 1; 1 also where not even that would be noticed: of 5 problems none is.
 */
export function detectableDifference({ lost, gained }: Discordance, trials: number, comparisons = 1): number {
  const seen = (lost + gained + 1) / (trials + 2), level = levelOf(comparisons);
  // Connor's sample size for McNemar's test, solved for the difference by bisection; it falls as the difference grows.
  const needed = (d: number, disagree: number) =>
    (level * Math.sqrt(disagree) + Z_POWER * Math.sqrt(disagree - d * d)) ** 2 / (d * d);
  const power = trials > SUMMED ? null : pairedPower(trials, APART / comparisons);
  const shows = (d: number) => {
    const disagree = Math.max(seen, d);
    return power === null ? needed(d, disagree) <= trials : power((disagree - d) / 2, (disagree + d) / 2) >= POWER;
  };
  let low = 0, high = 1;
  if (!shows(high)) return 1;
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (shows(middle)) high = middle;
    else low = middle;
  }
  return high;
}

/** Problems up to which power is summed up over all outcomes: of so few Connor's formula promises what none shows. */
const SUMMED = 30;

/** Steps that bring an error of 4.5e-4 below what a float64 holds, and terms that do so to the tail from 1.96 on. */
const NEWTON_STEPS = 3, FRACTION_TERMS = 100;

/** Standard errors from which the strictest of so many tests, corrected by Holm, finds something. */
export function levelOf(comparisons: number): number {
  const tail = APART / 2 / comparisons;
  // Abramowitz and Stegun's 26.2.23 is good to 4.5e-4; Newton's method does the rest.
  const t = Math.sqrt(-2 * Math.log(tail));
  let x = t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
  for (let step = 0; step < NEWTON_STEPS; step++) {
    const density = Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI);
    // Laplace's continued fraction of the upper tail, which converges fast from 1.96 on.
    let fraction = x;
    for (let k = FRACTION_TERMS; k > 0; k--) fraction = x + k / fraction;
    x += (density / fraction - tail) / density;
  }
  return x;
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
