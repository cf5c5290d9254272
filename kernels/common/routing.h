// Choice of the top_k experts from the logits of one token.
#pragma once
#include "numerics.h"

constexpr i32 mx_most_experts = 1024, mx_most_choices = 32;

// By one group: descending, ties to the lower index, softmax over the chosen. Logits that are NaN are never chosen; should too few
// others exist, expert k stands in for the k-th choice.
MX_DEVICE void mx_choose(const f32 *logits, i32 experts, i32 top_k, MX_GLOBAL i32 *ids, MX_GLOBAL f32 *weights) {
  const i32 lane = mx_lane();
  f32 last = __builtin_inff(), own = 0.0f, best_of_all = 0.0f;
  i32 last_id = -1, own_id = 0;
  for (i32 k = 0; k < top_k; k++) {
    // The largest that comes after (last, last_id) in the order.
    f32 best = -__builtin_inff();
    i32 id = 0x7fffffff;
    for (i32 e = lane; e < experts; e += 32) {
      const f32 v = logits[e];
      const bool open = v < last || (v == last && e > last_id);
      if (open && (v > best || id == 0x7fffffff)) best = v, id = e;
    }
    MX_UNROLL
    for (i32 mask = 16; mask > 0; mask >>= 1) {
      const f32 other = mx_shuffle_xor(best, mask);
      const i32 other_id = (i32)mx_shuffle_xor((u32)id, mask);
      const bool better = id == 0x7fffffff || (other_id != 0x7fffffff && (other > best || (other == best && other_id < id)));
      if (better) best = other, id = other_id;
    }
    if (id == 0x7fffffff) best = mx_float(0x7fc00000u), id = k;
    last = best, last_id = id;
    if (k == 0) best_of_all = best;
    if (lane == k) own = best, own_id = id;
  }
  // exp(l_k - l_0), summed in order of k: every thread adds the same numbers in the same order.
  const f32 weight = lane < top_k ? mx_exp(own - best_of_all) : 0.0f;
  f32 sum = 0.0f;
  for (i32 k = 0; k < top_k; k++) sum += mx_shuffle(weight, k);
  if (lane < top_k) ids[lane] = own_id, weights[lane] = weight / sum;
}
