// h = h + y.
#include "common/numerics.h"

MX_TRAITS(add, 256, 0, 1, 0, 0)
MX_ENTRY(add, 256)(f32 *h, i32 h_stride, const f32 *y, i32 y_stride, i32 width, i32 round, i32 n) {
  mx_follow();
  const i32 t = mx_block_x();
  if (t >= n) return;
  MX_GLOBAL f32 *a = mx_global<f32>(h) + (i64)t * h_stride;
  const MX_GLOBAL f32 *b = mx_global<f32>(y) + (i64)t * y_stride;
  for (i32 c = mx_thread(); c < width; c += 256) a[c] = mx_round_if(a[c] + b[c], round);
}
MX_EXPORT(add)
