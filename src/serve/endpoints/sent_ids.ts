/** Token ids of replies in a stream, by vLLM's `return_token_ids`. */

/** Token ids that wait for the next piece of their reply: not every token makes one. */
export class SentIds {
  readonly #waiting = new Map<number, number[]>();
  readonly #begun = new Set<number>();

  /** @param wanted Else no piece has ids. */
  constructor(readonly wanted: boolean) {}

  /** Keeps an id of a reply. */
  push(index: number, id: number): void {
    if (!this.wanted) return;
    const own = this.#waiting.get(index);
    if (own === undefined) this.#waiting.set(index, [id]);
    else own.push(id);
  }

  /** The fields of a piece of a reply. */
  take(index: number): { token_ids?: number[] } {
    if (!this.wanted) return {};
    const token_ids = this.#waiting.get(index) ?? [];
    this.#waiting.delete(index);
    return { token_ids };
  }

  /** The field of the first piece, of all or of a choice: the ids of the prompt. */
  prompt(ids: Int32Array, index = 0): { prompt_token_ids?: number[] } {
    if (!this.wanted || this.#begun.has(index)) return {};
    this.#begun.add(index);
    return { prompt_token_ids: [...ids] };
  }
}
