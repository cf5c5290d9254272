// The next token from logits: greedy, or drawn from the softmax after top-k and top-p.
//
// Everything that is summed is a 64-bit integer (weights in units of 2^-32 of the largest), so that no order of additions
// shows, and a host can compute the same pick.
#include "common/numerics.h"

constexpr i32 threads = 1024;

// Order-preserving key of a logit: larger logit, larger key; NaN lowest.
MX_DEVICE u32 key_of(f32 v) {
  if (v != v) return 0u;
  if (v == 0.0f) v = 0.0f;  // -0 equals 0
  const u32 b = mx_bits(v);
  return b & 0x80000000u ? ~b : b | 0x80000000u;
}

// The largest key and the lowest id that has it.
MX_DEVICE void block_best(const MX_GLOBAL f32 *logits, i32 vocab, u32 &best_key, i32 &best_id) {
  MX_SHARED u32 keys[32];
  MX_SHARED i32 ids[32];
  u32 key = 0;
  i32 id = 0x7fffffff;
  for (i32 i = mx_thread(); i < vocab; i += threads) {
    const u32 k = key_of(logits[i]);
    if (k > key || id == 0x7fffffff) key = k, id = i;
  }
  for (i32 round = 0; round < 2; round++) {
    MX_UNROLL
    for (i32 mask = 16; mask > 0; mask >>= 1) {
      const u32 other = mx_shuffle_xor(key, mask);
      const i32 other_id = (i32)mx_shuffle_xor((u32)id, mask);
      if (other > key || (other == key && other_id < id)) key = other, id = other_id;
    }
    if (round == 0) {
      mx_barrier();
      if (mx_lane() == 0) keys[mx_group()] = key, ids[mx_group()] = id;
      mx_barrier();
      key = keys[mx_lane()], id = ids[mx_lane()];
    }
  }
  best_key = key;
  best_id = id;
}

MX_TRAITS(argmax, 1024, 0, 1, 0, 0)
MX_ENTRY(argmax, 1024)(const f32 *logits, i64 stride, i32 vocab, i32 *picked, i32 rows) {
  const i32 row = mx_block_x();
  if (row >= rows) return;
  u32 key;
  i32 id;
  block_best(mx_global<f32>(logits) + row * stride, vocab, key, id);
  if (mx_thread() == 0) mx_global<i32>(picked)[row] = id;
}
MX_EXPORT(argmax)

struct Candidates {
  const MX_GLOBAL f32 *logits;
  i32 vocab;
  f32 max, inverse_temperature;

  // exp((l - max) / temperature) in units of 2^-32.
  MX_DEVICE u64 weight(f32 v) const { return v == v ? (u64)(mx_exp((v - max) * inverse_temperature) * 0x1p32f) : 0; }
};

// The largest key such that the candidates (of keys >= floor) with keys at least as large weigh at least `target`; each weighs 1 when
// `counting`. Eight bits of the key a round.
MX_DEVICE u32 threshold(const Candidates &c, u32 floor, u64 target, bool counting) {
  MX_SHARED u64 bins[256];
  MX_SHARED u64 above;
  MX_SHARED u32 chosen;
  u32 prefix = 0;
  u64 sum_above = 0;
  for (i32 shift = 24; shift >= 0; shift -= 8) {
    mx_barrier();
    if (mx_thread() < 256) bins[mx_thread()] = 0;
    mx_barrier();
    for (i32 i = mx_thread(); i < c.vocab; i += threads) {
      const f32 v = c.logits[i];
      const u32 key = key_of(v);
      const bool in = key >= floor && (shift == 24 || key >> (shift + 8) == prefix >> (shift + 8));
      if (in) mx_lds_add(&bins[(key >> shift) & 255u], counting ? 1ull : c.weight(v));
    }
    mx_barrier();
    if (mx_thread() == 0) {
      // The lowest bin that is needed; the last nonempty one if rounding leaves the target out of reach.
      u64 sum = sum_above;
      u32 bin = 256, last = 255;
      u64 before = sum_above;
      while (bin > 0) {
        bin--;
        if (bins[bin] == 0) continue;
        before = sum, last = bin;
        sum += bins[bin];
        if (sum >= target) break;
      }
      above = before;
      chosen = last;
    }
    mx_barrier();
    prefix |= chosen << shift;
    sum_above = above;
  }
  return prefix;
}

MX_DEVICE u64 group_sum(u64 v) {
  MX_UNROLL
  for (i32 mask = 16; mask > 0; mask >>= 1) {
    const u64 other = mx_shuffle_xor((u32)v, mask) | (u64)mx_shuffle_xor((u32)(v >> 32), mask) << 32;
    v += other;
  }
  return v;
}

// Sum of the weights of keys >= floor in [from, to), by one group.
MX_DEVICE u64 range_sum(const Candidates &c, u32 floor, i32 from, i32 to) {
  u64 sum = 0;
  for (i32 i = from + mx_lane(); i < to; i += 32) {
    const f32 v = c.logits[i];
    if (key_of(v) >= floor) sum += c.weight(v);
  }
  return group_sum(sum);
}

// floor(total * u) for u in [0, 1) with 24 bits.
MX_DEVICE u64 fraction(u64 total, f32 u) {
  const u64 n = (u64)(u * 0x1p24f);
  return (total >> 24) * n + (((total & 0xffffffull) * n) >> 24);
}

MX_TRAITS(sample, 1024, 0, 1, 0, 0)
MX_ENTRY(sample, 1024)(const f32 *logits, i64 stride, i32 vocab, const f32 *params, const f32 *uniforms, i32 uniform_stride, const i32 *positions,
                       i32 *picked, i32 rows) {
  MX_SHARED u64 sums[32];
  const i32 row = mx_block_x();
  if (row >= rows) return;
  const f32 temperature = mx_global<f32>(params)[4 * row], top_p = mx_global<f32>(params)[4 * row + 1];
  const i32 top_k = (i32)mx_global<f32>(params)[4 * row + 2];
  Candidates c = {mx_global<f32>(logits) + row * stride, vocab, 0.0f, 0.0f};
  u32 best;
  i32 id;
  block_best(c.logits, vocab, best, id);
  if (!(temperature > 0.0f)) {
    if (mx_thread() == 0) mx_global<i32>(picked)[row] = id;
    return;
  }
  c.max = c.logits[id];
  c.inverse_temperature = 1.0f / temperature;
  // Each group owns a stretch of ids.
  const i32 per = (vocab + 31) / 32, from = mx_min(vocab, mx_group() * per), to = mx_min(vocab, from + per);
  u32 floor = 0;
  if (top_k > 0 && top_k < vocab) floor = threshold(c, 0, (u64)top_k, true);
  for (i32 pass = 0; pass < 2; pass++) {
    mx_barrier();
    const u64 own = range_sum(c, floor, from, to);
    if (mx_lane() == 0) sums[mx_group()] = own;
    mx_barrier();
    if (pass == 1 || !(top_p < 1.0f)) break;
    u64 total = 0;
    MX_NO_UNROLL
    for (i32 g = 0; g < 32; g++) total += sums[g];
    const u64 target = fraction(total, top_p < 0.0f ? 0.0f : top_p);
    floor = threshold(c, floor, target > 1 ? target : 1, false);
  }
  u64 total = 0;
  MX_NO_UNROLL
  for (i32 g = 0; g < 32; g++) total += sums[g];
  u64 left = fraction(total, mx_global<f32>(uniforms)[(i64)row * uniform_stride + mx_global<i32>(positions)[row]]);
  // The first kept id whose running sum exceeds `left`: first the group whose stretch holds it, then the id.
  i32 g = 0;
  while (g < 31 && sums[g] <= left) left -= sums[g++];
  if (mx_group() != g) return;
  for (i32 i0 = from; i0 < to; i0 += 32) {
    const i32 i = i0 + mx_lane();
    const f32 v = i < to ? c.logits[i] : 0.0f;
    const u64 w = i < to && key_of(v) >= floor ? c.weight(v) : 0;
    // Running sum over the group.
    u64 sum = w;
    MX_UNROLL
    for (i32 offset = 1; offset < 32; offset <<= 1) {
      const i32 lane = mx_max(0, mx_lane() - offset);
      const u64 other = mx_shuffle((u32)sum, lane) | (u64)mx_shuffle((u32)(sum >> 32), lane) << 32;
      if (mx_lane() >= offset) sum += other;
    }
    const u32 hit = mx_ballot(sum > left);
    if (hit) {
      if (mx_lane() == __builtin_ctz(hit)) mx_global<i32>(picked)[row] = i;
      return;
    }
    left -= mx_shuffle((u32)sum, 31) | (u64)mx_shuffle((u32)(sum >> 32), 31) << 32;
  }
  // Out of reach by no rounding: integer sums agree. Kept for NaN logits only.
  if (mx_lane() == 0) mx_global<i32>(picked)[row] = id;
}
MX_EXPORT(sample)
