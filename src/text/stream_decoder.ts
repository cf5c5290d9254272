/** Token ids to text, piece by piece, without ever showing half a character. */
import type { Tokenizer } from "./tokenizer.ts";

/** What decoding needs of a tokenizer. */
export type TokenBytes = Pick<Tokenizer, "bytes" | "specialName">;

/** What happens to special tokens: written by name, or left out. */
export type SpecialMode = "keep" | "skip";

/**
 * Decodes a stream of token ids.
 *
 * Characters whose bytes are spread over several tokens are held back until they are whole. Bytes that can never become
 * a character come out as U+FFFD, as soon as that is certain; a special token ends a character that is still open.
 *
 * @example
 * ```ts ignore
 * const decoder = new StreamDecoder(tokenizer, "skip");
 * for (const id of ids) write(decoder.push(id));
 * write(decoder.flush());
 * ```
 */
export class StreamDecoder {
  readonly #utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

  constructor(readonly tokenizer: TokenBytes, readonly special: SpecialMode) {}

  /** The text that this token completes; often the empty string. */
  push(id: number): string {
    const name = this.tokenizer.specialName(id);
    if (name === null) return this.#utf8.decode(this.tokenizer.bytes(id), { stream: true });
    return this.flush() + (this.special === "keep" ? name : "");
  }

  /**
   * What is left at the end: U+FFFD if the last character never became whole, else nothing. The decoder can be used
   * again.
   */
  flush(): string {
    return this.#utf8.decode();
  }
}

/** The text of a whole sequence of ids. */
export function decode(tokenizer: TokenBytes, ids: Iterable<number>, special: SpecialMode): string {
  const decoder = new StreamDecoder(tokenizer, special);
  let text = "";
  for (const id of ids) text += decoder.push(id);
  return text + decoder.flush();
}
