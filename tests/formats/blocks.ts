/** The inputs of tests/goldens/quant/blocks.safetensors; the same as tests/goldens/quant/generator.py makes. */
import { BLOCK } from "../../src/formats/format.ts";
import { mix } from "./seeded.ts";

const SEED = 20260;
/** Blocks in all; block b is of family b % 16, see the generator's list. */
export const BLOCKS = 1 << 17;
/** Families of blocks. */
export const FAMILIES = 16;

/** Blocks of the second set, all of whose maxima are at or beside a significand of 1.5. */
export const HALVES = 4096;

const EDGES = [0x600000, 0x700000, 0x780000], HALF_EDGES = [0x400000];
const bits = new Uint32Array(1);
const float = new Float32Array(bits.buffer);

function bitsOf(value: number): number {
  float[0] = value;
  return bits[0]!;
}

/** float32 bits of block b, as one of a family; block maxima of families 5 and 6 are at the edges. */
function block(b: number, family: number, edges: readonly number[], out: Uint32Array): void {
  const [p0, p1, p2, p3] = [0, 1, 2, 3].map((j) => mix(SEED, b * 64 + 32 + j)) as [number, number, number, number];
  const middle = 107 + p0 % 41;
  const edge = edges[p2 % edges.length]!, beside = Math.floor(p2 / 3) % 3;
  const field = (exponent: number) => exponent << 23;
  for (let i = 0; i < BLOCK; i++) {
    const h = mix(SEED, b * 64 + i);
    const sign = h & 0x80000000, m23 = h & 0x7fffff, m7 = h & 0x7f0000, k = (h >>> 23) & 0xff;
    const chosen = i === (p1 & 31);
    const near = sign | field(middle - k % 12);
    const n = (h >>> 8) % 513 - 256;
    const tie = bitsOf(n * 2 ** (middle - 133));
    switch (family) {
      case 0:
        out[i] = near | m7;
        break;
      case 1:
        out[i] = near | m23;
        break;
      case 2:
        out[i] = h & 0xffff0000;
        break;
      case 3:
        out[i] = k % 8 === 0 ? sign | field(middle) | m7 : sign;
        break;
      case 4:
        out[i] = sign | field(k % (1 + p3 % 6)) | m23;
        break;
      case 5:
        out[i] = chosen ? sign | (field(middle) + edge + beside - 1) : sign | field(middle - 1 - k % 10) | m23;
        break;
      case 6:
        out[i] = chosen
          ? sign | (field(middle) + edge + (beside - 1) * 0x10000)
          : sign | field(middle - 1 - k % 10) | m7;
        break;
      case 7:
        out[i] = tie;
        break;
      case 8:
        out[i] = n === 0 ? tie : tie + k % 3 - 1;
        break;
      case 9:
        out[i] = chosen ? sign | 0x7f800000 : near | m7;
        break;
      case 10:
        out[i] = chosen ? sign | 0x7fc00000 : near | m7;
        break;
      case 11:
        out[i] = sign | field(254 - k % 8) | m23;
        break;
      case 12:
        out[i] = sign | field(chosen ? 254 : middle) | m7;
        break;
      case 13:
        out[i] = sign | field(chosen ? middle + 20 : middle - k % 4) | m23;
        break;
      case 14:
        out[i] = bitsOf(((h & 255) + (h >>> 8 & 255) + (h >>> 16 & 255) + (h >>> 24) - 510) * 2 ** (middle - 135));
        break;
      case 15:
        out[i] = sign | field(middle) | (p3 & 0x7f0000);
        break;
    }
  }
}

/** All blocks as float32 bits, [BLOCKS, 32]. */
export function blocks(): Uint32Array<ArrayBuffer> {
  const all = new Uint32Array(BLOCKS * BLOCK);
  for (let b = 0; b < BLOCKS; b++) block(b, b % FAMILIES, EDGES, all.subarray(b * BLOCK, (b + 1) * BLOCK));
  return all;
}

/** The second set as float32 bits, [HALVES, 32]; its blocks are numbered on from the first set's. */
export function halves(): Uint32Array<ArrayBuffer> {
  const all = new Uint32Array(HALVES * BLOCK);
  for (let i = 0; i < HALVES; i++) {
    block(BLOCKS + i, 5 + i % 2, HALF_EDGES, all.subarray(i * BLOCK, (i + 1) * BLOCK));
  }
  return all;
}

/** Blocks that make a token's row. */
export const TOKEN_BLOCKS = 10;

/** Rows of ten blocks of one family, family by family; blocks that are left over are dropped. */
export function tokenRows(all: Float32Array): Float32Array[] {
  const rows: Float32Array[] = [];
  const perFamily = Math.floor(BLOCKS / FAMILIES / TOKEN_BLOCKS);
  for (let family = 0; family < FAMILIES; family++) {
    for (let r = 0; r < perFamily; r++) {
      const row = new Float32Array(TOKEN_BLOCKS * BLOCK);
      for (let j = 0; j < TOKEN_BLOCKS; j++) {
        const b = (r * TOKEN_BLOCKS + j) * FAMILIES + family;
        row.set(all.subarray(b * BLOCK, (b + 1) * BLOCK), j * BLOCK);
      }
      rows.push(row);
    }
  }
  return rows;
}

/** float32 bits with one zero and one NaN: what the goldens' hashes are taken of. */
export function canonical(values: Float32Array): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(values.slice().buffer);
  for (let i = 0; i < words.length; i++) {
    if (values[i] === 0) words[i] = 0;
    else if (values[i] !== values[i]) words[i] = 0x7fc00000;
  }
  return words;
}

/** SHA-256 of little-endian words, as a golden stores it. */
export async function sha256(words: Uint32Array<ArrayBuffer>): Promise<number[]> {
  return [...new Uint8Array(await crypto.subtle.digest("SHA-256", words))];
}
