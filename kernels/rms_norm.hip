// out = x * (1/sqrt(mean(x^2) + eps)) * weight, float32 throughout, one rounding.
#include "common/vector.h"

MX_TRAITS(rms_norm, 256, 0, 1, 0, 0)
MX_ENTRY(rms_norm, 256)(f32 *out, i32 out_stride, const f32 *x, i32 x_stride, const i32 *x_rows, const void *weight, i32 format, i32 width,
                        f32 eps, i32 round, i32 n) {
  mx_follow();
  const i32 i = mx_block_x();
  if (i >= n) return;
  MxInput in = {x, nullptr, weight, x_stride, format, eps, MX_NONE, 0, 1.0f, round, 0};
  MX_GLOBAL f32 *y = mx_global<f32>(out) + (i64)i * out_stride;
  mx_prepare_row(in, x_rows ? mx_global<i32>(x_rows)[i] : i, width, [=](i32 c, f32x4 v) { mx_store4(y, c, width, v); });
}
MX_EXPORT(rms_norm)
