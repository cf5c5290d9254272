/**
 * Slots and what they hold: a sequence that ends leaves its keys and values, and one that begins takes over what it has
 * in common with any other, ended or on its way.
 */
import type { Session } from "../../session/session.ts";
import type { Sequence } from "./sequence.ts";

/** A slot. */
export interface Place {
  readonly slot: number;
  /** Who has it; null: nobody, but it may hold what somebody left. */
  sequence: Sequence | null;
  /**
   * Whose tokens it holds, which may be taken over with the scores of its prompt: who has it, but as long as that has
   * not begun who had it before.
   */
  last: Sequence | null;
  /** When it was given back, in counted steps. */
  left: number;
}

/** Tokens below which a copy of the cache is not worth it. */
const SHORTEST = 8;

/** The slots of a session. */
export class Places {
  readonly #places: readonly Place[];
  #steps = 0;

  constructor(readonly session: Session) {
    const { slots } = session.limits;
    this.#places = Array.from({ length: slots }, (_, slot) => ({ slot, sequence: null, last: null, left: 0 }));
  }

  /** Places that nobody has. */
  get free(): number {
    return this.#places.filter(({ sequence }) => sequence === null).length;
  }

  /** Gives a sequence a place. The one whose content it shares is left as it is, if another will do. */
  take(sequence: Sequence): Place {
    const { session } = this, idle = this.#places.filter(({ sequence }) => sequence === null);
    const best = mostBy(idle, (place) => this.#shared(place, sequence))!, shared = this.#shared(best, sequence);
    const others = idle.filter((place) => place !== best || shared === 0);
    const continues = shared > 0 && shared === session.length(best.slot);
    const place = continues || others.length === 0
      ? best
      // Empty ones first, then those that were left long ago.
      : mostBy(others, ({ slot, left }) => session.length(slot) === 0 ? Infinity : -left)!;
    place.sequence = sequence;
    return place;
  }

  /**
   * Fills a place with what its sequence shares with others, unless another is about to compute more of it, for which
   * it is worth waiting: the wait is no longer than computing it would be.
   */
  begin(place: Place): void {
    const { session } = this, sequence = place.sequence!;
    const others = this.#places.filter((other) => other !== place);
    const source = mostBy(others, (other) => this.#shared(other, sequence));
    const own = this.#shared(place, sequence), from = source === undefined ? 0 : this.#shared(source, sequence);
    const most = Math.max(own, from);
    const leads = ({ sequence: leader }: Place) =>
      leader !== null && leader.begun && !leader.decodes && sequence.overlap(leader) - 1 >= most + SHORTEST;
    if (others.some(leads)) return;
    const copies = from >= own + SHORTEST, taken = copies ? source! : place;
    const before = taken.last;
    const tokens = sequence.reusable(before);
    if (copies) session.fork(source!.slot, place.slot);
    sequence.begin(session.rewind(place.slot, tokens), before);
    place.last = sequence;
  }

  /** Takes a place back; what it holds stays. */
  leave(place: Place): void {
    place.sequence = null;
    place.left = ++this.#steps;
  }

  /**
   * Forgets what was left longest ago, so that others may have its pages, or what nobody has begun to use.
   *
   * @returns False where nothing is left.
   */
  reclaim(): boolean {
    const { session } = this;
    const idle = this.#places.filter(({ slot, sequence }) => sequence?.begun !== true && session.length(slot) > 0);
    const oldest = mostBy(idle, ({ sequence, left }) => sequence === null ? -left : -Infinity);
    if (oldest === undefined) return false;
    session.reset(oldest.slot);
    return true;
  }

  /** Forgets all that was left, as it may be wrong. */
  forget(): void {
    for (const { slot, sequence } of this.#places) if (sequence === null) this.session.reset(slot);
  }

  /** Tokens of a sequence's prompt that are in a place and can be used. */
  #shared(place: Place, sequence: Sequence): number {
    return this.session.shared(place.slot, sequence.reusable(place.last));
  }
}

/** The element with the largest value, the first of several. */
function mostBy<T>(list: readonly T[], value: (element: T) => number): T | undefined {
  let best: T | undefined, most = -Infinity;
  for (const element of list) {
    const own = value(element);
    if (best !== undefined && own <= most) continue;
    best = element;
    most = own;
  }
  return best;
}
