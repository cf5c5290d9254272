// Choice of the top_k experts from the logits of one token.
#pragma once
#include "numerics.h"

constexpr i32 mx_most_experts = 1024, mx_most_choices = 32;

#if defined(MX_CLUSTER) || defined(MX_HOST)
// Of at most 32 experts each lane counts those ahead of its own, which waits for less than looking for one choice after the other (clusters,
// and the host).
MX_DEVICE void mx_choose_few(const f32 *logits, i32 experts, i32 top_k, MX_GLOBAL i32 *ids, MX_GLOBAL f32 *weights) {
  const i32 lane = mx_lane();
  const bool has = lane < experts;
  const f32 own = has ? logits[lane] : 0.0f, rank = has && own == own ? own : -__builtin_inff();
  i32 place = 0;
  MX_UNROLL_4
  for (i32 e = 0; e < 32; e++) {
    const f32 other = mx_shuffle(rank, e);
    place += e < experts && (other > rank || (other == rank && e < lane));
  }
  const auto at = [&](i32 k) { return __builtin_ctz(mx_ballot(has && place == k)); };
  const bool chosen = has && place < top_k;
  const f32 most = mx_shuffle(own, at(0)), weight = chosen ? mx_exp(own - most) : 0.0f;
  f32 sum = 0.0f;
  for (i32 k = 0; k < top_k; k++) sum += mx_shuffle(weight, at(k));
  if (chosen) ids[place] = lane, weights[place] = weight / sum;
}
#endif

// By one group: descending, ties to the lower index, NaN least; weights are the softmax over the chosen. top_k <= experts.
MX_DEVICE void mx_choose(const f32 *logits, i32 experts, i32 top_k, MX_GLOBAL i32 *ids, MX_GLOBAL f32 *weights) {
#if defined(MX_CLUSTER) || defined(MX_HOST)
  if (experts <= 32) return mx_choose_few(logits, experts, top_k, ids, weights);
#endif
  const i32 lane = mx_lane(), none = 0x7fffffff;
  f32 last = __builtin_inff(), own = 0.0f;
  i32 last_id = -1, own_id = 0;
  for (i32 k = 0; k < top_k; k++) {
    // The first that comes after (last, last_id) in the order.
    f32 best = -__builtin_inff();
    i32 id = none;
    for (i32 e = lane; e < experts; e += 32) {
      const f32 v = logits[e], rank = v == v ? v : -__builtin_inff();
      const bool open = rank < last || (rank == last && e > last_id);
      if (open && (rank > best || id == none)) best = rank, id = e;
    }
    MX_UNROLL
    for (i32 mask = 16; mask > 0; mask >>= 1) {
      const f32 other = mx_shuffle_xor(best, mask);
      const i32 other_id = (i32)mx_shuffle_xor((u32)id, mask);
      if (other_id != none && (id == none || other > best || (other == best && other_id < id))) best = other, id = other_id;
    }
    last = best, last_id = id;
    if (lane == k) own = logits[id], own_id = id;
  }
  // exp(l_k - l_0), summed in order of k: every thread adds the same numbers in the same order.
  const f32 most = mx_shuffle(own, 0), weight = lane < top_k ? mx_exp(own - most) : 0.0f;
  f32 sum = 0.0f;
  for (i32 k = 0; k < top_k; k++) sum += mx_shuffle(weight, k);
  if (lane < top_k) ids[lane] = own_id, weights[lane] = weight / sum;
}
