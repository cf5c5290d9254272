// Slot rows: gate = z[2i], up = z[2i+1]; out[i] = (clamp(up) + 1) * g * sigmoid(alpha * g), g = min(gate, limit).
#include "common/numerics.h"

MX_TRAITS(swiglu, 256, 0, 1, 0, 0)
MX_ENTRY(swiglu, 256)(f32 *out, i32 out_stride, const f32 *z, i32 z_stride, i32 width, f32 alpha, f32 limit, i32 round, i32 rows) {
  mx_follow();
  const i32 r = mx_block_x();
  if (r >= rows) return;
  MX_GLOBAL f32 *y = mx_global<f32>(out) + (i64)r * out_stride;
  const MX_GLOBAL f32 *pairs = mx_global<f32>(z) + (i64)r * z_stride;
  for (i32 c = mx_thread(); c < width; c += 256) {
    f32x2 v = *(const MX_GLOBAL f32x2 *)(pairs + 2 * c);
    y[c] = mx_round_if(mx_swiglu(v.x, v.y, alpha, limit), round);
  }
}
MX_EXPORT(swiglu)
