// The KV cache: where an element lies, and its number formats.
#pragma once
#include "abi.h"
#include "quantize.h"

MX_DEVICE i32 mx_cache_size(i32 format) {
  if (format != MX_F32 && format != MX_FP8 && format != MX_BF16) __builtin_trap();
  return format == MX_F32 ? 4 : (format == MX_FP8 ? 1 : 2);
}

// Positions of a page: a multiple of the tiles of every kernel that reads the cache, whose tiles lie at multiples of theirs.
constexpr i32 mx_page_positions = 64;

// The pages of a sequence, by position / 64. Only copies write slots and tables, so they may be read before mx_follow().
MX_DEVICE const MX_GLOBAL i32 *mx_cache_table(const MxCache &cache, i32 slot) {
  return mx_global<i32>(cache.pages) + (i64)slot * cache.table_stride;
}

// Byte offset of a page behind those of the same kv head: its 64 positions lie one after the other.
MX_DEVICE i64 mx_cache_page(const MxCache &cache, i32 page) {
  return (i64)page * (mx_page_positions * cache.head_dim * mx_cache_size(cache.format));
}

// Byte offset of a kv head in either cache: of all pages one after the other.
MX_DEVICE i64 mx_cache_head(const MxCache &cache, i32 head) { return head * cache.head_stride; }

// Byte offset of the row of (kv head, position) whose page it is.
MX_DEVICE i64 mx_cache_at(const MxCache &cache, i32 page, i32 head, i32 position) {
  const i32 row = (position & (mx_page_positions - 1)) * cache.head_dim * mx_cache_size(cache.format);
  return mx_cache_head(cache, head) + mx_cache_page(cache, page) + row;
}

// Byte offset of the row of (slot, kv head, position) in either cache.
MX_DEVICE i64 mx_cache_row(const MxCache &cache, const MX_GLOBAL i32 *table, i32 head, i32 position) {
  return mx_cache_at(cache, table[position / mx_page_positions], head, position);
}

MX_DEVICE void mx_cache_put(const MxCache &cache, void *base, i64 row, i32 d, f32 v, f32 scale) {
  MX_GLOBAL u8 *p = mx_global<u8>(base) + row;
  if (cache.format == MX_F32) ((MX_GLOBAL f32 *)p)[d] = v;
  else if (cache.format == MX_BF16) ((MX_GLOBAL u16 *)p)[d] = (u16)(mx_bf16_bits(v) >> 16);
  else p[d] = (u8)mx_fp8_code(mx_to_fp8(v / scale));
}

// Eight neighbouring numbers (d a multiple of 8).
template <class Put> MX_DEVICE void mx_cache_get8(const void *base, i32 format, i64 row, i32 d, f32 scale, Put put) {
  const MX_GLOBAL u8 *p = mx_global<u8>(base) + row;
  if (format == MX_F32) {
    f32x4 a = *(const MX_GLOBAL f32x4 *)(p + 4 * d), b = *(const MX_GLOBAL f32x4 *)(p + 4 * d + 16);
    put(0, a.x), put(1, a.y), put(2, a.z), put(3, a.w), put(4, b.x), put(5, b.y), put(6, b.z), put(7, b.w);
  } else if (format == MX_BF16) {
    u32x4 w = *(const MX_GLOBAL u32x4 *)(p + 2 * d);
    MX_UNROLL
    for (i32 i = 0; i < 4; i++) put(2 * i, mx_float(w[i] << 16)), put(2 * i + 1, mx_float(w[i] & 0xffff0000u));
  } else {
    u32x2 w = *(const MX_GLOBAL u32x2 *)(p + d);
    MX_UNROLL
    for (i32 i = 0; i < 4; i++) put(i, mx_fp8_value((w.x >> (8 * i)) & 255u) * scale), put(i + 4, mx_fp8_value((w.y >> (8 * i)) & 255u) * scale);
  }
}
MX_DEVICE f32 mx_cache_get(const void *base, i32 format, i64 row, i32 d, f32 scale) {
  const MX_GLOBAL u8 *p = mx_global<u8>(base) + row;
  if (format == MX_F32) return ((const MX_GLOBAL f32 *)p)[d];
  if (format == MX_BF16) return mx_float((u32)((const MX_GLOBAL u16 *)p)[d] << 16);
  return mx_fp8_value(p[d]) * scale;
}

// Half-split rotation of the pair (d, d + half): o1 = x1*cos - x2*sin, o2 = x2*cos + x1*sin, four separate roundings of float32.
MX_DEVICE f32x2 mx_rotate_pair(f32 x1, f32 x2, f32 cos, f32 sin) { return f32x2{x1 * cos - x2 * sin, x2 * cos + x1 * sin}; }
