/** Random numbers that a seed decides, the same on every machine. */
import { printable, show } from "../describe.ts";
import { InputError } from "../errors.ts";

const SEED_LIMIT = 1n << 64n;

/**
 * Reads a seed.
 *
 * @throws {InputError} if it is no integer from 0 to 2^64 - 1.
 */
export function parseSeed(seed: number | bigint | string): bigint {
  const isSeed = typeof seed === "string"
    ? /^(?:\d+|0x[0-9a-f]+)$/i.test(seed)
    : typeof seed === "bigint" || Number.isSafeInteger(seed);
  const value = isSeed ? BigInt(seed) : -1n;
  if (value >= 0n && value < SEED_LIMIT) return value;
  const got = isSeed ? printable(String(seed)) : show(seed);
  const problem = `expected an integer from 0 to 18446744073709551615, got ${got}`;
  throw InputError.saying("wrong_value", { name: "seed" }, problem);
}

/**
 * Random numbers by xoshiro128** (Blackman and Vigna), whose 32-bit words need no big integers. Two outputs of
 * SplitMix64 on the seed are its state, low words first; all 2^64 seeds give different states, none of them zero.
 */
export class Random {
  readonly #state = new Uint32Array(4);

  /** @param seed 0 to 2^64 - 1. */
  constructor(seed: bigint) {
    let counter = seed;
    for (let i = 0; i < 4; i += 2) {
      counter = BigInt.asUintN(64, counter + 0x9e3779b97f4a7c15n);
      let z = counter;
      z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
      z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
      z ^= z >> 31n;
      this.#state[i] = Number(z & 0xffffffffn);
      this.#state[i + 1] = Number(z >> 32n);
    }
  }

  /** The next 32 bits. */
  word(): number {
    const s = this.#state;
    const scrambled = Math.imul(rotate(Math.imul(s[1]!, 5), 7), 9) >>> 0;
    const t = s[1]! << 9;
    s[2]! ^= s[0]!;
    s[3]! ^= s[1]!;
    s[1]! ^= s[2]!;
    s[0]! ^= s[3]!;
    s[2]! ^= t;
    s[3] = rotate(s[3]!, 11);
    return scrambled;
  }

  /** A multiple of 2^-24 in [0, 1), uniformly: the upper bits of a word. */
  fraction(): number {
    return (this.word() >>> 8) * 2 ** -24;
  }

  /** Another source of the numbers that come next. */
  clone(): Random {
    const other = new Random(0n);
    other.#state.set(this.#state);
    return other;
  }
}

function rotate(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}
