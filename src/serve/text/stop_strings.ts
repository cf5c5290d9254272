/** Texts that end a reply, looked for across the pieces that it comes in. */

/** Finds the first stop string of a text that grows. What may be the beginning of one is held back. */
export class StopStrings {
  readonly #stops: readonly string[];
  #pending = "";
  #found: string | null = null;

  /** @param stops None is empty. */
  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /** The stop string that ended the text; null while there was none. */
  get found(): string | null {
    return this.#found;
  }

  /** Takes the next piece; returns what certainly comes before any stop string. */
  push(piece: string): string {
    if (this.#found !== null) return "";
    const text = this.#pending + piece;
    let first = text.length;
    for (const stop of this.#stops) {
      const at = text.indexOf(stop);
      if (at < 0 || at >= first) continue;
      first = at;
      this.#found = stop;
    }
    if (this.#found === null) first -= this.#openLength(text);
    this.#pending = this.#found === null ? text.slice(first) : "";
    return text.slice(0, first);
  }

  /** What was held back, where the text has ended. */
  flush(): string {
    const rest = this.#pending;
    this.#pending = "";
    return rest;
  }

  /** Length of the longest end of the text that a stop string begins with. */
  #openLength(text: string): number {
    const longest = Math.max(0, ...this.#stops.map((stop) => stop.length - 1));
    for (let length = Math.min(longest, text.length); length > 0; length--) {
      const end = text.slice(-length);
      if (this.#stops.some((stop) => stop.startsWith(end))) return length;
    }
    return 0;
  }
}
