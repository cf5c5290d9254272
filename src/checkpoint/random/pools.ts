/** The numbers of random checkpoints: one pool for each kind, of which pieces are handed out. */
import type { WrittenDtype } from "../write_safetensors.ts";
import type { Fill } from "./layouts.ts";

/** Random numbers, made once for each kind and handed out piece by piece. */
export class Pools {
  readonly #pools = new Map<string, Uint8Array>();
  readonly #poolBytes: number;
  readonly #pieceBytes: number;
  readonly #seed: number;
  #state: number;

  /** @param poolBytes Bytes of each pool: enough that repetitions are far apart, few enough to stay in a cache. */
  constructor(seed: number, poolBytes: number) {
    this.#poolBytes = poolBytes;
    this.#pieceBytes = poolBytes / 4;
    this.#state = this.#seed = seed >>> 0;
  }

  /** Bytes of a piece. */
  get pieceBytes(): number {
    return this.#pieceBytes;
  }

  /** One piece of a tensor, which is the same whenever it is asked for. */
  piece(fill: Fill, dtype: WrittenDtype, tensor: number, piece: number): Uint8Array {
    const pool = this.#pools.get(kindOf(fill, dtype)) ?? this.#poolOfItsOwn(fill, dtype);
    const random = mixed(this.#seed + Math.imul(tensor, 0x9e3779b1) + Math.imul(piece, 0x85ebca6b) | 0);
    const start = Math.floor(random / 2 ** 32 * (this.#poolBytes - this.#pieceBytes) / 64) * 64;
    return pool.subarray(start, start + this.#pieceBytes);
  }

  /** Pieces of `bytes` bytes in all. */
  *fill(fill: Fill, dtype: WrittenDtype, bytes: number): Generator<Uint8Array> {
    const pool = this.#pool(fill, dtype);
    for (let at = 0; at < bytes; at += this.#pieceBytes) {
      const length = Math.min(this.#pieceBytes, bytes - at);
      const start = Math.floor(this.#next() / 2 ** 32 * (this.#poolBytes - this.#pieceBytes) / 64) * 64;
      yield pool.subarray(start, start + length);
    }
  }

  /** A pool whose numbers do not depend on what was asked for before. */
  #poolOfItsOwn(fill: Fill, dtype: WrittenDtype): Uint8Array {
    const kind = kindOf(fill, dtype);
    this.#state = Array.from(kind).reduce((state, char) => mixed(state + char.charCodeAt(0) | 0) | 0, this.#seed);
    return this.#pool(fill, dtype);
  }

  #pool(fill: Fill, dtype: WrittenDtype): Uint8Array {
    const key = kindOf(fill, dtype);
    let pool = this.#pools.get(key);
    if (pool === undefined) this.#pools.set(key, pool = this.#make(fill, dtype));
    return pool;
  }

  #make(fill: Fill, dtype: WrittenDtype): Uint8Array {
    const pool = new Uint8Array(this.#poolBytes);
    const words = new Uint32Array(pool.buffer);
    for (let i = 0; i < words.length; i++) words[i] = this.#next();
    switch (fill) {
      case "codes":
        break;
      case "norm":
        new Uint16Array(pool.buffer).fill(0x3f80);
        break;
      case "weight":
      case "bias": {
        // bf16: any sign and mantissa, exponents of 2^-8 to 2^-5.
        const halves = new Uint16Array(pool.buffer);
        for (let i = 0; i < halves.length; i++) halves[i] = (halves[i]! & 0x81ff) + (119 << 7);
        break;
      }
      case "e8m0":
        for (let i = 0; i < pool.length; i++) pool[i] = 119 + (pool[i]! & 3);
        break;
      case "fp8":
        // Magnitudes below 0x40, that is up to 1.875: no NaN.
        for (let i = 0; i < pool.length; i++) pool[i] = pool[i]! & 0xbf;
        break;
      case "scale":
        return this.#scales(dtype);
    }
    return pool;
  }

  /** Positive scales of 2^-6 to 2^-5, exact in every dtype. */
  #scales(dtype: WrittenDtype): Uint8Array {
    const values = Float32Array.from({ length: 1 << 14 }, () => 2 ** -6 * (1 + (this.#next() >>> 25) / 128));
    const bytes = dtype === "F16"
      ? new Uint8Array(Float16Array.from(values).buffer)
      : dtype === "BF16"
      ? new Uint8Array(Uint16Array.from(new Uint32Array(values.buffer), (bits) => bits >>> 16).buffer)
      : new Uint8Array(values.buffer);
    const pool = new Uint8Array(this.#poolBytes);
    for (let at = 0; at < pool.length; at += bytes.length) pool.set(bytes, at);
    return pool;
  }

  /** Mulberry32: 32 random bits. */
  #next(): number {
    return mixed(this.#state = this.#state + 0x6d2b79f5 | 0);
  }
}

const kindOf = (fill: Fill, dtype: WrittenDtype): string => `${fill} ${dtype}`;

/** 32 bits that depend on all bits of an integer. */
function mixed(state: number): number {
  let t = Math.imul(state ^ state >>> 15, 1 | state);
  t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
  return (t ^ t >>> 14) >>> 0;
}
