/** Accuracy on word problems: how often one setting of the matrix is right, and how settings differ. */
import type { Answer } from "./answers.ts";
import { type FilterName, FILTERS } from "./filters.ts";
import { discordance } from "./paired.ts";
import {
  detectableDifference,
  exactInterval,
  holm,
  type Interval,
  type PairedDifference,
  pairedDifference,
} from "./statistics.ts";

/** Accuracy by one filter. */
export interface Accuracy extends Interval {
  readonly correct: number;
  readonly accuracy: number;
  /** One character per problem: 1 right, 0 wrong. */
  readonly outcomes: string;
}

/** Accuracy by each filter, with 95% intervals. */
export function accuracies(answers: readonly Answer[]): Record<FilterName, Accuracy> {
  return Object.fromEntries(FILTERS.map((filter) => {
    const outcomes = answers.map((answer) => answer[filter].correct);
    const correct = outcomes.filter(Boolean).length;
    return [filter, {
      correct,
      accuracy: correct / answers.length,
      ...exactInterval(correct, answers.length),
      outcomes: outcomes.map(Number).join(""),
    }];
  })) as Record<FilterName, Accuracy>;
}

/** A setting against the first one, on the same problems. */
export interface PairedComparison extends PairedDifference {
  readonly filter: FilterName;
  readonly lost: number;
  readonly gained: number;
  /** Problems whose extracted answer is another one, right or wrong. */
  readonly changed: number;
  /** `p`, corrected for the number of settings compared with the first (Holm). */
  readonly pHolm: number;
  /** Smallest true difference that this many problems would show with 80% power in spite of that correction. */
  readonly detectable: number;
}

/** Compares settings with the first, all of which answered the same problems. */
export function compareWithFirst(
  first: readonly Answer[],
  others: readonly (readonly Answer[])[],
  filter: FilterName,
): PairedComparison[] {
  const outcomes = (answers: readonly Answer[]) => answers.map((a) => a[filter].correct);
  const base = outcomes(first);
  const pairs = others.map((answers) => discordance(base, outcomes(answers)));
  const differences = pairs.map((pair) => pairedDifference(pair, base.length));
  const corrected = holm(differences.map(({ p }) => p));
  return pairs.map((pair, i) => ({
    filter,
    ...pair,
    changed: others[i]!.filter((answer, j) => answer[filter].extracted !== first[j]![filter].extracted).length,
    ...differences[i]!,
    pHolm: corrected[i]!,
    detectable: detectableDifference(pair, base.length, others.length),
  }));
}
