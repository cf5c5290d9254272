/**
 * How a question reaches a rank's thread without a message: in memory that both have, where the thread looks for a
 * while after each answer, as the next question mostly comes at once, and then sleeps until there is one. Messages are
 * for the rest, and for threads that are in their event loops.
 */
import type { DeviceRankSetup, RankCommand, RankSetup } from "./messages.ts";
import { isQuestion, mostWordsOf, type Question, readQuestion, writeQuestion } from "./question.ts";

/** Int32 fields: STATE, how many messages were posted, the question. */
const STATE = 0, POSTED = 1, QUESTION = 2;
/** The thread works, or is in its event loop; it looks here; there is a question. */
const AWAY = 0, LISTENING = 1, FULL = 2;
/** What there is no room for beside a batch's tokens is posted. */
const SPARE_WORDS = 4096;
/** How long a thread looks before it sleeps, in milliseconds, and looks between two looks at the clock. */
const AWAKE_MS = 1, LOOKS = 64;

/** One thread's view of it: of that which asks, or of the rank's. */
export class Mailbox {
  readonly #fields: Int32Array;

  constructor(readonly shared: SharedArrayBuffer) {
    this.#fields = new Int32Array(shared);
  }

  /** @param maxTokens Of a batch. */
  static create(maxTokens: number): Mailbox {
    return new Mailbox(new SharedArrayBuffer(4 * (QUESTION + 3 * maxTokens + SPARE_WORDS)));
  }

  /**
   * Leaves a question where the thread looks for one.
   *
   * @returns False where it has to be posted: {@linkcode announce} comes first then.
   */
  leave(message: RankSetup | DeviceRankSetup | RankCommand): boolean {
    if (!isQuestion(message) || Atomics.load(this.#fields, STATE) !== LISTENING) return false;
    const words = this.#fields.subarray(QUESTION);
    if (mostWordsOf(message) > words.length) return false;
    // Nobody reads it before the line after this one.
    writeQuestion(message, words);
    if (Atomics.compareExchange(this.#fields, STATE, LISTENING, FULL) !== LISTENING) return false;
    Atomics.notify(this.#fields, STATE);
    return true;
  }

  /** Says that a message is about to be posted, which a thread in its event loop hears. */
  announce(): void {
    Atomics.add(this.#fields, POSTED, 1);
    if (Atomics.compareExchange(this.#fields, STATE, LISTENING, AWAY) !== LISTENING) return;
    Atomics.notify(this.#fields, STATE);
  }

  /**
   * Says that this thread is about to wait for a question. The answer to the last one leaves after this: whoever hears
   * it finds somebody who listens.
   *
   * @param heard Messages that the thread has heard: where there are more it stays in its event loop.
   */
  listen(heard: number): void {
    Atomics.store(this.#fields, STATE, LISTENING);
    if (Atomics.load(this.#fields, POSTED) !== heard) Atomics.compareExchange(this.#fields, STATE, LISTENING, AWAY);
  }

  /** Waits for a question as long as this thread listens; null: there is a message, or will be. */
  take(): Question | null {
    const fields = this.#fields, started = performance.now();
    for (let looks = 1; Atomics.load(fields, STATE) === LISTENING; looks++) {
      if (looks % LOOKS !== 0 || performance.now() - started < AWAKE_MS) continue;
      Atomics.wait(fields, STATE, LISTENING);
    }
    if (Atomics.load(fields, STATE) === AWAY) return null;
    const question = readQuestion(fields.subarray(QUESTION));
    Atomics.store(fields, STATE, AWAY);
    return question;
  }
}
