// Causal attention with sinks over the cache, one block per (token, query head): any batch, head size and length.
#include "common/cache.h"

constexpr i32 threads = 128, most_dims = 256;

MX_DEVICE f32 block_max(f32 v, f32 *parts) {
  v = mx_group_max(v);
  if (mx_lane() == 0) parts[mx_group()] = v;
  mx_barrier();
  return mx_max(mx_max(parts[0], parts[1]), mx_max(parts[2], parts[3]));
}
MX_DEVICE f32 block_sum(f32 v, f32 *parts) {
  v = mx_group_sum(v);
  if (mx_lane() == 0) parts[mx_group()] = v;
  mx_barrier();
  return (parts[0] + parts[1]) + (parts[2] + parts[3]);
}

MX_TRAITS(attention, 128, 0, 1, 0, 0)
MX_ENTRY(attention, 128)(f32 *out, i32 out_stride, const f32 *q, i32 q_stride, MxCache cache, const i32 *slots, const i32 *positions,
                         const void *sinks, i32 sinks_format, i32 round, i32 n) {
  mx_follow();
  MX_SHARED f32x4 query[most_dims / 4];
  MX_SHARED f32 weights[threads], maxima[4], sums[4], parts[threads * 2];
  MX_SHARED i64 rows[threads];
  const i32 head = mx_block_x(), t = mx_block_y(), tid = mx_thread(), dim = cache.head_dim;
  if (t >= n) return;
  const i32 position = mx_global<i32>(positions)[t], kv = head / (cache.heads / cache.kv_heads);
  const i32 start = cache.window > 0 ? mx_max(0, position - cache.window + 1) : 0, keys = position - start + 1;
  const MX_GLOBAL i32 *const table = mx_cache_table(cache, mx_global<i32>(slots)[t]);
  for (i32 d = tid; d < dim; d += threads) ((f32 *)query)[d] = mx_global<f32>(q)[(i64)t * q_stride + head * dim + d];
  mx_barrier();
  // With few dimensions, several threads share one and take every `shares`-th key.
  const i32 shares = dim < threads ? threads / dim : 1, share = dim < threads ? tid / dim : 0, d0 = dim < threads ? tid % dim : tid;
  f32 m = mx_element(sinks, sinks_format, head), l = 1.0f, acc0 = 0.0f, acc1 = 0.0f;
  for (i32 first = 0; first < keys; first += threads) {
    f32 score = -__builtin_inff();
    if (first + tid < keys) {
      f32 sum = 0.0f;
      const i64 row = rows[tid] = mx_cache_row(cache, table, kv, start + first + tid);
      if ((dim & 7) == 0) {
        for (i32 d = 0; d < dim; d += 8) {
          const f32x4 a = query[d / 4], b = query[d / 4 + 1];
          mx_cache_get8(cache.k, cache.format, row, d, cache.k_scale, [&](i32 i, f32 k) { sum = mx_fma(i < 4 ? a[i & 3] : b[i & 3], k, sum); });
        }
      } else {
        // Rows of other sizes begin anywhere.
        MX_NO_UNROLL
        for (i32 d = 0; d < dim; d++) sum = mx_fma(((const f32 *)query)[d], mx_cache_get(cache.k, cache.format, row, d, cache.k_scale), sum);
      }
      score = sum * cache.softmax_scale;
    }
    const f32 next = mx_max(m, block_max(score, maxima));
    const f32 weight = first + tid < keys ? mx_exp(score - next) : 0.0f;
    const f32 shrink = mx_exp(m - next);
    weights[tid] = weight;
    m = next;
    l = l * shrink + block_sum(weight, sums);
    acc0 = acc0 * shrink;
    acc1 = acc1 * shrink;
    if (share < shares) {
      for (i32 j = share; j < mx_min(threads, keys - first); j += shares) {
        const i64 row = rows[j];
        if (d0 < dim) acc0 = mx_fma(weights[j], mx_cache_get(cache.v, cache.format, row, d0, cache.v_scale), acc0);
        if (d0 + threads < dim) acc1 = mx_fma(weights[j], mx_cache_get(cache.v, cache.format, row, d0 + threads, cache.v_scale), acc1);
      }
    }
    mx_barrier();
  }
  parts[tid] = acc0;
  parts[tid + threads] = acc1;
  mx_barrier();
  MX_GLOBAL f32 *y = mx_global<f32>(out) + (i64)t * out_stride + head * dim;
  for (i32 d = tid; d < dim; d += threads) {
    f32 total = 0.0f;
    for (i32 s = 0; s < shares; s++) total += parts[d + s * dim];
    y[d] = mx_round_if(total / l, round);
  }
}
MX_EXPORT(attention)
