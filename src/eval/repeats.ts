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
  const seen = new Set<number>(), first = new RollingHash(0x01000193), second = new RollingHash(0x2c1b3c6d);
  let repeated = 0, counted = 0;
  for (let end = 0; end < ids.length; end++) {
    const leaving = end < BLOCK ? null : ids[end - BLOCK]!;
    // 53 bits, which a number holds: two of a million windows are as good as never taken for equal.
    const key = first.move(ids[end]!, leaving) * 2 ** 21 + (second.move(ids[end]!, leaving) >>> 11);
    if (end < BLOCK - 1) continue;
    const before = seen.size;
    if (seen.add(key).size > before) continue;
    repeated += end + 1 - Math.max(counted, end + 1 - BLOCK);
    counted = end + 1;
  }
  return repeated / ids.length;
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
