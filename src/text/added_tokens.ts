/**
 * Added tokens in a text, as Hugging Face's library in Rust finds them: first those that are not `normalized`, in the
 * text as it is; then, in what is left between them and once that is normalized, the others, normalized themselves.
 */
import { printable } from "../describe.ts";
import { InputError } from "../errors.ts";
import type { Normalize } from "./normalizers.ts";
import { TokenTrie } from "./token_trie.ts";
import type { AddedToken } from "./tokenizer_words.ts";

/** Part of a text that is encoded: plain text, or one special token by name. */
export type Segment = { readonly text: string } | { readonly special: string };

/** Tokens by their text, and what finds them. */
interface Pass {
  readonly byText: ReadonlyMap<string, AddedToken>;
  readonly trie: TokenTrie;
}

/** What finds the added tokens of a tokenizer. */
export class AddedTokens {
  readonly #normalize: Normalize | null;
  /** In the text as it is. */
  readonly #raw: Pass;
  /** In the normalized text. */
  readonly #normal: Pass;

  /**
   * @param normalize null: texts stay as they are.
   * @param path Of tokenizer.json, for messages.
   * @throws {InputError} if special tokens are to be found in a text that was changed, or tokens are the same in it or
   *   nothing; or if they are too many.
   */
  constructor(added: readonly AddedToken[], normalize: Normalize | null, path: string) {
    this.#normalize = normalize;
    const where = `${path}: added tokens`, normal = new Map<string, AddedToken>();
    for (const token of added) {
      if (!token.normalized) continue;
      const text = normalize === null ? token.content : normalize(token.content), same = normal.get(text);
      const name = `${path}: added token ${printable(token.content)}`;
      if (token.special && normalize !== null) {
        const expected = "false for a special token, as there is a normalizer";
        throw InputError.of("wrong_value", { name: `${name}: normalized` }, expected, "true");
      }
      if (text === "") throw InputError.saying("contradiction", { name }, "is normalized to nothing");
      if (same !== undefined) {
        throw InputError.saying("contradiction", { name }, `is normalized to what ${printable(same.content)} is`);
      }
      normal.set(text, token);
    }
    this.#raw = pass(new Map(added.filter((one) => !one.normalized).map((one) => [one.content, one])), where);
    this.#normal = pass(normal, where);
  }

  /**
   * The added tokens of a text, and what is between them, normalized.
   *
   * @param text Well-formed.
   * @param allowSpecial Whether special tokens are among them.
   */
  *parts(text: string, allowSpecial: boolean): Generator<string | AddedToken, void> {
    for (const part of partsOf(text, this.#raw, allowSpecial)) {
      if (typeof part !== "string") yield part;
      else yield* partsOf(this.#normalize?.(part) ?? part, this.#normal, allowSpecial);
    }
  }

  /** Splits a text at the special tokens that it spells out. */
  segments(text: string): Segment[] {
    const segments: Segment[] = [];
    let before = "";
    const end = () => {
      if (before !== "") segments.push({ text: before });
      before = "";
    };
    const add = (part: string | AddedToken) => {
      if (typeof part === "string") before += part;
      else if (!part.special) before += part.content;
      else {
        end();
        segments.push({ special: part.content });
      }
    };
    for (const part of partsOf(text, this.#raw, true)) {
      // Where texts are changed, no special tokens are found in what they become.
      if (typeof part !== "string" || this.#normalize !== null) add(part);
      else for (const inner of partsOf(part, this.#normal, true)) add(inner);
    }
    end();
    return segments;
  }
}

function pass(byText: ReadonlyMap<string, AddedToken>, where: string): Pass {
  return { byText, trie: new TokenTrie(byText.keys(), where) };
}

/**
 * The tokens of a pass in a text, and the texts between them that are not empty. Special tokens that are not allowed
 * are text, within which no other tokens are found.
 */
function* partsOf(text: string, { byText, trie }: Pass, allowSpecial: boolean): Generator<string | AddedToken, void> {
  let at = 0;
  for (const { index, token: found } of byText.size === 0 ? [] : trie.find(text)) {
    const token = byText.get(found)!;
    if (token.special && !allowSpecial) continue;
    if (index > at) yield text.slice(at, index);
    yield token;
    at = index + found.length;
  }
  if (at < text.length) yield text.slice(at);
}
