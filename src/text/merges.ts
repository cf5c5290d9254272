/** Which neighbours byte-pair encoding joins, and in which order: as ranks of entries, or as a list of pairs. */
import type { Pieces } from "./pieces.ts";

/** Merges by the ids of their parts. */
export interface Merges {
  /** The order of a merge among all, the first to be made the lowest; -1 where these two are not joined. */
  rank(left: number, right: number): number;
  /** Id of what a merge makes. */
  result(rank: number): number;
}

/** Joins whatever makes an entry, the entry with the lowest id first, as OpenAI's vocabularies are meant. */
export class RankMerges implements Merges {
  constructor(readonly pieces: Pieces) {}

  rank(left: number, right: number): number {
    return this.pieces.findJoined(left, right);
  }

  result(rank: number): number {
    return rank;
  }
}

/** Ids are below this, so that a pair is one number. */
const MOST_IDS = 2 ** 22;

/** The merges of a list, in a table by their parts. */
export class PairMerges implements Merges {
  /** `left * MOST_IDS + right`, or -1. */
  readonly #keys: Float64Array;
  readonly #ranks: Int32Array;
  readonly #results: Int32Array;

  private constructor(count: number) {
    const size = 2 ** Math.ceil(Math.log2(2 * count + 2));
    this.#keys = new Float64Array(size).fill(-1);
    this.#ranks = new Int32Array(size);
    this.#results = new Int32Array(count);
  }

  /**
   * The merges in the order of the list, of which the latest counts where one stands there twice; null where a part or
   * a result is no entry.
   *
   * @param count How many.
   * @param parts The parts of a merge, ids or -1.
   */
  static of(pieces: Pieces, count: number, parts: (merge: number) => readonly [number, number]): PairMerges | null {
    const merges = new PairMerges(count);
    for (let rank = 0; rank < count; rank++) {
      const [left, right] = parts(rank);
      if (left < 0 || right < 0) return null;
      const result = pieces.findJoined(left, right);
      if (result < 0) return null;
      merges.#results[rank] = result;
      const key = left * MOST_IDS + right, at = merges.#place(key, left, right);
      merges.#keys[at] = key;
      merges.#ranks[at] = rank;
    }
    return merges;
  }

  rank(left: number, right: number): number {
    const key = left * MOST_IDS + right, at = this.#place(key, left, right);
    return this.#keys[at] === key ? this.#ranks[at]! : -1;
  }

  result(rank: number): number {
    return this.#results[rank]!;
  }

  /** Where the key of two parts stands, or would. */
  #place(key: number, left: number, right: number): number {
    const mask = this.#keys.length - 1;
    let at = Math.imul(Math.imul(left, 0x9e3779b1) ^ right, 0x85ebca6b) >>> 7 & mask;
    while (this.#keys[at] !== key && this.#keys[at] !== -1) at = at + 1 & mask;
    return at;
  }
}
