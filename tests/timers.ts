/** Clocks that a test sets, so that nothing depends on how fast a machine is, or on what else it does. */

/** A clock in place of `performance.now`, which stands still unless it is set forward or looked at. */
export class SetClock implements Disposable {
  readonly #now = performance.now;

  /**
   * @param milliseconds What it shows.
   * @param each Milliseconds that it goes on after each look.
   */
  constructor(public milliseconds = 1000, each = 0) {
    performance.now = () => {
      const now = this.milliseconds;
      this.milliseconds += each;
      return now;
    };
  }

  [Symbol.dispose](): void {
    performance.now = this.#now;
  }
}

/** Timers of a length, of this thread, which go off when a test says so and at no other time. */
export class HeldTimers implements Disposable {
  readonly #held = new Map<unknown, () => void>();
  readonly #own: object;

  constructor(kind: "timeout" | "interval", milliseconds: number) {
    const [set, clear] = kind === "timeout"
      ? ["setTimeout", "clearTimeout"] as const
      : ["setInterval", "clearInterval"] as const;
    const { [set]: start, [clear]: stop } = globalThis, held = this.#held;
    this.#own = { [set]: start, [clear]: stop };
    // The system's are above 0.
    let last = 0;
    const own = {
      [set]: (run: (...all: unknown[]) => void, after?: number, ...all: unknown[]) => {
        if (after !== milliseconds) return start(run, after, ...all);
        const id = --last;
        held.set(id, () => {
          if (kind === "timeout") held.delete(id);
          run(...all);
        });
        return id;
      },
      [clear]: (id?: number) => void (held.delete(id) || stop(id)),
    };
    Object.assign(globalThis, own);
  }

  /** How many there are. */
  get count(): number {
    return this.#held.size;
  }

  /** All that there are go off once. */
  goOff(): void {
    for (const run of [...this.#held.values()]) run();
  }

  [Symbol.dispose](): void {
    Object.assign(globalThis, this.#own);
  }
}
