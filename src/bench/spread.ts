/** A figure that was measured several times: its median, and how sure that is. */

/** A median with its interval. */
export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
  /** Probability with which the interval holds the median of all runs that could be made, if runs are independent. */
  readonly coverage: number;
  /** Runs that were made. */
  readonly runs: number;
}

/** Coverage that is wanted; few runs give less. */
const WANTED = 0.95;

/**
 * The spread of figures: the interval between two of them, the k-th from below and from above, which needs no
 * assumption about how they are distributed. It is the narrowest that covers 95%, or from the least to the largest.
 *
 * @param values At least one.
 */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b), runs = sorted.length, middle = (runs - 1) / 2;
  let left = 0, coverage = coverageOf(runs, 0);
  while (left + 1 <= middle && coverageOf(runs, left + 1) >= WANTED) coverage = coverageOf(runs, ++left);
  return {
    median: (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2,
    low: sorted[left]!,
    high: sorted[runs - 1 - left]!,
    coverage,
    runs,
  };
}

/** 1 - 2 P(at most `left` of `runs` tosses of a coin are heads): `left` figures are left out at either end. */
function coverageOf(runs: number, left: number): number {
  let tail = 0, choose = 1;
  for (let k = 0; k <= left; k++) {
    tail += choose;
    choose = choose * (runs - k) / (k + 1);
  }
  return 1 - 2 * tail * 0.5 ** runs;
}

/** The spread of the figures times a positive number. */
export function scaled({ median, low, high, ...rest }: Spread, factor: number): Spread {
  return { median: median * factor, low: low * factor, high: high * factor, ...rest };
}

/** The spread of one figure divided by another, if both intervals hold: wider than either needs to be. */
export function quotient(a: Spread, b: Spread): Spread {
  return {
    median: a.median / b.median,
    low: a.low / b.high,
    high: a.high / b.low,
    coverage: Math.max(0, a.coverage + b.coverage - 1),
    runs: Math.min(a.runs, b.runs),
  };
}

/** Most significant digits of a figure, however often it came out the same; of one that came out once. */
const MOST_DIGITS = 4, DIGITS_OF_ONE = 2;

/** The place of the last digit that is written: 10 to this power. At least one digit of the value is. */
function lastPlace({ median, low, high, runs }: Spread, most: number): number {
  if (runs === 1) most = Math.min(most, DIGITS_OF_ONE);
  const first = Math.floor(Math.log10(Math.abs(median) || 1)), half = (high - low) / 2;
  const uncertain = half > 0 ? Math.floor(Math.log10(half)) : -Infinity;
  return Math.min(first, Math.max(uncertain, first - most + 1));
}

const writtenTo = (value: number, place: number): string =>
  place >= 0 ? String(Math.round(value / 10 ** place) * 10 ** place) : value.toFixed(-place);

/**
 * The median, with no digit after the first that is uncertain.
 *
 * @param most Digits that are written at most.
 */
export function medianText(spread: Spread, most = MOST_DIGITS): string {
  return writtenTo(spread.median, lastPlace(spread, most));
}

/** The interval, with the same digits; of one run, that there is none. */
export function intervalText(spread: Spread): string {
  if (spread.runs === 1) return "(one run)";
  const place = lastPlace(spread, MOST_DIGITS);
  return `[${writtenTo(spread.low, place)}, ${writtenTo(spread.high, place)}]`;
}
