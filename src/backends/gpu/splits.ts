/** Into how many parts the keys of a token are cut, so that few tokens keep a device busy. */

/** Most tokens of a batch whose attention is cut over time, as decode steps of many sequences are. */
export const SPLIT_TOKENS = 256;
/** Above so many tokens a quarter of the parts keep the device busy, and need a quarter of the memory. */
export const FULL_SPLIT_TOKENS = 64;
/**
 * Keys of a tile where attention is split over time. A tile's time is mostly waiting for memory, so a block takes only
 * one as long as the number of parts allows it.
 */
const SPLIT_KEYS = 64;
/** `attention_reduce` merges no more. */
const MOST_SPLITS = 64;

/**
 * Parts that a token's visible keys are split into. Follows from the size of the context, not from how much of it is
 * used, so that a token's sums do not depend on its batch.
 *
 * @param window Keys of a sliding layer, or 0.
 * @param n Tokens of the batch.
 */
export function splitsFor(context: number, window: number, n: number): number {
  const full = fullSplits(context, window);
  return n <= FULL_SPLIT_TOKENS ? full : Math.ceil(full / 4);
}

/** Most tokens of batches whose keys are cut into as many parts, and into how many at most. */
const CUT_TOKENS = [4, 8, 16], MOST_PARTS = [8, 8, 4];
/** Blocks that keep a device busy, by the same, and keys of a sliding layer that are worth a block of their own. */
const ENOUGH_BLOCKS = [256, 256, 192], PART_KEYS = 128;

/**
 * Parts that `attention_batch` cuts a token's keys into. Sums are the same in all batches of up to 4 tokens, of 5 to 8,
 * of 9 to 16, and of more.
 */
export function batchParts(kvHeads: number, window: number, n: number): number {
  const size = CUT_TOKENS.findIndex((most) => n <= most);
  if (size < 0) return 1;
  const most = Math.min(MOST_PARTS[size]!, Math.ceil(ENOUGH_BLOCKS[size]! / (CUT_TOKENS[size]! * kvHeads)));
  return window > 0 ? Math.min(most, Math.max(1, Math.floor(window / PART_KEYS))) : most;
}

/** Words for each query head and dimension, and for their peaks, that these parts need. */
export function batchPartials(kvHeads: number, maxTokens: number): number {
  return Math.max(...CUT_TOKENS.map((most) => {
    const tokens = Math.min(maxTokens, most), parts = batchParts(kvHeads, 0, tokens);
    return parts > 1 ? tokens * parts : 0;
  }));
}

function fullSplits(context: number, window: number): number {
  const keys = window > 0 ? Math.min(window, context) : context;
  const tiles = Math.ceil(keys / SPLIT_KEYS);
  return Math.min(MOST_SPLITS, window > 0 ? Math.max(1, tiles) : Math.max(4, 2 ** Math.ceil(Math.log2(tiles))));
}
