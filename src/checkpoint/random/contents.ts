/** Bytes of random weights that are made when they are read: a file that is nowhere. */
import { writtenBytes, type WrittenDtype } from "../write_safetensors.ts";
import type { Fill, RandomTensor } from "./layouts.ts";
import { Pools } from "./pools.ts";

/** What a file of random weights holds; data, so that it can be sent to other threads. */
export interface RandomContents {
  readonly seed: number;
  /** Side by side, from offset 0. */
  readonly tensors: readonly RandomRange[];
}

/** One tensor's bytes. */
export interface RandomRange {
  readonly offset: number;
  readonly bytes: number;
  readonly fill: Fill;
  readonly dtype: WrittenDtype;
}

/** Bytes of each pool that numbers come from: small enough to stay in a core's cache while gigabytes are made. */
const POOL_BYTES = 1 << 20;

/** Tensors are laid on borders of so many bytes, as writers of checkpoints do. */
const ALIGNMENT = 64;

/** Lays tensors side by side. */
export function randomContents(tensors: readonly RandomTensor[], seed: number): RandomContents {
  let end = 0;
  const ranges = tensors.map((tensor): RandomRange => {
    const offset = Math.ceil(end / ALIGNMENT) * ALIGNMENT, bytes = writtenBytes(tensor);
    end = offset + bytes;
    return { offset, bytes, fill: tensor.fill, dtype: tensor.dtype };
  });
  return { seed, tensors: ranges };
}

/** Bytes of such a file. */
export function randomFileBytes({ tensors }: RandomContents): number {
  const last = tensors.at(-1);
  return last === undefined ? 0 : last.offset + last.bytes;
}

/** The pools of contents that are being read. */
const pools = new WeakMap<RandomContents, Pools>();

/**
 * Fills `into` with the bytes from an offset on: the same for the same seed, however they are asked for. Between
 * tensors lie zeros.
 */
export function readRandom(contents: RandomContents, offset: number, into: Uint8Array): void {
  const { seed, tensors } = contents;
  let pool = pools.get(contents);
  if (pool === undefined) pools.set(contents, pool = new Pools(seed, POOL_BYTES));
  let index = firstEndingAfter(tensors, offset);
  for (let at = 0; at < into.length;) {
    const tensor = tensors[index], position = offset + at;
    if (tensor === undefined || tensor.offset > position) {
      const gap = Math.min(into.length, (tensor?.offset ?? Infinity) - offset);
      into.fill(0, at, gap);
      at = gap;
      continue;
    }
    const inside = position - tensor.offset;
    if (inside >= tensor.bytes) {
      index++;
      continue;
    }
    const piece = pool.piece(tensor.fill, tensor.dtype, index, Math.floor(inside / pool.pieceBytes));
    const from = inside % pool.pieceBytes;
    const length = Math.min(into.length - at, tensor.bytes - inside, pool.pieceBytes - from);
    into.set(piece.subarray(from, from + length), at);
    at += length;
  }
}

/** Index of the first tensor that ends after an offset. */
function firstEndingAfter(tensors: readonly RandomRange[], offset: number): number {
  let low = 0, high = tensors.length;
  while (low < high) {
    const middle = (low + high) >> 1, { offset: start, bytes } = tensors[middle]!;
    if (start + bytes <= offset) low = middle + 1;
    else high = middle;
  }
  return low;
}
