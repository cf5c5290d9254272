// out[t] = sum over the choices k, in order, of weights[t,k] * y[t,k]; or the residual add of that.
#include "common/numerics.h"

MX_TRAITS(combine, 256, 0, 1, 0, 0)
MX_ENTRY(combine, 256)(f32 *out, i32 out_stride, const f32 *y, i32 y_stride, const f32 *weights, i32 width, i32 top_k, i32 round, i32 accumulate,
                       i32 n) {
  mx_follow();
  const i32 t = mx_block_x();
  if (t >= n) return;
  MX_GLOBAL f32 *to = mx_global<f32>(out) + (i64)t * out_stride;
  const MX_GLOBAL f32 *from = mx_global<f32>(y) + (i64)t * top_k * y_stride;
  const MX_GLOBAL f32 *p = mx_global<f32>(weights) + (i64)t * top_k;
  if (((width | y_stride | out_stride) & 3) == 0) {
    for (i32 c = 4 * mx_thread(); c < width; c += 1024) {
      f32x4 total = {0, 0, 0, 0};
      MX_UNROLL_4
      for (i32 k = 0; k < top_k; k++) {
        const f32x4 part = p[k] * *(const MX_GLOBAL f32x4 *)(from + (i64)k * y_stride + c);
        total = total + part;
      }
      MX_GLOBAL f32x4 *const place = (MX_GLOBAL f32x4 *)(to + c);
      const f32x4 before = accumulate ? *place : f32x4{0, 0, 0, 0};
      MX_UNROLL
      for (i32 i = 0; i < 4; i++) {
        total[i] = mx_round_if(total[i], round);
        if (accumulate) total[i] = mx_round_if(before[i] + total[i], round);
      }
      *place = total;
    }
    return;
  }
  for (i32 c = mx_thread(); c < width; c += 256) {
    f32 total = 0.0f;
    for (i32 k = 0; k < top_k; k++) {
      const f32 part = p[k] * from[(i64)k * y_stride + c];
      total = total + part;
    }
    total = mx_round_if(total, round);
    to[c] = accumulate ? mx_round_if(to[c] + total, round) : total;
  }
}
MX_EXPORT(combine)

#if !defined(__AMDGCN__)
#include "common/columns.h"
#include "common/vector.h"

// The residual add of that, as combine has it, and the norm of what comes out, as qdq has it, by weights of bf16. A thread keeps four columns,
// so that everything that is read is asked for together (NVIDIA's and the host's).
MX_TRAITS(combine_norm, 1024, 0, 1, 0, 0)
MX_ENTRY(combine_norm, 1024)(f32 *h, i32 stride, const f32 *y, i32 y_stride, const f32 *weights, i32 top_k, MxInput in, f32 *normed,
                             i32 normed_stride, u16 *first, i32 first_stride, i32 first_order, i32 width, i32 round, i32 n) {
  constexpr i32 together = 4, lots = 1024 / mx_vector_threads;
  MX_SHARED f32x4 row[1024];
  const i32 t = mx_block_x(), tid = mx_thread(), c = 4 * tid;
  const bool has = c < width;
  const u32x2 w = has ? *(const MX_GLOBAL u32x2 *)(mx_global<u16>(in.norm) + c) : u32x2{0, 0};
  mx_follow();
  if (t >= n) return;
  MX_GLOBAL f32x4 *const place = (MX_GLOBAL f32x4 *)(mx_global<f32>(h) + (i64)t * stride + c);
  const MX_GLOBAL f32 *const from = mx_global<f32>(y) + (i64)t * top_k * y_stride + c, *const p = mx_global<f32>(weights) + (i64)t * top_k;
  f32x4 v = {0, 0, 0, 0};
  if (has) {
    const f32x4 old = *place;
    MX_NO_UNROLL
    for (i32 k0 = 0; k0 < top_k; k0 += together) {
      f32x4 part[together];
      f32 weight[together];
      MX_UNROLL
      for (i32 k = 0; k < together; k++) {
        const i32 own = mx_min(k0 + k, top_k - 1);
        weight[k] = p[own], part[k] = *(const MX_GLOBAL f32x4 *)(from + (i64)own * y_stride);
      }
      MX_UNROLL
      for (i32 k = 0; k < together; k++) {
        if (k0 + k >= top_k) break;
        const f32x4 term = weight[k] * part[k];
        v = v + term;
      }
    }
    MX_UNROLL
    for (i32 e = 0; e < 4; e++) v[e] = mx_round_if(old[e] + mx_round_if(v[e], round), round);
    *place = v;
  }
  row[tid] = v;
  mx_barrier();
  // As mx_prepare_row has it.
  f32 squares = 0.0f;
  if (tid < mx_vector_threads) {
    MX_UNROLL
    for (i32 i = 0; i < lots; i++) {
      const f32x4 own = row[tid + i * mx_vector_threads];
      MX_UNROLL
      for (i32 e = 0; e < 4; e++) squares = mx_fma(own[e], own[e], squares);
    }
  }
  const f32 inverse = 1.0f / __builtin_sqrtf(mx_block_sum(squares) / (f32)width + in.eps);
  if (!has) return;
  const f32 factors[4] = {mx_low(w.x), mx_high(w.x), mx_low(w.y), mx_high(w.y)};
  MX_UNROLL
  for (i32 e = 0; e < 4; e++) v[e] = mx_round_if(v[e] * inverse * factors[e], in.round);
  if (normed) *(MX_GLOBAL f32x4 *)(mx_global<f32>(normed) + (i64)t * normed_stride + c) = v;
  if (first) mx_store_columns(mx_global<u16>(first) + (i64)t * first_stride, first_order, c, v);
}
MX_EXPORT(combine_norm)
#endif
