/** A figure that was measured several times: its median, and how sure that is. */
import { median } from "../median.ts";
import { atPlace, type Rounding, unitsOf } from "../rounding.ts";

/** A median with its interval. */
export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
  /** Probability with which the interval holds the median of all runs that could be made. */
  readonly coverage: number;
  /** Runs that were made. */
  readonly runs: number;
  /** How many of them independent ones would tell as much: fewer where each is like the ones before it. */
  readonly independent: number;
}

/** Coverage that is wanted; few runs give less. */
export const WANTED_COVERAGE = 0.95;

/**
 * The spread of figures: the interval between two of them, the k-th from below and from above, which needs no
 * assumption about how they are distributed. It is the narrowest that covers 95%, or from the least to the largest. A
 * machine that warms up or that others use makes runs that are like those before them: then it is as wide as of fewer.
 *
 * @param values At least one, in the order in which they were measured.
 */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b), runs = sorted.length, middle = median(sorted);
  const independent = runs < FEWEST_IN_ORDER ? runs : independentRuns(values, middle);
  const [out, coverage] = leftOut(independent), left = Math.floor(out * runs / independent);
  return { median: middle, low: sorted[left]!, high: sorted[runs - 1 - left]!, coverage, runs, independent };
}

/** How many of so many figures may be left out at either end, and what is covered then. */
function leftOut(runs: number): [left: number, coverage: number] {
  let left = 0, coverage = coverageOf(runs, 0);
  while (left + 1 <= (runs - 1) / 2 && coverageOf(runs, left + 1) >= WANTED_COVERAGE) {
    coverage = coverageOf(runs, ++left);
  }
  return [left, coverage];
}

/** Runs from which on their order tells something, and the first of them may be left out. */
const FEWEST_IN_ORDER = 9;

/**
 * How many independent runs would tell as much of the median: from how alike neighbours are in being above or below it.
 * The smaller of two estimates counts: that of the first neighbours, as if likeness died away from run to run by the
 * same factor, and that of all neighbours until they are not alike any more (Geyer's initial positive sequence).
 */
function independentRuns(values: readonly number[], median: number): number {
  const runs = values.length, sides = values.map((value) => Math.sign(value - median));
  const mean = sides.reduce((sum, side) => sum + side, 0) / runs;
  const alike = (lag: number) =>
    sides.slice(lag).reduce((sum, side, i) => sum + (side - mean) * (sides[i]! - mean), 0) / runs;
  const variance = alike(0);
  if (!(variance > 0)) return runs;
  // The likeness of so few is too small on average, the more the larger it is.
  const first = alike(1) / variance, likeness = Math.min(MOST_ALIKE, first + (1 + 3 * first) / runs);
  let together = 0;
  for (let lag = 1; lag < runs - 1 && first > 0; lag += 2) {
    const pair = alike(lag) + alike(lag + 1);
    if (pair <= 0) break;
    together += pair / variance;
  }
  const parts = [(1 - likeness) / (1 + Math.max(0, likeness)), 1 / (1 + 2 * together)];
  return Math.max(1, Math.floor(runs * Math.min(1, ...parts)));
}

/** Most that neighbours count as alike. */
const MOST_ALIKE = 0.99;

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
    independent: Math.min(a.independent, b.independent),
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

function writtenTo(value: number, place: number, to: Rounding = Math.round): string {
  const units = unitsOf(value, place, to);
  // An end far below the median is not none for that.
  if (units === 0 && value !== 0) {
    const own = Math.floor(Math.log10(Math.abs(value)));
    return `${atPlace(unitsOf(value, own, to), own)}`;
  }
  return place >= 0 ? `${atPlace(units, place)}` : atPlace(units, place).toFixed(-place);
}

/**
 * The median, with no digit after the first that is uncertain.
 *
 * @param most Digits that are written at most.
 */
export function medianText(spread: Spread, most = MOST_DIGITS): string {
  return writtenTo(spread.median, lastPlace(spread, most));
}

/**
 * The interval, with the same digits, its ends rounded outward; of one run, that there is none.
 *
 * @param most Digits that the median has at most.
 */
export function intervalText(spread: Spread, most = MOST_DIGITS): string {
  if (spread.runs === 1) return "(one run)";
  const place = lastPlace(spread, most);
  return `[${writtenTo(spread.low, place, Math.floor)}, ${writtenTo(spread.high, place, Math.ceil)}]`;
}

/** A median with its interval. */
export function spreadText(spread: Spread): string {
  return `${medianText(spread)} ${intervalText(spread)}`;
}

/** A part of a whole in hundredths, with its interval. */
export function partText(spread: Spread, most = MOST_DIGITS): string {
  const hundredths = scaled(spread, 100);
  return `${medianText(hundredths, most)}% ${intervalText(hundredths, most)}`;
}
