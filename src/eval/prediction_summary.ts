/** What a setting's predictions come to beside the reference's, with an interval for everything that can have one. */
import {
  APART_TEXTS,
  type Estimate,
  flatten,
  type Groupings,
  groupings,
  ONE_TEXT,
  type Origin,
  type Purpose,
  rareRatio,
  rareSignedMean,
  REPETITION,
  signedMean,
  TRUTH,
} from "./intervals.ts";
import { quantilesOf, shareOf } from "./shares.ts";
import type { SequencePredictions } from "./predictions.ts";

/** Which tokens are summed up. */
export type PartName = "all" | "reply" | "prompt";

/** Divergences below it count as this much in a mean of logarithms: what float32 logits can show. */
export const LEAST_KL = 1e-12;

/** Quantiles of divergences that are given, beside the largest. */
const KL_QUANTILES = [0.5, 0.9, 0.95, 0.99, 0.999] as const;

/** Some of the tokens of a comparison. */
export interface PredictionPart {
  /** Positions whose predictions are compared. */
  readonly positions: number;
  readonly kl: {
    readonly mean: Estimate;
    /** e to the mean of their logarithms: the divergence of a typical token, which no single one decides. */
    readonly logMean: Estimate;
    /** By {@linkcode KL_QUANTILES}. */
    readonly quantiles: readonly Estimate[];
    readonly most: number;
    /** Where that is. */
    readonly mostAt: { readonly sequence: number; readonly position: number };
    /** Part of the sum that the largest holds. */
    readonly mostShare: number;
  };
  /** Share of positions with the same likeliest token. */
  readonly sameTop: Estimate;
  /** The same numbers with intervals for what as much other text would give: {@linkcode REPETITION}. */
  readonly repetition: { readonly mean: Estimate; readonly logMean: Estimate; readonly sameTop: Estimate };
  /** Positions whose next token is known: what follows is about its probability. Null where there are none. */
  readonly predicted: number;
  readonly next: {
    /** B's probability minus A's. */
    readonly change: Estimate;
    readonly changeRms: Estimate;
    /** Mean of log p_A - log p_B. */
    readonly nllIncrease: Estimate;
    /** Likewise for a repetition. */
    readonly nllIncreaseAgain: Estimate;
    readonly perplexityA: Estimate;
    readonly perplexityB: Estimate;
    /** Perplexity under B over that under A. */
    readonly perplexityRatio: Estimate;
  } | null;
}

/** A whole comparison. */
export interface PredictionSummary {
  readonly sequences: number;
  readonly tokens: number;
  readonly all: PredictionPart;
  /** Null where sequences have no replies. */
  readonly reply: PredictionPart | null;
  readonly prompt: PredictionPart | null;
}

/** Summarizes sequences, none of which may be empty. */
export function summarizePredictions(sequences: readonly SequencePredictions[]): PredictionSummary {
  const replies = sequences.some(({ replyFrom }) => replyFrom !== null);
  return {
    sequences: sequences.length,
    tokens: sequences.reduce((sum, { kl }) => sum + kl.length, 0),
    all: partOf(sequences, "all"),
    reply: replies ? partOf(sequences, "reply") : null,
    prompt: replies ? partOf(sequences, "prompt") : null,
  };
}

/** The positions of a sequence that belong to a part. */
export function rangeOf({ kl, replyFrom }: SequencePredictions, part: PartName): [start: number, end: number] {
  const reply = replyFrom ?? kl.length;
  return part === "all" ? [0, kl.length] : part === "reply" ? [reply, kl.length] : [0, reply];
}

/** Divergences of a part, for pairing settings. */
export function klGroups(sequences: readonly SequencePredictions[], part: PartName): Groupings {
  return groupings(klOf(sequences, part), originOf(sequences));
}

/** Their logarithms. */
export function logKlGroups(sequences: readonly SequencePredictions[], part: PartName): Groupings {
  return groupings(logsOf(klOf(sequences, part)), originOf(sequences));
}

/** What has no replies is a text that was cut into sequences. */
export function originOf(sequences: readonly Pick<SequencePredictions, "replyFrom">[]): Origin {
  return sequences.every(({ replyFrom }) => replyFrom === null) ? ONE_TEXT : APART_TEXTS;
}

function logsOf(kl: readonly Float64Array[]): Float64Array[] {
  return kl.map((values) => values.map((x) => Math.log(Math.max(LEAST_KL, x))));
}

function klOf(sequences: readonly SequencePredictions[], part: PartName): Float64Array[] {
  return sequences.map((s) => numbers(s.kl, ...rangeOf(s, part)));
}

function partOf(sequences: readonly SequencePredictions[], part: PartName): PredictionPart {
  const kl = klOf(sequences, part), all = flatten(kl), origin = originOf(sequences);
  const mean = rareRatio(groupings(kl, origin));
  const most = all.reduce((a, b) => a >= b || a !== a ? a : b, -1);
  const at = kl.findIndex((values) => values.some((x) => Object.is(x, most)));
  const tops = sequences.map((s) => Array.from(s.agrees.slice(...rangeOf(s, part)), Number));
  const within = kl[at]?.findIndex((x) => Object.is(x, most)) ?? 0;
  return {
    positions: all.length,
    kl: {
      mean,
      logMean: logMean(kl, TRUTH, origin),
      quantiles: quantilesOf(kl, KL_QUANTILES, origin),
      most,
      mostAt: {
        sequence: sequences[at]?.index ?? 0,
        position: within + (sequences[at] === undefined ? 0 : rangeOf(sequences[at], part)[0]),
      },
      mostShare: most === 0 ? 0 : most / (mean.value * all.length),
    },
    sameTop: shareOf(tops, TRUTH, origin),
    repetition: {
      mean: rareRatio(groupings(kl, origin), REPETITION),
      logMean: logMean(kl, REPETITION, origin),
      sameTop: shareOf(tops, REPETITION, origin),
    },
    ...nextOf(sequences, part),
  };
}

function nextOf(sequences: readonly SequencePredictions[], part: PartName): Pick<PredictionPart, "predicted" | "next"> {
  const nllA = sequences.map((s) => numbers(s.nllA, ...rangeOf(s, part)));
  const nllB = sequences.map((s) => numbers(s.nllB, ...rangeOf(s, part)));
  const predicted = nllA.reduce((sum, { length }) => sum + length, 0);
  if (predicted === 0) return { predicted, next: null };
  const change = nllA.map((a, i) => a.map((x, j) => Math.exp(-nllB[i]![j]!) - Math.exp(-x)));
  const origin = originOf(sequences), squares = groupings(change.map((values) => values.map((x) => x * x)), origin);
  const increases = nllA.map((a, i) => a.map((x, j) => nllB[i]![j]! - x));
  const nllIncrease = rareSignedMean(increases, TRUTH, origin);
  return {
    predicted,
    next: {
      change: rareSignedMean(change, TRUTH, origin),
      changeRms: mapped(rareRatio(squares, TRUTH, "squares"), Math.sqrt),
      nllIncrease,
      nllIncreaseAgain: rareSignedMean(increases, REPETITION, origin),
      perplexityA: perplexity(nllA, origin),
      perplexityB: perplexity(nllB, origin),
      perplexityRatio: mapped(nllIncrease, Math.exp),
    },
  };
}

/** Perplexity of tokens with these negative log probabilities: at least 1. Few tokens own it where a model is sure. */
function perplexity(nll: readonly Float64Array[], origin: Origin): Estimate {
  return mapped(rareRatio(groupings(nll, origin), TRUTH, "surprise"), Math.exp);
}

function logMean(kl: readonly Float64Array[], purpose: Purpose, origin: Origin): Estimate {
  if (kl.every((values) => values.every((x) => x === 0))) return { value: 0, low: 0, high: Infinity };
  return mapped(signedMean(logsOf(kl), purpose, origin), Math.exp);
}

/** An estimate of what a rising function makes of the quantity. */
export function mapped({ value, low, high }: Estimate, rising: (x: number) => number): Estimate {
  return { value: rising(value), low: rising(low), high: rising(high) };
}

function numbers(values: readonly (number | null)[], start: number, end: number): Float64Array {
  return Float64Array.from(values.slice(start, end), (x) => x ?? NaN);
}
