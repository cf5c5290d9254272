/** The side of a generation that the scheduler writes to. */
import { ApiError } from "../api_error.ts";
import type { Generation, Outcome, ScoredToken } from "./job.ts";

/** What is said where a prompt was not computed to its end. */
function cancelled(): ApiError {
  return new ApiError(499, "the request was cancelled", { code: "cancelled" });
}

/** Tokens on their way from the scheduler to whoever submitted the job. */
export class Stream implements Generation {
  readonly #waiting: ScoredToken[] = [];
  readonly #prompt = Promise.withResolvers<readonly ScoredToken[]>();
  readonly #outcome = Promise.withResolvers<Outcome>();
  readonly #onCancel: () => void;
  #failure: { readonly thrown: unknown } | null = null;
  #ended = false;
  #wake: (() => void) | null = null;

  /** @param onCancel Called when nobody wants its tokens any more. */
  constructor(onCancel: () => void) {
    this.#onCancel = onCancel;
    // Whoever only iterates hears of failures there.
    this.#prompt.promise.catch(() => {});
    this.#outcome.promise.catch(() => {});
  }

  get prompt(): Promise<readonly ScoredToken[]> {
    return this.#prompt.promise;
  }

  get outcome(): Promise<Outcome> {
    return this.#outcome.promise;
  }

  cancel(): void {
    if (!this.#ended) this.#onCancel();
  }

  /** All of the prompt is computed. */
  prompted(tokens: readonly ScoredToken[]): void {
    this.#prompt.resolve(tokens);
  }

  /** Keeps a token until {@linkcode Stream.deliver}. */
  push(token: ScoredToken): void {
    this.#waiting.push(token);
  }

  /** Hands out what was pushed. */
  deliver(): void {
    this.#notify();
  }

  end(outcome: Outcome): void {
    this.#ended = true;
    this.#prompt.reject(cancelled());
    this.#outcome.resolve(outcome);
    this.#notify();
  }

  fail(thrown: unknown): void {
    this.#ended = true;
    this.#failure = { thrown };
    this.#prompt.reject(thrown);
    this.#outcome.reject(thrown);
    this.#notify();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<ScoredToken, void, void> {
    try {
      while (true) {
        const token = this.#waiting.shift();
        if (token !== undefined) yield token;
        else if (this.#failure !== null) throw this.#failure.thrown;
        else if (this.#ended) return;
        else await new Promise<void>((resolve) => this.#wake = resolve);
      }
    } finally {
      this.cancel();
    }
  }

  #notify(): void {
    this.#wake?.();
    this.#wake = null;
  }
}
