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

/** No merge. */
const NONE = -1;

/** Merges in the order of their list, as {@linkcode PairMerges} finds them. */
export interface MergeLists {
  /** By the id of a result: the latest of its merges. */
  readonly latest: Int32Array;
  /** By merge: the one before it with the same result. */
  readonly earlier: Int32Array;
  /** By merge: ids of its left part, and of its result. */
  readonly lefts: Int32Array;
  readonly results: Int32Array;
}

/**
 * The merges of a list. What is joined and where it is cut says which merge it is, so they are found by their result:
 * that is an entry, which the vocabulary finds, and has few merges.
 */
export class PairMerges implements Merges {
  readonly #pieces: Pieces;
  readonly #latest: Int32Array;
  readonly #earlier: Int32Array;
  readonly #lefts: Int32Array;
  readonly #results: Int32Array;

  /** @param lists Merges of these entries. */
  constructor(pieces: Pieces, { latest, earlier, lefts, results }: MergeLists) {
    this.#pieces = pieces;
    this.#latest = latest;
    this.#earlier = earlier;
    this.#lefts = lefts;
    this.#results = results;
  }

  /**
   * The merges in the order of the list, of which the latest counts where one stands there twice; null where a part or
   * a result is no entry.
   *
   * @param pieces No two entries have the same bytes.
   * @param count How many.
   * @param parts The parts of a merge, ids or -1.
   */
  static of(pieces: Pieces, count: number, parts: (merge: number) => readonly [number, number]): PairMerges | null {
    const latest = new Int32Array(pieces.count).fill(NONE), list = () => new Int32Array(count);
    const merges = new PairMerges(pieces, { latest, earlier: list(), lefts: list(), results: list() });
    let result = NONE;
    for (let rank = 0; rank < count; rank++) {
      const [left, right] = parts(rank);
      if (left < 0 || right < 0) return null;
      // Lists name the results in the order of their ids, each as often as it can be cut.
      if (!pieces.isJoined(result, left, right) && !pieces.isJoined(++result, left, right)) {
        result = pieces.findJoined(left, right);
        if (result < 0) return null;
      }
      merges.#add(rank, left, result);
    }
    return merges;
  }

  #add(rank: number, left: number, result: number): void {
    const latest = this.#latest, earlier = this.#earlier, lefts = this.#lefts;
    for (let at = latest[result]!, after = NONE; at !== NONE; after = at, at = earlier[at]!) {
      if (lefts[at] !== left) continue;
      if (after === NONE) latest[result] = earlier[at]!;
      else earlier[after] = earlier[at]!;
      break;
    }
    earlier[rank] = latest[result]!;
    latest[result] = rank;
    lefts[rank] = left;
    this.#results[rank] = result;
  }

  rank(left: number, right: number): number {
    const result = this.#pieces.findJoined(left, right);
    if (result < 0) return NONE;
    let at = this.#latest[result]!;
    while (at !== NONE && this.#lefts[at] !== left) at = this.#earlier[at]!;
    return at;
  }

  result(rank: number): number {
    return this.#results[rank]!;
  }
}
