/** The entries of a byte-level vocabulary as bytes, found by id and by bytes: in arrays, as there are 200,000. */

/** Entries one after the other. */
export interface PackedPieces {
  readonly bytes: Uint8Array;
  /** By id: where an entry's bytes begin and end; a beginning of -1: no such id. */
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  /** The table of {@linkcode Pieces} without hidden ids, if it is known; no two entries have the same bytes then. */
  readonly table?: Int32Array;
}

/** Places of the table of so many ids: a power of two. */
export function tablePlaces(count: number): number {
  return 2 ** Math.ceil(Math.log2(2 * count + 2));
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
  readonly #hidden: ReadonlySet<number>;
  /** Ids by the hash of their bytes, in a table with room for twice as many. */
  readonly #table: Int32Array;
  /** -1: not looked for yet. */
  #longest = -1;

  /** @param hidden Ids that {@linkcode find} must not give. */
  constructor({ bytes, starts, ends, table }: PackedPieces, hidden: ReadonlySet<number> = new Set()) {
    this.count = starts.length;
    this.#hidden = hidden;
    this.#bytes = bytes;
    this.#starts = starts;
    this.#ends = ends;
    if (table !== undefined && hidden.size === 0) {
      this.#table = table;
      return;
    }
    this.#table = new Int32Array(tablePlaces(this.count)).fill(NONE);
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

  /**
   * Copies an entry's bytes into `target` from `at` on.
   *
   * @returns Where they end; beyond the target where it has no room for them, and then nothing is copied.
   */
  copyTo(id: number, target: Uint8Array, at: number): number {
    const start = this.#starts[id]!, length = this.#ends[id]! - start, end = at + length;
    // A loop costs a third of what a view of so few bytes does.
    if (end <= target.length) { for (let i = 0; i < length; i++) target[at + i] = this.#bytes[start + i]!; }
    return end;
  }

  /** Number of an entry's bytes; 0 where there is none. */
  byteLength(id: number): number {
    return this.has(id) ? this.#ends[id]! - this.#starts[id]! : 0;
  }

  /** Number of the longest entry's bytes; 0 where there is none. */
  longest(): number {
    if (this.#longest < 0) {
      for (let id = 0; id < this.count; id++) this.#longest = Math.max(this.#longest, this.byteLength(id));
    }
    return this.#longest;
  }

  /** The entry of these bytes, or of some of them, or -1. */
  find(bytes: Uint8Array, from = 0, to = bytes.length): number {
    return this.#search(hash(bytes, from, to, SEED), bytes, from, to, 0, 0);
  }

  /** Whether an id is that which {@linkcode findJoined} gives, where no two entries have the same bytes. */
  isJoined(id: number, left: number, right: number): boolean {
    if (!this.has(id) || this.#hidden.has(id)) return false;
    const bytes = this.#bytes, starts = this.#starts, ends = this.#ends;
    const a = starts[left]!, aEnd = ends[left]!, b = starts[right]!, bEnd = ends[right]!;
    let at = starts[id]!;
    if (ends[id]! - at !== aEnd - a + bEnd - b) return false;
    for (let i = a; i < aEnd; i++) if (bytes[at++] !== bytes[i]) return false;
    for (let i = b; i < bEnd; i++) if (bytes[at++] !== bytes[i]) return false;
    return true;
  }

  /** The entry of the bytes of two entries, or -1. */
  findJoined(left: number, right: number): number {
    const bytes = this.#bytes, a = this.#starts[left]!, b = this.#starts[right]!;
    const aEnd = this.#ends[left]!, bEnd = this.#ends[right]!;
    return this.#search(hash(bytes, b, bEnd, hash(bytes, a, aEnd, SEED)), bytes, a, aEnd, b, bEnd);
  }

  /** The entry of the bytes from `a` to `aEnd` and then from `b` to `bEnd`, whose hash is known. */
  #search(key: number, bytes: Uint8Array, a: number, aEnd: number, b: number, bEnd: number): number {
    const table = this.#table, starts = this.#starts, ends = this.#ends, own = this.#bytes;
    const mask = table.length - 1, length = aEnd - a + bEnd - b;
    for (let at = place(key, mask);; at = at + 1 & mask) {
      const id = table[at]!;
      if (id === NONE) return NONE;
      let entry = starts[id]!;
      if (ends[id]! - entry !== length) continue;
      let i = a;
      while (i < aEnd && own[entry] === bytes[i]) i++, entry++;
      if (i < aEnd) continue;
      i = b;
      while (i < bEnd && own[entry] === bytes[i]) i++, entry++;
      if (i === bEnd) return id;
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
