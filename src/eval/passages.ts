/**
 * What people look at beside the numbers of a comparison: the text that both settings were forced through, with the
 * tokens at which they would have chosen differently. It is kept as text, so that `mxoss report` needs no tokenizer.
 */
import { z } from "zod";
import type { Tokenizer } from "../text/tokenizer.ts";
import { decode } from "../text/stream_decoder.ts";
import { decisive } from "./setting_schema.ts";
import { worstOf } from "./samples.ts";
import { KeptWorst, Likely } from "./samples_schema.ts";
import type { SequencePredictions } from "./predictions.ts";
import { type CompareResults, SCHEMA_VERSION } from "./results_schema.ts";

/** Name of the journal of a comparison's passages. */
export const PASSAGES = "samples";

/** Whose choice the text goes on with, at the first token of a passage where the two choose differently. */
export const CHOICES = ["A's choice", "B's choice", "neither", "nothing: its end"] as const;

/** Where that token is: in a reply, in what comes before one, or in a text without conversations. */
export const PLACES = ["reply", "prompt", "text"] as const;

/** A part of a text in which the settings choose differently. */
const Passage = z.strictObject({
  /** Position of its first token in the sequence, and how many it has. */
  start: z.int().min(0),
  tokens: z.int().min(1),
  /** Its text, cut before and after every token of `differs`. */
  pieces: z.array(z.string()),
  differs: z.array(z.strictObject({
    /** Position of the token that is predicted, in the sequence. */
    position: z.int().min(1),
    place: z.enum(PLACES),
    choice: z.enum(CHOICES),
    a: Likely,
    b: Likely,
  })).min(1),
});
/** A part of a text in which the settings choose differently: odd pieces are the tokens of `differs`. */
export type Passage = z.infer<typeof Passage>;

/** A sequence of a comparison; an entry of the journal `samples.jsonl`. */
export const KeptPassages = z.strictObject({
  index: z.int().min(0),
  passages: z.array(Passage),
  worst: KeptWorst.shape.tokens,
});
/** A sequence of a comparison. */
export type KeptPassages = z.infer<typeof KeptPassages>;

/** What a comparison that is kept belongs to. */
export function comparisonHeader(
  { a, b, text: { name: _, repeated: _repeated, ...text } }: CompareResults["protocol"],
  alarm: number,
) {
  return { schema: "mxoss.divergence", version: SCHEMA_VERSION, a: decisive(a), b: decisive(b), text, alarm };
}

/** What passages belong to. */
export function passagesHeader(protocol: CompareResults["protocol"], alarm: number) {
  return { ...comparisonHeader(protocol, alarm), schema: "mxoss.passages" };
}

/** Tokens of a passage of a text that holds no conversation. */
const PLAIN = 128;

/** Where the passages of a sequence begin: with every message of a user, or every so many tokens. */
function startsOf(tokens: Int32Array, tokenizer: Tokenizer): number[] {
  const messages = roles(tokens, tokenizer);
  if (messages.length === 0) {
    return Array.from({ length: Math.ceil(tokens.length / PLAIN) }, (_, i) => i * PLAIN);
  }
  const users = messages.filter(({ assistant }, i) => !assistant && (messages[i - 1]?.assistant ?? true));
  return [...new Set([0, ...users.map(({ at }) => at)])];
}

/** Tokens that a role's name has at most, as its letters may be tokens of their own. */
const ROLE_TOKENS = "assistant".length;

/** Where messages begin, and whose they are. */
function roles(tokens: Int32Array, tokenizer: Tokenizer): { readonly at: number; readonly assistant: boolean }[] {
  const start = tokenizer.special("<|start|>");
  return [...tokens.entries()].filter(([, id]) => id === start).map(([at]) => ({
    at,
    assistant: decode(tokenizer, tokens.subarray(at + 1, at + 1 + ROLE_TOKENS), "keep").startsWith("assistant"),
  }));
}

/** The passages of a sequence in which the settings choose differently. */
export function passagesOf(
  predictions: SequencePredictions,
  tokens: Int32Array,
  tokenizer: Tokenizer,
): KeptPassages {
  const { index, differs = [] } = predictions,
    starts = startsOf(tokens, tokenizer),
    messages = roles(tokens, tokenizer);
  const text = (start: number, end: number) => decode(tokenizer, tokens.subarray(start, end), "keep");
  const likely = (found: readonly (readonly [number, number])[]) =>
    found.map(([id, probability]): [string, number] => [decode(tokenizer, [id], "keep"), probability]);
  const passages = starts.flatMap((start, i): Passage[] => {
    const end = starts[i + 1] ?? tokens.length, last = i === starts.length - 1;
    // The last prediction is of a token that the text does not have any more.
    const within = differs.filter(({ position }) => position + 1 >= start && (position + 1 < end || last));
    if (within.length === 0) return [];
    const pieces: string[] = [];
    let from = start;
    for (const { position } of within) {
      pieces.push(text(from, position + 1), text(position + 1, position + 2));
      from = position + 2;
    }
    pieces.push(text(Math.min(from, end), end));
    return [{
      start,
      tokens: end - start,
      pieces,
      differs: within.map(({ position, a, b }) => {
        const message = messages.findLast(({ at }) => at <= position), next = tokens[position + 1];
        return {
          position: position + 1,
          place: message === undefined ? "text" as const : message.assistant ? "reply" as const : "prompt" as const,
          choice: CHOICES[next === undefined ? 3 : next === a[0]?.[0] ? 0 : next === b[0]?.[0] ? 1 : 2]!,
          a: likely(a),
          b: likely(b),
        };
      }),
    }];
  });
  return { index, passages, worst: worstOf(predictions, { tokens }, tokenizer).tokens };
}
