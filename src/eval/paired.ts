/**
 * Whether two settings solve equally many of the same problems. Only problems on which they differ speak for either, as
 * in McNemar's test; but that many differ is chance as well, and what is promised is how often equals are told apart
 * over all that may happen, not for one number of such problems alone.
 *
 * McNemar's own p-values fail that in both directions. The exact one is too large: it finds what is there 2 to 14 times
 * of 100 less often where few problems differ. The mid-p is too small: of 16 problems that differ it finds something
 * among equals 7.7 times of 100. So outcomes are put in order by mid-p, and what counts is how often one as extreme
 * comes about among equals, whatever the share of problems on which these differ (the exact unconditional test).
 */

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

/** p-values of McNemar's test, given how many problems differ. */
export interface McNemar {
  /** Exact (binomial): never too small, conservative. */
  readonly exact: number;
  /** Mid-p: by which {@linkcode pairedP} puts outcomes in order. */
  readonly mid: number;
}

/** McNemar's test: under the null hypothesis each problem that differs is a toss of a coin. */
export function mcnemar({ lost, gained }: Discordance): McNemar {
  const tosses = lost + gained, fewer = Math.min(lost, gained);
  return ofTail(new LogFactorials(tosses).tail(tosses, fewer), 2 * fewer === tosses);
}

function ofTail({ sum, last }: Tail, even: boolean): McNemar {
  return { exact: Math.min(1, 2 * sum), mid: even ? 1 : Math.min(1, 2 * sum - last) };
}

/** Probability of at most, and of just so many heads. */
interface Tail {
  readonly sum: number;
  readonly last: number;
}

/** Part of a tail below which its terms do not count: float64 has no digit for them. */
const NO_DIGIT = 1e-17;

class LogFactorials {
  readonly of: Float64Array;

  constructor(most: number) {
    this.of = new Float64Array(most + 1);
    // What rounding leaves out of thousands of terms would show in the tenth digit.
    let rest = 0;
    for (let i = 2; i <= most; i++) {
      const term = Math.log(i) + rest, before = this.of[i - 1]!;
      this.of[i] = before + term;
      rest = term - (this.of[i]! - before);
    }
  }

  logChoose(n: number, k: number): number {
    return this.of[n]! - this.of[k]! - this.of[n - k]!;
  }

  /** Of so many tosses of a coin. */
  tail(tosses: number, heads: number): Tail {
    const last = Math.exp(this.logChoose(tosses, heads) - tosses * Math.LN2);
    let term = last, sum = last;
    for (let k = heads; k > 0 && term > NO_DIGIT * sum; k--) sum += term *= k / (tosses - k + 1);
    return { sum, last };
  }
}

/** Steps in a standard deviation of the number of problems that differ, at which its share is tried first. */
const STEPS = 5;
/**
 * Part of the largest of these values from which one may have the largest of all beside it. Half a step, a tenth of a
 * deviation, adds a quarter of a percent at most of the most that any number of such problems has: of what changes by
 * so much in a deviation, the second derivative is half of it at most.
 */
const NEAR = 0.99;
/** Golden sections that leave 2e-7 of two steps, and of a maximum all of its digits: 1e-15 of it is missing. */
const SECTIONS = 32, GOLDEN = (Math.sqrt(5) - 1) / 2;
/** Standard deviations beyond which numbers of problems do not count, and so many problems more. */
const BEYOND = 9;
/** Relative difference below which two mid-p values are the same. */
const EQUAL = 1e-9;

/**
 * Exact unconditional two-sided p-value that two settings solve equally many of so many problems. At the level of 5% it
 * tells equals apart 5 times of 100 at most, whatever the share of problems on which they differ; it loses 0.6 times of
 * 100 of the mid-p's power at most where that was compared (`tests/eval/paired_test.ts`).
 */
export function pairedP({ lost, gained }: Discordance, trials: number): number {
  const logs = new LogFactorials(trials), fewer = Math.min(lost, gained);
  const midOf = (tosses: number, heads: number) => ofTail(logs.tail(tosses, heads), 2 * heads === tosses).mid;
  const seen = midOf(lost + gained, fewer) * (1 + EQUAL);
  if (seen >= 1) return 1;
  // Of each number of problems that differ the probability of an outcome that is as extreme.
  const extreme = new Float64Array(trials + 1);
  for (let tosses = 1, heads = -1; tosses <= trials; tosses++) {
    while (2 * (heads + 1) < tosses && midOf(tosses, heads + 1) <= seen) heads++;
    while (heads >= 0 && midOf(tosses, heads) > seen) heads--;
    if (heads >= 0) extreme[tosses] = 2 * logs.tail(tosses, heads).sum;
  }
  const of = (angle: number) => expected(extreme, Math.sin(angle) ** 2, logs);
  // On this scale the number's deviation is half of the root of the trials everywhere.
  const steps = Math.ceil(STEPS * Math.PI * Math.sqrt(trials)), step = Math.PI / 2 / steps;
  const tried = Float64Array.from({ length: steps + 1 }, (_, i) => i === steps ? extreme[trials]! : of(i * step));
  const least = NEAR * tried.reduce((a, b) => Math.max(a, b));
  const peaks = tried.map((p, i) =>
    p < least || p < (tried[i - 1] ?? 0) || p < (tried[i + 1] ?? 0)
      ? 0
      : Math.max(p, largestIn(of, Math.max(0, i - 1) * step, Math.min(steps, i + 1) * step))
  );
  return Math.min(1, peaks.reduce((a, b) => Math.max(a, b)));
}

/** The largest value of a function that rises to one maximum between two ends, or has it at one of them. */
function largestIn(of: (x: number) => number, low: number, high: number): number {
  let left = high - GOLDEN * (high - low), right = low + GOLDEN * (high - low), [below, above] = [of(left), of(right)];
  for (let i = 0; i < SECTIONS; i++) {
    if (below > above) {
      [high, right, above] = [right, left, below];
      below = of(left = high - GOLDEN * (high - low));
    } else {
      [low, left, below] = [left, right, above];
      above = of(right = low + GOLDEN * (high - low));
    }
  }
  return Math.max(below, above);
}

/** Mean of what each number of successes has, of as many trials as there are numbers but one. */
function expected(values: Float64Array, share: number, logs: LogFactorials): number {
  const trials = values.length - 1;
  if (share >= 1) return values[trials]!;
  const mean = trials * share, reach = BEYOND * (1 + Math.sqrt(mean * (1 - share)));
  const last = Math.min(trials, Math.ceil(mean + reach)), [log, logOther] = [Math.log(share), Math.log1p(-share)];
  let sum = 0;
  for (let k = Math.max(0, Math.floor(mean - reach)); k <= last; k++) {
    if (values[k]! > 0) sum += values[k]! * Math.exp(logs.logChoose(trials, k) + k * log + (trials - k) * logOther);
  }
  return sum;
}

/**
 * How often {@linkcode pairedP} is below a level and says that more is gained, over all outcomes of so many problems.
 *
 * @param trials A few dozen at most: each of their outcomes is tested.
 * @returns The probability, given the shares of problems that are solved under the first setting only, and under the
 *   second only.
 */
export function pairedPower(trials: number, level: number): (lost: number, gained: number) => number {
  const logs = new LogFactorials(trials), found: (Discordance & { readonly logWays: number })[] = [];
  for (let lost = 0; 2 * lost < trials; lost++) {
    for (let gained = lost + 1; lost + gained <= trials; gained++) {
      if (pairedP({ lost, gained }, trials) >= level) continue;
      found.push({ lost, gained, logWays: logs.logChoose(trials, lost) + logs.logChoose(trials - lost, gained) });
    }
  }
  const log = (times: number, share: number) => times === 0 ? 0 : times * Math.log(share);
  return (lost, gained) => {
    const same = Math.max(0, 1 - lost - gained);
    return found.reduce((sum, one) => {
      const others = trials - one.lost - one.gained;
      return sum + Math.exp(one.logWays + log(one.lost, lost) + log(one.gained, gained) + log(others, same));
    }, 0);
  };
}
