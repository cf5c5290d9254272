// Writes keys and values of the batch into the layer's cache.
#include "common/cache.h"

MX_TRAITS(store, 256, 0, 1, 0, 0)
MX_ENTRY(store, 256)(const f32 *k, i32 k_stride, const f32 *v, i32 v_stride, MxCache cache, const i32 *slots, const i32 *positions, i32 n) {
  mx_follow();
  const i32 t = mx_block_x(), dim = cache.head_dim;
  if (t >= n) return;
  const i32 position = mx_global<i32>(positions)[t];
  const MX_GLOBAL i32 *const table = mx_cache_table(cache, mx_global<i32>(slots)[t]);
  if (position < 0) return;
  for (i32 i = mx_thread(); i < cache.kv_heads * dim; i += 256) {
    const i64 at = mx_cache_row(cache, table, i / dim, position);
    mx_cache_put(cache, cache.k, at, i % dim, mx_global<f32>(k)[(i64)t * k_stride + i], cache.k_scale);
    mx_cache_put(cache, cache.v, at, i % dim, mx_global<f32>(v)[(i64)t * v_stride + i], cache.v_scale);
  }
}
MX_EXPORT(store)
