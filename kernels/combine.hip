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
