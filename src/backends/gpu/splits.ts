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

function fullSplits(context: number, window: number): number {
  const keys = window > 0 ? Math.min(window, context) : context;
  const tiles = Math.ceil(keys / SPLIT_KEYS);
  return Math.min(MOST_SPLITS, window > 0 ? Math.max(1, tiles) : Math.max(4, 2 ** Math.ceil(Math.log2(tiles))));
}
