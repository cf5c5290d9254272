/** Settings in the order of their divergence, and which of them the tokens at hand can tell apart. */
import type { Groupings } from "./intervals.ts";
import { type PairedMean, pairedMean, timesNeeded } from "./paired_mean.ts";
import { APART, holm } from "./statistics.ts";

/** A setting to rank: values of the same tokens as every other's, the smaller the better. */
export interface Ranked {
  readonly key: string;
  readonly values: Groupings;
}

/** Two settings on the same tokens. */
export interface RankedPair {
  readonly a: string;
  readonly b: string;
  /** Mean of `a` minus that of `b`. */
  readonly difference: PairedMean;
  /** Its p-value, corrected for the number of pairs (Holm). */
  readonly pHolm: number;
  /**
   * Tokens, of all sequences together, that would tell them apart four times in five; null where nothing differs, all
   * by the same, or signs alone are tested.
   */
  readonly tokensToSeparate: number | null;
}

/** The order of the settings. */
export interface Ranking {
  /** Keys, the least mean first. */
  readonly order: readonly string[];
  /**
   * Neighbours in that order no two of which can be told apart, the longest such runs. A setting may be in several:
   * that two cannot be told from a third does not mean that they cannot be told from one another.
   */
  readonly groups: readonly (readonly string[])[];
  readonly pairs: readonly RankedPair[];
}

/**
 * Ranks settings by their means, and tests every pair.
 *
 * @param rare Whether rare values may own the means.
 */
export function rank(settings: readonly Ranked[], rare = false): Ranking {
  // Of the same tokens: sums have the order of means.
  const sums = new Map(settings.map(({ key, values }) => [key, sumOf(values)]));
  // Equal settings stay in the order in which they were asked for; what is not finite comes last.
  const ranked = settings.toSorted((x, y) => compare(sums.get(x.key)!, sums.get(y.key)!));
  const found = ranked.flatMap((a, i) =>
    ranked.slice(i + 1).map((b) => ({
      a: a.key,
      b: b.key,
      difference: pairedMean(a.values, b.values, rare),
      tokens: tokensOf(a.values),
    }))
  );
  // Settings with the same bits make one question of several pairs, which is asked once.
  const question = ({ value, error }: PairedMean) => `${Math.abs(value)} ${error}`;
  const asked = new Map(found.map(({ difference }) => [question(difference), difference.p]));
  const corrected = holm(Array.from(asked.values(), (p) => Number.isNaN(p) ? 1 : p));
  const answers = new Map([...asked.keys()].map((key, i) => [key, corrected[i]!]));
  const pairs = found.map(({ tokens, ...pair }): RankedPair => ({
    ...pair,
    pHolm: answers.get(question(pair.difference))!,
    tokensToSeparate: tokensNeeded(pair.difference, tokens, asked.size),
  }));
  const order = ranked.map(({ key }) => key);
  return { order, groups: groupsOf(order, pairs), pairs };
}

/** What is not a number is as far behind as what is infinite, and neither comes before the other. */
function compare(x: number, y: number): number {
  const place = (sum: number) => Number.isNaN(sum) ? Infinity : sum;
  return place(x) - place(y) || 0;
}

function sumOf([sequences]: Groupings): number {
  return sequences!.reduce((total, { sum }) => total + sum, 0);
}

function tokensOf([sequences]: Groupings): number {
  return sequences!.reduce((total, { weight }) => total + weight, 0);
}

/** Settings that are in a group with no other are no group. */
function groupsOf(order: readonly string[], pairs: readonly RankedPair[]): string[][] {
  const apart = new Set(pairs.filter(({ pHolm }) => pHolm < APART).map(({ a, b }) => `${a} ${b}`));
  const groups: string[][] = [];
  let covered = 0;
  for (let start = 0; start < order.length; start++) {
    let end = start + 1;
    while (end < order.length && order.slice(start, end).every((key) => !apart.has(`${key} ${order[end]}`))) end++;
    // A run that ends where an earlier one does is a part of it.
    if (end > covered && end - start > 1) groups.push(order.slice(start, end));
    covered = Math.max(covered, end);
  }
  return groups;
}

/** Tokens for 80% power, at the level that the strictest of so many corrected comparisons has. */
function tokensNeeded(difference: PairedMean, tokens: number, comparisons: number): number | null {
  const times = timesNeeded(difference, APART / comparisons);
  return times === null ? null : Math.ceil(tokens * times);
}
