// A row of logits, passed over by a block of 1024 threads: its largest, and keys in their order.
#pragma once
#include "numerics.h"

constexpr i32 threads = 1024;
constexpr i32 no_id = 0x7fffffff;

// Calls f(value, id) for each logit of a row; a thread sees ascending ids. Four loads of 16 bytes are under way at once,
// where f is not too large for four copies.
template <bool Copies = true, class F> MX_DEVICE void each(const MX_GLOBAL f32 *logits, i32 vocab, F f) {
  if (((u64)(const f32 *)logits & 15u) != 0 || (vocab & 3) != 0) {
    for (i32 i = mx_thread(); i < vocab; i += threads) f(logits[i], i);
    return;
  }
  const MX_GLOBAL f32x4 *vectors = (const MX_GLOBAL f32x4 *)logits;
  const auto four = [&](f32x4 v, i32 i) __attribute__((always_inline)) {
    f(v.x, 4 * i);
    f(v.y, 4 * i + 1);
    f(v.z, 4 * i + 2);
    f(v.w, 4 * i + 3);
  };
  const i32 count = vocab >> 2;
  i32 i = mx_thread();
  MX_NO_UNROLL
  for (; Copies && i + 3 * threads < count; i += 4 * threads) {
    const f32x4 a = vectors[i], b = vectors[i + threads], c = vectors[i + 2 * threads], d = vectors[i + 3 * threads];
    four(a, i);
    four(b, i + threads);
    four(c, i + 2 * threads);
    four(d, i + 3 * threads);
  }
  MX_NO_UNROLL
  for (; i < count; i += threads) four(vectors[i], i);
}

// Order-preserving key of a logit that is a number: larger logit, larger key; -0 equals 0.
MX_DEVICE u32 key_of(f32 v) {
  const u32 b = mx_bits(v + 0.0f);
  return b & 0x80000000u ? ~b : b | 0x80000000u;
}
MX_DEVICE f32 value_of(u32 key) { return mx_float(key & 0x80000000u ? key & 0x7fffffffu : ~key); }

// The id of the largest logit, of several the lowest one; ~id of the first logit that is NaN or infinite, where there is one.
// `largest`: of this thread's logits.
MX_DEVICE i32 block_best(const MX_GLOBAL f32 *logits, i32 vocab, f32 &largest) {
  MX_SHARED u32 keys[32];
  MX_SHARED i32 ids[32];
  const f32 infinity = __builtin_inff();
  f32 best = -infinity;
  i32 id = no_id, bad = no_id;
  each(logits, vocab, [&](f32 v, i32 i) __attribute__((always_inline)) {
    if (v > best) best = v, id = i;
    if (!(__builtin_fabsf(v) < infinity)) bad = mx_min(bad, i);
  });
  largest = best;
  u32 key = key_of(best);
  if (bad != no_id) key = ~0u, id = bad;
  for (i32 round = 0; round < 2; round++) {
    MX_UNROLL
    for (i32 mask = 16; mask > 0; mask >>= 1) {
      const u32 other = mx_shuffle_xor(key, mask);
      const i32 other_id = (i32)mx_shuffle_xor((u32)id, mask);
      if (other > key || (other == key && other_id < id)) key = other, id = other_id;
    }
    if (round == 0) {
      if (mx_lane() == 0) keys[mx_group()] = key, ids[mx_group()] = id;
      mx_barrier();
      key = keys[mx_lane()], id = ids[mx_lane()];
    }
  }
  return key == ~0u ? ~id : id;
}
