// Attention of single tokens over long contexts: the visible keys are cut into `splits` parts that blocks work on at the same time, and
// a second kernel merges the parts. Head size 64; a block serves up to eight query heads of one kv head.
//
// Time goes into waiting, not into bytes or sums. So the keys and the values of a tile are asked for together, the next tile's as
// soon as there are registers for them, and each value is read once for all heads.
#include "common/attention_part.h"

MX_TRAITS(attention_split, 256, 0, 1, 0, 0)
MX_ENTRY_RESIDENT(attention_split, 256, 2)(f32 *partial, const f32 *q, i32 q_stride, MxCache cache, const i32 *slots, const i32 *positions, i32 splits, i32 n) {
  mx_lead();
  MX_SHARED Shared lds;
  const i32 tid = mx_thread(), lane = mx_lane(), group = mx_group(), split = mx_block_x(), t = mx_block_z();
  if (t >= n) return;
  const i32 per_kv = cache.heads / cache.kv_heads, chunks = (per_kv + block_heads - 1) / block_heads;
  const i32 kv = mx_block_y() / chunks, chunk = mx_block_y() % chunks;
  const i32 first_head = kv * per_kv + chunk * block_heads, heads = mx_min(block_heads, per_kv - chunk * block_heads);
  const i32 position = mx_global<i32>(positions)[t];
  const i32 start = cache.window > 0 ? mx_max(0, position - cache.window + 1) : 0;
  const i32 share = ((position - start + splits) / splits + tile - 1) / tile * tile;
  const i32 begin = start + split * share, end = mx_min(begin + share, position + 1);
  Part part = {mx_cache_table(cache, mx_global<i32>(slots)[t]), {0, 0}, mx_cache_head(cache, kv), begin, end, heads};
  if (begin < end) part.pages.ask(part.table, begin, end);
  mx_follow();
  MX_GLOBAL f32 *const to = mx_global<f32>(partial) + (((i64)t * cache.heads + first_head) * splits + split) * (dims + 2);
  const i64 head_step = (i64)splits * (dims + 2);
  if (begin >= end) {
    // Nothing to see: the weight of this part is zero, but it must be a number.
    for (i32 i = tid; i < heads * dims; i += 256) to[i / dims * head_step + i % dims] = 0.0f;
    if (tid < heads) to[tid * head_step + dims] = -__builtin_inff(), to[tid * head_step + dims + 1] = 0.0f;
    return;
  }
  for (i32 i = tid; i < block_heads * dims; i += 256) {
    ((f32 *)lds.query)[i] = i < heads * dims ? mx_global<f32>(q)[(i64)t * q_stride + first_head * dims + i] : 0.0f;
  }
  f32 m = -__builtin_inff(), l = 0.0f;
  if (cache.format == MX_BF16) attend<MX_BF16>(cache, part, lds, m, l);
  else if (cache.format == MX_FP8) attend<MX_FP8>(cache, part, lds, m, l);
  else attend<MX_F32>(cache, part, lds, m, l);
  if (group < heads && lane == 0) to[group * head_step + dims] = m, to[group * head_step + dims + 1] = l;
  mx_barrier();
  for (i32 i = tid; i < heads * dims; i += 256) {
    const i32 h = i / dims, d = i % dims;
    f32 sum = lds.sums[0][h][d];
    MX_UNROLL
    for (i32 g = 1; g < groups; g++) sum += lds.sums[g][h][d];
    to[h * head_step + d] = sum;
  }
}
MX_EXPORT(attention_split)

// Four groups of 64 threads share the parts; a thread's are asked for together.
MX_TRAITS(attention_reduce, 256, 0, 1, 0, 0)
MX_ENTRY(attention_reduce, 256)(f32 *out, i32 out_stride, const f32 *partial, const void *sinks, i32 sinks_format, i32 heads, i32 head_dim, i32 splits,
                                i32 round, i32 n) {
  mx_follow();
  constexpr i32 lots = 4, most_each = most_splits / lots;
  MX_SHARED f32 factors[most_splits], totals[lots][dims], maxima[2], weights[2];
  const i32 head = mx_block_x(), t = mx_block_y(), tid = mx_thread(), lot = tid / dims, d = tid % dims;
  if (t >= n) return;
  const MX_GLOBAL f32 *from = mx_global<f32>(partial) + ((i64)t * heads + head) * splits * (head_dim + 2);
  f32 own[most_each];
  MX_UNROLL
  for (i32 i = 0; i < most_each; i++) own[i] = lot + lots * i < splits && d < head_dim ? from[(lot + lots * i) * (head_dim + 2) + d] : 0.0f;
  // The first 64 threads have a part's maximum and weight each.
  const bool has = tid < splits;
  const f32 m_own = has ? from[tid * (head_dim + 2) + head_dim] : -__builtin_inff(), l_own = has ? from[tid * (head_dim + 2) + head_dim + 1] : 0.0f;
  const f32 sink = mx_element(sinks, sinks_format, head), most = mx_group_max(m_own);
  if (mx_lane() == 0 && mx_group() < 2) maxima[mx_group()] = most;
  mx_barrier();
  const f32 m = mx_max(sink, mx_max(maxima[0], maxima[1])), factor = has ? mx_exp(m_own - m) : 0.0f;
  if (has) factors[tid] = factor;
  const f32 weight = mx_group_sum(l_own * factor);
  if (mx_lane() == 0 && mx_group() < 2) weights[mx_group()] = weight;
  mx_barrier();
  f32 total = 0.0f;
  MX_UNROLL
  for (i32 i = 0; i < most_each; i++) {
    if (lot + lots * i < splits) total = mx_fma(own[i], factors[lot + lots * i], total);
  }
  totals[lot][d] = total;
  mx_barrier();
  if (tid >= head_dim) return;
  const f32 sum = (totals[0][d] + totals[1][d]) + (totals[2][d] + totals[3][d]);
  const f32 l = mx_exp(sink - m) + (weights[0] + weights[1]);
  mx_global<f32>(out)[(i64)t * out_stride + head * head_dim + d] = mx_round_if(sum / l, round);
}
MX_EXPORT(attention_reduce)

#if !defined(__AMDGCN__)
#include "common/blocks.h"

// A token that this launch rotates and stores. What comes of the product before is read only after `begin`, which the loads of older keys and
// values come before; its own row of either cache goes to the threads through LDS.
template <i32 Format> struct Fresh {
  // The tokens' rows of q, k and v, from the first head of this block on; angles are those of its position.
  const MX_GLOBAL f32 *q, *k, *v, *cos, *sin;
  const MxCache &cache;
  i64 row;
  Shared &lds;
  // Bytes of this token's key and value as the caches have them.
  u8 *rows;
  i32 heads, position, round;
  // Whether this block's keys include the token's own, and whether it is the one that stores it.
  bool owns, stores;

  static constexpr i32 half = dims / 2, row_bytes = dims * Tile<Format>::size;
  static MX_DEVICE void put(u8 *to, i32 d, f32 x, f32 scale) {
    if constexpr (Format == MX_F32) ((f32 *)to)[d] = x;
    else if constexpr (Format == MX_BF16) ((u16 *)to)[d] = (u16)(mx_bf16_bits(x) >> 16);
    else to[d] = (u8)mx_fp8_code(mx_to_fp8(x / scale));
  }
  MX_DEVICE f32x2 rotate(f32 x1, f32 x2, f32 c, f32 s) const {
    const f32x2 r = mx_rotate_pair(x1, x2, c, s);
    return f32x2{mx_round_if(r.x, round), mx_round_if(r.y, round)};
  }
  // A group a head: thread d takes the pair (d, d + 32).
  MX_DEVICE void begin() const {
    const i32 head = mx_group(), d = mx_lane();
    const f32 c = cos[d], s = sin[d];
    mx_follow();
    const bool has = head < heads, key = owns && head == 0, value = owns && head == 1;
    const f32 x1 = has ? q[head * dims + d] : 0.0f, x2 = has ? q[head * dims + d + half] : 0.0f;
    f32 y1 = 0.0f, y2 = 0.0f;
    if (key) y1 = k[d], y2 = k[d + half];
    if (value) y1 = v[d], y2 = v[d + half];
    const f32x2 r = rotate(x1, x2, c, s);
    ((f32 *)lds.query[head])[d] = r.x;
    ((f32 *)lds.query[head])[d + half] = r.y;
    if (!key && !value) return;
    const f32x2 own = key ? rotate(y1, y2, c, s) : f32x2{y1, y2};
    const f32 scale = key ? cache.k_scale : cache.v_scale;
    u8 *const to = rows + head * row_bytes;
    put(to, d, own.x, scale);
    put(to, d + half, own.y, scale);
    if (!stores) return;
    void *const base = key ? cache.k : cache.v;
    mx_cache_put(cache, base, row, d, own.x, scale);
    mx_cache_put(cache, base, row, d + half, own.y, scale);
  }
  // The token's own key and value instead of what the tile's loads found in their place.
  MX_DEVICE void take(Tile<Format> &now, i32 first, i32 keys) const {
    const i32 own = position - first;
    if (!owns || own >= keys) return;
    if (mx_thread() >> 2 >= own) {
      MX_UNROLL
      for (i32 i = 0; i < Tile<Format>::pieces; i++) now.key[i] = ((const u32x4 *)rows)[(mx_thread() & 3) * Tile<Format>::pieces + i];
    }
    MX_UNROLL
    for (i32 i = 0; i < group_keys; i++) {
      if (mx_group() * group_keys + i < own) continue;
      const u8 *const v = rows + row_bytes;
      if constexpr (Format == MX_F32) now.value[i] = ((const u32x2 *)v)[mx_lane()];
      else if constexpr (Format == MX_BF16) now.value[i].x = ((const u32 *)v)[mx_lane()];
      else now.value[i].x = ((const u16 *)v)[mx_lane()];
    }
  }
};

// Adds up the parts of this block's heads, a group a head, as attention_reduce does. `sums` and `peaks` are those of its first head.
MX_DEVICE void merge(const MX_GLOBAL f32 *sums, const MX_GLOBAL f32 *peaks, i32 splits, i32 parts, i32 heads, f32 (*factors)[most_splits],
                     f32 sink, i32 round, MX_GLOBAL f32 *out) {
  constexpr i32 lots = 4, together = 4;
  const i32 head = mx_group(), lane = mx_lane();
  if (head >= heads) return;
  sums += (i64)head * splits * dims;
  peaks += (i64)head * splits * 2;
  f32 m_own[2], l_own[2];
  MX_UNROLL
  for (i32 i = 0; i < 2; i++) {
    const i32 part = lane + 32 * i;
    m_own[i] = part < parts ? mx_load_shared_by_blocks(peaks + 2 * part) : -__builtin_inff();
    l_own[i] = part < parts ? mx_load_shared_by_blocks(peaks + 2 * part + 1) : 0.0f;
  }
  // Half a group has all dimensions, four a thread; the halves take two lots of the parts each.
  const i32 d = lane % 16 * 4, first = lane / 16 * 2;
  f32x4 totals[2] = {{0, 0, 0, 0}, {0, 0, 0, 0}}, some[2][together];
  const auto load = [&](i32 from) __attribute__((always_inline)) {
    MX_UNROLL
    for (i32 j = 0; j < 2; j++) {
      MX_UNROLL
      for (i32 i = 0; i < together; i++) {
        const i32 part = from + first + j + lots * i;
        if (part < parts) some[j][i] = mx_load_shared_by_blocks((const MX_GLOBAL f32x4 *)(sums + part * dims + d));
      }
    }
  };
  load(0);
  const f32 m = mx_max(sink, mx_max(mx_group_max(m_own[0]), mx_group_max(m_own[1])));
  f32 weights[2];
  MX_UNROLL
  for (i32 i = 0; i < 2; i++) {
    const f32 factor = lane + 32 * i < parts ? mx_exp(m_own[i] - m) : 0.0f;
    factors[head][lane + 32 * i] = factor;
    weights[i] = mx_group_sum(l_own[i] * factor);
  }
  mx_group_barrier();
  MX_NO_UNROLL
  for (i32 from = 0; from < parts; from += lots * together) {
    MX_UNROLL
    for (i32 j = 0; j < 2; j++) {
      MX_UNROLL
      for (i32 i = 0; i < together; i++) {
        const i32 part = from + first + j + lots * i;
        if (part >= parts) break;
        MX_UNROLL
        for (i32 e = 0; e < 4; e++) totals[j][e] = mx_fma(some[j][i][e], factors[head][part], totals[j][e]);
      }
    }
    load(from + lots * together);
  }
  f32x4 sum;
  MX_UNROLL
  for (i32 e = 0; e < 4; e++) {
    const f32 two = totals[0][e] + totals[1][e];
    sum[e] = two + mx_shuffle_xor(two, 16);
  }
  const f32 l = mx_exp(sink - m) + (weights[0] + weights[1]);
  if (lane >= 16) return;
  MX_UNROLL
  for (i32 e = 0; e < 4; e++) out[head * dims + d + e] = mx_round_if(sum[e] / l, round);
}

template <i32 Format>
MX_DEVICE void attend_fresh(const MxCache &cache, const Part &part, Shared &lds, u8 *rows, f32 &m, f32 &l, const MX_GLOBAL f32 *q,
                            const MX_GLOBAL f32 *k, const MX_GLOBAL f32 *v, const MX_GLOBAL f32 *cos, const MX_GLOBAL f32 *sin, i64 row,
                            i32 position, i32 round, bool stores) {
  const bool owns = part.end == position + 1;
  attend<Format>(cache, part, lds, m, l, Fresh<Format>{q, k, v, cos, sin, cache, row, lds, rows, part.heads, position, round, owns, owns && stores});
}

// Rotates and stores a token, and attends from it: the same as rotate_store, attention_split and attention_reduce, in one launch (NVIDIA's
// and the host's). The last block of a kv head to come adds up the parts.
MX_TRAITS(attention_step, 256, 0, 1, 0, 0)
MX_ENTRY_RESIDENT(attention_step, 256, 2)(f32 *out, i32 out_stride, f32 *partial, const f32 *q, i32 q_stride, const f32 *k, i32 k_stride, const f32 *v,
                                          i32 v_stride, const f32 *cos, const f32 *sin, MxCache cache, const i32 *slots, const i32 *positions,
                                          const void *sinks, i32 sinks_format, i32 splits, i32 round, i32 n, i32 *counters) {
  mx_lead();
  MX_SHARED Shared lds;
  MX_SHARED u32x4 own[2 * dims * 4 / 16];
  const i32 lane = mx_lane(), group = mx_group(), split = mx_block_x(), t = mx_block_z();
  if (t >= n) return;
  const i32 per_kv = cache.heads / cache.kv_heads, chunks = (per_kv + block_heads - 1) / block_heads;
  const i32 kv = mx_block_y() / chunks, chunk = mx_block_y() % chunks;
  const i32 first_head = kv * per_kv + chunk * block_heads, heads = mx_min(block_heads, per_kv - chunk * block_heads);
  const i32 position = mx_global<i32>(positions)[t], slot = mx_global<i32>(slots)[t];
  const i32 start = cache.window > 0 ? mx_max(0, position - cache.window + 1) : 0;
  const i32 share = ((position - start + splits) / splits + tile - 1) / tile * tile;
  const i32 begin = start + split * share, end = mx_min(begin + share, position + 1);
  MX_GLOBAL f32 *const to = mx_global<f32>(out) + (i64)t * out_stride + first_head * dims;
  if (begin >= end) {
    // Nothing to see; of a row that fills up a batch, nothing at all.
    if (position >= 0 || split > 0) return;
    mx_follow();
    for (i32 i = mx_thread(); i < heads * dims; i += 256) to[i] = 0.0f;
    return;
  }
  const MX_GLOBAL i32 *const table = mx_cache_table(cache, slot);
  Part part = {table, {0, 0}, mx_cache_head(cache, kv), begin, end, heads};
  part.pages.ask(table, begin, end);
  const bool stores = end == position + 1 && chunk == 0;
  const i64 row = stores ? mx_cache_row(cache, table, kv, position) : 0, angle = (i64)position * (dims / 2);
  const MX_GLOBAL f32 *const q_row = mx_global<f32>(q) + (i64)t * q_stride + first_head * dims;
  const MX_GLOBAL f32 *const k_row = mx_global<f32>(k) + (i64)t * k_stride + kv * dims, *const v_row = mx_global<f32>(v) + (i64)t * v_stride + kv * dims;
  const MX_GLOBAL f32 *const cos_row = mx_global<f32>(cos) + angle, *const sin_row = mx_global<f32>(sin) + angle;
  const f32 sink = group < heads ? mx_element(sinks, sinks_format, first_head + group) : 0.0f;
  f32 m = -__builtin_inff(), l = 0.0f;
  const auto all = [&]<i32 Format>() __attribute__((always_inline)) {
    attend_fresh<Format>(cache, part, lds, (u8 *)own, m, l, q_row, k_row, v_row, cos_row, sin_row, row, position, round, stores);
  };
  if (cache.format == MX_BF16) all.template operator()<MX_BF16>();
  else if (cache.format == MX_FP8) all.template operator()<MX_FP8>();
  else all.template operator()<MX_F32>();
  const i32 parts = (position - start + share) / share;
  MX_GLOBAL f32 *const sums = mx_global<f32>(partial) + ((i64)t * cache.heads + first_head) * splits * dims;
  MX_GLOBAL f32 *const peaks = mx_global<f32>(partial) + (i64)n * cache.heads * splits * dims + ((i64)t * cache.heads + first_head) * splits * 2;
  if (group < heads && lane == 0) peaks[(group * splits + split) * 2] = m, peaks[(group * splits + split) * 2 + 1] = l;
  mx_barrier();
  for (i32 i = mx_thread(); i < heads * dims; i += 256) {
    const i32 h = i / dims, d = i % dims;
    f32 sum = lds.sums[0][h][d];
    MX_UNROLL
    for (i32 g = 1; g < groups; g++) sum += lds.sums[g][h][d];
    sums[(h * splits + split) * dims + d] = sum;
  }
  if (!mx_comes_last(counters, t * cache.kv_heads * chunks + mx_block_y(), parts)) return;
  merge(sums, peaks, splits, parts, heads, (f32(*)[most_splits])lds.weights, sink, round, to);
}
MX_EXPORT(attention_step)
#endif
