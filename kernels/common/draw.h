// A token drawn from candidates by a random number u: the first, in the order of ids, whose running sum of weights exceeds this part of all.
#pragma once
#include "candidates.h"

// The draw where all candidates that top_k and top_p can leave are listed. Every thread of the block must come here.
// `all`: the weight that top_p is a part of, where it is not that of the ones that top_k leaves.
MX_DEVICE i32 draw_listed(const List &l, i32 top_k, f32 top_p, f32 u, u64 all = 0) {
  const i32 t = mx_thread();
  const bool mine = t < l.count;
  const u64 place = mine ? l.places[t] : 0;
  u32 count = 0;
  u64 before = 0, total;
  if (mine) in_front(l, place, count, before);
  u64 weight = mine && count < (u32)top_k ? l.weights[t] : 0;
  if (top_p < 1.0f) {
    block_scan(weight, total);
    if (before >= nucleus(all > 0 ? all : total, top_p)) weight = 0;
  }
  block_scan(weight, total);
  mx_barrier();
  if (mine) l.weights[t] = (u32)weight;
  mx_barrier();
  const u64 left = fraction(total, u);
  const u32 id = (u32)place;
  u64 sum = 0;
  if (mine) {
    MX_UNROLL_4
    for (i32 j = 0; j < l.count; j++) sum += (u32)l.places[j] < id ? l.weights[j] : 0u;
  }
  return (i32)broadcast(sum <= left && sum + weight > left, id);
}

// The weight of a candidate in [0, end), of others 0.
MX_DEVICE u32 weight_within(const Candidates &c, u64 end, f32 v, i32 id) {
  const f32 x = c.x(v);
  if (!(x > least_x)) return 0;
  return end == everywhere || c.place(v, id) < end ? weight_of(x) : 0;
}

// Ids are summed up in chunks, each by a group and at most one for each thread of a block: ids of a chunk.
MX_DEVICE i32 chunk_ids(i32 vocab) { return (vocab + 128 * threads - 1) / (128 * threads) * 128; }

// Sums of the weights in [0, end) of the chunks `first`, first + step and so on; `first` is the group's.
template <class Sums> MX_DEVICE void sum_chunks(const Candidates &c, u64 end, i32 first, i32 step, Sums sums) {
  const i32 per = chunk_ids(c.vocab), chunks = (c.vocab + per - 1) / per;
  const bool vectors = ((u64)(const f32 *)c.logits & 15u) == 0 && (c.vocab & 3) == 0;
  MX_NO_UNROLL
  for (i32 chunk = first; chunk < chunks; chunk += step) {
    const i32 from = chunk * per, to = mx_min(c.vocab, from + per);
    u64 sum = 0;
    if (vectors) {
#if !defined(MX_HOST)
#pragma unroll 2
#endif
      for (i32 i = from + 4 * mx_lane(); i < to; i += 128) {
        const f32x4 v = *(const MX_GLOBAL f32x4 *)(c.logits + i);
        sum += (u64)weight_within(c, end, v.x, i) + weight_within(c, end, v.y, i + 1);
        sum += (u64)weight_within(c, end, v.z, i + 2) + weight_within(c, end, v.w, i + 3);
      }
    } else {
      MX_NO_UNROLL
      for (i32 i = from + mx_lane(); i < to; i += 32) sum += weight_within(c, end, c.logits[i], i);
    }
    sum = group_scan(sum);
    if (mx_lane() == 31) sums[chunk] = sum;
  }
}

// The draw from the sums of chunks, of which a thread has that of its number (0 beyond the last): first the chunk, then the id.
MX_DEVICE i32 draw_from_chunks(const Candidates &c, u64 end, u64 own, f32 u) {
  const i32 per = chunk_ids(c.vocab), t = mx_thread();
  u64 total;
  const u64 sum = block_scan(own, total), target = fraction(total, u);
  const bool here = sum > target && sum - own <= target;
  const i32 chunk = (i32)broadcast(here, (u64)t);
  u64 left = broadcast(here, target - (sum - own));
  // Of a chunk that is wider than the block, piece by piece.
  const i32 to = mx_min(c.vocab, chunk * per + per);
  for (i32 from = chunk * per;; from += threads) {
    const i32 id = from + t;
    const u64 w = id < to ? weight_within(c, end, c.logits[id], id) : 0, running = block_scan(w, total);
    if (total > left) return (i32)broadcast(running > left && running - w <= left, (u64)id);
    left -= total;
  }
}

// The draw among the candidates in [0, end).
MX_DEVICE i32 draw(const Candidates &c, u64 end, f32 u) {
  MX_SHARED u64 sums[threads];
  mx_barrier();
  sum_chunks(c, end, mx_group(), 32, sums);
  mx_barrier();
  const i32 per = chunk_ids(c.vocab);
  return draw_from_chunks(c, end, mx_thread() < (c.vocab + per - 1) / per ? sums[mx_thread()] : 0, u);
}
