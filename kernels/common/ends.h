// What follows the sums of two neighbouring rows of weights.
#pragma once
#include "tile.h"

// Read once for all tokens: as mx_epilogue and MxTile::store_pair have it.
struct MxEnds {
  f32 factor[2], bias[2];
  MX_DEVICE MxEnds(const MxLinear &l, i32 row0) {
    MX_UNROLL
    for (i32 i = 0; i < 2; i++) {
      const i32 row = mx_min(row0 + i, l.rows - 1);
      factor[i] = l.scale && l.scale_stride == 0 ? mx_global<f32>(l.scale)[row] : l.tensor_scale;
      bias[i] = l.bias ? mx_element(l.bias, l.bias_format, row) : -0.0f;
    }
  }
  MX_DEVICE f32 value(i32 i, f32 sum, f32 scale, i32 round) const { return mx_round_if(sum * factor[i] * scale + bias[i], round); }
  MX_DEVICE void store(const MxTile &t, i32 m, i32 row, f32 sum0, f32 sum1) const {
    if (row >= t.l.rows) return;
    const f32 scale = t.x_scales ? t.x_scales[t.x_row(m)] : 1.0f;
    MX_GLOBAL f32 *const to = t.out + t.out_row(m) * t.out_stride;
    const f32 a = value(0, sum0, scale, t.round), b = value(1, sum1, scale, t.round);
    if (t.swiglu) {
      to[row / 2] = mx_round_if(mx_swiglu(a, row + 1 < t.l.rows ? b : 0.0f, t.alpha, t.limit), t.round);
      return;
    }
    to[row] = t.accumulate ? mx_round_if(to[row] + a, t.round) : a;
    if (row + 1 < t.l.rows) to[row + 1] = t.accumulate ? mx_round_if(to[row + 1] + b, t.round) : b;
  }
};
