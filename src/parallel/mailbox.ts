/**
 * How a question reaches a rank's thread without a message: in memory that both have, where the thread looks for a
 * while after each answer, as the next question mostly comes at once, and then sleeps until there is one. Messages are
 * for the rest, and for threads that are in their event loops.
 */
import type { Batch } from "../model/backend.ts";
import type { DeviceRankSetup, RankCommand, RankSetup } from "./messages.ts";

/** Int32 fields: STATE, how many messages were posted; of the question what it is, and lengths of its arrays. */
const STATE = 0, POSTED = 1, KIND = 2, TOKENS = 3, ROWS = 4, COPIES = 5, ENTRIES = 6, FIELDS = 8;
/** The thread works, or is in its event loop; it looks here; there is a question. */
const AWAY = 0, LISTENING = 1, FULL = 2;
/** Questions that are left here; beyond `pick` one has no batch. */
const KINDS = ["compute", "pick", "logits"] as const;
/** What there is no room for beside a batch's tokens is posted. */
const SPARE_WORDS = 4096;
/** How long a thread looks before it sleeps, in milliseconds, and looks between two looks at the clock. */
const AWAKE_MS = 1, LOOKS = 64;

/** A question that may be left. */
type Question = Extract<RankCommand, { kind: (typeof KINDS)[number] }>;

/** One thread's view of it: of that which asks, or of the rank's. */
export class Mailbox {
  readonly #fields: Int32Array;

  constructor(readonly shared: SharedArrayBuffer) {
    this.#fields = new Int32Array(shared);
  }

  /** @param maxTokens Of a batch. */
  static create(maxTokens: number): Mailbox {
    return new Mailbox(new SharedArrayBuffer(4 * (FIELDS + 3 * maxTokens + SPARE_WORDS)));
  }

  /**
   * Leaves a question where the thread looks for one.
   *
   * @returns False where it has to be posted: {@linkcode announce} comes first then.
   */
  leave(message: RankSetup | DeviceRankSetup | RankCommand): boolean {
    if (!isQuestion(message) || Atomics.load(this.#fields, STATE) !== LISTENING) return false;
    // Nobody reads it before the next line.
    if (!this.#write(message)) return false;
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
    const question = this.#read();
    Atomics.store(fields, STATE, AWAY);
    return question;
  }

  /** Returns whether there was room. */
  #write(question: Question): boolean {
    const fields = this.#fields, { rows } = question, batch = question.kind === "logits" ? null : question.batch;
    const { pages } = batch ?? {}, tokens = batch?.ids.length ?? 0;
    const parts = [
      ...batch === null ? [] : [batch.ids, batch.slots, batch.positions],
      ...[rows, ...pages === undefined ? [] : [pages.copies, pages.entries]],
    ];
    if (parts.reduce((sum, part) => sum + part.length, FIELDS) > fields.length) return false;
    fields[KIND] = KINDS.indexOf(question.kind);
    fields[TOKENS] = tokens;
    fields[ROWS] = rows.length;
    fields[COPIES] = pages?.copies.length ?? -1;
    fields[ENTRIES] = pages?.entries.length ?? -1;
    let at = FIELDS;
    for (const part of parts) {
      fields.set(part, at);
      at += part.length;
    }
    return true;
  }

  #read(): Question {
    const fields = this.#fields, kind = KINDS[fields[KIND]!]!, tokens = fields[TOKENS]!;
    let at = FIELDS;
    const next = (length: number) => fields.slice(at, at += length);
    if (kind === "logits") return { kind, rows: next(fields[ROWS]!) };
    const ids = next(tokens), slots = next(tokens), positions = next(tokens), rows = next(fields[ROWS]!);
    const copies = fields[COPIES]!,
      pages = copies < 0 ? null : {
        copies: next(copies),
        entries: next(fields[ENTRIES]!),
      };
    const batch: Batch = pages === null ? { ids, slots, positions } : { ids, slots, positions, pages };
    return kind === "pick" ? { kind, batch, rows } : { kind, batch, rows, tapped: false };
  }
}

function isQuestion(message: RankSetup | DeviceRankSetup | RankCommand): message is Question {
  return message.kind === "pick" || message.kind === "logits" || message.kind === "compute" && !message.tapped;
}
