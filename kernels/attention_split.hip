// Attention of single tokens over long contexts: the visible keys are cut into `splits` parts that blocks work on at the same time, and
// a second kernel merges the parts. Head size 64; a block serves up to eight query heads of one kv head, one per group of threads.
#include "common/cache.h"

constexpr i32 dims = 64, tile = 64, block_heads = 8, ahead = 8;

MX_TRAITS(attention_split, 256, 0, 1, 0, 0)
MX_ENTRY(attention_split, 256)(f32 *partial, const f32 *q, i32 q_stride, MxCache cache, const i32 *slots, const i32 *positions, i32 splits, i32 n) {
  MX_SHARED f32x4 query[block_heads][dims / 4];
  MX_SHARED f32 scores[block_heads][tile];
  const i32 tid = mx_thread(), lane = mx_lane(), group = mx_group(), split = mx_block_x(), t = mx_block_z();
  if (t >= n) return;
  const i32 per_kv = cache.heads / cache.kv_heads, chunks = (per_kv + block_heads - 1) / block_heads;
  const i32 kv = mx_block_y() / chunks, chunk = mx_block_y() % chunks;
  const i32 first_head = kv * per_kv + chunk * block_heads, heads = mx_min(block_heads, per_kv - chunk * block_heads);
  const i32 position = mx_global<i32>(positions)[t];
  const i32 start = cache.window > 0 ? mx_max(0, position - cache.window + 1) : 0;
  const i32 share = ((position - start + splits) / splits + tile - 1) / tile * tile;
  const i32 begin = start + split * share, end = mx_min(begin + share, position + 1);
  const i64 base = mx_global<i32>(slots)[t] * cache.slot_stride + kv * cache.head_stride;
  const i64 row_bytes = (i64)dims * mx_cache_size(cache.format);
  for (i32 i = tid; i < heads * dims; i += 256) ((f32 *)query)[i] = mx_global<f32>(q)[(i64)t * q_stride + first_head * dims + i];
  f32 m = -__builtin_inff(), l = 0.0f;
  f32x2 acc = {0.0f, 0.0f};
  for (i32 first = begin; first < end; first += tile) {
    const i32 ring = first % cache.capacity, keys = mx_min(tile, end - first);
    mx_barrier();
    {
      // Four threads a key, 16 dimensions each.
      const i32 key = tid >> 2, quarter = tid & 3;
      i32 at = ring + mx_min(key, keys - 1);
      if (at >= cache.capacity) at -= cache.capacity;
      f32 k[16];
      mx_cache_get8(cache.k, cache.format, base + at * row_bytes, quarter * 16, cache.k_scale, [&](i32 i, f32 v) { k[i] = v; });
      mx_cache_get8(cache.k, cache.format, base + at * row_bytes, quarter * 16 + 8, cache.k_scale, [&](i32 i, f32 v) { k[i + 8] = v; });
      MX_UNROLL
      for (i32 h = 0; h < block_heads; h++) {
        f32 sum = 0.0f;
        MX_UNROLL
        for (i32 i = 0; i < 4; i++) {
          const f32x4 a = query[h][quarter * 4 + i];
          sum = mx_fma(a.x, k[4 * i], sum);
          sum = mx_fma(a.y, k[4 * i + 1], sum);
          sum = mx_fma(a.z, k[4 * i + 2], sum);
          sum = mx_fma(a.w, k[4 * i + 3], sum);
        }
        sum += mx_shuffle_xor(sum, 1);
        sum += mx_shuffle_xor(sum, 2);
        if (quarter == h >> 1) scores[h][key] = key < keys ? sum * cache.softmax_scale : -__builtin_inff();
      }
    }
    mx_barrier();
    if (group < heads) {
      const f32 s0 = scores[group][lane], s1 = scores[group][lane + 32];
      const f32 next = mx_max(m, mx_group_max(mx_max(s0, s1)));
      const f32 p0 = mx_exp(s0 - next), p1 = mx_exp(s1 - next), shrink = mx_exp(m - next);
      scores[group][lane] = p0;
      scores[group][lane + 32] = p1;
      l = l * shrink + mx_group_sum(p0 + p1);
      m = next;
      acc = acc * shrink;
      mx_group_barrier();
      // Two dimensions a thread; eight rows are loaded before the first is used, because a load takes longer than the sums of a tile.
      for (i32 j = 0; j < keys; j += ahead) {
        const MX_GLOBAL u8 *row[ahead];
        MX_UNROLL
        for (i32 i = 0; i < ahead; i++) {
          i32 at = ring + mx_min(j + i, keys - 1);
          if (at >= cache.capacity) at -= cache.capacity;
          row[i] = mx_global<u8>(cache.v) + base + at * row_bytes;
        }
        f32x2 v[ahead];
        if (cache.format == MX_F32) {
          MX_UNROLL
          for (i32 i = 0; i < ahead; i++) v[i] = ((const MX_GLOBAL f32x2 *)row[i])[lane];
        } else if (cache.format == MX_BF16) {
          MX_UNROLL
          for (i32 i = 0; i < ahead; i++) {
            const u32 w = ((const MX_GLOBAL u32 *)row[i])[lane];
            v[i] = f32x2{mx_float(w << 16), mx_float(w & 0xffff0000u)};
          }
        } else {
          MX_UNROLL
          for (i32 i = 0; i < ahead; i++) {
            const u32 w = ((const MX_GLOBAL u16 *)row[i])[lane];
            v[i] = f32x2{mx_fp8_value(w & 255u) * cache.v_scale, mx_fp8_value(w >> 8) * cache.v_scale};
          }
        }
        MX_UNROLL
        for (i32 i = 0; i < ahead; i++) {
          // Rows behind the last key repeat it and must not count, whatever it holds.
          if (j + i >= keys) break;
          const f32 p = scores[group][j + i];
          acc.x = mx_fma(p, v[i].x, acc.x);
          acc.y = mx_fma(p, v[i].y, acc.y);
        }
      }
    }
  }
  if (group < heads) {
    MX_GLOBAL f32 *to = mx_global<f32>(partial) + (((i64)t * cache.heads + first_head + group) * splits + split) * (dims + 2);
    to[2 * lane] = acc.x;
    to[2 * lane + 1] = acc.y;
    if (lane == 0) to[dims] = m, to[dims + 1] = l;
  }
}
MX_EXPORT(attention_split)

MX_TRAITS(attention_reduce, 64, 0, 1, 0, 0)
MX_ENTRY(attention_reduce, 64)(f32 *out, i32 out_stride, const f32 *partial, const void *sinks, i32 sinks_format, i32 heads, i32 head_dim, i32 splits,
                               i32 round, i32 n) {
  const i32 head = mx_block_x(), t = mx_block_y(), d = mx_thread();
  if (t >= n || d >= head_dim) return;
  const MX_GLOBAL f32 *from = mx_global<f32>(partial) + ((i64)t * heads + head) * splits * (head_dim + 2);
  const f32 sink = mx_element(sinks, sinks_format, head);
  f32 m = sink;
  for (i32 s = 0; s < splits; s++) m = mx_max(m, from[s * (head_dim + 2) + head_dim]);
  f32 l = mx_exp(sink - m), total = 0.0f;
  for (i32 s = 0; s < splits; s++) {
    const MX_GLOBAL f32 *part = from + s * (head_dim + 2);
    const f32 shrink = mx_exp(part[head_dim] - m);
    l = mx_fma(part[head_dim + 1], shrink, l);
    total = mx_fma(part[d], shrink, total);
  }
  mx_global<f32>(out)[(i64)t * out_stride + head * head_dim + d] = mx_round_if(total / l, round);
}
MX_EXPORT(attention_reduce)
