// The norm before the experts, the router's linear and the choice, for one token a block: three launches of little work in one.
#include "common/routing.h"
#include "common/vector.h"

template <class F>
MX_DEVICE void norm_route(const MxInput &in, const MxLinear &router, i32 top_k, f32 *normed, i32 normed_stride, f32 *logits, i32 logits_stride,
                          i32 *ids, f32 *weights, i32 round, i32 n) {
  MX_SHARED f32 chosen[mx_most_experts];
  const i32 t = mx_block_x();
  if (t >= n) return;
  const i32 cols = router.cols;
  f32x4 *lds = MX_LDS(f32x4);
  MX_GLOBAL f32 *y = mx_global<f32>(normed) + (i64)t * normed_stride;
  const bool keep = normed != nullptr;
  const f32 x_scale = mx_prepare_row(in, in.x_rows ? mx_global<i32>(in.x_rows)[t] : t, cols, [=](i32 c, f32x4 v) {
    lds[mx_staged(c)] = v;
    if (keep) mx_store4(y, c, cols, v);
  });
  mx_barrier();
  for (i32 e = mx_group(); e < router.rows; e += 32) {
    f32 sums[1][1];
    mx_dot_rows<F, 1, 1, 2>(router, e, 1, lds, sums);
    if (mx_lane() == 0) {
      const f32 v = mx_round_if(mx_epilogue(router, sums[0][0], e, x_scale), round);
      chosen[e] = v;
      if (logits) mx_global<f32>(logits)[(i64)t * logits_stride + e] = v;
    }
  }
  mx_barrier();
  if (mx_group() == 0) mx_choose(chosen, router.rows, top_k, mx_global<i32>(ids) + (i64)t * top_k, mx_global<f32>(weights) + (i64)t * top_k);
}

#define NORM_ROUTE_ENTRY(name)                                                                                                         \
  MX_TRAITS(name, 1024, 0, 1, 4.5, 0)                                                                                                    \
  MX_ENTRY(name, 1024)(MxInput in, MxLinear router, i32 top_k, f32 *normed, i32 normed_stride, f32 *logits, i32 logits_stride,        \
                       i32 *ids, f32 *weights, i32 round, i32 n) {                                                                    \
    mx_follow();                                                                                                                      \
    norm_route<MX_PASTE(mx_format_, MX_FORMAT)>(in, router, top_k, normed, normed_stride, logits, logits_stride, ids, weights, round, n); \
  }                                                                                                                                    \
  MX_EXPORT(name)
#define NORM_ROUTE_EXPAND(name) NORM_ROUTE_ENTRY(name)
NORM_ROUTE_EXPAND(MX_PASTE(norm_route_, MX_FORMAT))
