// The router's rows of a block, whole in LDS, and the weights of the norm before it: copies that one thread asks for before the launch ahead has
// ended. They take no registers while the block waits for other ranks, so that it has room beside blocks of that launch. Sums are those of
// RouterRow.
#pragma once
#include "bulk.h"
#include "router_row.h"

template <class F> struct RouterRows {
  i32 e, units, cols;
  bool whole, normed;
  f32 factor, bias;
  u64 *mark;
  const u32x4 *held;
  const void *norm;
  i32 norm_format;
  // `mark` lies in LDS. Of dynamic LDS it takes what begins at `place`; where the rest begins, `end()` says.
  MX_DEVICE RouterRows(const MxLinear &router, const MxInput &in, u64 *mark_, u32x4 *place) : mark(mark_), held(place) {
    const i32 first = mx_block_x() * mx_router_rows, rows = mx_min(mx_router_rows, router.rows - first);
    e = first + mx_group(), cols = router.cols, units = cols / F::Columns, norm_format = in.norm_format;
    const i32 own = mx_min(e, router.rows - 1);
    const MX_GLOBAL u8 *const from = mx_global<u8>(router.weight) + (i64)first * router.row_stride;
    whole = F::aligned(router);
    normed = in.norm_format == MX_BF16 && (cols & 7) == 0 && ((u64)in.norm & 15) == 0;
    norm = normed ? (const void *)(place + mx_router_rows * units) : in.norm;
    if (mx_thread() == 0) {
      mx_mark_begin(mark, 1);
      mx_marks_visible();
      mx_mark_expect(mark, (whole ? 16u * (u32)(rows * units) : 0u) + (normed ? 2u * (u32)cols : 0u));
      for (i32 i = 0; whole && i < rows; i++) mx_bulk_copy(place + i * units, from + i * router.row_stride, 16u * (u32)units, mark);
      if (normed) mx_bulk_copy((void *)norm, mx_global<u8>(in.norm), 2u * (u32)cols, mark);
    }
    factor = router.scale && router.scale_stride == 0 ? mx_global<f32>(router.scale)[own] : router.tensor_scale;
    bias = router.bias ? mx_element(router.bias, router.bias_format, own) : 0.0f;
  }
  MX_DEVICE f32x4 *end() const { return (f32x4 *)(held + mx_router_rows * units + (mx_round_up(cols, 8) / 8)); }
  // After a barrier of the block: until all has come.
  MX_DEVICE void await() const { mx_mark_await(mark, 0); }
  MX_DEVICE f32x4 norm4(i32 c) const {
    if (!normed) return mx_weights4(norm, norm_format, c, cols);
    const u32x2 w = *(const u32x2 *)((const u16 *)norm + c);
    return c < cols ? f32x4{mx_low(w.x), mx_high(w.x), mx_low(w.y), mx_high(w.y)} : f32x4{0, 0, 0, 0};
  }
  MX_DEVICE f32 times(const MxLinear &router, const f32x4 *staged) const {
    if (!whole) {
      f32 sums[1][1];
      mx_dot_rows<F, 1, 1, 1>(router, e, 1, staged, sums);
      return sums[0][0];
    }
    const u32x4 *const own = held + mx_group() * units;
    f32 sum = 0.0f;
    MX_UNROLL_4
    for (i32 unit = mx_lane(); unit < units; unit += 32) {
      u32 nan = 0;
      f32 parts[1];
      F::template dot<1>(typename F::Raw{own[unit]}, staged + mx_staged(unit * F::Columns), 0, parts, nan);
      sum += parts[0];
    }
    return mx_group_sum(sum);
  }
};
