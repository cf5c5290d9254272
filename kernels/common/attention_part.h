// How a block attends from a token to a part of its keys, for kernels that cut a context into parts. Head size 64; a block serves up to
// eight query heads of one kv head.
#pragma once
#include "cache.h"

constexpr i32 dims = 64, tile = mx_page_positions, block_heads = 8, groups = 8, group_keys = tile / groups;
constexpr i32 most_splits = 64;

// The pages that a tile lies in: those of a sliding layer begin anywhere.
struct Pages {
  i32 one, two;

  MX_DEVICE void ask(const MX_GLOBAL i32 *table, i32 first, i32 end) {
    one = table[first / tile];
    two = table[(mx_min(first + tile, end) - 1) / tile];
  }
};

// What a thread reads of a tile: a quarter of a key, and two dimensions of its group's eight values.
template <i32 Format> struct Tile {
  static constexpr i32 size = Format == MX_F32 ? 4 : (Format == MX_FP8 ? 1 : 2);
  static constexpr i32 pieces = size;
  u32x4 key[pieces];
  u32x2 value[group_keys];

  MX_DEVICE void load(const MxCache &cache, const Pages &pages, i64 head, i32 first, i32 keys) {
    const i64 one = head + (i64)pages.one * (tile * dims * size) + (first & (tile - 1)) * (dims * size);
    if (pages.one == pages.two) return load_rows(cache, [&](i32 j) { return one + mx_min(j, keys - 1) * (dims * size); });
    const i64 two = head + (i64)pages.two * (tile * dims * size) - (tile - (first & (tile - 1))) * (dims * size);
    load_rows(cache, [&](i32 j) {
      const i32 at = mx_min(j, keys - 1);
      return ((first & (tile - 1)) + at < tile ? one : two) + at * (dims * size);
    });
  }
  template <class Row> MX_DEVICE void load_rows(const MxCache &cache, const Row &row) {
    const MX_GLOBAL u32x4 *k = (const MX_GLOBAL u32x4 *)(mx_global<u8>(cache.k) + row(mx_thread() >> 2) + (mx_thread() & 3) * 16 * size);
    MX_UNROLL
    for (i32 i = 0; i < pieces; i++) key[i] = k[i];
    MX_UNROLL
    for (i32 i = 0; i < group_keys; i++) {
      const MX_GLOBAL u8 *v = mx_global<u8>(cache.v) + row(mx_group() * group_keys + i);
      if constexpr (Format == MX_F32) value[i] = ((const MX_GLOBAL u32x2 *)v)[mx_lane()];
      else if constexpr (Format == MX_BF16) value[i].x = ((const MX_GLOBAL u32 *)v)[mx_lane()];
      else value[i].x = ((const MX_GLOBAL u16 *)v)[mx_lane()];
    }
  }
  // Dimension i of this thread's sixteen.
  MX_DEVICE f32 key_at(i32 i, f32 scale) const {
    if constexpr (Format == MX_F32) return mx_float(key[i / 4][i % 4]);
    else if constexpr (Format == MX_BF16) return mx_float(i % 2 ? key[i / 8][i / 2 % 4] & 0xffff0000u : key[i / 8][i / 2 % 4] << 16);
    else return mx_fp8_value(key[0][i / 4] >> (8 * (i % 4)) & 255u) * scale;
  }
  MX_DEVICE f32x2 value_at(i32 i, f32 scale) const {
    if constexpr (Format == MX_F32) return f32x2{mx_float(value[i].x), mx_float(value[i].y)};
    else if constexpr (Format == MX_BF16) return f32x2{mx_float(value[i].x << 16), mx_float(value[i].x & 0xffff0000u)};
    else return f32x2{mx_fp8_value(value[i].x & 255u) * scale, mx_fp8_value(value[i].x >> 8) * scale};
  }
};

struct Shared {
  f32x4 query[block_heads][dims / 4];
  f32 scores[block_heads][tile];
  // exp(score - m) by key, and what the sums so far shrink by.
  f32x4 weights[tile][block_heads / 4];
  f32 shrink[block_heads];
  f32 sums[groups][block_heads][dims];
};

struct Part {
  const MX_GLOBAL i32 *table;
  // Of the first tile.
  Pages pages;
  // Where the kv head begins.
  i64 head;
  i32 begin, end, heads;
};

// Leaves every group's sums of its keys in `lds.sums`; m and l are those of head mx_group(). `own`, if there
// is one, stages the query and stores the token's own key and value; else they are there.
template <i32 Format, class... Own> MX_DEVICE void attend(const MxCache &cache, const Part &part, Shared &lds, f32 &m, f32 &l, const Own &...own) {
  const i32 lane = mx_lane(), group = mx_group(), quarter = mx_thread() & 3;
  f32x2 acc[block_heads];
  MX_UNROLL
  for (i32 h = 0; h < block_heads; h++) acc[h] = f32x2{0.0f, 0.0f};
  Tile<Format> now;
  Pages pages = part.pages;
  if (part.begin < part.end) now.load(cache, pages, part.head, part.begin, mx_min(tile, part.end - part.begin));
  if (part.begin + tile < part.end) pages.ask(part.table, part.begin + tile, part.end);
  (own.begin(), ...);
  for (i32 first = part.begin; first < part.end; first += tile) {
    const i32 keys = mx_min(tile, part.end - first);
    // The queries are there, and nobody reads the last tile's weights any more.
    mx_barrier();
    (own.take(now, first, keys), ...);
    {
      const i32 key = mx_thread() >> 2;
      f32 k[16];
      MX_UNROLL
      for (i32 i = 0; i < 16; i++) k[i] = now.key_at(i, cache.k_scale);
      MX_UNROLL
      for (i32 h = 0; h < block_heads; h++) {
        f32 sum = 0.0f;
        MX_UNROLL
        for (i32 i = 0; i < 4; i++) {
          const f32x4 a = lds.query[h][quarter * 4 + i];
          sum = mx_fma(a.x, k[4 * i], sum);
          sum = mx_fma(a.y, k[4 * i + 1], sum);
          sum = mx_fma(a.z, k[4 * i + 2], sum);
          sum = mx_fma(a.w, k[4 * i + 3], sum);
        }
        sum += mx_shuffle_xor(sum, 1);
        sum += mx_shuffle_xor(sum, 2);
        if (quarter == h >> 1) lds.scores[h][key] = key < keys ? sum * cache.softmax_scale : -__builtin_inff();
      }
    }
    mx_barrier();
    if (group < part.heads) {
      const f32 s0 = lds.scores[group][lane], s1 = lds.scores[group][lane + 32];
      const f32 next = mx_max(m, mx_group_max(mx_max(s0, s1)));
      const f32 p0 = mx_exp(s0 - next), p1 = mx_exp(s1 - next), shrink = mx_exp(m - next);
      ((f32 *)lds.weights[lane])[group] = p0;
      ((f32 *)lds.weights[lane + 32])[group] = p1;
      if (lane == 0) lds.shrink[group] = shrink;
      l = l * shrink + mx_group_sum(p0 + p1);
      m = next;
    }
    mx_barrier();
    MX_UNROLL
    for (i32 h = 0; h < block_heads; h++) acc[h] = acc[h] * lds.shrink[h];
    MX_UNROLL
    for (i32 i = 0; i < group_keys; i++) {
      // Rows behind the last key repeat it and must not count, whatever it holds.
      const i32 key = group * group_keys + i;
      if (key >= keys) break;
      const f32x2 v = now.value_at(i, cache.v_scale);
      MX_UNROLL
      for (i32 four = 0; four < block_heads / 4; four++) {
        const f32x4 p = lds.weights[key][four];
        MX_UNROLL
        for (i32 j = 0; j < 4; j++) {
          acc[4 * four + j].x = mx_fma(p[j], v.x, acc[4 * four + j].x);
          acc[4 * four + j].y = mx_fma(p[j], v.y, acc[4 * four + j].y);
        }
      }
    }
    if (first + tile < part.end) now.load(cache, pages, part.head, first + tile, mx_min(tile, part.end - first - tile));
    if (first + 2 * tile < part.end) pages.ask(part.table, first + 2 * tile, part.end);
  }
  MX_UNROLL
  for (i32 h = 0; h < block_heads; h++) ((f32x2 *)lds.sums[group][h])[lane] = acc[h];
}
