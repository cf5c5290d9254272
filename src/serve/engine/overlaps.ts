/** What sequences that run beside one another begin with in common, of which their pages hold one copy. */
import type { Paging } from "../../session/paging.ts";
import type { Sequence } from "./sequence.ts";

/** What a sequence begins with as one that was there before it. */
interface Overlap {
  readonly as: Sequence;
  /** Positions, at least. */
  readonly positions: number;
}

/** Overlaps of those that run, and of the one that is next. */
export class Overlaps {
  readonly #known = new Map<Sequence, Overlap>();
  #next: Sequence | null = null;

  /**
   * Whether pages hold a sequence beside those that run.
   *
   * @param running Sequences that were let in before, and have not left.
   */
  admit(next: Sequence, running: readonly Sequence[], paging: Paging): boolean {
    if (running.length === 0 || !paging.shares) return true;
    if (next !== this.#next) {
      // Nobody began as one that did not run.
      if (this.#next !== null && !running.includes(this.#next)) this.#known.delete(this.#next);
      this.#next = next;
      this.#find(next, running);
    }
    return paging.holds([...running, next].map((sequence) => ({
      length: sequence.length,
      shared: this.#known.get(sequence)?.positions ?? 0,
    })));
  }

  /** A sequence runs no more: of those that began as it did, the first stands for it from now on. */
  leave(sequence: Sequence): void {
    const before = this.#known.get(sequence);
    this.#known.delete(sequence);
    if (this.#next === sequence) this.#next = null;
    let heir: { readonly sequence: Sequence; readonly positions: number } | null = null;
    for (const [follower, { as, positions }] of this.#known) {
      if (as !== sequence) continue;
      if (heir !== null) {
        this.#known.set(follower, { as: heir.sequence, positions: Math.min(positions, heir.positions) });
        continue;
      }
      heir = { sequence: follower, positions };
      if (before === undefined) this.#known.delete(follower);
      else this.#known.set(follower, { as: before.as, positions: Math.min(positions, before.positions) });
    }
  }

  #find(sequence: Sequence, running: readonly Sequence[]): void {
    let best: Overlap | null = null;
    for (const as of running) {
      const positions = sequence.overlap(as);
      if (positions > (best?.positions ?? 0)) best = { as, positions };
    }
    if (best === null) this.#known.delete(sequence);
    else this.#known.set(sequence, best);
  }
}
