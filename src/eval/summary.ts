/** Comparisons in words and few numbers: what tables and pages say alike. */
import { counted } from "../amounts.ts";
import type { DivergenceResult } from "./divergence_schema.ts";
import { FEWEST_SEQUENCES } from "./intervals.ts";
import type { Estimated, PredictionsPart, PredictionsResult, RankingResult } from "./predictions_schema.ts";
import {
  bracketed,
  measured,
  measuredShareValue,
  percent,
  pointsText,
  pValue,
  roughPercent,
  small,
} from "./report/numbers.ts";
import { type Gsm8kResults, keepsLogProbabilities } from "./results_schema.ts";
import { atPlace, FLOAT_NOISE, type Rounding, unitsOf } from "../rounding.ts";
import { APART } from "./statistics.ts";

/** What stands wherever accuracies might be taken for a reason to choose a scheme. */
export const CHOOSING =
  "Accuracy hardly separates quantization schemes: problems that are lost and problems that are gained cancel out, " +
  "and what is left is within the noise of the number of problems. Use it to see that nothing is broken, and choose " +
  "by KL divergence and error per layer.";

/**
 * An operation with its layer: `layer 3 experts.down_proj`; those before the first and after the last layer stand
 * alone.
 */
export function operationName({ layer, operation }: { readonly layer: number; readonly operation: string }): string {
  return operation === "embed" || operation === "finalNorm" || operation === "lm_head"
    ? operation
    : `layer ${layer} ${operation}`;
}

/** The operation with the largest own error; undefined where there is none. */
export function worstOperation(
  { operations }: Pick<DivergenceResult, "operations">,
): DivergenceResult["operations"][number] | undefined {
  let worst: DivergenceResult["operations"][number] | undefined;
  for (const o of operations) {
    if (o.own === null || o.own.relative_error === 0) continue;
    if (worst === undefined || (o.own.relative_error ?? Infinity) > (worst.own!.relative_error ?? Infinity)) worst = o;
  }
  return worst;
}

/** How many other operations may have the largest own error as well: their intervals reach that of the one at hand. */
export function rivalsOf(divergence: DivergenceResult): number {
  const worst = worstOperation(divergence), least = worst?.own?.interval?.low ?? 0;
  if (worst === undefined || worst.own!.relative_error === null) return 0;
  return divergence.operations.filter((o) =>
    o !== worst && o.own !== null && (o.own.relative_error ?? 0) > 0 && (o.own.interval?.high ?? Infinity) >= least
  ).length;
}

/** What leaves the last layer; undefined where no layer was compared. */
export function residualOperation(
  { operations }: DivergenceResult,
): DivergenceResult["operations"][number] | undefined {
  return operations.findLast((o) => o.operation === "mlpResidual");
}

/** The tokens that settings are judged by: those of replies, or all where there are no replies. */
export function headline({ all, reply }: PredictionsResult): PredictionsPart {
  return reply ?? all;
}

/**
 * The fewest tokens that tell two settings apart by typical KL four times in five: were they as far from one another as
 * the interval of their ratio allows, and no fewer than those at hand, which did not. The number for the ratio itself
 * may be off by a factor of a hundred, since that cannot be told from 1. Null where nothing differs.
 */
export function fewestTokens(
  { typical_tokens: tokens, typical_ratio: { value, low, high } }: RankingPair,
  { tokens: atHand }: Pick<RankingResult, "tokens">,
): number | null {
  if (tokens === null || value === null || low === null || high === null) return null;
  const far = Math.max(-Math.log(low), Math.log(high));
  return far > 0 ? Math.max(atHand, tokens * (Math.log(value) / far) ** 2) : null;
}

/**
 * A number of tokens that is hardly known: one digit.
 *
 * @param to Down where it takes so many or more, as an end is rounded that holds what was computed.
 */
export function roughTokens(tokens: number, to: Rounding = Math.round): string {
  const place = Math.floor(Math.log10(tokens)), rounded = atPlace(unitsOf(tokens, place, to), place);
  return rounded < 1e5 ? `${rounded}` : rounded.toPrecision(1);
}

type RankingPair = Pick<RankingResult["pairs"][number], "typical_tokens" | "typical_ratio">;

/** What must be known of intervals from a single sequence; none where there are several. */
export function oneTextNote(sequences: number): string[] {
  return sequences === 1 ? ["one sequence: intervals are for more of this text, and say nothing of other texts"] : [];
}

/**
 * What must be known of intervals from sequences that a text was cut into; of one, {@linkcode oneTextNote} says it.
 *
 * @param compared Sequences on which predictions are compared: the first of all.
 */
export function cutTextNote(all: number, compared = all): string[] {
  if (all < 2) return [];
  const part =
    `the first ${compared} of ${all} sequences, on which predictions are compared: their intervals are for ` +
    "more of that part";
  return [
    "sequences of one text: intervals are for more of this text, and say nothing of other texts",
    ...(compared < all ? [part] : []),
  ];
}

/** As {@linkcode oneTextNote} of divergences, whose means rare tokens own: also where another sequence may be odd. */
export function fewTextsNote(sequences: number): string[] {
  if (sequences < 2 || sequences >= FEWEST_SEQUENCES) return oneTextNote(sequences);
  return [`${sequences} sequences: ends that rare tokens decide are open; ${FEWEST_SEQUENCES} or more bound them`];
}

/** An interval, of a number that may not be finite. */
export type Bounds = Omit<Estimated, "value"> & Partial<Pick<Estimated, "value">>;

/** What "-" stands for where an interval of these has it for an end; none where {@linkcode fewTextsNote} says it. */
export function openEndsNote(sequences: number, bounds: readonly Bounds[]): string[] {
  const open = bounds.some(({ value, low, high }) => value !== null && (low === null || high === null));
  if (!open || sequences > 1 && sequences < FEWEST_SEQUENCES) return [];
  return ["-: an end that so few tokens leave open, as rarer ones than they hold may lie beyond it"];
}

/** The numbers of {@linkcode predictionRows} that may have such an end. */
export function boundedByRare({ kl, next }: PredictionsPart): Bounds[] {
  const ofNext = next === null ? [] : [next.nll_increase, next.probability_change_rms];
  return [kl.mean, kl.median, kl.p90, kl.p95, kl.p99, kl.p99_9, ...ofNext];
}

/** Shares of problems, and of tokens, that come again from which intervals are noticeably too narrow for it. */
const MANY_PROBLEMS = 0.05, MANY_TOKENS = 0.1;

/** What must be known of intervals where problems come more than once. */
export function repeatedProblemsNote({ asked, repeated = 0 }: Gsm8kResults["protocol"]["data"]): string[] {
  if (repeated < MANY_PROBLEMS * asked) return [];
  return [
    `${repeated} of ${asked} problems repeat another one: intervals and tests, which take them for others, are ` +
    "too sure",
  ];
}

/** What must be known of accuracies where replies had no room to end: they then measure how long replies are, too. */
export function cutOffNote({ cells, protocol }: Pick<Gsm8kResults, "cells" | "protocol">): string[] {
  const counts = cells.map(({ ends }) => ends.length), [least, most] = [Math.min(...counts), Math.max(...counts)];
  if (most === 0) return [];
  const ofEach = cells.length === 1 ? "" : " of each setting";
  return [
    `cut off at ${counted(protocol.decoding.max_tokens, "token")} and scored as they stand: ` +
    `${least === most ? most : `${least} to ${most}`} of ${
      counted(protocol.data.asked, "reply", "replies")
    }${ofEach}; ` +
    "where replies are longer, accuracy may be lower for that alone",
  ];
}

/** What is not known of replies whose log probabilities were not kept. */
export function unscoredNote(protocol: Gsm8kResults["protocol"]): string[] {
  if (keepsLogProbabilities(protocol)) return [];
  return ["not known, as this run kept no log probabilities of replies"];
}

/** Likewise where texts do. */
export function repeatedTextNote({ repeated = 0 }: { readonly repeated?: number | undefined }): string[] {
  if (repeated < MANY_TOKENS) return [];
  return [
    `${roughPercent(repeated)} of the tokens repeat earlier ones, 32 in a row or more: intervals and tests, ` +
    "which take them for others, are too sure",
  ];
}

/** What must be known of the tokens of prompts that begin with the same examples, which come as often as problems. */
export function sharedExamplesNote({ shots }: Gsm8kResults["protocol"]["prompt"]): string[] {
  if (shots.length === 0) return [];
  return ["prompts begin with the same examples: intervals of their tokens are for other problems after these"];
}

type Suspect = DivergenceResult["suspects"][number];

/** The error of a suspect operation, with its interval. */
export function suspectError(suspect: Suspect, { operations }: Pick<DivergenceResult, "operations">): string {
  const { layer, operation, error: value, evidence } = suspect;
  if (value === null) return "not finite";
  const found = operations.find((o) => o.layer === layer && o.operation === operation);
  const interval = (evidence === "own" ? found?.own : found?.total)?.interval;
  return measured({ value, low: interval?.low ?? null, high: interval?.high ?? null });
}

/** Why an operation is suspect, in words. */
export function suspectText(suspect: Suspect, divergence: Pick<DivergenceResult, "operations">): string {
  const { error, explained, evidence, hints } = suspect, kind = evidence === "own" ? "own error" : "error";
  const text = error === null ? "is not finite" : suspectError(suspect, divergence);
  return [`${kind} ${text}, of which the settings explain ${small(explained)}`, ...hints].join("; ");
}

/** The least and the largest accuracy of some cells, in words. */
export function accuracyRange(cells: Gsm8kResults["cells"]): [low: string, high: string] {
  const found = cells.map(({ filters }) => filters["flexible-extract"]).toSorted((a, b) => a.accuracy - b.accuracy);
  const ends = [found[0]!, found.at(-1)!] as const, [low, high] = ends.map(({ accuracy }) => accuracy);
  const [lowText, highText] = ends.map((end) => measuredShareValue({ ...end, value: end.accuracy }));
  if (low === high || lowText !== highText) return [lowText!, highText!];
  // No interval leaves these digits sure, but it is not the same number of problems.
  const digits = Math.max(0, -Math.floor(Math.log10(100 * (high! - low!)) + FLOAT_NOISE));
  const texts = (digits: number): [string, string] => [percent(low!, digits), percent(high!, digits)];
  const [below, above] = texts(digits);
  // Two halves of a unit may be rounded towards one another.
  return below === above ? texts(digits + 1) : [below, above];
}

/** What a run has to say about {@linkcode CHOOSING}: one sentence, or none where nothing was compared. */
export function observedSpread({ cells, comparisons, divergences }: Gsm8kResults): string[] {
  if (comparisons.length === 0 || divergences.length === 0) return [];
  const [low, high] = accuracyRange(cells);
  const pairs = comparisons.flatMap((c) => c.pairs.filter(({ filter }) => filter === "flexible-extract"));
  const different = pairs.filter(({ p_holm }) => p_holm < APART).length;
  const widest = pairs.reduce((a, b) => Math.abs(b.difference) > Math.abs(a.difference) ? b : a);
  const largest = { kind: "points", ...widest, value: widest.difference } as const;
  const least = pairs.reduce((a, b) => b.p < a.p ? b : a);
  const kls = divergences.map(({ predictions }) => headline(predictions).kl.log_mean)
    .filter(({ value }) => value !== null).sort((a, b) => a.value! - b.value!);
  const others = pairs.length === 1
    ? `the other setting ${different === 0 ? "does not differ" : "differs"}`
    : `${different === 0 ? "none" : different} of ${pairs.length} settings ${different === 1 ? "differs" : "differ"}`;
  return [
    `In this run ${low === high ? `every accuracy is ${low}` : `accuracies lie between ${low} and ${high}`}, and ` +
    `${others} from the first by more than noise: the largest ` +
    `difference is ${pointsText(largest)} ${bracketed(largest)} points, the smallest p ${pValue(least.p)} (${
      pValue(least.p_holm)
    } corrected for ` +
    `their number)${
      kls.length < 2 ? "" : `; typical KL lies between ${measured(kls[0]!)} and ${measured(kls.at(-1)!)} nats`
    }.`,
  ];
}
