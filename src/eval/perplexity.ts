/** Perplexity of a text: how well the model predicts each next token of it. */
import { z } from "zod";
import { InputError } from "../errors.ts";
import type { Session } from "../session/session.ts";
import { type Text, words } from "../words.ts";
import {
  BLOCK,
  type Estimate,
  FEWEST,
  FEWEST_SEQUENCES,
  groupings,
  ONE_TEXT,
  rareRatio,
  rareSignedMean,
  TRUTH,
} from "./intervals.ts";
import { mapped } from "./prediction_summary.ts";
import type { Scorer } from "./scorer.ts";

/** What one sequence of the text came to, as the journal holds it. */
export const SequenceNll = z.strictObject({
  /** Number of the sequence, from 0. */
  index: z.int().min(0),
  /** Negative log probability (nats) of each token but the first, nine digits; null where it is not finite. */
  nll: z.array(z.number().nullable()),
});
/** What one sequence of the text came to. */
export type SequenceNll = z.infer<typeof SequenceNll>;

/** Perplexity of the whole text. */
export interface PerplexityResult {
  /** Tokens that were predicted: the first of each sequence is given. */
  readonly predicted: number;
  /** Mean negative log probability per token, in nats. */
  readonly nll: Estimate;
  readonly perplexity: Estimate;
  /** Comparable between tokenizers. */
  readonly bitsPerByte: Estimate;
}

/**
 * Cuts a text into sequences that are predicted one by one, each from its own beginning.
 *
 * @param length Tokens of a sequence; the last one may be shorter.
 * @throws {InputError} if there are not two tokens.
 */
export function cutSequences(ids: Int32Array, length: number, name: string): Int32Array[] {
  if (ids.length < 2) throw InputError.of("wrong_value", { name }, "a text of at least 2 tokens", ids.length);
  const sequences: Int32Array[] = [];
  for (let at = 0; at < ids.length; at += length) sequences.push(ids.slice(at, at + length));
  // A single token predicts nothing.
  return sequences.filter((sequence) => sequence.length > 1);
}

/**
 * Refuses a text with a token that the model lacks.
 *
 * @param where What made the token.
 * @throws {InputError} naming it.
 */
export function refuseUnknownIds(ids: Int32Array, vocab: number, where: Text): void {
  const unknown = ids.find((id) => id >= vocab);
  if (unknown === undefined) return;
  throw InputError.of(
    "wrong_value",
    { name: words`${where}: token id ${unknown}` },
    `0 to ${vocab - 1}, the vocabulary`,
  );
}

/** Sequences that a text is cut into where their length is not asked for; two more than what a mean is bounded by. */
const USUAL_SEQUENCES = FEWEST_SEQUENCES + 2;
/** The longest sequences that are made unasked, and the shortest of several: beyond the sliding window of gpt-oss. */
const LONGEST = 1024, SHORTEST = 160;

/**
 * The length at which so many tokens bound what rare ones decide: that of eight sequences of whole blocks, which are as
 * long as each other where the text allows. A text too short for that is one sequence, since nothing is gained by less
 * context.
 */
export function lengthThatBounds(tokens: number): number {
  if (tokens < FEWEST.positive * BLOCK) return LONGEST;
  const eighth = BLOCK * Math.floor(tokens / USUAL_SEQUENCES / BLOCK);
  return Math.min(LONGEST, Math.max(SHORTEST, eighth));
}

/** Negative log probabilities of one sequence's tokens, each given those before it. */
export async function sequenceNll(
  session: Session,
  index: number,
  tokens: Int32Array,
  scorer: Scorer,
  onProgress?: (done: number) => void,
): Promise<SequenceNll> {
  const scores: (number | Promise<number>)[] = [];
  session.reset(0);
  await session.feed(
    { slot: 0, tokens, logits: "all" },
    (position, logits) => {
      const next = tokens[position + 1];
      if (next === undefined) return;
      scores.push(scorer.score(logits, next));
    },
    undefined,
    onProgress,
  );
  const nll = (await Promise.all(scores)).map((score) =>
    Number.isFinite(score) ? Number((-score).toPrecision(9)) : null
  );
  return { index, nll };
}

/**
 * Perplexity of all sequences together.
 *
 * @param text Its bytes in UTF-8 and all its tokens. Those that begin a sequence were not predicted, but are part of
 * the bytes: they count as the others do on average.
 */
export function perplexityOf(
  sequences: readonly SequenceNll[],
  text: { readonly bytes: number; readonly tokens: number },
): PerplexityResult {
  const all = sequences.map(({ nll }) => nll.map((x) => x ?? NaN)),
    nll = rareRatio(groupings(all, ONE_TEXT), TRUTH, "surprise");
  const predicted = all.reduce((sum, { length }) => sum + length, 0);
  const inBits = (mean: number) => mean * text.tokens / Math.LN2 / text.bytes;
  return { predicted, nll, perplexity: mapped(nll, Math.exp), bitsPerByte: mapped(nll, inBits) };
}

/** Mean increase of the negative log probability per token, second setting minus first, with a 95% interval. */
export function nllIncrease(first: readonly SequenceNll[], second: readonly SequenceNll[]): Estimate {
  return rareSignedMean(
    second.map(({ nll }, i) => nll.map((value, at) => (value ?? NaN) - (first[i]!.nll[at] ?? NaN))),
    TRUTH,
    ONE_TEXT,
  );
}
