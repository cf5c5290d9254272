/** How the program's own files lie in the modules that are imported in their place; see own_files.ts. */
import { brotliDecompressSync } from "node:zlib";
import { fromBase85 } from "./base85.ts";

/** Several files as one module. */
export interface Pack {
  /** Bytes of each, by its path in the repository, in the order in which they stand in `bytes`. */
  readonly files: Readonly<Record<string, number>>;
  /** All of them, one after the other, compressed by brotli, in base85 (base85.ts). */
  readonly bytes: string;
  /**
   * Whether bytes at even places were put before those at odd ones: sign and exponent of bf16 numbers compress better
   * where nothing of the fractions lies between them.
   */
  readonly halved: boolean;
}

/** The files of a pack, by their paths. */
export function* unpack({ files, bytes, halved }: Pack): Generator<[path: string, bytes: Uint8Array<ArrayBuffer>]> {
  const plain: Uint8Array = brotliDecompressSync(fromBase85(bytes)),
    whole = halved ? fromHalves(plain) : plain;
  let at = 0;
  for (const [path, length] of Object.entries(files)) {
    yield [path, new Uint8Array(whole.buffer as ArrayBuffer, whole.byteOffset + at, length)];
    at += length;
  }
}

/** Bytes at even places first, then the others. */
export function halves(whole: Uint8Array): Uint8Array {
  const result = new Uint8Array(whole.length), evens = Math.ceil(whole.length / 2);
  for (let i = 0; i < evens; i++) result[i] = whole[2 * i]!;
  for (let i = evens; i < whole.length; i++) result[i] = whole[2 * (i - evens) + 1]!;
  return result;
}

/** Undoes {@linkcode halves}. */
export function fromHalves(parted: Uint8Array): Uint8Array {
  const result = new Uint8Array(parted.length), evens = Math.ceil(parted.length / 2);
  for (let i = 0; i < evens; i++) result[2 * i] = parted[i]!;
  for (let i = evens; i < parted.length; i++) result[2 * (i - evens) + 1] = parted[i]!;
  return result;
}
