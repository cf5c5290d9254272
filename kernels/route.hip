// Chooses experts from router logits that are already there.
#include "common/routing.h"

MX_TRAITS(route, 256, 0, 1, 0, 0)
MX_ENTRY(route, 256)(const f32 *logits, i32 stride, i32 experts, i32 top_k, i32 *ids, f32 *weights, i32 n) {
  mx_follow();
  MX_SHARED f32 lds[mx_most_experts];
  const i32 t = mx_block_x();
  if (t >= n) return;
  for (i32 e = mx_thread(); e < experts; e += 256) lds[e] = mx_global<f32>(logits)[(i64)t * stride + e];
  mx_barrier();
  if (mx_group() == 0) mx_choose(lds, experts, top_k, mx_global<i32>(ids) + (i64)t * top_k, mx_global<f32>(weights) + (i64)t * top_k);
}
MX_EXPORT(route)
