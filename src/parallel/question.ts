/**
 * Questions that ranks are asked again and again, as words: for memory that threads share, and for other processes,
 * which get them sooner than what a serializer makes of them.
 */
import type { Batch } from "../model/backend.ts";
import type { RankCommand } from "./messages.ts";

/** Beyond `pick` a question has no batch. */
const KINDS = ["compute", "pick", "logits"] as const;
/** Words before the arrays: what is asked, tokens, rows, copies of pages, entries (-1: there are no pages). */
const KIND = 0, TOKENS = 1, ROWS = 2, COPIES = 3, ENTRIES = 4, HEAD = 5;
/** Each array: all its values, or the first one where the others follow in steps of 0 or 1. */
const LISTED = -1;

/** A question that words can hold. */
export type Question = Extract<RankCommand, { kind: (typeof KINDS)[number] }>;

/** Whether words can hold it: results that are tapped cannot be asked for so. */
export function isQuestion(message: RankCommand | { readonly kind: "open" }): message is Question {
  return message.kind === "pick" || message.kind === "logits" || message.kind === "compute" && !message.tapped;
}

function arraysOf(question: Question): Int32Array[] {
  const { rows } = question, batch = question.kind === "logits" ? null : question.batch, { pages } = batch ?? {};
  return [
    ...batch === null ? [] : [batch.ids, batch.slots, batch.positions],
    ...[rows, ...pages === undefined ? [] : [pages.copies, pages.entries]],
  ];
}

/** How many words hold a question at most. */
export function mostWordsOf(question: Question): number {
  return arraysOf(question).reduce((sum, { length }) => sum + 1 + length, HEAD);
}

/** 0 or 1, where that is from each value of an array to the next; else LISTED. */
function stepOf(array: Int32Array): number {
  if (array.length < 2) return LISTED;
  const first = array[0]!, step = array[1]! - first;
  if (step !== 0 && step !== 1) return LISTED;
  for (let i = 2; i < array.length; i++) if (array[i] !== first + i * step) return LISTED;
  return step;
}

/**
 * Writes a question.
 *
 * @param words At least {@linkcode mostWordsOf} of it.
 * @returns How many were written.
 */
export function writeQuestion(question: Question, words: Int32Array): number {
  const batch = question.kind === "logits" ? null : question.batch;
  words[KIND] = KINDS.indexOf(question.kind);
  words[TOKENS] = batch?.ids.length ?? 0;
  words[ROWS] = question.rows.length;
  words[COPIES] = batch?.pages?.copies.length ?? -1;
  words[ENTRIES] = batch?.pages?.entries.length ?? -1;
  let at = HEAD;
  for (const array of arraysOf(question)) {
    const step = stepOf(array), held = step === LISTED ? array : array.subarray(0, 1);
    words[at++] = step;
    words.set(held, at);
    at += held.length;
  }
  return at;
}

/** What {@linkcode writeQuestion} wrote, in arrays of its own. */
export function readQuestion(words: Int32Array): Question {
  const kind = KINDS[words[KIND]!]!, tokens = words[TOKENS]!;
  let at = HEAD;
  const next = (length: number): Int32Array<ArrayBuffer> => {
    const step = words[at++]!;
    if (step === LISTED) return new Int32Array(words.subarray(at, at += length));
    const array = new Int32Array(length), first = words[at++]!;
    for (let i = 0; i < length; i++) array[i] = first + i * step;
    return array;
  };
  if (kind === "logits") return { kind, rows: next(words[ROWS]!) };
  const ids = next(tokens), slots = next(tokens), positions = next(tokens), rows = next(words[ROWS]!);
  const copies = words[COPIES]!, pages = copies < 0 ? null : { copies: next(copies), entries: next(words[ENTRIES]!) };
  const batch: Batch = pages === null ? { ids, slots, positions } : { ids, slots, positions, pages };
  return kind === "pick" ? { kind, batch, rows } : { kind, batch, rows, tapped: false };
}
