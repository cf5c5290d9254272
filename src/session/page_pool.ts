/**
 * Pages that all sequences of a session share: which of them each sequence has, and what has to change before a batch.
 * A page may belong to several sequences with the same beginning; who writes to such a page gets a copy of his own.
 */
import { heldPages, type LayerKinds, PAGE_POSITIONS, type PageChanges, pagesFor } from "../model/pages.ts";

/** What a pool is made for. */
export interface PoolSize {
  /** Pages in all. */
  readonly count: number;
  readonly slots: number;
  readonly context: number;
  /** Tokens of one batch. */
  readonly maxTokens: number;
  /** Positions behind the window that sliding layers keep, while there is room. */
  readonly rewind: number;
  readonly kinds: LayerKinds;
}

/** Positions of a sequence to be written: those from `start` on are, up to `end`. */
export interface Span {
  readonly slot: number;
  readonly start: number;
  readonly end: number;
}

/** A sequence beside others. */
export interface Sharing {
  /** Positions that it will have. */
  readonly length: number;
  /** Of those, the first that another before it has as well: of these there is one copy. */
  readonly shared: number;
}

/** How full a pool is. */
export interface PoolUse {
  readonly pages: number;
  readonly used: number;
}

/** The pages of one kind of layers that a sequence has: the places `first` up to `end` of its table. */
interface Held {
  /** Physical pages by place; what lies outside means nothing. */
  readonly table: Int32Array;
  readonly offset: number;
  /** Positions that each of its layers sees before a token. */
  readonly window: number;
  first: number;
  end: number;
}

/** The pages of a session. Page 0 is nobody's. */
export class PagePool {
  readonly #size: PoolSize;
  readonly #free: number[];
  /** Sequences that have a page, by page. */
  readonly #holders: Uint16Array;
  /** By slot, what it has of each kind of layers. */
  readonly #held: readonly (readonly Held[])[];
  #copies: number[] = [];
  #entries: number[] = [];

  /** @param lengthOf Positions of a slot that are in the cache. */
  constructor(size: PoolSize, readonly lengthOf: (slot: number) => number) {
    this.#size = size;
    this.#free = Array.from({ length: size.count }, (_, i) => size.count - i);
    this.#holders = new Uint16Array(heldPages(size.count));
    const { full, sliding, window } = size.kinds, places = pagesFor(size.context);
    this.#held = Array.from({ length: size.slots }, (_, slot) => {
      const held = (kind: number, window: number): Held => ({
        table: new Int32Array(places),
        offset: (2 * slot + kind) * places,
        window,
        first: 0,
        end: 0,
      });
      return [...(full > 0 ? [held(0, Infinity)] : []), ...(sliding > 0 ? [held(1, window)] : [])];
    });
  }

  get use(): PoolUse {
    const pages = this.#size.count;
    return { pages, used: pages - this.#free.length };
  }

  /**
   * Whether there are pages for what a batch writes. Sequences lose what they can do without for it: pages reserved
   * beyond their ends, and then what lies behind their windows.
   */
  fits(spans: readonly Span[]): boolean {
    const missing = () => spans.reduce((sum, span) => sum + this.#needed(span), 0) > this.#free.length;
    if (missing()) this.#held.forEach((_, slot) => this.settle(slot));
    if (missing()) this.#held.forEach((_, slot) => this.#forget(slot, this.lengthOf(slot), 0));
    return !missing();
  }

  /** Whether sequences fit beside one another, with some room for each to grow. */
  holds(sequences: readonly Sharing[]): boolean {
    const { kinds, maxTokens, context } = this.#size;
    const window = kinds.sliding > 0 ? pagesFor(kinds.window) + 1 : 0;
    const needed = sequences.reduce((sum, { length, shared }) => {
      const pages = pagesFor(Math.min(context, length + PAGE_POSITIONS)),
        own = pages - Math.floor(shared / PAGE_POSITIONS);
      return sum + (kinds.full > 0 ? Math.max(1, own) : 0) + Math.min(pages, window);
    }, 0);
    const chunk = kinds.sliding > 0 ? pagesFor(maxTokens) + 1 : 0;
    return needed + chunk <= this.#size.count;
  }

  /**
   * Gives sequences pages for what a batch writes, which must fit.
   *
   * @returns What has to change before the batch; undefined: nothing.
   */
  reserve(spans: readonly Span[]): PageChanges | undefined {
    if (!this.fits(spans)) throw new RangeError(`no pages left of ${this.#size.count} for a batch`);
    for (const { slot, start, end } of spans) {
      this.#forget(slot, start, this.#size.rewind);
      for (const held of this.#held[slot]!) this.#extend(held, start, end);
    }
    if (this.#copies.length === 0 && this.#entries.length === 0) return undefined;
    const changes = { copies: Int32Array.from(this.#copies), entries: Int32Array.from(this.#entries) };
    this.#copies = [];
    this.#entries = [];
    return changes;
  }

  /** Whether a sequence still has what it needs to go on after `length` of its positions. */
  reaches(slot: number, length: number): boolean {
    return this.#held[slot]!.every(({ first, window }) => first <= firstSeen(length, window));
  }

  /** Gives back what a sequence has beyond its end. */
  settle(slot: number): void {
    const end = pagesFor(this.lengthOf(slot));
    for (const held of this.#held[slot]!) {
      for (; held.end > Math.max(end, held.first); held.end--) this.#release(held.table[held.end - 1]!);
    }
  }

  /** Gives back all that a sequence has. */
  release(slot: number): void {
    for (const held of this.#held[slot]!) {
      for (; held.end > held.first; held.end--) this.#release(held.table[held.end - 1]!);
      held.first = held.end = 0;
    }
  }

  /** Lets sequence `to` have what `from` has, instead of what it has. */
  share(from: number, to: number): void {
    if (from === to) return;
    this.release(to);
    this.settle(from);
    this.#held[from]!.forEach(({ table, first, end }, kind) => {
      const target = this.#held[to]![kind]!;
      target.first = target.end = first;
      while (target.end < end) {
        const page = table[target.end]!;
        this.#holders[page]!++;
        this.#put(target, page);
      }
    });
  }

  /** Pages that a span would take. */
  #needed({ slot, start, end }: Span): number {
    return this.#held[slot]!.reduce((sum, held) => {
      for (let place = Math.floor(start / PAGE_POSITIONS); place < pagesFor(end); place++) {
        if (!this.#owns(held, place)) sum++;
      }
      return sum;
    }, 0);
  }

  /** Whether a sequence has a page that nobody else has. */
  #owns({ table, first, end }: Held, place: number): boolean {
    return place >= first && place < end && this.#holders[table[place]!] === 1;
  }

  /** Gives back pages that lie wholly behind what a sequence of `length` positions sees. */
  #forget(slot: number, length: number, rewind: number): void {
    for (const held of this.#held[slot]!) {
      const seen = Math.min(firstSeen(length - rewind, held.window), held.end);
      for (; held.first < seen; held.first++) this.#release(held.table[held.first]!);
    }
  }

  /** Makes every page of a span the sequence's own. */
  #extend(held: Held, start: number, end: number): void {
    const first = Math.floor(start / PAGE_POSITIONS), all = pagesFor(end);
    for (; held.end > all; held.end--) this.#release(held.table[held.end - 1]!);
    if (held.first === held.end) held.first = held.end = first;
    for (let place = first; place < all; place++) {
      if (this.#owns(held, place)) continue;
      const page = this.#free.pop()!;
      this.#holders[page] = 1;
      if (place < held.end) {
        const before = held.table[place]!;
        // Only the first one holds what is seen later.
        if (place * PAGE_POSITIONS < start) this.#copies.push(before, page);
        this.#release(before);
        held.table[place] = page;
        this.#entries.push(held.offset + place, page);
      } else this.#put(held, page);
    }
  }

  /** Adds a page at the end of what a sequence has. */
  #put(held: Held, page: number): void {
    held.table[held.end] = page;
    this.#entries.push(held.offset + held.end, page);
    held.end++;
  }

  #release(page: number): void {
    if (--this.#holders[page]! === 0) this.#free.push(page);
  }
}

/** Place of the first page that a token at position `length` sees. */
function firstSeen(length: number, window: number): number {
  return Math.floor(Math.max(0, length - window + 1) / PAGE_POSITIONS);
}
