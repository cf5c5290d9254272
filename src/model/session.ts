/**
 * A model ready to compute: sequences are fed token by token or in chunks, and logits come back. Everything above (generation,
 * evaluation, comparison) speaks to a {@linkcode Session}; everything below is the graph and a backend.
 */
import type { Batch } from "../backends/backend.ts";
import type { GptOss, Tap } from "./gpt_oss.ts";
import { InputError } from "../errors.ts";

/** Tokens to append to one sequence. */
export interface Feed {
  readonly slot: number;
  readonly tokens: ArrayLike<number>;
  /** Which logits are wanted: of the last token, of all tokens, or none. */
  readonly logits: "last" | "all" | "none";
}

/** Sizes that a session was opened with. */
export interface SessionLimits {
  readonly slots: number;
  readonly context: number;
  readonly maxTokens: number;
  readonly vocab: number;
}

/** How long the event loop may be kept waiting while a batch is computed, in milliseconds; bounds the delay of Ctrl-C. */
const BREATHE_MS = 40;

/** Lets timers, signals and writes run. */
const breathe = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

export class Session {
  /** Positions computed so far, per slot. */
  readonly #lengths: Int32Array;
  #lastBreath = performance.now();

  constructor(readonly model: GptOss, readonly limits: SessionLimits) {
    this.#lengths = new Int32Array(limits.slots);
  }

  /** Positions of the sequence that are in the cache. */
  length(slot: number): number {
    return this.#lengths[slot]!;
  }

  /** Forgets a sequence. */
  reset(slot: number): void {
    this.#lengths[slot] = 0;
  }

  /** Makes slot `to` a copy of slot `from` (its cache and its length). */
  fork(from: number, to: number): void {
    this.model.backend.copySlot(from, to, this.#lengths[from]!);
    this.#lengths[to] = this.#lengths[from]!;
  }

  /**
   * Appends tokens to one sequence, in chunks of at most `maxTokens`.
   *
   * @param onLogits Receives the logits [V] of each wanted position in order; the array is reused after the call.
   * @param onProgress Called with the number of tokens done after each chunk.
   * @throws {InputError} if the sequence would outgrow the context, or a token id is outside the vocabulary.
   */
  async feed(
    feed: Feed,
    onLogits?: (position: number, logits: Float32Array) => void,
    tap?: Tap,
    onProgress?: (done: number) => void,
  ): Promise<void> {
    const { slot, tokens } = feed;
    for (let at = 0; at < tokens.length; at += this.limits.maxTokens) {
      const n = Math.min(this.limits.maxTokens, tokens.length - at);
      const ids = Int32Array.from({ length: n }, (_, i) => tokens[at + i]!);
      const last = at + n === tokens.length;
      const start = this.#lengths[slot]!;
      const rows = feed.logits === "all"
        ? Int32Array.from({ length: n }, (_, i) => i)
        : feed.logits === "last" && last
        ? Int32Array.of(n - 1)
        : new Int32Array(0);
      await this.#run([{ slot, ids }], rows, (row, logits) => onLogits?.(start + row, logits), tap);
      onProgress?.(at + n);
    }
  }

  /**
   * Appends one token to each of several sequences in one pass.
   *
   * @param onLogits Receives, for each entry in order, its index and the logits [V] of its token; the array is reused after the call.
   */
  async step(
    entries: readonly { readonly slot: number; readonly token: number }[],
    onLogits: (index: number, logits: Float32Array) => void,
  ): Promise<void> {
    for (let at = 0; at < entries.length; at += this.limits.maxTokens) {
      const part = entries.slice(at, at + this.limits.maxTokens);
      const rows = Int32Array.from(part, (_, i) => i);
      const groups = part.map((e) => ({ slot: e.slot, ids: Int32Array.of(e.token) }));
      await this.#run(groups, rows, (row, logits) => onLogits(at + row, logits));
    }
  }

  async #run(
    groups: readonly { slot: number; ids: Int32Array }[],
    rows: Int32Array,
    onRow: (row: number, logits: Float32Array) => void,
    tap?: Tap,
  ): Promise<void> {
    const batch = this.#batch(groups);
    for (const _ of this.model.layersOf(batch, tap)) await this.#breatheIfDue();
    for (const { slot, ids } of groups) this.#lengths[slot]! += ids.length;
    const vocab = this.limits.vocab;
    // A few rows at a time: logits of a long chunk over 201,088 words would be larger than the model's layers.
    for (let at = 0; at < rows.length; at += LOGIT_ROWS) {
      const part = rows.subarray(at, at + LOGIT_ROWS);
      const logits = this.model.logits(part);
      part.forEach((row, i) => onRow(row, logits.subarray(i * vocab, (i + 1) * vocab)));
      await this.#breatheIfDue();
    }
  }

  #batch(groups: readonly { slot: number; ids: Int32Array }[]): Batch {
    const n = groups.reduce((sum, g) => sum + g.ids.length, 0);
    const batch = { ids: new Int32Array(n), slots: new Int32Array(n), positions: new Int32Array(n) };
    let row = 0;
    for (const { slot, ids } of groups) {
      let position = this.#lengths[slot]!;
      if (position + ids.length > this.limits.context) {
        throw new InputError(
          `context: the sequence needs ${
            position + ids.length
          } positions, but only ${this.limits.context} were set aside`,
        );
      }
      for (const id of ids) {
        if (!(id >= 0 && id < this.limits.vocab)) {
          throw new InputError(`token id ${id}: expected 0 to ${this.limits.vocab - 1}`);
        }
        batch.ids[row] = id;
        batch.slots[row] = slot;
        batch.positions[row] = position++;
        row++;
      }
    }
    return batch;
  }

  async #breatheIfDue(): Promise<void> {
    if (performance.now() - this.#lastBreath < BREATHE_MS) return;
    await breathe();
    this.#lastBreath = performance.now();
  }

  /** Stops the backend's workers and frees its memory. */
  close(): Promise<void> {
    return this.model.backend.close();
  }
}

/** Logit rows computed at once. */
export const LOGIT_ROWS = 16;
