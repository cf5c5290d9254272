/**
 * Values handed from a callback to a loop, one at a time: the callback's promise is kept until the loop wants the next
 * one.
 */
export class Relay<T> {
  /** The value that was not taken yet, or how it ended. */
  #waiting: { readonly value: T } | null = null;
  #ended = false;
  #failure: { readonly thrown: unknown } | null = null;
  #left = false;
  /** Answers the last {@linkcode put}. */
  #answer: ((goOn: boolean) => void) | null = null;
  /** Wakes {@linkcode take}. */
  #wake: (() => void) | null = null;

  /** Offers a value; resolves with true when the next one is wanted, with false when the taker has left. */
  put(value: T): Promise<boolean> {
    if (this.#left) return Promise.resolve(false);
    this.#waiting = { value };
    this.#notify();
    return new Promise((resolve) => this.#answer = resolve);
  }

  /** No value will follow. */
  end(): void {
    this.#ended = true;
    this.#notify();
  }

  /** No value will follow, and the taker is to know why. */
  fail(thrown: unknown): void {
    this.#failure = { thrown };
    this.#notify();
  }

  /** The next value, or null at the end. @throws what {@linkcode fail} was given. */
  async take(): Promise<{ readonly value: T } | null> {
    if (!this.#waiting) this.#reply(true);
    while (true) {
      const taken = this.#waiting;
      this.#waiting = null;
      if (taken) return taken;
      if (this.#failure) throw this.#failure.thrown;
      if (this.#ended) return null;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  /** The taker wants nothing any more. */
  leave(): void {
    this.#left = true;
    this.#reply(false);
  }

  #reply(goOn: boolean): void {
    this.#answer?.(goOn);
    this.#answer = null;
  }

  #notify(): void {
    this.#wake?.();
    this.#wake = null;
  }
}
