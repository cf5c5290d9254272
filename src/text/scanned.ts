/** Vocabulary and merges as they are read from a tokenizer.json, by whatever reads them. */
import type { MergeLists } from "./merges.ts";
import type { PackedPieces } from "./pieces.ts";

/** Above these a file is read as JSON, which refuses what is too large. */
export const MOST_ID = 1_000_000, MOST_MERGES = 1_000_000;

/** Left and right parts of merges, one after the other: part i ends at `ends[i]`. */
export interface MergeParts {
  readonly bytes: Uint8Array;
  readonly ends: Int32Array;
}

/** What was read. */
export interface Scanned {
  /** The file with an empty vocabulary and no merges, JSON. */
  readonly rest: Uint8Array<ArrayBuffer>;
  readonly vocab: PackedPieces;
  readonly merges: MergeParts | MergeLists;
}

/** What reads a member whose value begins at a byte of the file: the value, and where it ends; null: it cannot. */
export type MemberReader<T> = (at: number) => { readonly value: T; readonly to: number } | null;

/** What reads the two members instead of the script, the vocabulary first. */
export interface MemberReaders {
  readonly vocabulary: MemberReader<PackedPieces>;
  readonly merges: MemberReader<MergeLists>;
}

/** A reader of vocabulary and merges from a file's bytes; null where another must read them. */
export type Scan = (file: Uint8Array<ArrayBuffer>) => Scanned | null;
