/** Byte-pair encoding of words over a vocabulary of bytes. */
import { atOnce, type Work } from "../breath.ts";
import type { Merges } from "./merges.ts";
import type { Pieces } from "./pieces.ts";

/** Words that are kept with their ids: texts repeat most of theirs. */
const KEPT_WORDS = 10_000;
/** Characters of the longest word that is kept. */
const KEPT_LENGTH = 64;
/** Merges after which the encoding of a long word may pause. */
const MERGES = 4096;

/** Neighbours that may be joined. */
interface Candidate {
  readonly rank: number;
  /** Symbols of the word, by the number of their first byte, and what they were. */
  readonly at: number;
  readonly left: number;
  readonly next: number;
  readonly right: number;
}

/** Encodes words. */
export class BytePairs {
  readonly #kept = new Map<string, readonly number[]>();
  /** Ids of the single bytes. */
  readonly #single: Int32Array;

  /**
   * @param pieces The vocabulary; each single byte has an entry.
   * @param wholeFirst Whether a word that has an entry is that entry, whatever its merges lead to.
   */
  constructor(readonly pieces: Pieces, readonly merges: Merges, readonly wholeFirst: boolean) {
    this.#single = Int32Array.from({ length: 256 }, (_, byte) => pieces.find(Uint8Array.of(byte)));
  }

  /**
   * Ids of a word.
   *
   * @param word As text, by which it is found again.
   * @param bytes Its bytes.
   */
  encode(word: string, bytes: (word: string) => Uint8Array): readonly number[] {
    return atOnce(this.steps(word, bytes));
  }

  /** The same, with pauses where a word is long: what is given in the end are its ids. */
  *steps(word: string, bytes: (word: string) => Uint8Array): Work<readonly number[]> {
    const known = this.#kept.get(word);
    if (known !== undefined) return known;
    const ids = yield* this.#encode(bytes(word));
    if (word.length <= KEPT_LENGTH) {
      if (this.#kept.size >= KEPT_WORDS) this.#kept.clear();
      this.#kept.set(word, ids);
    }
    return ids;
  }

  *#encode(bytes: Uint8Array): Work<number[]> {
    const whole = this.wholeFirst ? this.pieces.find(bytes) : -1;
    if (whole >= 0) return [whole];
    const { length } = bytes, ids = Int32Array.from(bytes, (byte) => this.#single[byte]!);
    const next = Int32Array.from(ids, (_, i) => i + 1), previous = Int32Array.from(ids, (_, i) => i - 1);
    const queue = new Queue();
    const offer = (at: number) => {
      const after = at < 0 ? length : next[at]!;
      if (after >= length) return;
      const left = ids[at]!, right = ids[after]!, rank = this.merges.rank(left, right);
      if (rank >= 0) queue.push({ rank, at, left, next: after, right });
    };
    for (let at = 0; at + 1 < length; at++) {
      offer(at);
      if (at % MERGES === MERGES - 1) yield;
    }
    let popped = 0;
    for (let best = queue.pop(); best !== undefined; best = queue.pop()) {
      if (++popped % MERGES === 0) yield;
      const { rank, at, left, next: after, right } = best;
      // What was joined meanwhile has another id, or none.
      if (ids[at] !== left || ids[after] !== right) continue;
      ids[at] = this.merges.result(rank);
      ids[after] = -1;
      next[at] = next[after]!;
      if (next[at]! < length) previous[next[at]!] = at;
      offer(previous[at]!);
      offer(at);
    }
    const found: number[] = [];
    for (let at = 0; at < length; at = next[at]!) found.push(ids[at]!);
    return found;
  }
}

/** Whether one merge is made before another: of equal results that with the earlier left part, then the leftmost. */
function isBefore(a: Candidate, b: Candidate): boolean {
  return a.rank !== b.rank ? a.rank < b.rank : a.left !== b.left ? a.left < b.left : a.at < b.at;
}

/** A binary heap: a word may be as long as a text. */
class Queue {
  readonly #heap: Candidate[] = [];

  push(candidate: Candidate): void {
    const heap = this.#heap;
    let at = heap.length;
    while (at > 0) {
      const parent = at - 1 >> 1;
      if (!isBefore(candidate, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = candidate;
  }

  pop(): Candidate | undefined {
    const heap = this.#heap, first = heap[0], last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    while (true) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}
