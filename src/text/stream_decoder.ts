/** Token ids to text, piece by piece, without ever showing half a character. */
import type { Tokenizer } from "./tokenizer.ts";

/** What decoding needs of a tokenizer. */
export type TokenBytes = Pick<Tokenizer, "bytes" | "copyBytes" | "specialName">;

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

  /** The same of the bytes of tokens of text. */
  pushBytes(bytes: Uint8Array<ArrayBuffer>): string {
    return this.#utf8.decode(bytes, { stream: true });
  }

  /**
   * What is left at the end: U+FFFD if the last character never became whole, else nothing. The decoder can be used
   * again.
   */
  flush(): string {
    return this.#utf8.decode();
  }
}

/** Reads tokens of text together, up to the next special one: by themselves each costs a call of a decoder. */
export class Runs {
  #bytes = new Uint8Array(1024);

  constructor(readonly tokenizer: TokenBytes) {}

  /**
   * Takes the tokens of text from `from` on.
   *
   * @returns Their bytes, until more are taken, and the place of the first special token, or the end.
   */
  take(ids: ArrayLike<number>, from: number): { readonly bytes: Uint8Array<ArrayBuffer>; readonly end: number } {
    let at = from, length = 0;
    for (; at < ids.length && this.tokenizer.specialName(ids[at]!) === null; at++) {
      const end = this.tokenizer.copyBytes(ids[at]!, this.#bytes, length);
      if (end > this.#bytes.length) {
        const larger = new Uint8Array(2 * end);
        larger.set(this.#bytes);
        this.#bytes = larger;
        this.tokenizer.copyBytes(ids[at]!, larger, length);
      }
      length = end;
    }
    return { bytes: this.#bytes.subarray(0, length), end: at };
  }
}

/** The text of a whole sequence of ids. */
export function decode(tokenizer: TokenBytes, ids: Iterable<number>, special: SpecialMode): string {
  const runs = new Runs(tokenizer), all = Array.from(ids), texts: string[] = [];
  const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
  for (let at = 0; at < all.length; at++) {
    const { bytes, end } = runs.take(all, at);
    if (bytes.length > 0) texts.push(utf8.decode(bytes));
    if (end < all.length && special === "keep") texts.push(tokenizer.specialName(all[end]!)!);
    at = end;
  }
  return texts.join("");
}
