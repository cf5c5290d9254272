/**
 * What of the data comes more than once. It goes as it went before, so that intervals and tests, which take problems
 * and texts for independent, are too sure of it.
 */
import { BLOCK } from "./intervals.ts";

/** How many come with what others came with before. */
export function repeatedAmong(all: readonly string[]): number {
  return all.length - new Set(all).size;
}

/** Part of the tokens that stand in {@linkcode BLOCK} in a row which came before. */
export function repeatedShare(ids: Int32Array): number {
  if (ids.length < BLOCK) return 0;
  const seen = new Seen(ids.length), first = new RollingHash(0x01000193), second = new RollingHash(0x2c1b3c6d);
  let repeated = 0, counted = 0;
  for (let end = 0; end < ids.length; end++) {
    const leaving = end < BLOCK ? null : ids[end - BLOCK]!;
    // 53 bits, which a number holds: two of a million windows are as good as never taken for equal.
    const key = first.move(ids[end]!, leaving) * 2 ** 21 + (second.move(ids[end]!, leaving) >>> 11);
    if (end < BLOCK - 1) continue;
    if (seen.add(key)) continue;
    repeated += end + 1 - Math.max(counted, end + 1 - BLOCK);
    counted = end + 1;
  }
  return repeated / ids.length;
}

/** Keys that came before. A `Set` throws at 2^24 of them. */
class Seen {
  /** Each key in the first place from its own on that was free; -1: free. */
  readonly #places: Float64Array;

  /** @param most How many keys may come. */
  constructor(most: number) {
    this.#places = new Float64Array(2 ** Math.ceil(Math.log2(1.5 * most))).fill(-1);
  }

  /** Adds a key, a whole number from 0 to 2^53. @returns Whether it is new. */
  add(key: number): boolean {
    const { length } = this.#places;
    for (let at = mixed(key) % length;; at = (at + 1) % length) {
      if (this.#places[at] === key) return false;
      if (this.#places[at] !== -1) continue;
      this.#places[at] = key;
      return true;
    }
  }
}

/** 32 bits that all bits of a key have a say in: keys of ids that go up by ones lie side by side. */
function mixed(key: number): number {
  let bits = key ^ Math.imul(key / 2 ** 32, 0x9e3779b1);
  bits = Math.imul(bits ^ bits >>> 16, 0x85ebca6b);
  bits = Math.imul(bits ^ bits >>> 13, 0xc2b2ae35);
  return (bits ^ bits >>> 16) >>> 0;
}

/** A hash of the last {@linkcode BLOCK} numbers, 32 bits: a polynomial. */
class RollingHash {
  readonly #oldest: number;
  #value = 0;

  constructor(readonly factor: number) {
    let power = 1;
    for (let i = 0; i < BLOCK; i++) power = Math.imul(power, factor);
    this.#oldest = power;
  }

  /** Takes the next number, and gives up the one that leaves the window. */
  move(next: number, leaving: number | null): number {
    // Ids are small and go up by ones: bits of each are spread first.
    const spread = (id: number) => Math.imul(id + 1, 0x9e3779b1);
    this.#value = Math.imul(this.#value, this.factor) + spread(next) | 0;
    if (leaving !== null) this.#value = this.#value - Math.imul(spread(leaving), this.#oldest) | 0;
    return this.#value >>> 0;
  }
}
