/**
 * Batches of some sequences, one token each: by which kernels they are computed, how many rows a recording has, and how
 * the columns of a linear are cut where its tiles would not fill the device.
 */
import type { Batch } from "../../model/backend.ts";
import type { ModelSource } from "../../checkpoint/source.ts";
import { LOGIT_ROWS } from "../../model/engine.ts";

/** Largest batch of the kernels that read each weight once for a tile of tokens. */
export const BATCH_TOKENS = 256;
/** Rows of weights of one of their blocks. */
const BLOCK_ROWS = 128;
/** Most tokens of one of their blocks. */
const BLOCK_TOKENS = 64;
/** Blocks that are enough for a device; more parts than this many blocks would only cost sums. */
const ENOUGH_BLOCKS = 240;
const MOST_PARTS = 8;

/**
 * Parts that the columns of linears with so many rows are cut into, which different blocks add up. Depends on the shape
 * alone, so that a token's sums do not depend on its batch.
 */
export function partsFor(rows: readonly number[]): number {
  return Math.max(1, Math.min(MOST_PARTS, Math.ceil(ENOUGH_BLOCKS / Math.max(1, tilesOf(rows)))));
}

const tilesOf = (rows: readonly number[]) => rows.reduce((sum, r) => sum + Math.ceil(r / BLOCK_ROWS), 0);

/** float32 sums and counters that the parts of any of a model's linears need. */
export function partialSizes(
  source: ModelSource,
  maxTokens: number,
): { readonly sums: number; readonly tiles: number } {
  const { layers, head } = source.tree;
  const groups = [
    ...layers.flatMap(({ q, k, v, o }) => [[q, k, v], [q], [k], [v], [o]].map((g) => g.map((l) => l.weight.rows))),
    [head.weight.rows],
  ];
  const tokenTiles = Math.ceil(Math.min(maxTokens, BATCH_TOKENS) / 16);
  const largest = Math.ceil(Math.min(maxTokens, BATCH_TOKENS) / BLOCK_TOKENS) * BLOCK_TOKENS;
  const parts = groups.map((rows) => partsFor(rows) > 1 ? partsFor(rows) * tilesOf(rows) : 0);
  // Of narrow linears, in as many parts as there may be, any number of tokens.
  const narrow = Math.ceil(maxTokens / BLOCK_TOKENS);
  return {
    sums: BLOCK_ROWS * Math.max(Math.max(...parts) * largest, MOST_PARTS * narrow * BLOCK_TOKENS),
    tiles: Math.max(tokenTiles * Math.max(...groups.map((rows) => partsFor(rows) > 1 ? tilesOf(rows) : 0)), narrow),
  };
}

/**
 * Whether a linear is so narrow, as the router is, that a prompt's rows times one tile of outputs would keep few of a
 * device's multiprocessors busy: the kernels of batches, which cut its columns, compute it for any number of tokens.
 */
export const isNarrow = (rows: number): boolean => rows <= BLOCK_ROWS;

/**
 * Kernels for linears of a few tokens, in which a warp has a part of the columns, or rows of its own; the largest batch
 * that they are for, and the fewest parts. They give the bits of {@linkcode batchEntry}'s for so many.
 */
export const fewEntry = (suffix: string): string => `batch_${suffix}_x8`;
export const fewRowsEntry = (suffix: string): string => `${fewEntry(suffix)}_rows`;
const FEW_TOKENS = 8, FEW_PARTS = 4;

/** Kernel for linears of a batch, and for the experts' products. */
export const batchEntry = (suffix: string, n: number): string => `batch_${suffix}_x${n <= 16 ? 16 : 64}`;
/** The experts' kernel whose blocks share out all rows of the chosen experts, and the largest batch that it is for. */
export const expertWalkEntry = (suffix: string): string => `expert_batch_${suffix}_x8`;
export const WALK_TOKENS = 16;
export const expertBatchEntry = (suffix: string, n: number): string => `expert_batch_${suffix}_x${n <= 96 ? 16 : 32}`;

/**
 * The kernel for linears of a batch, of those that are used.
 *
 * @param rows Of the linears of a launch.
 */
export function linearBatchEntry(
  matrixKernels: ReadonlySet<string>,
  suffix: string,
  n: number,
  rows: readonly number[],
): string {
  const few = fewEntry(suffix), parts = partsFor(rows);
  const entry = parts === 1 ? fewRowsEntry(suffix) : few;
  const takes = n <= FEW_TOKENS && matrixKernels.has(entry) && (parts === 1 || parts >= FEW_PARTS);
  return takes ? entry : batchEntry(suffix, n);
}

/** Rows whose logits can be computed, and picked from, at once. */
export function logitRowsFor(slots: number, maxTokens: number): number {
  return Math.max(LOGIT_ROWS, Math.min(slots, maxTokens, BATCH_TOKENS));
}

/** Sizes of recorded batches: few enough that all are soon recorded, close enough that little is computed in vain. */
const CLASSES = [1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32, 48, 64, 96, 128, 160, 192, 224, 256];

/** The smallest class that `n` rows fit, or `n` where none has room below `most`. */
export function classOf(n: number, most: number): number {
  const size = CLASSES.find((c) => c >= n) ?? n;
  return size <= most ? size : n;
}

/** A batch followed by rows that belong to nobody: they are at position -1, and nothing of them is kept. */
export function padded(batch: Batch, size: number): Batch {
  const { ids, slots, positions } = batch, n = ids.length;
  if (n === size) return batch;
  const fill = (values: Int32Array, rest: number) => {
    const all = new Int32Array(size).fill(rest);
    all.set(values);
    return all;
  };
  return { ...batch, ids: fill(ids, 0), slots: fill(slots, 0), positions: fill(positions, -1) };
}

/** 0, 1, 2, .. */
export const rowNumbers = (count: number): Int32Array => Int32Array.from({ length: count }, (_, i) => i);
