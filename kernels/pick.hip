// The next token from logits: greedy, or drawn from the softmax after top-k and top-p. src/session/sampler.ts makes the same picks.
//
// One block a row; time goes into passes over the logits, of which there are two where top-k leaves few tokens, and two to four else.
// Weights are integers, so that no order of additions shows, computed by single float32 operations that a host can repeat.
#include "common/candidates.h"

MX_TRAITS(argmax, 1024, 0, 1, 0, 0)
MX_ENTRY(argmax, 1024)(const f32 *logits, i64 stride, i32 vocab, i32 *picked, f32 *sums, i32 rows) {
  mx_follow();
  const i32 row = mx_block_x();
  if (row >= rows) return;
  const MX_GLOBAL f32 *const own = mx_global<f32>(logits) + row * stride;
  f32 largest;
  const i32 id = block_best(own, vocab, largest);
  if (mx_thread() == 0) mx_global<i32>(picked)[row] = id;
  if (!sums || id < 0) return;
  // The inverse of the picked token's probability.
  MX_SHARED f32 parts[32];
  const f32 most = own[id];
  f32 sum = 0.0f;
  each(own, vocab, [&](f32 v, i32) __attribute__((always_inline)) { sum += mx_exp(v - most); });
  sum = mx_group_sum(sum);
  if (mx_lane() == 0) parts[mx_group()] = sum;
  mx_barrier();
  sum = mx_group_sum(parts[mx_lane()]);
  if (mx_thread() == 0) mx_global<f32>(sums)[row] = sum;
}
MX_EXPORT(argmax)

#if !defined(__AMDGCN__)
#include "common/blocks.h"

// The same without the sums by several blocks a row, the last of which to come compares what each has found.
constexpr i32 argmax_blocks = 32;
MX_TRAITS(argmax_split, 1024, 0, 1, 0, 0)
MX_ENTRY(argmax_split, 1024)(const f32 *logits, i64 stride, i32 vocab, i32 *picked, i32 *partial, i32 *counters, i32 rows) {
  mx_follow();
  const i32 row = mx_block_y(), block = mx_block_x();
  if (row >= rows) return;
  const i32 share = (vocab + 4 * argmax_blocks - 1) / (4 * argmax_blocks) * 4, first = mx_min(block * share, vocab), count = mx_min(share, vocab - first);
  const MX_GLOBAL f32 *const own = mx_global<f32>(logits) + row * stride + first;
  MX_GLOBAL i32 *const found = mx_global<i32>(partial) + row * argmax_blocks;
  f32 largest;
  const i32 id = block_best(own, count, largest);
  if (mx_thread() == 0) found[block] = id == no_id ? no_id : id < 0 ? id - first : id + first;
  if (!mx_comes_last(counters, row, argmax_blocks) || mx_group() > 0) return;
  // A share without a number above -infinity has only what makes the row an error, or is empty.
  i32 best = (i32)mx_load_shared_by_blocks((const MX_GLOBAL u32 *)found + mx_lane());
  u32 key = best < 0 ? ~0u : best == no_id ? 0u : key_of(mx_global<f32>(logits)[row * stride + best]);
  if (best < 0) best = ~best;
  MX_UNROLL
  for (i32 mask = 16; mask > 0; mask >>= 1) {
    const u32 other = mx_shuffle_xor(key, mask);
    const i32 other_id = (i32)mx_shuffle_xor((u32)best, mask);
    if (other > key || (other == key && other_id < best)) key = other, best = other_id;
  }
  if (mx_lane() == 0) mx_global<i32>(picked)[row] = key == ~0u ? ~best : best;
}
MX_EXPORT(argmax_split)
#endif

// The draw where all candidates that top_k and top_p can leave are listed. Every thread of the block must come here.
MX_DEVICE i32 draw_listed(const List &l, i32 top_k, f32 top_p, f32 u) {
  const i32 t = mx_thread();
  const bool mine = t < l.count;
  const u64 place = mine ? l.places[t] : 0;
  u32 count = 0;
  u64 before = 0, total;
  if (mine) in_front(l, place, count, before);
  u64 weight = mine && count < (u32)top_k ? l.weights[t] : 0;
  if (top_p < 1.0f) {
    block_scan(weight, total);
    const u64 target = fraction(total, top_p);
    if (before >= (target > 0 ? target : 1)) weight = 0;
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

// The draw among the candidates in [0, end): first the chunk of ids that holds it, then the id.
MX_DEVICE i32 draw(const Candidates &c, u64 end, f32 u) {
  MX_SHARED u64 sums[threads];
  const auto weight = [&](f32 v, i32 id) __attribute__((always_inline)) -> u32 {
    const f32 x = c.x(v);
    if (!(x > least_x)) return 0;
    return end == everywhere || c.place(v, id) < end ? weight_of(x) : 0;
  };
  const i32 per = (c.vocab + 128 * threads - 1) / (128 * threads) * 128, chunks = (c.vocab + per - 1) / per;
  const bool vectors = ((u64)(const f32 *)c.logits & 15u) == 0 && (c.vocab & 3) == 0;
  mx_barrier();
  MX_NO_UNROLL
  for (i32 chunk = mx_group(); chunk < chunks; chunk += 32) {
    const i32 from = chunk * per, to = mx_min(c.vocab, from + per);
    u64 sum = 0;
    if (vectors) {
#if !defined(MX_HOST)
#pragma unroll 2
#endif
      for (i32 i = from + 4 * mx_lane(); i < to; i += 128) {
        const f32x4 v = *(const MX_GLOBAL f32x4 *)(c.logits + i);
        sum += (u64)weight(v.x, i) + weight(v.y, i + 1);
        sum += (u64)weight(v.z, i + 2) + weight(v.w, i + 3);
      }
    } else {
      MX_NO_UNROLL
      for (i32 i = from + mx_lane(); i < to; i += 32) sum += weight(c.logits[i], i);
    }
    sum = group_scan(sum);
    if (mx_lane() == 31) sums[chunk] = sum;
  }
  mx_barrier();
  u64 total;
  const i32 t = mx_thread();
  const u64 own = t < chunks ? sums[t] : 0, sum = block_scan(own, total), target = fraction(total, u);
  const bool here = sum > target && sum - own <= target;
  const i32 chunk = (i32)broadcast(here, (u64)t);
  u64 left = broadcast(here, target - (sum - own));
  // Of a chunk that is wider than the block, piece by piece.
  const i32 to = mx_min(c.vocab, chunk * per + per);
  for (i32 from = chunk * per;; from += threads) {
    const i32 id = from + t;
    const u64 w = id < to ? weight(c.logits[id], id) : 0, running = block_scan(w, total);
    if (total > left) return (i32)broadcast(running > left && running - w <= left, (u64)id);
    left -= total;
  }
}

MX_TRAITS(sample, 1024, 0, 1, 0, 0)
MX_ENTRY(sample, 1024)(const f32 *logits, i64 stride, i32 vocab, const f32 *params, const f32 *uniforms, i32 uniform_stride, const i32 *positions,
                       i32 *picked, i32 rows) {
  mx_follow();
  const i32 row = mx_block_x();
  if (row >= rows) return;
  const f32 temperature = mx_global<f32>(params)[4 * row], top_p = mx_global<f32>(params)[4 * row + 1];
  i32 top_k = (i32)mx_global<f32>(params)[4 * row + 2];
  Candidates c = {mx_global<f32>(logits) + row * stride, vocab, 0.0f, 0.0f, 0};
  f32 largest;
  i32 id = block_best(c.logits, vocab, largest);
  if (temperature > 0.0f && id >= 0) {
    const f32 u = mx_global<f32>(uniforms)[(i64)row * uniform_stride + mx_global<i32>(positions)[row]];
    c.max = c.logits[id];
    c.best_key = key_of(c.max);
    // Not infinity, which times 0 would be NaN.
    c.inverse_temperature = mx_min(1.0f / temperature, 3.40282347e38f);
    if (top_k < 0 || top_k >= vocab) top_k = 0;
    u64 end = everywhere;
    i32 count = most_listed + 1;
    if (top_k > 0) {
      const u32 floor = least_key(key_of(largest), top_k);
      if (floor > 0) end = ((u64)~floor + 1) << 32;
      const List l = list(c, 0, end);
      count = l.count;
      if (count <= most_listed) id = draw_listed(l, top_k, top_p, u);
    }
    if (count > most_listed) {
      // A loop, so that there is one copy of the code.
      MX_NO_UNROLL
      for (i32 pass = 0; pass < 2; pass++) {
        if (pass == 0 ? top_k > 0 : top_p < 1.0f) end = prefix_end(c, end, pass == 0 ? top_k : 0, top_p);
      }
      id = draw(c, end, u);
    }
  }
  if (mx_thread() == 0) mx_global<i32>(picked)[row] = id;
}
MX_EXPORT(sample)
