/** The entries of a byte-level vocabulary as bytes, found by id and by bytes: in arrays, as there are 200,000. */

/** Entries one after the other. */
export interface PackedPieces {
  readonly bytes: Uint8Array;
  /** By id: where an entry's bytes begin and end; a beginning of -1: no such id. */
  readonly starts: Int32Array;
  readonly ends: Int32Array;
}

/** No entry of that id, or no such entry. */
const NONE = -1;

/** Packs entries; undefined stands for ids without one. */
export function pack(pieces: ArrayLike<Uint8Array | undefined>): PackedPieces {
  let length = 0;
  for (let id = 0; id < pieces.length; id++) length += pieces[id]?.length ?? 0;
  const bytes = new Uint8Array(length), starts = new Int32Array(pieces.length).fill(NONE), ends = starts.slice();
  let end = 0;
  for (let id = 0; id < pieces.length; id++) {
    const piece = pieces[id];
    if (piece === undefined) continue;
    bytes.set(piece, end);
    starts[id] = end;
    ends[id] = end += piece.length;
  }
  return { bytes, starts, ends };
}

/** A vocabulary. */
export class Pieces {
  /** One more than the highest id. */
  readonly count: number;
  readonly #bytes: Uint8Array;
  readonly #starts: Int32Array;
  readonly #ends: Int32Array;
  /** Ids by the hash of their bytes, in a table with room for twice as many. */
  readonly #table: Int32Array;

  /** @param hidden Ids that {@linkcode find} must not give. */
  constructor({ bytes, starts, ends }: PackedPieces, hidden: ReadonlySet<number> = new Set()) {
    this.count = starts.length;
    this.#bytes = bytes;
    this.#starts = starts;
    this.#ends = ends;
    this.#table = new Int32Array(2 ** Math.ceil(Math.log2(2 * this.count + 2))).fill(NONE);
    for (let id = 0; id < this.count; id++) if (starts[id] !== NONE && !hidden.has(id)) this.#insert(id);
  }

  /** Whether an id has an entry. */
  has(id: number): boolean {
    return id >= 0 && id < this.count && this.#starts[id] !== NONE;
  }

  /** A copy of an entry's bytes. */
  bytes(id: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#bytes.subarray(this.#starts[id], this.#ends[id]));
  }

  /** Number of an entry's bytes; 0 where there is none. */
  byteLength(id: number): number {
    return this.has(id) ? this.#ends[id]! - this.#starts[id]! : 0;
  }

  /** The entry of these bytes, or of some of them, or -1. */
  find(bytes: Uint8Array, from = 0, to = bytes.length): number {
    return this.#search(hash(bytes, from, to, SEED), to - from, (start) => {
      for (let i = from; i < to; i++) if (this.#bytes[start + i - from] !== bytes[i]) return false;
      return true;
    });
  }

  /** The entry of the bytes of two entries, or -1. */
  findJoined(left: number, right: number): number {
    const bytes = this.#bytes, a = this.#starts[left]!, b = this.#starts[right]!;
    const middle = this.#ends[left]! - a, length = middle + this.#ends[right]! - b;
    const key = hash(bytes, b, this.#ends[right]!, hash(bytes, a, this.#ends[left]!, SEED));
    return this.#search(key, length, (start) => {
      for (let i = 0; i < middle; i++) if (bytes[start + i] !== bytes[a + i]) return false;
      for (let i = middle; i < length; i++) if (bytes[start + i] !== bytes[b + i - middle]) return false;
      return true;
    });
  }

  #search(key: number, length: number, equals: (start: number) => boolean): number {
    const mask = this.#table.length - 1;
    for (let at = place(key, mask);; at = at + 1 & mask) {
      const id = this.#table[at]!;
      if (id === NONE) return NONE;
      const start = this.#starts[id]!;
      if (this.#ends[id]! - start === length && equals(start)) return id;
    }
  }

  #insert(id: number): void {
    const mask = this.#table.length - 1;
    let at = place(hash(this.#bytes, this.#starts[id]!, this.#ends[id]!, SEED), mask);
    while (this.#table[at] !== NONE) at = at + 1 & mask;
    this.#table[at] = id;
  }
}

/** FNV-1a, which can be continued: the hash of two texts one after the other. */
const SEED = 0x811c9dc5, PRIME = 0x01000193;

function hash(bytes: Uint8Array, from: number, to: number, seed: number): number {
  let key = seed;
  for (let i = from; i < to; i++) key = Math.imul(key ^ bytes[i]!, PRIME);
  return key;
}

/** Mixes the upper bits into the lower ones, which the table takes. */
const place = (key: number, mask: number): number => Math.imul(key ^ key >>> 15, 0x2c1b3c6d) >>> 3 & mask;
