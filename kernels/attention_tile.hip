// Attention of many tokens of one sequence: a block takes 64 query rows (consecutive tokens times the query heads of one kv head) and walks
// over the keys 32 at a time, in float32. Head size 64. Key tiles lie at multiples of 32 of the position, so a token's sums
// do not depend on which tokens share its block.
#include "common/cache.h"

constexpr i32 dims = 64, query_rows = 64, tile = 32;

MX_TRAITS(attention_tile, 256, 0, 64, 0, 0)
MX_ENTRY(attention_tile, 256)(f32 *out, i32 out_stride, const f32 *q, i32 q_stride, MxCache cache, const i32 *slots, const i32 *positions,
                              const void *sinks, i32 sinks_format, i32 round, [[maybe_unused]] i32 n, const i32 *tiles, i32 tile_count) {
  mx_follow();
  MX_SHARED f32x4 queries[dims][query_rows / 4], values[tile][dims / 4], weights[tile][query_rows / 4];
  // Keys by dimension, then the same memory holds values by key.
  f32 *keys = (f32 *)values;
  const i32 tid = mx_thread(), tx = tid & 15, ty = tid >> 4;
  if (mx_block_x() >= tile_count) return;
  const i32 first_token = mx_global<i32>(tiles)[2 * mx_block_x()], tokens = mx_global<i32>(tiles)[2 * mx_block_x() + 1];
  const i32 kv = mx_block_y(), per_kv = cache.heads / cache.kv_heads, rows = tokens * per_kv;
  const i32 position = mx_global<i32>(positions)[first_token];
  const MX_GLOBAL i32 *const table = mx_cache_table(cache, mx_global<i32>(slots)[first_token]);
  for (i32 i = tid; i < query_rows * dims; i += 256) {
    const i32 row = i & (query_rows - 1), d = i / query_rows;
    const i32 token = row / per_kv, head = kv * per_kv + row % per_kv;
    ((f32 *)queries[d])[row] = row < rows ? mx_global<f32>(q)[(i64)(first_token + token) * q_stride + head * dims + d] : 0.0f;
  }
  f32 m[4], l[4], acc[4][4];
  i32 from[4], to[4];
  MX_UNROLL
  for (i32 i = 0; i < 4; i++) {
    const i32 row = mx_min(ty * 4 + i, rows - 1);
    m[i] = mx_element(sinks, sinks_format, kv * per_kv + row % per_kv);
    l[i] = 1.0f;
    to[i] = position + row / per_kv;
    from[i] = cache.window > 0 ? mx_max(0, to[i] - cache.window + 1) : 0;
    MX_UNROLL
    for (i32 j = 0; j < 4; j++) acc[i][j] = 0.0f;
  }
  const i32 last = position + tokens - 1, begin = (cache.window > 0 ? mx_max(0, position - cache.window + 1) : 0) / tile * tile;
  for (i32 first = begin; first <= last; first += tile) {
    // Eight threads a key, eight dimensions each. Keys before the window, which lie in the same page, are masked below.
    const i32 key = tid >> 3, octet = (tid & 7) * 8;
    const i64 row = mx_cache_row(cache, table, kv, mx_min(first + key, last));
    mx_barrier();
    mx_cache_get8(cache.k, cache.format, row, octet, cache.k_scale, [&](i32 i, f32 v) { keys[(octet + i) * tile + key] = v; });
    mx_barrier();
    f32 s[4][2];
    MX_UNROLL
    for (i32 i = 0; i < 4; i++) s[i][0] = s[i][1] = 0.0f;
    MX_UNROLL_4
    for (i32 d = 0; d < dims; d++) {
      const f32x4 a = queries[d][ty];
      const f32x2 b = ((const f32x2 *)(keys + d * tile))[tx];
      MX_UNROLL
      for (i32 i = 0; i < 4; i++) {
        s[i][0] = mx_fma(a[i], b.x, s[i][0]);
        s[i][1] = mx_fma(a[i], b.y, s[i][1]);
      }
    }
    f32x4 p0, p1;
    MX_UNROLL
    for (i32 i = 0; i < 4; i++) {
      const i32 j = first + tx * 2;
      const f32 s0 = j >= from[i] && j <= to[i] ? s[i][0] * cache.softmax_scale : -__builtin_inff();
      const f32 s1 = j + 1 >= from[i] && j + 1 <= to[i] ? s[i][1] * cache.softmax_scale : -__builtin_inff();
      // The 16 threads of a row are neighbours.
      f32 next = mx_max(s0, s1);
      MX_UNROLL
      for (i32 mask = 1; mask < 16; mask <<= 1) next = mx_max(next, mx_shuffle_xor(next, mask));
      next = mx_max(m[i], next);
      const f32 e0 = mx_exp(s0 - next), e1 = mx_exp(s1 - next), shrink = mx_exp(m[i] - next);
      f32 sum = e0 + e1;
      MX_UNROLL
      for (i32 mask = 1; mask < 16; mask <<= 1) sum += mx_shuffle_xor(sum, mask);
      m[i] = next;
      l[i] = l[i] * shrink + sum;
      p0[i] = e0;
      p1[i] = e1;
      MX_UNROLL
      for (i32 c = 0; c < 4; c++) acc[i][c] *= shrink;
    }
    mx_barrier();
    weights[tx * 2][ty] = p0;
    weights[tx * 2 + 1][ty] = p1;
    mx_cache_get8(cache.v, cache.format, row, octet, cache.v_scale, [&](i32 i, f32 v) { ((f32 *)values[key])[octet + i] = v; });
    mx_barrier();
    MX_UNROLL_4
    for (i32 j = 0; j < tile; j++) {
      const f32x4 p = weights[j][ty], v = values[j][tx];
      MX_UNROLL
      for (i32 i = 0; i < 4; i++) {
        MX_UNROLL
        for (i32 c = 0; c < 4; c++) acc[i][c] = mx_fma(p[i], v[c], acc[i][c]);
      }
    }
  }
  MX_UNROLL
  for (i32 i = 0; i < 4; i++) {
    const i32 row = ty * 4 + i;
    if (row < rows) {
      MX_GLOBAL f32 *y = mx_global<f32>(out) + (i64)(first_token + row / per_kv) * out_stride + (kv * per_kv + row % per_kv) * dims + tx * 4;
      *(MX_GLOBAL f32x4 *)y = f32x4{mx_round_if(acc[i][0] / l[i], round), mx_round_if(acc[i][1] / l[i], round), mx_round_if(acc[i][2] / l[i], round),
                                    mx_round_if(acc[i][3] / l[i], round)};
    }
  }
}
MX_EXPORT(attention_tile)
