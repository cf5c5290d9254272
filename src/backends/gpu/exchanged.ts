/** Memory that ranks exchange sums by, where their devices reach one another: how much, and what lies where. */
import type { DeviceRange } from "../../../ffi/runtime.ts";
import type { ParallelSizes } from "../../checkpoint/shard.ts";
import type { RankGroup } from "../../model/backend.ts";

/** Blocks of a launch in which ranks write into each other's memory, at most: each has counters. */
export const BLOCKS = 256;
/** Blocks of one in which each number comes with a mark, at most. */
const NOTE_BLOCKS = 128;
/** Pieces of four numbers that such a block has room for, where each comes with a mark of its own. */
const NOTE_PIECES = 512;
/** Most pieces of a launch of that kind. */
export const MOST_NOTES = NOTE_BLOCKS * NOTE_PIECES;
/** Fewest rows that are counted as such: of fewer, 2,880 numbers each, a mark beside each is faster. */
export const COUNTED_ROWS = Math.floor(4 * MOST_NOTES / 2880) + 1;
/** Rows and columns of a tile that a matrix kernel gives. */
export const GIVEN_TOKENS = 128;
const GIVEN_ROWS = 128;
/** Most numbers of one row each of which comes with a mark of its own, from any block. */
export const ROW_NOTES = 4096;

/** Room for what one rank sends of so many rows. */
export interface RowRoom {
  readonly rows: number;
  readonly bytes: number;
  /** Room for the same rows as tiles of bf16 numbers, and how many tiles these are. */
  readonly givenBytes: number;
  readonly givenTiles: number;
}

/** Quads of float32 numbers in a line of 128 bytes, beside its mark. */
const LINE_QUADS = 7;

/** Room for batches of `maxTokens`. */
export const roomFor = (maxTokens: number, hidden: number): RowRoom => ({
  rows: maxTokens,
  bytes: 128 * maxTokens * Math.ceil(Math.ceil(hidden / 4) / LINE_QUADS),
  givenBytes: 128 * maxTokens * Math.ceil(hidden / 64),
  givenTiles: Math.ceil(maxTokens / GIVEN_TOKENS) * Math.ceil(hidden / GIVEN_ROWS),
});

/**
 * Most tokens whose sums can go from memory to memory: where devices are not joined by links that bring whole lines,
 * those whose numbers come with a mark each.
 */
export function mostSummed(
  { maxTokens, hidden }: { readonly maxTokens: number; readonly hidden: number },
  joined: boolean,
): number {
  return joined ? maxTokens : Math.min(maxTokens, COUNTED_ROWS - 1, Math.floor(MOST_NOTES / Math.ceil(hidden / 4)));
}

/** What a group's ranks write to, and count by; in bytes. `rows`: most tokens of a batch. */
function sizesFor(ranks: number, { bytes, rows, givenBytes, givenTiles }: RowRoom) {
  return {
    /** Few numbers, each with its mark. */
    notes: 2 * ranks * 32 * MOST_NOTES,
    /** A row of which each block has some numbers. */
    rowNotes: 2 * ranks * 8 * ROW_NOTES,
    /** Rows of many tokens. */
    rows: 2 * ranks * bytes,
    /** How far each rank has come with columns of logits. */
    columnMarks: ranks * 4 * BLOCKS,
    /** Rows that matrix kernels give, and how often each of their tiles has come from each rank. */
    given: 2 * ranks * givenBytes,
    givenMarks: 4 * ranks * givenTiles,
    /** How often this rank came to a sum of few tokens, of one by such blocks, and gave and took rows of many. */
    noteTurns: 4 * NOTE_BLOCKS,
    rowNoteTurns: 4 * BLOCKS,
    rowTurns: 2 * 4 * rows,
    /** How often it took each of whole tiles of rows that were given so. */
    givenTurns: 4 * GIVEN_TOKENS * Math.ceil(rows / GIVEN_TOKENS),
  };
}

/** What {@linkcode sizesFor} lists, in device memory. */
export type ExchangeMemory = Readonly<Record<keyof ReturnType<typeof sizesFor>, DeviceRange>>;

/** Parts that other ranks write to, in the order of their tables of pointers. */
export const WRITTEN = ["notes", "rowNotes", "rows", "columnMarks", "given", "givenMarks"] as const;
/** Tables of pointers of a group: those, and the logits of all ranks. */
const TABLES = WRITTEN.length + 1;

/** Ranks of each group that has memory of its own: not that of all where it is the same. */
function groupsOf({ tp, ep }: ParallelSizes): readonly { readonly group: RankGroup; readonly ranks: number }[] {
  const world = { group: "world", ranks: tp * ep } as const;
  return tp > 1 && ep > 1 ? [world, { group: "tensor", ranks: tp }] : [world];
}

/** Bytes of whole lines of 128: what is written and seen as one, a line of rows or a note, must not lie in two. */
const wholeLines = (bytes: number): number => 128 * Math.ceil(bytes / 128);

const total = (ranks: number, room: RowRoom) =>
  Object.values(sizesFor(ranks, room)).reduce((sum, part) => sum + wholeLines(part), 0);

/** Bytes of all groups' memory. */
export function exchangedBytes(sizes: ParallelSizes, maxTokens: number, hidden: number): number {
  const room = roomFor(maxTokens, hidden);
  return groupsOf(sizes).reduce((sum, { ranks }) => sum + total(ranks, room), 0);
}

/** Bytes of the tables of all groups. */
export const tableBytes = (sizes: ParallelSizes): number =>
  groupsOf(sizes).reduce((sum, { ranks }) => sum + 8 * TABLES * ranks, 0);

/** A group's memory, and its tables. */
export interface GroupMemory {
  readonly group: RankGroup;
  readonly memory: ExchangeMemory;
  readonly tables: readonly DeviceRange[];
}

/** Where the memory of each group lies, and its tables. */
export function exchangeMemory(
  sizes: ParallelSizes,
  room: RowRoom,
  exchanged: DeviceRange,
  tables: DeviceRange,
): readonly GroupMemory[] {
  let at = exchanged.offset, tableAt = tables.offset;
  const next = (bytes: number): DeviceRange => {
    const range = exchanged.buffer.range(at, bytes);
    at += wholeLines(bytes);
    return range;
  };
  return groupsOf(sizes).map(({ group, ranks }) => ({
    group,
    memory: Object.fromEntries(
      Object.entries(sizesFor(ranks, room)).map(([name, bytes]) => [name, next(bytes)]),
    ) as Record<keyof ExchangeMemory, DeviceRange>,
    tables: Array.from({ length: TABLES }, () => tables.buffer.range((tableAt += 8 * ranks) - 8 * ranks, 8 * ranks)),
  }));
}
