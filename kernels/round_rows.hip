// Rounds rows to bf16 in place (after a float32 all-reduce).
#include "common/numerics.h"

MX_TRAITS(round_rows, 256, 0, 1, 0, 0)
MX_ENTRY(round_rows, 256)(f32 *x, i32 stride, i32 width, i32 n) {
  mx_follow();
  const i32 t = mx_block_x();
  if (t >= n) return;
  MX_GLOBAL f32 *row = mx_global<f32>(x) + (i64)t * stride;
  for (i32 c = mx_thread(); c < width; c += 256) row[c] = mx_round_bf16(row[c]);
}
MX_EXPORT(round_rows)
