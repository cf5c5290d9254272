/**
 * Log probabilities beside the computing of the model: over a large vocabulary one takes milliseconds, in which all
 * threads of the next batch would wait. The numbers are those of {@linkcode logProbability}, to the bit.
 */
import { asset } from "../assets.ts";
import { onThreadFailure, startThread } from "../thread.ts";
import { logProbability } from "../session/likelihood.ts";

/** First message to the thread: rows of logits, each of `vocab` float32. */
export interface ScoreSetup {
  readonly rows: SharedArrayBuffer;
  readonly vocab: number;
}

/** A row that is filled, and the token whose log probability is asked for. */
export interface ScoreRequest {
  readonly row: number;
  readonly token: number;
}

/** The answer; the row is free again. */
export interface ScoreReply {
  readonly row: number;
  readonly value: number;
}

/** Vocabularies below this are worth no thread. */
const WORTH_A_THREAD = 16_384;
/** Rows that may wait: those of some 64 sequences, twice. */
const ROWS = 128;

/** Computes log probabilities on a thread of its own where that is worth it. */
export class Scorer implements Disposable {
  readonly #vocab: number;
  readonly #worker: Worker | null = null;
  readonly #rows: Float32Array;
  readonly #free: number[];
  /** Who waits for the value of a row. */
  readonly #waiting = new Map<number, PromiseWithResolvers<number>>();

  /** @param worth Vocabularies from this on are given a thread; for tests. */
  constructor(vocab: number, worth = WORTH_A_THREAD) {
    this.#vocab = vocab;
    const count = vocab < worth ? 0 : ROWS, buffer = new SharedArrayBuffer(4 * vocab * count);
    this.#rows = new Float32Array(buffer);
    this.#free = Array.from({ length: count }, (_, row) => row);
    if (count === 0) return;
    this.#worker = startThread(asset("src/eval/score_worker.ts"), "scores", "a thread for log probabilities");
    const setup: ScoreSetup = { rows: buffer, vocab };
    this.#worker.postMessage(setup);
    this.#worker.onmessage = ({ data: { row, value } }: MessageEvent<ScoreReply>) => {
      this.#free.push(row);
      this.#waiting.get(row)!.resolve(value);
      this.#waiting.delete(row);
    };
    onThreadFailure(this.#worker, "the thread for log probabilities", (failure) => {
      for (const { reject } of this.#waiting.values()) reject(failure);
      this.#waiting.clear();
      // Nobody else is to wait for it: what follows is computed by who asks.
      this.#free.length = 0;
    });
  }

  /** The log probability of a token; the logits [V] may be overwritten after the call. */
  score(logits: Float32Array, token: number): number | Promise<number> {
    const row = this.#free.pop();
    // Where all rows wait, the thread has enough to do; where it has failed, there are none.
    if (row === undefined) return logProbability(logits, token);
    this.#rows.set(logits, row * this.#vocab);
    const waiter = Promise.withResolvers<number>(), request: ScoreRequest = { row, token };
    this.#waiting.set(row, waiter);
    // It may fail when nobody waits for it any more.
    waiter.promise.catch(() => {});
    this.#worker!.postMessage(request);
    return waiter.promise;
  }

  [Symbol.dispose](): void {
    this.#worker?.terminate();
  }
}

/** The sum in the order of the list; a number where all are there. */
export function sumInOrder(values: readonly (number | Promise<number>)[]): number | Promise<number> {
  const add = (known: readonly number[]) => known.reduce((sum, value) => sum + value, 0);
  return values.every((value) => typeof value === "number") ? add(values) : Promise.all(values).then(add);
}
