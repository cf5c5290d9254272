/**
 * A model ready to compute: sequences are fed token by token or in chunks, and logits come back. Everything above
 * (generation, evaluation, comparison) speaks to a {@linkcode Session}; everything below is an engine.
 */
import { Paging } from "./paging.ts";
import { batchOf, checkedTokens, type Feed, feedOf, type Last, type SessionLimits, wantedRows } from "./batch.ts";
import { Slots } from "./slots.ts";
import type { Batch } from "../model/backend.ts";
import type { ModelSource } from "../checkpoint/source.ts";
import { firstNonFinite } from "../formats/finite.ts";
import type { DecodeRequest, Engine, Picks } from "../model/engine.ts";
import type { Tap } from "../model/gpt_oss.ts";
import { explain, type Sighting } from "./origin.ts";
import type { Text } from "../words.ts";

/**
 * Receives logits [V] of a position of feed `index`; the array is only valid during the call.
 *
 * @param likeliest The token of the largest logit, the first of equal ones, where the engine has looked for it.
 */
export type OnLogits = (index: number, position: number, logits: Float32Array, likeliest?: number) => void;

/** Asks an engine to compute a batch, and for the likeliest tokens after some rows. */
export type AskForPicks = (batch: Batch, rows: Int32Array) => Promise<Partial<Picks> & Pick<Picks, "ids">>;

export class Session {
  readonly #slots: Slots;
  /** The pages that sequences share, if they do. */
  readonly paging: Paging;

  /** @param source The weights, by which a tensor that holds no numbers is named. */
  constructor(readonly engine: Engine, readonly limits: SessionLimits, readonly source?: ModelSource) {
    this.#slots = new Slots(limits.slots);
    this.paging = new Paging(limits, this.#slots);
  }

  /** Positions of the sequence that are in the cache. */
  length(slot: number): number {
    return this.#slots.length(slot);
  }

  /** The tokens of a sequence that are in the cache. */
  tokens(slot: number): number[] {
    return this.#slots.first(slot, this.length(slot));
  }

  /** Batches that were computed so far, those whose logits are no numbers among them. */
  get batches(): number {
    return this.#slots.batches;
  }

  /** Forgets a sequence. */
  reset(slot: number): void {
    this.#slots.reset(slot);
    this.paging.settle(slot);
  }

  /** How many tokens {@linkcode rewind} would leave. */
  shared(slot: number, tokens: ArrayLike<number>): number {
    return this.#slots.shared(slot, tokens, this.paging.reach(slot));
  }

  /**
   * Takes a sequence back to its beginning that it has in common with other tokens, so that only the rest of those has
   * to be computed. The last of them is always left to be computed, for its logits. Where that is further back than
   * `limits.rewind`, sliding layers may have forgotten what lies before, and all of it is taken back.
   *
   * @param tokens What the sequence is to become.
   * @returns How many of the tokens are in the cache.
   */
  rewind(slot: number, tokens: ArrayLike<number>): number {
    this.#slots.rewind(slot, tokens, this.paging.reach(slot));
    this.paging.settle(slot);
    return this.length(slot);
  }

  /** Makes slot `to` a copy of slot `from` (its cache and its length). */
  fork(from: number, to: number): void {
    if (!this.paging.share(from, to)) this.engine.copySlot(from, to, this.length(from));
    this.#slots.fork(from, to);
  }

  /**
   * Appends tokens to one sequence, in chunks of at most `maxTokens`; all of them are looked at before the first is
   * computed.
   *
   * @param onLogits Receives the logits [V] of each wanted position in order; the array is only valid during the call.
   * @param onProgress Called with the number of tokens done after each chunk.
   * @throws {InputError} if the sequence would outgrow the context, or a token id is outside the vocabulary; likewise,
   *   or as a {@linkcode FailureError}, if a logit is NaN or infinite, with the operation and the tensor where that
   *   began.
   */
  async feed(
    feed: Feed,
    onLogits?: (position: number, logits: Float32Array, likeliest?: number) => void,
    tap?: Tap,
    onProgress?: (done: number) => void,
  ): Promise<void> {
    const { slot, logits } = feed, tokens = checkedTokens(feed, this.length(slot), this.limits);
    for (let at = 0; at < tokens.length; at += this.limits.maxTokens) {
      const part = tokens.subarray(at, at + this.limits.maxTokens), done = at + part.length;
      const wanted = logits === "last" && done < tokens.length ? "none" : logits;
      await this.run(
        [{ slot, tokens: part, logits: wanted }],
        (_index, position, row, likeliest) => onLogits?.(position, row, likeliest),
        tap,
      );
      onProgress?.(done);
    }
  }

  /**
   * Makes a sequence `length` positions long. Where the engine can, the new ones' keys and values are made up instead
   * of computed: for measurements at a depth, whose results mean nothing.
   */
  async pretend(slot: number, length: number): Promise<void> {
    const missing = length - this.length(slot), { maxTokens } = this.limits;
    if (this.engine.pretend === undefined) {
      if (missing > 0) await this.feed({ slot, tokens: new Int32Array(missing), logits: "none" });
      return;
    }
    for (let at = 0; at < missing; at += maxTokens) {
      const tokens = new Int32Array(Math.min(maxTokens, missing - at));
      const batch = this.#placed([{ slot, tokens, logits: "none" }]);
      this.engine.pretend(batch);
      this.#slots.keep(batch);
      this.#slots.grow(slot, tokens.length);
    }
  }

  /**
   * Appends one token to each of several sequences, `maxTokens` of them in a pass; all are looked at before the first.
   *
   * @param onLogits Receives, for each entry in order, its index and the logits [V] of its token.
   */
  async step(
    entries: readonly Last[],
    onLogits: (index: number, logits: Float32Array, likeliest?: number) => void,
  ): Promise<void> {
    const feeds = entries.map(feedOf), { maxTokens } = this.limits;
    for (const feed of feeds) checkedTokens(feed, this.length(feed.slot), this.limits);
    for (let at = 0; at < entries.length; at += maxTokens) {
      await this.run(
        feeds.slice(at, at + maxTokens),
        (index, _position, logits, likeliest) => onLogits(at + index, logits, likeliest),
      );
    }
  }

  /**
   * Computes one batch made of pieces of several sequences: prefill of some beside single tokens of others.
   *
   * @param feeds Different slots; at most `maxTokens` tokens in all.
   * @throws {InputError} if a sequence would outgrow the context, or a token id is outside the vocabulary; likewise, or
   *   as a {@linkcode FailureError}, if a logit is NaN or infinite. Logits of such a row are not handed out.
   */
  async run(feeds: readonly Feed[], onLogits?: OnLogits, tap?: Tap): Promise<void> {
    const batch = this.#placed(feeds), { rows, owners } = wantedRows(feeds);
    let done = 0;
    let bad: (Sighting & { readonly row: number }) | null = null;
    await this.engine.compute(
      batch,
      rows,
      (row, logits, likeliest) => {
        const index = owners[done++]!, position = batch.positions[row]!;
        const at = likeliest === undefined ? firstNonFinite(logits) : likeliest < 0 ? ~likeliest : -1;
        if (at < 0) onLogits?.(index, position, logits, likeliest);
        else bad ??= { row, what: `logits of position ${position}, token ${at}`, value: logits[at]! };
      },
      tap,
    );
    this.#keep(batch, feeds);
    if (bad !== null) throw await this.#explain(batch, bad);
  }

  /** Whether the engine can generate for these sequences and say how likely each token was. */
  canScore(entries: readonly Last[]): boolean {
    return this.engine.scores === true && this.canDecode(entries);
  }

  /** Whether {@linkcode pick} can pick for so many sequences at once: the engine has to do it. */
  canPick(sequences: number): boolean {
    return this.engine.pick !== undefined && this.engine.canPick?.(sequences) === true;
  }

  /**
   * Computes one batch as {@linkcode run} does, and lets the engine pick the likeliest token after every feed that
   * wants its last logits.
   *
   * @param onPick Receives the index of the feed, the token and the logarithm of its probability, in order.
   * @param ask Another way to ask the engine; where that tells no probabilities, they are NaN.
   * @throws {InputError} as {@linkcode run}: after the picks of other rows are handed out.
   */
  async pick(
    feeds: readonly Feed[],
    onPick: (index: number, token: number, logProbability: number) => void,
    ask: AskForPicks = (batch, rows) => this.engine.pick!(batch, rows),
  ): Promise<void> {
    const batch = this.#placed(feeds), { rows, owners } = wantedRows(feeds);
    const { ids, logProbabilities } = await ask(batch, rows);
    this.#keep(batch, feeds);
    owners.forEach((index, i) => ids[i]! >= 0 && onPick(index, ids[i]!, logProbabilities?.[i] ?? NaN));
    const bad = ids.findIndex((id) => id < 0);
    if (bad >= 0) throw await this.#explainPick(batch, rows[bad]!, ids[bad]!);
  }

  /**
   * Stops because something computed for a sequence is NaN or infinite.
   *
   * @param what What it is, in words.
   */
  async refuse(slot: number, what: Text): Promise<never> {
    const ids = Int32Array.from(this.#slots.first(slot, this.length(slot)).slice(-1));
    const batch = { ids, slots: Int32Array.of(slot), positions: Int32Array.of(this.length(slot) - 1) };
    throw await this.#explain(batch, { row: 0, what, value: null });
  }

  /** Remembers what a batch of feeds put into the cache. */
  #keep(batch: Batch, feeds: readonly Feed[]): void {
    this.#slots.keep(batch);
    for (const { slot, tokens } of feeds) this.#slots.grow(slot, tokens.length);
  }

  /** The error for what an engine picked where logits are no numbers. */
  #explainPick(batch: Batch, row: number, id: number): Promise<Error> {
    return this.#explain(batch, { row, what: `logits of position ${batch.positions[row]}, token ${~id}`, value: null });
  }

  #explain(batch: Batch, sighting: Sighting): Promise<Error> {
    const { row } = sighting, slot = batch.slots[row]!;
    const sequence = { slot, tokens: this.#slots.first(slot, batch.positions[row]! + 1), ...this.paging.again(slot) };
    const { ids, slots, positions } = batch;
    return explain(this.engine, { ids, slots, positions }, sighting, sequence, this.source, this.limits.maxTokens);
  }

  /**
   * Whether {@linkcode decode} can generate for these sequences: the engine has to pick tokens, and the context to have
   * room for one.
   */
  canDecode(entries: readonly Last[]): boolean {
    const { engine, limits } = this;
    return engine.decode !== undefined && entries.length <= limits.maxTokens &&
      entries.every(({ slot }) => this.length(slot) < limits.context) &&
      engine.canDecode?.(this.#batch(entries.map(feedOf))) === true;
  }

  /**
   * Generates tokens of several sequences in the engine, which hands out ids instead of logits. Afterwards each
   * sequence is as long as if {@linkcode step} had been called for every step whose tokens were handed out, also where
   * `onTokens` throws: that is thrown again then.
   *
   * @param request Steps, how to pick, and who receives the ids; see {@linkcode DecodeRequest}.
   * @returns Steps whose tokens were handed out.
   * @throws {InputError} if a token id is outside the vocabulary; for logits that are NaN or infinite as
   *   {@linkcode Session.run}, after no further step than those that had begun.
   */
  async decode(entries: readonly Last[], request: Omit<DecodeRequest, "batch">): Promise<number> {
    const batch = this.#placed(entries.map(feedOf), request.steps);
    let last = batch, failed: { readonly thrown: unknown } | null = null;
    const bad: { readonly batch: Batch; readonly row: number; readonly id: number }[] = [];
    const onTokens: DecodeRequest["onTokens"] = async (ids, step, logProbabilities) => {
      this.#slots.keep(last);
      const row = ids.findIndex((id) => id < 0);
      if (row >= 0) bad.push({ batch: last, row, id: ids[row]! });
      last = { ids: ids.slice(), slots: batch.slots, positions: batch.positions.map((p) => p + step + 1) };
      // The engine is to come to an end as ever: the steps so far are in the cache, in place of what was there before.
      try {
        return failed === null && await request.onTokens(ids, step, logProbabilities) && bad.length === 0;
      } catch (thrown) {
        failed = { thrown };
        return false;
      }
    };
    const { steps } = await this.engine.decode!({ ...request, batch, onTokens });
    for (const { slot } of entries) {
      this.#slots.grow(slot, steps);
      this.paging.settle(slot);
    }
    if (failed !== null) throw (failed as { readonly thrown: unknown }).thrown;
    const [first] = bad;
    if (first !== undefined) throw await this.#explainPick(first.batch, first.row, first.id);
    return steps;
  }

  #batch(feeds: readonly Feed[]): Batch {
    return batchOf(feeds, (slot) => this.length(slot), this.limits);
  }

  /** A batch with pages for what it writes; of more steps than one where so many are given. */
  #placed(feeds: readonly Feed[], steps = 0): Batch {
    return this.paging.place(this.#batch(feeds), feeds, steps);
  }

  /** Stops workers and frees memory. */
  close(): Promise<void> {
    return this.engine.close();
  }
}
