/** The entries of a byte-level vocabulary as bytes, found by id and by bytes: in arrays, as there are 200,000. */

/** What a vocabulary is made of: the bytes of each entry, by id; undefined for ids without one. */
export type PieceBytes = ArrayLike<Uint8Array | undefined>;

/** No entry of that id, or no such entry. */
const NONE = -1;

/** A vocabulary. */
export class Pieces {
  /** One more than the highest id. */
  readonly count: number;
  readonly #bytes: Uint8Array;
  /** Where an entry's bytes begin and end; a beginning of {@linkcode NONE}: no such id. */
  readonly #starts: Int32Array;
  readonly #ends: Int32Array;
  /** Ids by the hash of their bytes, in a table with room for twice as many. */
  readonly #table: Int32Array;

  /** @param hidden Ids that {@linkcode find} must not give. */
  constructor(pieces: PieceBytes, hidden: ReadonlySet<number> = new Set()) {
    this.count = pieces.length;
    let length = 0;
    for (let id = 0; id < this.count; id++) length += pieces[id]?.length ?? 0;
    this.#bytes = new Uint8Array(length);
    this.#starts = new Int32Array(this.count).fill(NONE);
    this.#ends = new Int32Array(this.count).fill(NONE);
    this.#table = new Int32Array(2 ** Math.ceil(Math.log2(2 * this.count + 2))).fill(NONE);
    let end = 0;
    for (let id = 0; id < this.count; id++) {
      const piece = pieces[id];
      if (piece === undefined) continue;
      this.#bytes.set(piece, end);
      this.#starts[id] = end;
      this.#ends[id] = end += piece.length;
      if (!hidden.has(id)) this.#insert(id);
    }
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

  /** The entry of these bytes, or -1. */
  find(bytes: Uint8Array): number {
    return this.#search(hash(bytes, 0, bytes.length, SEED), bytes.length, (start) => {
      for (let i = 0; i < bytes.length; i++) if (this.#bytes[start + i] !== bytes[i]) return false;
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
