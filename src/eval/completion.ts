/** A prompt's completion, from its request to its result. */
import { sumInOrder } from "./scorer.ts";

/** A prompt to complete. */
export interface CompletionRequest {
  readonly index: number;
  readonly prompt: Int32Array;
}

/** Why a completion ended: a stop token, a text that ends it, or too long. */
export type CompletionEnd = "stop" | "text" | "length";

/** A finished completion. */
export interface Completion {
  readonly index: number;
  readonly promptTokens: number;
  /** Without the stop token. */
  readonly ids: readonly number[];
  readonly end: CompletionEnd;
  /** Tokens that were chosen, the stop token included. */
  readonly generatedTokens: number;
  /** Sum of the log probabilities of the chosen tokens, the stop token included; null where they were not wanted. */
  readonly logProbability: number | null;
}

/** A sequence that is being completed. */
export interface Active {
  slot: number;
  readonly request: CompletionRequest;
  /** Its place among all that began. */
  readonly age: number;
  /** What is computed before it generates: the prompt, and what it had generated before it lost its pages. */
  tokens: Int32Array;
  /** How many of these are in the cache. */
  fed: number;
  /** The token to feed next, once these are. */
  next: number | null;
  /** That token where it was chosen before the sequence lost its pages. */
  kept: number | null;
  readonly ids: number[];
  /** Log probabilities of the chosen tokens, which may still be computed. */
  readonly scores: (number | Promise<number>)[];
  watch: { push(id: number): boolean } | undefined;
}

/** A sequence that has not begun. */
export function waitingFor(request: CompletionRequest, age: number): Active {
  const { prompt: tokens } = request;
  return { slot: -1, request, age, tokens, fed: 0, next: null, kept: null, ids: [], scores: [], watch: undefined };
}

/** Takes notice that a sequence has lost its pages: what it had computed is computed once more. */
export function preempt(sequence: Active): void {
  sequence.fed = 0;
  if (sequence.next === null) return;
  // The last token is not in the cache yet.
  sequence.tokens = Int32Array.from([...sequence.request.prompt, ...sequence.ids.slice(0, -1)]);
  sequence.kept = sequence.next;
  sequence.next = null;
}

/** Finished completions, which are handed out when their log probabilities are there. */
export class Results {
  readonly #onDone: (completion: Completion) => void;
  readonly #pending: Promise<void>[] = [];
  #failure: { readonly thrown: unknown } | null = null;

  /** @param scored Whether completions have log probabilities. */
  constructor(onDone: (completion: Completion) => void, readonly scored: boolean) {
    this.#onDone = onDone;
  }

  add(sequence: Active, end: CompletionEnd): void {
    const done = (sum: number | null) => this.#onDone(finished(sequence, end, sum));
    if (!this.scored) return done(null);
    const sum = sumInOrder(sequence.scores);
    if (typeof sum === "number") return done(sum);
    this.#pending.push(
      sum.then(done).catch((thrown) => {
        this.#failure ??= { thrown };
      }),
    );
  }

  /** Throws what failed so far. */
  check(): void {
    if (this.#failure !== null) throw this.#failure.thrown;
  }

  /** Waits for all that were added. */
  async all(): Promise<void> {
    await Promise.all(this.#pending);
    this.check();
  }
}

function finished(sequence: Active, end: CompletionEnd, logProbability: number | null): Completion {
  return {
    index: sequence.request.index,
    promptTokens: sequence.request.prompt.length,
    ids: sequence.ids,
    end,
    generatedTokens: sequence.ids.length + (end === "stop" ? 1 : 0),
    logProbability,
  };
}
