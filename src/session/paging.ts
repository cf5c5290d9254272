/** What sequences of a session need of the pages that they share; where each has a cache of its own, nothing. */
import type { Batch } from "../model/backend.ts";
import { type Feed, feedOf, type Last, type SessionLimits } from "./batch.ts";
import { PagePool, type PoolUse, type Sharing, type Span } from "./page_pool.ts";
import type { Slots } from "./slots.ts";

/** What of a feed takes pages. */
type Sized = Pick<Feed, "slot" | "tokens">;

export class Paging {
  /** Null where each sequence has a cache of its own. */
  readonly #pool: PagePool | null;

  constructor(readonly limits: SessionLimits, readonly slots: Slots) {
    const { slots: count, context, maxTokens, rewind = 0, pages } = limits;
    this.#pool = pages === undefined
      ? null
      : new PagePool({ ...pages, slots: count, context, maxTokens, rewind }, (slot) => slots.length(slot));
  }

  /** Whether sequences share pages. */
  get shares(): boolean {
    return this.#pool !== null;
  }

  /** How full they are; null where each sequence has a cache of its own. */
  get use(): PoolUse | null {
    return this.#pool?.use ?? null;
  }

  /** Whether a batch of these feeds, or as many steps after each of them, has room. */
  fits(feeds: readonly Sized[], steps = 0): boolean {
    return this.#pool?.fits(this.#spans(feeds, steps)) ?? true;
  }

  /** How many steps, at most `most`, a batch of these sequences has room for. */
  stepsThatFit(entries: readonly Last[], most: number): number {
    const feeds = entries.map(feedOf);
    let steps = most;
    while (steps > 0 && !this.fits(feeds, steps)) steps >>= 1;
    return steps;
  }

  /** See {@linkcode PagePool.holds}. */
  holds(sequences: readonly Sharing[]): boolean {
    return this.#pool?.holds(sequences) ?? true;
  }

  /** How far a sequence can be taken back, see {@linkcode Slots.shared}: as far as it has not given pages back. */
  reach(slot: number): number | ((shared: number) => boolean) {
    const pool = this.#pool;
    return pool === null ? this.limits.rewind ?? 0 : (shared) => pool.reaches(slot, shared);
  }

  /** The batch with pages for what it writes; of more steps than one where so many are given. */
  place(batch: Batch, feeds: readonly Sized[], steps = 0): Batch {
    const pages = this.#pool?.reserve(this.#spans(feeds, steps));
    return pages === undefined ? batch : { ...batch, pages };
  }

  /** Gives back what a sequence has beyond its end. */
  settle(slot: number): void {
    if (this.slots.length(slot) === 0) this.#pool?.release(slot);
    else this.#pool?.settle(slot);
  }

  /** Lets a sequence have what another has; false where that has to be copied. */
  share(from: number, to: number): boolean {
    this.#pool?.share(from, to);
    return this.shares;
  }

  /**
   * How a sequence whose first pages others may have by now is computed from its beginning, batch by batch: each gets
   * pages, or null where there are none.
   */
  again(slot: number): { place?: (batch: Batch) => Batch | null } {
    if (this.#pool === null) return {};
    const place = (batch: Batch): Batch | null => {
      if (batch.positions[0] === 0) {
        this.slots.reset(slot);
        this.settle(slot);
      }
      const feed = { slot, tokens: batch.ids };
      if (!this.fits([feed])) return null;
      const placed = this.place(batch, [feed]);
      this.slots.grow(slot, batch.ids.length);
      return placed;
    };
    return { place };
  }

  #spans(feeds: readonly Sized[], steps: number): Span[] {
    return feeds.map(({ slot, tokens }) => {
      const start = this.slots.length(slot);
      return { slot, start, end: Math.min(this.limits.context, start + Math.max(steps, tokens.length)) };
    });
  }
}
