// Attention of batches of some sequences, one token each, by matrix instructions (NVIDIA): head size 64, a bf16 cache, up to eight query
// heads a kv head, queries that are bf16 numbers.
//
// A block serves a token and a kv head, and so many of its keys as make up a part; its warps take sixteen of them in turn, straight from
// memory into registers. Where a rank has few kv heads, parts are what keeps its device busy: the last block to come merges them. The order of
// dimensions inside a product is free: lane 4g + t reads the t-th quarter of key g, and of the values of keys 2t, 2t + 1, 2t + 8, 2t + 9
// dimensions 8g to 8g + 7. As in attention_tile_mma products are exact and sums float32, and a weight enters as three bf16 numbers.
#include "common/blocks.h"
#include "common/cache.h"
#include "common/halves.h"

constexpr i32 dims = 64, heads_most = 8, warps = 8, chunk = 16, parts_most = 4;

MX_DEVICE void product(f32 (&c)[4], u32 a0, u32 a2, u32 b0, u32 b1) {
  // Rows 8 to 15 of the first operand are nobody's.
  __asm__("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
          : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
          : "r"(a0), "r"(0), "r"(a2), "r"(0), "r"(b0), "r"(b1));
}

// A dimension of several sums of weighted values, each relative to a largest score of its own, and the sum of the weights.
struct Merged {
  f32 most, total, weight;
};
// `first`: a score that counts from the beginning, with `weight`: a sink's 1, or that of nobody.
template <i32 N, class Most, class Weight, class Value>
MX_DEVICE Merged merged(f32 first, f32 weight, Most most, Weight weights, Value value) {
  f32 whole = first;
  MX_UNROLL
  for (i32 i = 0; i < N; i++) whole = mx_max(whole, most(i));
  // Where no key has been seen nothing is added.
  const f32 anchor = whole == -__builtin_inff() ? 0.0f : whole;
  Merged all = {whole, 0.0f, weight * mx_exp(first - anchor)};
  MX_UNROLL
  for (i32 i = 0; i < N; i++) {
    const f32 factor = mx_exp(most(i) - anchor);
    all.total = mx_fma(value(i), factor, all.total);
    all.weight = mx_fma(weights(i), factor, all.weight);
  }
  return all;
}

MX_TRAITS(attention_batch, 256, 0, 1, 0, 0)
MX_ENTRY_RESIDENT(attention_batch, 256, 2)(f32 *out, i32 out_stride, const f32 *q, i32 q_stride, MxCache cache, const i32 *slots, const i32 *positions,
                                          const void *sinks, i32 sinks_format, i32 round, i32 n, i32 parts, f32 *partial, i32 *counters) {
  mx_lead();
  MX_SHARED f32 values[warps][heads_most][dims], maxima[warps][heads_most], sums[warps][heads_most];
  const i32 kv = mx_block_x(), t = mx_block_y(), tid = mx_thread(), lane = mx_lane(), warp = mx_group(), g = lane >> 2, quarter = lane & 3;
  if (t >= n) return;
  const i32 per_kv = cache.heads / cache.kv_heads, position = mx_global<i32>(positions)[t];
  const i32 start = cache.window > 0 ? mx_max(0, position - cache.window + 1) : 0;
  const MX_GLOBAL i32 *const table = mx_cache_table(cache, mx_global<i32>(slots)[t]);
  const i64 head_at = mx_cache_head(cache, kv);
  // Chunks lie at multiples of sixteen of the position, so that each is in one page, which is asked for a chunk ahead. A part has at least
  // one for each warp; those behind the last key are nobody's.
  const i32 chunks = mx_max(0, position) / chunk - start / chunk + 1, share = mx_max(warps, (chunks + parts - 1) / parts);
  const i32 used = (chunks + share - 1) / share, part = mx_block_z();
  if (part >= used) return;
  const i32 first_key = (start / chunk + part * share) * chunk, last = mx_min(position, first_key + share * chunk - 1);
  const i32 begin = first_key + warp * chunk;
  i32 page = 0;
  if (begin <= last) page = table[begin / mx_page_positions];
  mx_follow();
  // Sixteen dimensions of head g: of product i the pairs 2i and 2i + 1.
  u32 a[8];
  {
    const MX_GLOBAL f32 *const own = mx_global<f32>(q) + (i64)t * q_stride + (kv * per_kv + mx_min(g, per_kv - 1)) * dims + 16 * quarter;
    MX_UNROLL
    for (i32 i = 0; i < 8; i++) {
      const f32x2 two = *(const MX_GLOBAL f32x2 *)(own + 2 * i);
      a[i] = mx_pack(two.x, two.y);
    }
  }
  f32 m = -__builtin_inff(), l = 0.0f, acc[8][4];
  MX_UNROLL
  for (i32 j = 0; j < 8; j++) {
    MX_UNROLL
    for (i32 i = 0; i < 4; i++) acc[j][i] = 0.0f;
  }
  u32x4 k[2][2], v[4];
  const auto load = [&](i32 first) __attribute__((always_inline)) {
    const i64 base = head_at + (i64)page * (mx_page_positions * 2 * dims);
    const MX_GLOBAL u8 *const keys = mx_global<u8>(cache.k) + base, *const values = mx_global<u8>(cache.v) + base;
    const auto row = [&](i32 key) { return (mx_min(key, last) & (mx_page_positions - 1)) * (2 * dims); };
    if (first + warps * chunk <= last) page = table[(first + warps * chunk) / mx_page_positions];
    MX_UNROLL
    for (i32 i = 0; i < 2; i++) {
      const MX_GLOBAL u32x4 *const from = (const MX_GLOBAL u32x4 *)(keys + row(first + 8 * i + g) + 32 * quarter);
      k[i][0] = from[0], k[i][1] = from[1];
    }
    MX_UNROLL
    for (i32 i = 0; i < 4; i++) v[i] = *(const MX_GLOBAL u32x4 *)(values + row(first + 2 * quarter + (i & 1) + 8 * (i >> 1)) + 16 * g);
  };
  if (begin <= last) load(begin);
  MX_NO_UNROLL
  for (i32 first = begin; first <= last; first += warps * chunk) {
    f32 s[2][4];
    MX_UNROLL
    for (i32 i = 0; i < 2; i++) {
      MX_UNROLL
      for (i32 e = 0; e < 4; e++) s[i][e] = 0.0f;
      MX_UNROLL
      for (i32 h = 0; h < 2; h++) {
        product(s[i], a[4 * h], a[4 * h + 1], k[i][h].x, k[i][h].y);
        product(s[i], a[4 * h + 2], a[4 * h + 3], k[i][h].z, k[i][h].w);
      }
    }
    f32 most = m;
    MX_UNROLL
    for (i32 i = 0; i < 2; i++) {
      MX_UNROLL
      for (i32 e = 0; e < 2; e++) {
        const i32 key = first + 8 * i + 2 * quarter + e;
        s[i][e] = key >= start && key <= last ? s[i][e] * cache.softmax_scale : -__builtin_inff();
        most = mx_max(most, s[i][e]);
      }
    }
    most = mx_max(most, mx_shuffle_xor(most, 1));
    most = mx_max(most, mx_shuffle_xor(most, 2));
    // Where a chunk's keys are all before the window, nothing has been seen yet.
    const f32 anchor = most == -__builtin_inff() ? 0.0f : most, shrink = mx_exp(m - anchor);
    m = most;
    f32 sum = 0.0f;
    u32 p[3][2];
    MX_UNROLL
    for (i32 i = 0; i < 2; i++) {
      f32 x = mx_exp(s[i][0] - anchor), y = mx_exp(s[i][1] - anchor);
      sum += x + y;
      MX_UNROLL
      for (i32 part = 0; part < 3; part++) {
        const u32 xb = mx_bits(x) & 0xffff0000u, yb = mx_bits(y) & 0xffff0000u;
        p[part][i] = xb >> 16 | yb;
        x -= mx_float(xb), y -= mx_float(yb);
      }
    }
    l = l * shrink + sum;
    const u32x4 now[4] = {v[0], v[1], v[2], v[3]};
    MX_UNROLL
    for (i32 j = 0; j < 8; j++) {
      const i32 word = j / 2;
      const u32 b0 = j & 1 ? mx_highs(now[0][word], now[1][word]) : mx_lows(now[0][word], now[1][word]);
      const u32 b1 = j & 1 ? mx_highs(now[2][word], now[3][word]) : mx_lows(now[2][word], now[3][word]);
      acc[j][0] *= shrink, acc[j][1] *= shrink;
      MX_UNROLL
      for (i32 part = 2; part >= 0; part--) product(acc[j], p[part][0], p[part][1], b0, b1);
    }
    if (first + warps * chunk <= last) load(first + warps * chunk);
  }
  l += mx_shuffle_xor(l, 1);
  l += mx_shuffle_xor(l, 2);
  if (quarter == 0) maxima[warp][g] = m, sums[warp][g] = l;
  // Sum (g, 2 * quarter + e) of product j is dimension 8 * (2 * quarter + e) + j.
  MX_UNROLL
  for (i32 j = 0; j < 8; j++) {
    MX_UNROLL
    for (i32 e = 0; e < 2; e++) values[warp][g][8 * (2 * quarter + e) + j] = acc[j][e];
  }
  mx_barrier();
  MX_GLOBAL f32 *const to = mx_global<f32>(out) + (i64)t * out_stride + kv * per_kv * dims;
  if (used > 1) {
    // Of each part the heads' sums, then their largest scores and the sums of weights.
    const i32 size = per_kv * (dims + 2), peaks = per_kv * dims;
    MX_GLOBAL f32 *const all = mx_global<f32>(partial) + (i64)(t * cache.kv_heads + kv) * parts * size;
    for (i32 i = tid; i < per_kv * dims; i += 32 * warps) {
      const i32 head = i / dims, d = i % dims;
      const Merged own = merged<warps>(-__builtin_inff(), 0.0f, [&](i32 w) { return maxima[w][head]; }, [&](i32 w) { return sums[w][head]; },
                                       [&](i32 w) { return values[w][head][d]; });
      all[part * size + i] = own.total;
      if (d == 0) all[part * size + peaks + 2 * head] = own.most, all[part * size + peaks + 2 * head + 1] = own.weight;
    }
    if (!mx_comes_last(counters, t * cache.kv_heads + kv, used)) return;
    for (i32 i = tid; i < per_kv * dims; i += 32 * warps) {
      const i32 head = i / dims, peak = peaks + 2 * head;
      f32 m_of[parts_most], l_of[parts_most], value_of[parts_most];
      MX_UNROLL
      for (i32 p = 0; p < parts_most; p++) {
        const MX_GLOBAL f32 *const from = all + mx_min(p, used - 1) * size;
        m_of[p] = mx_load_shared_by_blocks(from + peak), l_of[p] = mx_load_shared_by_blocks(from + peak + 1);
        value_of[p] = mx_load_shared_by_blocks(from + i);
        if (p >= used) m_of[p] = -__builtin_inff();
      }
      const f32 sink = mx_element(sinks, sinks_format, kv * per_kv + head);
      const Merged whole = merged<parts_most>(sink, 1.0f, [&](i32 p) { return m_of[p]; }, [&](i32 p) { return l_of[p]; },
                                              [&](i32 p) { return value_of[p]; });
      to[i] = mx_round_if(whole.total / whole.weight, round);
    }
    return;
  }
  for (i32 i = tid; i < per_kv * dims; i += 32 * warps) {
    const i32 head = i / dims, d = i % dims;
    const f32 sink = mx_element(sinks, sinks_format, kv * per_kv + head);
    const Merged whole = merged<warps>(sink, 1.0f, [&](i32 w) { return maxima[w][head]; }, [&](i32 w) { return sums[w][head]; },
                                       [&](i32 w) { return values[w][head][d]; });
    to[i] = mx_round_if(whole.total / whole.weight, round);
  }
}
MX_EXPORT(attention_batch)
