// Rotary embedding, in place; and rotary embedding of q and k with the store of k and v, for one launch a layer less.
#include "common/cache.h"

MX_TRAITS(rotate, 256, 0, 1, 0, 0)
MX_ENTRY(rotate, 256)(f32 *x, i32 stride, i32 heads, i32 head_dim, const f32 *cos, const f32 *sin, const i32 *positions, i32 round, i32 n) {
  mx_follow();
  const i32 t = mx_block_x(), half = head_dim / 2;
  if (t >= n) return;
  const i64 angle = (i64)mx_global<i32>(positions)[t] * half;
  MX_GLOBAL f32 *row = mx_global<f32>(x) + (i64)t * stride;
  for (i32 i = mx_thread(); i < heads * half; i += 256) {
    const i32 d = i % half;
    MX_GLOBAL f32 *p = row + i / half * head_dim + d;
    f32x2 r = mx_rotate_pair(p[0], p[half], mx_global<f32>(cos)[angle + d], mx_global<f32>(sin)[angle + d]);
    p[0] = mx_round_if(r.x, round);
    p[half] = mx_round_if(r.y, round);
  }
}
MX_EXPORT(rotate)

// A thread takes one pair of a query or key, or two numbers of a value.
MX_TRAITS(rotate_store, 256, 0, 1, 0, 0)
MX_ENTRY(rotate_store, 256)(f32 *q, i32 q_stride, f32 *k, i32 k_stride, const f32 *v, i32 v_stride, const f32 *cos, const f32 *sin, MxCache cache,
                            const i32 *slots, const i32 *positions, i32 round, i32 n) {
  mx_lead();
  const i32 t = mx_block_y(), dim = cache.head_dim, half = dim / 2, pair = mx_block_x() * 256 + mx_thread();
  if (t >= n) return;
  i32 head = pair / half;
  const i32 d = pair % half, position = mx_global<i32>(positions)[t];
  const MX_GLOBAL i32 *const table = mx_cache_table(cache, mx_global<i32>(slots)[t]);
  // A row that fills up a batch.
  if (position < 0 || head >= cache.heads + 2 * cache.kv_heads) return;
  const i32 page = table[position / mx_page_positions];
  mx_follow();
  if (head < cache.heads + cache.kv_heads) {
    const bool key = head >= cache.heads;
    if (key) head -= cache.heads;
    MX_GLOBAL f32 *row = (key ? mx_global<f32>(k) + (i64)t * k_stride : mx_global<f32>(q) + (i64)t * q_stride) + head * dim;
    const i64 angle = (i64)position * half + d;
    f32x2 r = mx_rotate_pair(row[d], row[d + half], mx_global<f32>(cos)[angle], mx_global<f32>(sin)[angle]);
    r = f32x2{mx_round_if(r.x, round), mx_round_if(r.y, round)};
    row[d] = r.x;
    row[d + half] = r.y;
    if (key) {
      const i64 at = mx_cache_at(cache, page, head, position);
      mx_cache_put(cache, cache.k, at, d, r.x, cache.k_scale);
      mx_cache_put(cache, cache.k, at, d + half, r.y, cache.k_scale);
    }
  } else {
    head -= cache.heads + cache.kv_heads;
    const MX_GLOBAL f32 *row = mx_global<f32>(v) + (i64)t * v_stride + head * dim;
    const i64 at = mx_cache_at(cache, page, head, position);
    mx_cache_put(cache, cache.v, at, d, row[d], cache.v_scale);
    mx_cache_put(cache, cache.v, at, d + half, row[d + half], cache.v_scale);
  }
}
MX_EXPORT(rotate_store)
