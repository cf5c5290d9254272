// A row of the router for each group of 32 threads, asked for before the launch ahead has ended. Its sums are those of `mx_dot_rows`.
#pragma once
#include "vector.h"

// Rows of a block of 256 threads, and units of a row that a thread holds.
constexpr i32 mx_router_rows = 8, mx_router_units = 12;

MX_DEVICE u32x4 mx_load_early(const MX_GLOBAL u32x4 *p) {
#if defined(__NVPTX__)
  u32x4 v;
  // Volatile: must not sink to where it is used.
  __asm__ volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p));
  return v;
#else
  return *p;
#endif
}

// A group's row, whole where registers hold it.
template <class F> struct RouterRow {
  i32 e, units;
  const MX_GLOBAL u8 *row;
  bool whole;
  f32 factor, bias;
  typename F::Raw held[mx_router_units];
  MX_DEVICE explicit RouterRow(const MxLinear &router) {
    e = mx_block_x() * mx_router_rows + mx_group(), units = router.cols / F::Columns;
    const i32 own = mx_min(e, router.rows - 1);
    row = mx_global<u8>(router.weight) + (i64)own * router.row_stride;
    whole = F::aligned(router);
    factor = router.scale && router.scale_stride == 0 ? mx_global<f32>(router.scale)[own] : router.tensor_scale;
    bias = router.bias ? mx_element(router.bias, router.bias_format, own) : 0.0f;
    MX_UNROLL
    for (i32 b = 0; b < mx_router_units; b++) {
      const i32 unit = mx_lane() + 32 * b;
      held[b] = whole && unit < units ? typename F::Raw{mx_load_early((const MX_GLOBAL u32x4 *)(row + (i64)unit * 16))} : F::zero();
    }
  }
  MX_DEVICE f32 times(const MxLinear &router, const f32x4 *lds) const {
    if (!whole) {
      f32 sums[1][1];
      mx_dot_rows<F, 1, 1, 1>(router, e, 1, lds, sums);
      return sums[0][0];
    }
    f32 sum = 0.0f;
    MX_NO_UNROLL
    for (i32 first = mx_lane(); first < units; first += 32 * mx_router_units) {
      MX_UNROLL
      for (i32 b = 0; b < mx_router_units; b++) {
        const i32 unit = first + 32 * b;
        if (unit < units) {
          u32 nan = 0;
          f32 parts[1];
          F::template dot<1>(first == mx_lane() ? held[b] : F::load(row, unit, nullptr), lds + mx_staged(unit * F::Columns), 0, parts, nan);
          sum += parts[0];
        }
      }
    }
    return mx_group_sum(sum);
  }
};
