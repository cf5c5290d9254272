// Sums what was gathered of every rank, in the order of ranks; or the residual add of that.
#include "common/ranks.h"

MX_TRAITS(sum_ranks, 256, 0, 1, 0, 0)
MX_ENTRY(sum_ranks, 256)(f32 *out, const f32 *parts, i64 rank_stride, i32 ranks, i32 stride, i32 width, i32 round, i32 accumulate, i32 n) {
  mx_follow();
  const MX_GLOBAL f32 *first = mx_global<f32>(parts);
  const auto part = [=](i32 r) { return first + (i64)r * rank_stride; };
  mx_sum_ranks(out, part, ranks, stride, width, round, accumulate, n, mx_grid_x());
}
MX_EXPORT(sum_ranks)
