/**
 * What people look at beside the numbers: replies that are not the first setting's, and the tokens whose predictions
 * are the furthest from its. Every run keeps them as texts, so that a report of runs made apart, on other machines, has
 * them without the model's tokenizer.
 */
import type { z } from "zod";
import type { Tokenizer } from "../text/tokenizer.ts";
import { decode } from "../text/stream_decoder.ts";
import type { Answer } from "./answers.ts";
import { comparedHeader } from "./compare_all.ts";
import type { Indexed } from "./journal.ts";
import type { ForcedSequence, SequencePredictions } from "./predictions.ts";
import type { KeyedPredictions } from "./predictions_result.ts";
import { type CutReply, MOST_WORST, type Sample, type Samples, type WorstToken } from "./report/samples_page.ts";
import { KeptReply, KeptWorst, type Sampled } from "./samples_schema.ts";
import type { OpenStore } from "./stores.ts";
import type { AnsweredCell } from "./task.ts";
import { reading } from "../validate.ts";

/** Tokens before a worst one that are shown with it. */
const CONTEXT = 24;

/** A further cell, with what is kept of it. */
export interface SampledCell {
  readonly label: string;
  readonly replies: readonly KeptReply[];
  readonly worst: readonly KeptWorst[];
}

/** Names of the journals of a cell. */
export const repliesName = (key: string): string => `samples.${key}`,
  worstName = (key: string): string => `worst.${key}`;

/** What the journal of a further cell belongs to, given what the answers of both cells do. */
export const repliesHeader = (first: unknown, other: unknown) => comparedHeader("samples", first, other),
  worstHeader = (first: unknown, other: unknown) => comparedHeader("worst", first, other);

/** Keeps the samples of every further cell, as far as they are not kept yet, and gives them. */
export function keepSamples<Work extends { readonly indices: readonly number[] }, Entry>(
  { reply, tokenizer }: Pick<Sampled<Work, Entry, never>, "reply" | "tokenizer">,
  work: Work,
  [first, ...others]: readonly AnsweredCell<Entry>[],
  compared: { readonly sequences: readonly ForcedSequence[]; readonly predictions: readonly KeyedPredictions[] },
  header: (cell: AnsweredCell<Entry>["cell"]) => unknown,
  open: OpenStore,
): SampledCell[] {
  const sequences = new Map(compared.sequences.map((sequence) => [sequence.index, sequence]));
  return others.map(({ cell, entries }) => {
    const both = [header(first!.cell), header(cell)] as const, { key, label } = cell;
    const predictions = compared.predictions.find((found) => found.key === key)?.sequences ?? [];
    return {
      label,
      replies: reply === null
        ? []
        : kept(open, repliesName(key), repliesHeader(...both), KeptReply, work.indices, (i) =>
          reply(work, i, first!.entries[i]!, entries[i]!)),
      worst: kept(
        open,
        worstName(key),
        worstHeader(...both),
        KeptWorst,
        predictions.map(({ index }) => index),
        (i) => worstOf(predictions[i]!, sequences.get(predictions[i]!.index)!, tokenizer(work)),
      ),
    };
  });
}

/** Entries of a journal for all indices; those that it lacks are made. */
function kept<T extends Indexed>(
  open: OpenStore,
  name: string,
  header: unknown,
  schema: z.ZodType<T>,
  indices: readonly number[],
  make: (place: number) => T,
): T[] {
  if (indices.length === 0) return [];
  using store = open(name, header, reading(schema), "replace");
  indices.forEach((index, place) => {
    if (!store.entries.has(index)) store.append(make(place));
  });
  return indices.map((index) => store.entries.get(index)!);
}

/** A reply to a word problem beside the first setting's. */
export function replyBeside(
  { index, question }: { readonly index: number; readonly question: string },
  first: Answer,
  other: Answer,
  tokenizer: Tokenizer,
): KeptReply {
  const at = firstDifference(first.ids, other.ids);
  if (at === null) return { index, differs: null };
  const [was, is] = [first, other].map((a) => a["flexible-extract"]) as [
    Answer["flexible-extract"],
    Answer["flexible-extract"],
  ];
  const outcome = was.correct && !is.correct
    ? "lost"
    : !was.correct && is.correct
    ? "gained"
    : was.extracted === is.extracted
    ? "same answer"
    : "other answer";
  const cuts = { first: cut(first, at, tokenizer), other: cut(other, at, tokenizer) };
  return { index, differs: { question, outcome, token: at + 1, ...cuts } };
}

/** Place of the first token that differs, which may be the end of one reply; null where both are equal. */
export function firstDifference(a: readonly number[], b: readonly number[]): number | null {
  const at = a.findIndex((id, i) => id !== b[i]);
  return at >= 0 ? at : a.length < b.length ? a.length : null;
}

function cut({ ids, "flexible-extract": { extracted } }: Answer, at: number, tokenizer: Tokenizer): CutReply {
  const text = (part: readonly number[]) => decode(tokenizer, part, "keep");
  return {
    before: text(ids.slice(0, at)),
    token: text(ids.slice(at, at + 1)),
    after: text(ids.slice(at + 1)),
    extracted,
  };
}

/** The tokens of a sequence whose predictions differ the most, with their text. */
export function worstOf(
  { index, worst = [] }: SequencePredictions,
  { tokens }: Pick<ForcedSequence, "tokens">,
  tokenizer: Tokenizer,
): KeptWorst {
  const likely = (found: readonly (readonly [number, number])[]) =>
    found.map(([id, probability]): [string, number] => [decode(tokenizer, [id], "keep"), probability]);
  return {
    index,
    tokens: worst.map(({ position, kl, a, b }) => ({
      position,
      kl,
      text: decode(tokenizer, Array.from(tokens.subarray(Math.max(0, position + 1 - CONTEXT), position + 1)), "keep"),
      first: likely(a),
      other: likely(b),
    })),
  };
}

/** What a page shows; null where there is nothing. */
export function samplesOf(name: string, reference: string, cells: readonly SampledCell[]): Samples | null {
  const samples = cells.flatMap(({ label, replies }) =>
    replies.flatMap(({ index, differs }): Sample[] =>
      differs === null ? [] : [{ setting: label, problem: index, ...differs }]
    )
  );
  const worst = cells.flatMap(({ label, worst }) =>
    worst.flatMap(({ index, tokens }) =>
      tokens.map((token): WorstToken => ({ setting: label, problem: index, ...token }))
    )
  );
  const replies = cells.reduce((sum, cell) => sum + cell.replies.length, 0);
  if (replies === 0 && worst.length === 0) return null;
  return {
    name,
    reference,
    same: replies - samples.length,
    replies,
    samples,
    worst: worst.sort((x, y) => y.kl - x.kl).slice(0, MOST_WORST),
  };
}
