/** vLLM's `bad_words`: texts that a reply does not say, by the tokens that they are made of. */
import { Breath } from "../../breath.ts";
import { show } from "../../describe.ts";
import type { Tokenizer } from "../../text/tokenizer.ts";
import { wrongField } from "../api_error.ts";
import type { TokenMask } from "../engine/job.ts";

/** What is asked of some replies. */
export interface BadWords {
  /** Token ids of each, at least one. */
  readonly words: readonly (readonly number[])[];
  /** Of conversations the ids of special tokens, by which headers of messages are told; else null. */
  readonly structure: Structure | null;
}

/** A header, in which no word is bad, ends with `message`, and any other special token begins one. */
interface Structure {
  readonly message: number;
  isSpecial(id: number): boolean;
}

/**
 * The tokens of words at the beginning of a text and after a blank.
 *
 * @param conversation Whether replies are messages with headers; else special tokens that words spell out are such.
 * @returns Null where there are none.
 * @throws {ApiError} 400 for a word of blanks.
 */
export async function badWordsOf(
  given: readonly string[] | null | undefined,
  tokenizer: Tokenizer,
  conversation: boolean,
): Promise<BadWords | null> {
  if (given == null || given.length === 0) return null;
  const words = new Map<string, readonly number[]>(), breath = new Breath();
  for (const [i, text] of given.entries()) {
    const word = text.trimStart();
    if (word === "") throw wrongField(`bad_words.${i}`, `expected a text that is not blank, got ${show(text)}`);
    for (const spelled of [word, ` ${word}`]) {
      const ids = [...tokenizer.encode(spelled, { allowSpecial: !conversation })];
      words.set(ids.join(), ids);
    }
    if (breath.due) await breath.take();
  }
  const structure = conversation
    ? {
      message: tokenizer.requireSpecial("<|message|>"),
      isSpecial: (id: number) => tokenizer.specialName(id) !== null,
    }
    : null;
  return { words: [...words.values()], structure };
}

/** Keeps one reply from them, and to a mask where it has one. */
export class BadWordsMask implements TokenMask {
  readonly #longest: number;
  #past: number[] = [];
  #header: boolean;

  constructor(readonly bad: BadWords, readonly inner: TokenMask | null) {
    this.#longest = Math.max(...bad.words.map(({ length }) => length));
    this.#header = bad.structure !== null;
  }

  apply(logits: Float32Array): void {
    this.inner?.apply(logits);
    if (this.#header) return;
    const ids = this.bad.words.filter((word) => this.#isBegun(word)).map((word) => word.at(-1)!);
    const before = ids.map((id) => logits[id]!);
    for (const id of ids) logits[id] = -Infinity;
    // Where nothing else may be said, the word is.
    if (ids.length > 0 && !logits.some((logit) => logit > -Infinity)) ids.forEach((id, i) => logits[id] = before[i]!);
  }

  push(id: number): void {
    this.inner?.push(id);
    const { structure } = this.bad;
    if (structure?.isSpecial(id) === true) {
      this.#header = id !== structure.message;
      this.#past = [];
      return;
    }
    this.#past.push(id);
    if (this.#past.length >= this.#longest) this.#past.shift();
  }

  /** Whether the last tokens are all of a word but its last. */
  #isBegun(word: readonly number[]): boolean {
    const from = this.#past.length - word.length + 1;
    return from >= 0 && word.every((id, i) => i === word.length - 1 || this.#past[from + i] === id);
  }
}

/** The mask of a reply, of which each has its own; undefined: it is free. */
export function maskOf(make: (() => TokenMask) | null, bad: BadWords | null): TokenMask | undefined {
  const inner = make === null ? null : make();
  return bad === null ? inner ?? undefined : new BadWordsMask(bad, inner);
}
