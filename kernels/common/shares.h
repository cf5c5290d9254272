// A row of logits in shares, one for each of several blocks, the last of which to come goes on with what all have found.
#pragma once
#include "blocks.h"
#include "logits.h"

// Blocks of a row.
constexpr i32 row_blocks = 32;

// Whole vectors, so that every share of an aligned row is aligned; the last ones may be empty.
struct Share {
  i32 first, count;
};
MX_DEVICE Share share_of(i32 vocab) {
  const i32 most = (vocab + 4 * row_blocks - 1) / (4 * row_blocks) * 4, first = mx_min(mx_block_x() * most, vocab);
  return {first, mx_min(most, vocab - first)};
}

// As block_best, with the key of the largest logit, for the first group of the last block to come; false for all others.
// found: [row_blocks]; counters[counter] is 0 before and after.
MX_DEVICE bool best_of_shares(const MX_GLOBAL f32 *row, i32 vocab, MX_GLOBAL i32 *found, i32 *counters, i32 counter, i32 &best,
                              u32 &key) {
  const Share share = share_of(vocab);
  f32 largest;
  const i32 id = block_best(row + share.first, share.count, largest);
  if (mx_thread() == 0) found[mx_block_x()] = id == no_id ? no_id : id < 0 ? id - share.first : id + share.first;
  if (!mx_comes_last(counters, counter, row_blocks) || mx_group() > 0) return false;
  // A share without a number above -infinity has only what makes the row an error, or is empty.
  best = (i32)mx_load_shared_by_blocks((const MX_GLOBAL u32 *)found + mx_lane());
  key = best < 0 ? ~0u : best == no_id ? 0u : key_of(row[best]);
  if (best < 0) best = ~best;
  MX_UNROLL
  for (i32 mask = 16; mask > 0; mask >>= 1) {
    const u32 other = mx_shuffle_xor(key, mask);
    const i32 other_id = (i32)mx_shuffle_xor((u32)best, mask);
    if (other > key || (other == key && other_id < best)) key = other, best = other_id;
  }
  if (key == ~0u) best = ~best;
  return true;
}
