/**
 * Where the most of something is, such as the layer whose error is the largest: which others may be that place, and how
 * large the largest is. It was chosen among many for what luck did to it as well, so that its own interval is too sure.
 */
import type { Groupings, Observation } from "./intervals.ts";
import { pairedMean } from "./paired_mean.ts";
import { APART, holm, type Interval } from "./statistics.ts";

/** One of those that are compared, on the same tokens as all others. */
export interface Candidate {
  readonly layer: number;
  readonly operation: string;
  /** What it has, and what that is relative to. */
  readonly groups: Groupings;
}

/** A place in the pass. */
export type Place = Pick<Candidate, "layer" | "operation">;

/** The place with the most. */
export interface Largest extends Place {
  /**
   * Ends for what it has, and at once for the largest there is; the upper one is infinite where the tokens at hand do
   * not bound it.
   */
  readonly interval: Interval;
  /** Those that a paired test on the same tokens does not tell from it, the largest first. */
  readonly others: readonly Place[];
}

/** The interval of a ratio that leaves the truth out so many times as seldom as an interval of 95% does. */
export type Bound = (groups: Groupings, choices: number) => Interval;

/**
 * The largest of some. Others are told from it by a paired test whose p-values are corrected by Holm; it leaves out the
 * true largest in 5 of 100 cases at most. Its interval ends below where its own does that is corrected for as many
 * choices as there are such others, and above where the highest of theirs does.
 *
 * @returns null where none has anything, or what some have is not finite.
 */
export function largestOf(candidates: readonly Candidate[], bound: Bound): Largest | null {
  const valued = candidates.map((candidate) => ({ ...candidate, value: ratioOf(observationsOf(candidate.groups)) }))
    .filter(({ value }) => value !== 0).sort((a, b) => b.value - a.value);
  if (valued.length === 0 || valued.some(({ value }) => !Number.isFinite(value))) return null;
  const [first, ...rest] = valued as [typeof valued[number], ...typeof valued];
  const corrected = holm(rest.map((other) => equalP(first.groups, other.groups)));
  const others = rest.filter((_, i) => !(corrected[i]! < APART)), all = [first, ...others];
  return {
    ...placeOf(first),
    interval: {
      low: bound(first.groups, all.length).low,
      high: Math.max(...all.map(({ groups }) => bound(groups, 1).high)),
    },
    others: others.map(placeOf),
  };
}

const placeOf = ({ layer, operation }: Place): Place => ({ layer, operation });

/** The whole sequences. */
const observationsOf = ([sequences]: Groupings) => sequences!;

/** Nothing has no ratio to nothing: of what was not compared, or is zero on both sides, it is 0 as its error is. */
function ratioOf(observations: readonly Observation[]): number {
  const all = observations.reduce((total, { sum }) => total + sum, 0);
  return all === 0 ? 0 : all / observations.reduce((total, { weight }) => total + weight, 0);
}

/** p-value of two ratios' being equal. Of a single sequence its blocks are what there is. */
function equalP(a: Groupings, b: Groupings): number {
  const from = a[0]!.length > 1 ? 0 : 1;
  if (a.some((observations, i) => observations.length !== b[i]!.length)) return 1;
  const pairs = a.slice(from).map((observations, i) => alike(observations, b[from + i]!));
  return pairedMean(pairs.map(([x]) => x), pairs.map(([, y]) => y)).p;
}

/**
 * Two ratios with what each is relative to of its own, as ratios to the same: what an observation adds to either is
 * what it makes the ratio deviate by.
 */
function alike(a: readonly Observation[], b: readonly Observation[]): [Observation[], Observation[]] {
  const total = (observations: readonly Observation[]) => observations.reduce((sum, { weight }) => sum + weight, 0);
  const [wholeA, wholeB] = [total(a), total(b)], [ratioA, ratioB] = [ratioOf(a), ratioOf(b)];
  const weights = a.map(({ weight }, i) => (weight / wholeA + b[i]!.weight / wholeB) / 2);
  const of = (observations: readonly Observation[], whole: number, ratio: number) =>
    observations.map(({ sum, weight, follows = false }, i) => ({
      sum: (sum - ratio * weight) / whole + ratio * weights[i]!,
      weight: weights[i]!,
      follows,
    }));
  return [of(a, wholeA, ratioA), of(b, wholeB, ratioB)];
}
