/** Samples as journals keep them, and what a task has to do with them. */
import { z } from "zod";
import type { Tokenizer } from "../text/tokenizer.ts";
import { OUTCOMES } from "./report/samples_page.ts";

const Cut = z.strictObject({ before: z.string(), token: z.string(), after: z.string(), extracted: z.string() });

/** A reply beside that of the first setting; an entry of the journal `samples.CELL`. */
export const KeptReply = z.strictObject({
  index: z.int().min(0),
  /** Null where both are equal, token by token. */
  differs: z.strictObject({
    question: z.string(),
    outcome: z.enum(OUTCOMES),
    /** Number of the first token that differs, from 1. */
    token: z.int().min(1),
    first: Cut,
    other: Cut,
  }).nullable(),
});
/** A reply beside that of the first setting. */
export type KeptReply = z.infer<typeof KeptReply>;

/** Tokens with their probabilities, the likeliest first. */
export const Likely = z.array(z.tuple([z.string(), z.number()]));

/** Tokens of a sequence whose predictions differ the most; an entry of the journal `worst.CELL`. */
export const KeptWorst = z.strictObject({
  index: z.int().min(0),
  tokens: z.array(z.strictObject({
    position: z.int().min(0),
    kl: z.number(),
    text: z.string(),
    first: Likely,
    other: Likely,
  })),
});
/** Tokens of a sequence whose predictions differ the most. */
export type KeptWorst = z.infer<typeof KeptWorst>;

/** What a task has to do with it. */
export interface Sampled<Work, Entry, Protocol> {
  /** What was asked, in a title. */
  name(protocol: Protocol): string;
  /** Writes the texts of tokens. */
  tokenizer(work: Work): Tokenizer;
  /** The reply at a place of the work beside the first setting's; null where a task has no replies. */
  readonly reply: ((work: Work, place: number, first: Entry, other: Entry) => KeptReply) | null;
}
