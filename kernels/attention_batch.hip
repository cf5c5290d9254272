// Attention of batches of some sequences, one token each, by matrix instructions (NVIDIA): head size 64, a bf16 cache, up to eight query
// heads a kv head, queries that are bf16 numbers. Rows 8 to 15 of a product are nobody's.
//
// A block serves a token and a kv head, and so many of its keys as make up a part; its warps take sixteen of them in turn, straight from
// memory into registers. Where there are few sequences or kv heads, parts are what keeps a device busy: the last block to come merges them.
// The order of dimensions inside a product is free: lane 4g + t reads the t-th quarter of key g, and of the values of keys 2t, 2t + 1, 2t + 8,
// 2t + 9 dimensions 8g to 8g + 7. As in attention_tile_mma products are exact and sums float32, and a weight enters as three bf16 numbers.
//
// Where it is given keys and values it rotates and stores the tokens first, as rotate_store does: older keys are asked for before the product
// that makes them has ended, and each block takes the token's own from LDS.
#include "common/blocks.h"
#include "common/cache.h"
#include "common/columns.h"
#include "common/halves.h"
#include "common/mma.h"

constexpr i32 dims = 64, heads_most = 8, warps = 8, chunk = 16;

// What eight sums of weighted values of a head, each relative to a largest score of its own, are multiplied by where they are added up: those
// of warps, or of parts.
constexpr i32 most_sums = 8;
struct Merge {
  // `start`: of the sink, which has no value.
  f32 factors[heads_most][most_sums], start[heads_most], most[heads_most];

  // Threads 0 to 63, those of a head side by side: `first` is a score that counts from the beginning, or that of nobody, m that of a sum.
  MX_DEVICE void weigh(f32 first, f32 m) {
    const i32 head = mx_thread() >> 3, i = mx_thread() & 7;
    f32 whole = m;
    MX_UNROLL
    for (i32 mask = 1; mask < most_sums; mask <<= 1) whole = mx_max(whole, mx_shuffle_xor(whole, mask));
    whole = mx_max(first, whole);
    // Where no key has been seen nothing is added.
    const f32 anchor = whole == -__builtin_inff() ? 0.0f : whole;
    factors[head][i] = mx_exp(m - anchor);
    if (i == 0) start[head] = mx_exp(first - anchor), most[head] = whole;
  }
  template <class Sum> MX_DEVICE f32 sum(f32 begin, i32 head, Sum sum) const {
    MX_UNROLL
    for (i32 i = 0; i < most_sums; i++) begin = mx_fma(sum(i), factors[head][i], begin);
    return begin;
  }
};

MX_TRAITS(attention_batch, 256, 0, 1, 0, 0)
MX_ENTRY_RESIDENT(attention_batch, 256, 2)(f32 *out, i32 out_stride, const f32 *q, i32 q_stride, MxCache cache, const i32 *slots, const i32 *positions,
                                          const void *sinks, i32 sinks_format, i32 round, i32 n, i32 parts, f32 *partial, i32 *counters,
                                          const f32 *new_k, i32 new_k_stride, const f32 *new_v, i32 new_v_stride, const f32 *cos, const f32 *sin,
                                          u16 *out_bf16, i32 bf16_stride, i32 order) {
  mx_lead();
  MX_SHARED f32 values[warps][heads_most][dims], maxima[warps][heads_most], sums[warps][heads_most];
  MX_SHARED Merge merge;
  // The heads' queries, and the token's own key and value, as bf16 numbers.
  MX_SHARED u32x4 query[heads_most][dims / 8], own[2][dims / 8];
  const i32 kv = mx_block_x(), t = mx_block_y(), tid = mx_thread(), lane = mx_lane(), warp = mx_group(), g = lane >> 2, quarter = lane & 3;
  if (t >= n) return;
  const i32 per_kv = cache.heads / cache.kv_heads, position = mx_global<i32>(positions)[t];
  const i32 start = cache.window > 0 ? mx_max(0, position - cache.window + 1) : 0;
  const MX_GLOBAL i32 *const table = mx_cache_table(cache, mx_global<i32>(slots)[t]);
  const i64 head_at = mx_cache_head(cache, kv);
  // Chunks begin with the first key that is seen, so that those of a window of 128 are one for each warp; each lies in up to two pages, which
  // are asked for a chunk ahead. A part has at least one for each warp; those behind the last key are nobody's.
  const i32 chunks = (mx_max(0, position) - start) / chunk + 1, share = mx_max(warps, (chunks + parts - 1) / parts);
  const i32 used = (chunks + share - 1) / share, part = mx_block_z();
  if (part >= used) return;
  const i32 first_key = start + part * share * chunk, last = mx_min(position, first_key + share * chunk - 1);
  const i32 begin = first_key + warp * chunk;
  i32 page = 0, end_page = 0;
  const auto ask_for_pages = [&](i32 first) __attribute__((always_inline)) {
    if (first > last) return;
    page = table[first / mx_page_positions], end_page = table[mx_min(first + chunk - 1, last) / mx_page_positions];
  };
  ask_for_pages(begin);
  u32x4 k[2][2], v[4];
  const auto row = [&](i32 first, i32 key) __attribute__((always_inline)) {
    const i32 own = mx_min(key, last), in = (own ^ first) & ~(mx_page_positions - 1) ? end_page : page;
    return head_at + (i64)in * (mx_page_positions * 2 * dims) + (own & (mx_page_positions - 1)) * (2 * dims);
  };
  const auto load_keys = [&](i32 first) __attribute__((always_inline)) {
    MX_UNROLL
    for (i32 i = 0; i < 2; i++) {
      const MX_GLOBAL u32x4 *const from = (const MX_GLOBAL u32x4 *)(mx_global<u8>(cache.k) + row(first, first + 8 * i + g) + 32 * quarter);
      k[i][0] = from[0], k[i][1] = from[1];
    }
  };
  // After the keys.
  const auto load_values = [&](i32 first) __attribute__((always_inline)) {
    MX_UNROLL
    for (i32 i = 0; i < 4; i++) {
      v[i] = *(const MX_GLOBAL u32x4 *)(mx_global<u8>(cache.v) + row(first, first + 2 * quarter + (i & 1) + 8 * (i >> 1)) + 16 * g);
    }
    ask_for_pages(first + warps * chunk);
  };
  const auto load = [&](i32 first) __attribute__((always_inline)) { load_keys(first), load_values(first); };
  // Of what is stored nothing is written here but the token's own, which comes from LDS.
  const bool fresh = new_k != nullptr, owns = fresh && position >= 0 && last == position;
  if (fresh && begin <= last) load(begin);
  {
    // A warp a head: a lane takes the pair (lane, lane + 32). What lies beyond the last head is nobody's.
    const i32 head = mx_min(warp, per_kv - 1), half = dims / 2;
    const i64 angle = (i64)mx_max(0, position) * half + lane;
    const f32 c = fresh ? mx_global<f32>(cos)[angle] : 1.0f, s = fresh ? mx_global<f32>(sin)[angle] : 0.0f;
    const bool stores = owns && warp < 2;
    const i64 row = stores ? mx_cache_row(cache, table, kv, position) : 0;
    mx_follow();
    if (!fresh && begin <= last) load(begin);
    const auto two = [&](const MX_GLOBAL f32 *from, bool rotates) __attribute__((always_inline)) {
      const f32 x = from[lane], y = from[lane + half];
      const f32x2 r = rotates ? mx_rotate_pair(x, y, c, s) : f32x2{x, y};
      // Rotated numbers are bf16 whether or not they are rounded before.
      return f32x2{mx_round_if(r.x, rotates && round), mx_round_if(r.y, rotates && round)};
    };
    const auto put = [&](u16 *to, f32x2 v) __attribute__((always_inline)) {
      to[lane] = (u16)(mx_bf16_bits(v.x) >> 16), to[lane + half] = (u16)(mx_bf16_bits(v.y) >> 16);
    };
    put((u16 *)query[warp], two(mx_global<f32>(q) + (i64)t * q_stride + (kv * per_kv + head) * dims, fresh));
    if (stores) {
      const bool key = warp == 0;
      u16 *const to = (u16 *)own[warp];
      put(to, two(mx_global<f32>(key ? new_k : new_v) + (i64)t * (key ? new_k_stride : new_v_stride) + kv * dims, key));
      MX_GLOBAL u16 *const place = (MX_GLOBAL u16 *)(mx_global<u8>(key ? cache.k : cache.v) + row);
      place[lane] = to[lane], place[lane + half] = to[lane + half];
    }
    mx_barrier();
  }
  // Sixteen dimensions of head g: of product i the pairs 2i and 2i + 1.
  u32 a[8];
  {
    const u32x4 low = query[g][2 * quarter], high = query[g][2 * quarter + 1];
    MX_UNROLL
    for (i32 i = 0; i < 4; i++) a[i] = low[i], a[4 + i] = high[i];
  }
  f32 m = -__builtin_inff(), l = 0.0f, acc[8][4];
  MX_UNROLL
  for (i32 j = 0; j < 8; j++) {
    MX_UNROLL
    for (i32 i = 0; i < 4; i++) acc[j][i] = 0.0f;
  }
  MX_NO_UNROLL
  for (i32 first = begin; first <= last; first += warps * chunk) {
    if (owns && first + chunk > position) {
      // Nobody sees what is behind it.
      MX_UNROLL
      for (i32 i = 0; i < 2; i++) {
        if (first + 8 * i + g >= position) k[i][0] = own[0][2 * quarter], k[i][1] = own[0][2 * quarter + 1];
      }
      MX_UNROLL
      for (i32 i = 0; i < 4; i++) {
        if (first + 2 * quarter + (i & 1) + 8 * (i >> 1) >= position) v[i] = own[1][g];
      }
    }
    f32 s[2][4];
    MX_UNROLL
    for (i32 i = 0; i < 2; i++) {
      MX_UNROLL
      for (i32 e = 0; e < 4; e++) s[i][e] = 0.0f;
      MX_UNROLL
      for (i32 h = 0; h < 2; h++) {
        mx_product(s[i], a[4 * h], 0, a[4 * h + 1], 0, k[i][h].x, k[i][h].y);
        mx_product(s[i], a[4 * h + 2], 0, a[4 * h + 3], 0, k[i][h].z, k[i][h].w);
      }
    }
    const i32 next = first + warps * chunk;
    if (next <= last) load_keys(next);
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
      for (i32 part = 2; part >= 0; part--) mx_product(acc[j], p[part][0], 0, p[part][1], 0, b0, b1);
    }
    if (next <= last) load_values(next);
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
  // Element i of the kv head's results.
  const auto store = [&](i32 i, f32 v) __attribute__((always_inline)) {
    const i32 column = kv * per_kv * dims + i;
    const f32 rounded = mx_round_if(v, round);
    if (out) mx_global<f32>(out)[(i64)t * out_stride + column] = rounded;
    if (out_bf16) mx_global<u16>(out_bf16)[(i64)t * bf16_stride + mx_column_place(order, column)] = (u16)(mx_bf16_bits(rounded) >> 16);
  };
  const i32 peaks = per_kv * dims, size = peaks + 2 * per_kv, own_head = tid >> 3, own_sum = tid & 7;
  const f32 sink = tid < heads_most * most_sums ? mx_element(sinks, sinks_format, kv * per_kv + mx_min(own_head, per_kv - 1)) : 0.0f;
  if (tid < heads_most * most_sums) merge.weigh(used > 1 ? -__builtin_inff() : sink, maxima[own_sum][own_head]);
  mx_barrier();
  // Of each part the heads' sums, then their largest scores and the sums of weights.
  MX_GLOBAL f32 *const all = used > 1 ? mx_global<f32>(partial) + (i64)(t * cache.kv_heads + kv) * parts * size : nullptr;
  for (i32 i = tid; i < per_kv * dims; i += 32 * warps) {
    const i32 head = i / dims, d = i % dims;
    const f32 total = merge.sum(0.0f, head, [&](i32 w) { return values[w][head][d]; });
    const f32 weight = merge.sum(merge.start[head], head, [&](i32 w) { return sums[w][head]; });
    if (used == 1) {
      store(i, total / weight);
      continue;
    }
    all[part * size + i] = total;
    if (d == 0) all[part * size + peaks + 2 * head] = merge.most[head], all[part * size + peaks + 2 * head + 1] = weight;
  }
  if (used == 1 || !mx_comes_last(counters, t * cache.kv_heads + kv, used)) return;
  // Two dimensions a thread.
  constexpr i32 each = heads_most * dims / (32 * warps);
  f32 value_of[each][most_sums];
  MX_UNROLL
  for (i32 e = 0; e < each; e++) {
    const i32 i = mx_min(tid + e * 32 * warps, per_kv * dims - 1);
    MX_UNROLL
    for (i32 p = 0; p < most_sums; p++) value_of[e][p] = mx_load_shared_by_blocks(all + mx_min(p, used - 1) * size + i);
  }
  if (tid < heads_most * most_sums) {
    const MX_GLOBAL f32 *const from = all + mx_min(own_sum, used - 1) * size + peaks + 2 * mx_min(own_head, per_kv - 1);
    const f32 m_of = mx_load_shared_by_blocks(from);
    sums[own_sum][own_head] = mx_load_shared_by_blocks(from + 1);
    merge.weigh(sink, own_sum < used ? m_of : -__builtin_inff());
  }
  mx_barrier();
  MX_UNROLL
  for (i32 e = 0; e < each; e++) {
    const i32 i = tid + e * 32 * warps, head = i / dims;
    if (i >= per_kv * dims) break;
    const f32 total = merge.sum(0.0f, head, [&](i32 p) { return value_of[e][p]; });
    store(i, total / merge.sum(merge.start[head], head, [&](i32 p) { return sums[p][head]; }));
  }
}
MX_EXPORT(attention_batch)
