/** What the slots of a session hold: how many positions of which tokens are in the cache. */
import type { Batch } from "../model/backend.ts";

/** The record of all slots. */
export class Slots {
  /** Positions computed so far, per slot. */
  readonly #lengths: Int32Array;
  /** The tokens at those positions, per slot; what lies after them means nothing. */
  readonly #tokens: number[][];
  /** Positions that each slot's sequence had before it was taken back: sliding layers forgot what lay far before. */
  readonly #furthest: Int32Array;
  /** Batches that were put into the cache. */
  batches = 0;

  constructor(slots: number) {
    this.#lengths = new Int32Array(slots);
    this.#tokens = Array.from({ length: slots }, () => []);
    this.#furthest = new Int32Array(slots);
  }

  /** Positions of the sequence that are in the cache. */
  length(slot: number): number {
    return this.#lengths[slot]!;
  }

  /** The sequence's first tokens. */
  first(slot: number, count: number): number[] {
    return this.#tokens[slot]!.slice(0, count);
  }

  /** Forgets a sequence. */
  reset(slot: number): void {
    this.#lengths[slot] = 0;
    this.#furthest[slot] = 0;
  }

  /** Notes that a slot became a copy of another, which has forgotten what the original has. */
  fork(from: number, to: number): void {
    this.#lengths[to] = this.#lengths[from]!;
    this.#furthest[to] = this.#furthest[from]!;
    this.#tokens[to] = this.first(from, this.#lengths[from]!);
  }

  /** Remembers what a batch puts into the cache. */
  keep({ ids, slots, positions }: Batch): void {
    this.batches++;
    slots.forEach((slot, row) => this.#tokens[slot]![positions[row]!] = ids[row]!);
  }

  /** Notes that so many more positions are computed. */
  grow(slot: number, positions: number): void {
    this.#lengths[slot]! += positions;
  }

  /**
   * How many of other tokens, the last of them left out, a sequence can be taken back to.
   *
   * @param most Positions that it can be taken back by, or whether it can be taken back to so many.
   */
  shared(slot: number, tokens: ArrayLike<number>, most: number | ((shared: number) => boolean)): number {
    const own = this.#tokens[slot]!, end = Math.min(this.length(slot), tokens.length - 1);
    let shared = 0;
    while (shared < end && own[shared] === tokens[shared]) shared++;
    const able = typeof most === "number" ? this.#reached(slot) - shared <= most : most(shared);
    return able ? shared : 0;
  }

  /**
   * Takes a sequence back to what it has in common with other tokens, but the last of them; or altogether, where that
   * is further than allowed.
   *
   * @param most See {@linkcode shared}.
   */
  rewind(slot: number, tokens: ArrayLike<number>, most: number | ((shared: number) => boolean)): void {
    const shared = this.shared(slot, tokens, most), furthest = this.#reached(slot);
    if (shared === 0) return this.reset(slot);
    this.#furthest[slot] = furthest;
    this.#lengths[slot] = shared;
  }

  /** Positions that were written for the sequence. */
  #reached(slot: number): number {
    return Math.max(this.#furthest[slot]!, this.length(slot));
  }
}
