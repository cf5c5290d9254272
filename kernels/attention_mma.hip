// Attention of many tokens of one sequence by matrix instructions (NVIDIA): a block takes 128 query rows (consecutive tokens times the query
// heads of one kv head), 16 a warp, and walks over the keys 64 at a time. Head size 64, cache bf16 or FP8, queries bf16 numbers.
//
// Products are exact and sums float32, as in attention_tile: FP8 codes enter as they are and the scales multiply sums, and a weight
// p enters as three bf16 numbers whose sum is p to 24 bits. Key tiles lie at multiples of 64 of the position, so a token's sums do
// not depend on which tokens share its block.
#include "common/cache.h"
#include "common/copies.h"
#include "common/formats.h"
#include "common/matrix.h"

constexpr i32 dims = 64, tile = mx_page_positions;
// bf16 numbers between keys in LDS: 144 bytes, so that eight keys' 16 bytes lie in different banks.
constexpr i32 pitch = 72;

// Sixteen dimensions of a key or value as bf16: the numbers of a bf16 cache, by a copy that goes on, the codes' values of an FP8 one.
MX_DEVICE void load16(const MxCache &cache, const void *base, i64 row, i32 d, u16 *to) {
  const MX_GLOBAL u8 *p = mx_global<u8>(base) + row;
  if (cache.format == MX_BF16) {
    mx_copy32(to, p, 2 * d);
  } else {
    const u32x4 w = *(const MX_GLOBAL u32x4 *)(p + d);
    MX_UNROLL
    for (i32 i = 0; i < 4; i++) {
      ((u32 *)to)[2 * i] = mx_pack_exact(mx_fp8_value(w[i] & 255u), mx_fp8_value((w[i] >> 8) & 255u));
      ((u32 *)to)[2 * i + 1] = mx_pack_exact(mx_fp8_value((w[i] >> 16) & 255u), mx_fp8_value(w[i] >> 24));
    }
  }
}

// mx_exp of a number that is not above 0, or NaN: the same bits by fewer instructions, none of which leaves the multiply-adds' way. To add
// 1.5 * 2^23 rounds to a whole number as rint does, and leaves that in the low bits; no factor is subnormal.
MX_DEVICE f32 exp_negative(f32 x) {
  const f32 most = 12582912.0f;
  x = x < -104.0f ? -104.0f : x;
  const f32 shifted = x * 1.44269504f + most, n = shifted - most;
  f32 r = mx_fma(n, -0.693359375f, x);
  r = mx_fma(n, 2.12194440e-4f, r);
  f32 p = 1.98412698e-4f;
  p = mx_fma(p, r, 1.38888889e-3f);
  p = mx_fma(p, r, 8.33333333e-3f);
  p = mx_fma(p, r, 4.16666667e-2f);
  p = mx_fma(p, r, 1.66666667e-1f);
  p = mx_fma(p, r, 0.5f);
  p = mx_fma(p, r, 1.0f);
  p = mx_fma(p, r, 1.0f);
  const i32 k = (i32)mx_bits(shifted) - (i32)mx_bits(most), half = k >> 1;
  return p * mx_float((u32)(half + 127) << 23) * mx_float((u32)(k - half + 127) << 23);
}

MX_TRAITS(attention_tile_mma, 256, 0, 128, 0, 0)
MX_ENTRY_RESIDENT(attention_tile_mma, 256, 2)(f32 *out, i32 out_stride, const f32 *q, i32 q_stride, MxCache cache, const i32 *slots, const i32 *positions,
                                             const void *sinks, i32 sinks_format, i32 round, [[maybe_unused]] i32 n, const i32 *tiles,
                                             i32 tile_count) {
  mx_follow();
  // Of two tiles: one is multiplied while the next one comes.
  MX_SHARED u32x4 keys_lds[2 * tile * pitch / 8], values_lds[2 * tile * pitch / 8];
  if (mx_block_x() >= tile_count) return;
  const i32 tid = mx_thread(), lane = mx_lane(), warp = mx_group();
  const i32 first_token = mx_global<i32>(tiles)[2 * mx_block_x()], tokens = mx_global<i32>(tiles)[2 * mx_block_x() + 1];
  const i32 kv = mx_block_y(), per_kv = cache.heads / cache.kv_heads, rows = tokens * per_kv;
  const i32 position = mx_global<i32>(positions)[first_token];
  const MX_GLOBAL i32 *const table = mx_cache_table(cache, mx_global<i32>(slots)[first_token]);
  const i32 last = position + tokens - 1, begin = (cache.window > 0 ? mx_max(0, position - cache.window + 1) : 0) / tile * tile;
  // A tile is a page. Which one the next is, comes with the tile before, and of the first while the queries do.
  MX_SHARED i32 pages[2];
  const i32 first_page = table[begin / tile];
  const i32 row_bytes = dims * mx_cache_size(cache.format);
  const i64 head_at = mx_cache_head(cache, kv);
  // This thread's two rows: lane/4 and lane/4 + 8 of the warp's sixteen.
  i32 own[2], to[2], from[2];
  f32 m[2], l[2];
  const MX_GLOBAL f32 *query[2];
  MX_UNROLL
  for (i32 i = 0; i < 2; i++) {
    own[i] = warp * 16 + (lane >> 2) + 8 * i;
    const i32 row = mx_min(own[i], rows - 1), token = row / per_kv, head = kv * per_kv + row % per_kv;
    to[i] = position + token;
    from[i] = cache.window > 0 ? mx_max(0, to[i] - cache.window + 1) : 0;
    m[i] = mx_element(sinks, sinks_format, head);
    l[i] = 1.0f;
    query[i] = mx_global<f32>(q) + (i64)(first_token + token) * q_stride + head * dims;
  }
  u32 a[4][4];
  MX_UNROLL
  for (i32 k = 0; k < 4; k++) {
    MX_UNROLL
    for (i32 i = 0; i < 4; i++) {
      const f32x2 two = *(const MX_GLOBAL f32x2 *)(query[i & 1] + k * 16 + (i >> 1) * 8 + (lane & 3) * 2);
      a[k][i] = mx_pack(two.x, two.y);
    }
  }
  const bool fp8 = cache.format == MX_FP8;
  const f32 score_scale = fp8 ? cache.softmax_scale * cache.k_scale : cache.softmax_scale;
  f32 acc[8][4];
  MX_UNROLL
  for (i32 j = 0; j < 8; j++) {
    MX_UNROLL
    for (i32 i = 0; i < 4; i++) acc[j][i] = 0.0f;
  }
  // Keys that any row of this warp sees.
  const i32 warp_last = position + mx_min(warp * 16 + 15, rows - 1) / per_kv, warp_token = position + mx_min(warp * 16, rows - 1) / per_kv;
  const i32 warp_from = cache.window > 0 ? mx_max(0, warp_last - cache.window + 1) : 0;
  const i32 warp_first = cache.window > 0 ? mx_max(0, warp_token - cache.window + 1) : 0;
  const auto load = [&](i32 first, i32 buffer, i32 page) __attribute__((always_inline)) {
    // Four threads a key, 16 dimensions each.
    const i32 key = tid >> 2, d = (tid & 3) * 16, to = (buffer * tile + key) * pitch + d;
    const i64 row = head_at + (i64)(page * tile + mx_min(key, last - first)) * row_bytes;
    load16(cache, cache.k, row, d, (u16 *)keys_lds + to);
    load16(cache, cache.v, row, d, (u16 *)values_lds + to);
    if (tid == 0 && first + tile <= last) mx_copy4(&pages[buffer ^ 1], (const MX_GLOBAL u8 *)(table + first / tile + 1));
  };
  load(begin, 0, first_page);
  i32 buffer = 0;
  for (i32 first = begin; first <= last; first += tile) {
    mx_wait_copies();
    mx_barrier();
    // Everybody is done with the tile before.
    if (first + tile <= last) load(first + tile, buffer ^ 1, pages[buffer ^ 1]);
    const u16 *const keys = (const u16 *)keys_lds + buffer * tile * pitch, *const values = (const u16 *)values_lds + buffer * tile * pitch;
    buffer ^= 1;
    if (first > warp_last || first + tile <= warp_first || warp * 16 >= rows) continue;
    f32 s[8][4];
    MX_UNROLL
    for (i32 j = 0; j < 8; j++) {
      MX_UNROLL
      for (i32 i = 0; i < 4; i++) s[j][i] = 0.0f;
    }
    MX_UNROLL
    for (i32 k = 0; k < 4; k++) {
      MX_UNROLL
      for (i32 j = 0; j < 4; j++) {
        const u32x4 b = mx_load_matrices(keys + (j * 16 + (lane & 7) + (lane >> 4) * 8) * pitch + k * 16 + ((lane >> 3) & 1) * 8);
        mx_product(s[2 * j], a[k][0], a[k][1], a[k][2], a[k][3], b.x, b.y);
        mx_product(s[2 * j + 1], a[k][0], a[k][1], a[k][2], a[k][3], b.z, b.w);
      }
    }
    f32 shrink[2];
    // Whether each row of the warp sees all keys of the tile.
    const bool all = first >= warp_from && first + tile - 1 <= warp_token;
    MX_UNROLL
    for (i32 i = 0; i < 2; i++) {
      MX_UNROLL
      for (i32 j = 0; j < 8; j++) {
        MX_UNROLL
        for (i32 e = 0; e < 2; e++) s[j][2 * i + e] *= score_scale;
      }
      if (!all) {
        MX_UNROLL
        for (i32 j = 0; j < 8; j++) {
          MX_UNROLL
          for (i32 e = 0; e < 2; e++) {
            const i32 key = first + j * 8 + (lane & 3) * 2 + e;
            if (key < from[i] || key > to[i]) s[j][2 * i + e] = -__builtin_inff();
          }
        }
      }
      f32 most = -__builtin_inff();
      MX_UNROLL
      for (i32 j = 0; j < 8; j++) {
        MX_UNROLL
        for (i32 e = 0; e < 2; e++) most = mx_max(most, s[j][2 * i + e]);
      }
      most = mx_max(most, mx_shuffle_xor(most, 1));
      most = mx_max(most, mx_shuffle_xor(most, 2));
      most = mx_max(most, m[i]);
      shrink[i] = exp_negative(m[i] - most);
      m[i] = most;
      f32 sum = 0.0f;
      MX_UNROLL
      for (i32 j = 0; j < 8; j++) {
        MX_UNROLL
        for (i32 e = 0; e < 2; e++) {
          f32 &score = s[j][2 * i + e];
          score = exp_negative(score - most);
          sum += score;
        }
      }
      sum += mx_shuffle_xor(sum, 1);
      sum += mx_shuffle_xor(sum, 2);
      l[i] = l[i] * shrink[i] + sum;
    }
    MX_UNROLL
    for (i32 j = 0; j < 8; j++) acc[j][0] *= shrink[0], acc[j][1] *= shrink[0], acc[j][2] *= shrink[1], acc[j][3] *= shrink[1];
    MX_UNROLL
    for (i32 k = 0; k < 4; k++) {
      // The scores of sixteen keys are where the first operand wants them.
      u32 p[3][4];
      MX_UNROLL
      for (i32 i = 0; i < 4; i++) {
        f32 x = s[2 * k + (i >> 1)][(i & 1) * 2], y = s[2 * k + (i >> 1)][(i & 1) * 2 + 1];
        MX_UNROLL
        for (i32 part = 0; part < 3; part++) {
          const u32 xb = mx_bits(x) & 0xffff0000u, yb = mx_bits(y) & 0xffff0000u;
          p[part][i] = xb >> 16 | yb;
          x -= mx_float(xb), y -= mx_float(yb);
        }
      }
      MX_UNROLL
      for (i32 j = 0; j < 4; j++) {
        const u32x4 b = mx_load_transposed(values + (k * 16 + (lane & 15)) * pitch + j * 16 + (lane >> 4) * 8);
        MX_UNROLL
        for (i32 part = 2; part >= 0; part--) {
          mx_product(acc[2 * j], p[part][0], p[part][1], p[part][2], p[part][3], b.x, b.y);
          mx_product(acc[2 * j + 1], p[part][0], p[part][1], p[part][2], p[part][3], b.z, b.w);
        }
      }
    }
  }
  const f32 value_scale = fp8 ? cache.v_scale : 1.0f;
  MX_UNROLL
  for (i32 i = 0; i < 2; i++) {
    if (own[i] < rows) {
      const i32 token = own[i] / per_kv, head = kv * per_kv + own[i] % per_kv;
      MX_GLOBAL f32 *y = mx_global<f32>(out) + (i64)(first_token + token) * out_stride + head * dims + (lane & 3) * 2;
      const f32 inverse = value_scale / l[i];
      MX_UNROLL
      for (i32 j = 0; j < 8; j++) {
        *(MX_GLOBAL f32x2 *)(y + j * 8) = f32x2{mx_round_if(acc[j][2 * i] * inverse, round), mx_round_if(acc[j][2 * i + 1] * inverse, round)};
      }
    }
  }
}
MX_EXPORT(attention_tile_mma)
