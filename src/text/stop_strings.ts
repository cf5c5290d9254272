/** Texts that end a reply, looked for across the pieces that it comes in. */

/**
 * Finds the first stop string of a text that grows piece by piece. What may be the beginning of one is held back, so
 * that nothing is shown which is cut off afterwards.
 *
 * @example
 * ```ts
 * import { StopStrings } from "./stop_strings.ts";
 * const stops = new StopStrings(["\n\nQ:"]);
 * stops.push("42\n"); // "42"
 * stops.push("\nQ: next"); // ""
 * stops.found; // "\n\nQ:"
 * ```
 */
export class StopStrings {
  readonly #stops: readonly string[];
  #held = "";
  #found: string | null = null;

  /** @param stops None of them empty. */
  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /** The stop string that has ended the text; null as long as none has. */
  get found(): string | null {
    return this.#found;
  }

  /** Takes the next piece; gives what certainly stands before any stop string. Nothing follows one that was found. */
  push(piece: string): string {
    if (this.#found !== null) return "";
    const text = this.#held + piece;
    let end = text.length;
    for (const stop of this.#stops) {
      const at = text.indexOf(stop);
      if (at < 0 || at >= end) continue;
      [end, this.#found] = [at, stop];
    }
    if (this.#found === null) end -= this.#begun(text);
    this.#held = this.#found === null ? text.slice(end) : "";
    return text.slice(0, end);
  }

  /** What was held back, at the end of the text. */
  flush(): string {
    const rest = this.#held;
    this.#held = "";
    return rest;
  }

  /** UTF-16 units at the end of a text that may be the beginning of a stop string. */
  #begun(text: string): number {
    for (let at = Math.max(0, text.length - this.#longest + 1); at < text.length; at++) {
      const end = text.slice(at);
      if (this.#stops.some((stop) => stop.startsWith(end))) return end.length;
    }
    return 0;
  }

  get #longest(): number {
    return Math.max(1, ...this.#stops.map((stop) => stop.length));
  }
}
