/** Finding tokens in a text, however many there are: one step of a table for each character. */
import { InputError } from "../errors.ts";

/** Places of the table: the beginnings that tokens have. */
const MAX_PLACES = 1_000_000;

/** A table of texts by their characters. */
export class TokenTrie {
  /** By place and UTF-16 unit. */
  readonly #next = new Map<number, number>();
  /** Texts by the places where they end. */
  readonly #ends = new Map<number, string>();

  /**
   * @param where What messages begin with.
   * @throws {InputError} when they are too many.
   */
  constructor(texts: Iterable<string>, where: string) {
    for (const text of texts) {
      let place = 0;
      for (let i = 0; i < text.length; i++) {
        const key = place * 0x10000 + text.charCodeAt(i);
        let next = this.#next.get(key);
        if (next === undefined) {
          next = this.#next.size + 1;
          if (next > MAX_PLACES) {
            throw InputError.of("too_large", { name: where }, `at most ${MAX_PLACES} different beginnings`);
          }
          this.#next.set(key, next);
        }
        place = next;
      }
      this.#ends.set(place, text);
    }
  }

  /** Finds the leftmost text, and the longest where several begin there; then continues after it. */
  *find(text: string): Generator<{ readonly index: number; readonly token: string }, void> {
    for (let index = 0; index < text.length;) {
      const token = this.#longestAt(text, index);
      if (token === undefined) index++;
      else {
        yield { index, token };
        index += token.length;
      }
    }
  }

  #longestAt(text: string, start: number): string | undefined {
    let found: string | undefined;
    let place: number | undefined = 0;
    for (let i = start; i < text.length; i++) {
      place = this.#next.get(place * 0x10000 + text.charCodeAt(i));
      if (place === undefined) break;
      found = this.#ends.get(place) ?? found;
    }
    return found;
  }
}
