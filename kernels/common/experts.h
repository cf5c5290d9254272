// What the kernels of the experts' linears for few tokens share: whose expert a slot row is, and where results go.
#pragma once
#include "tile.h"

struct MxExperts {
  const MxLinear *experts;
  const i32 *ids;
  i32 first, count, top_k, rows, cols, n;
};

// Local index of a slot row's expert, or -1.
MX_DEVICE i32 mx_local_expert(const MxExperts &a, i32 slot) {
  const i32 e = mx_global<i32>(a.ids)[slot] - a.first;
  return e >= 0 && e < a.count ? e : -1;
}

// The experts' inputs have no norm: saying so leaves its code out.
MX_DEVICE MxInput mx_without_norm(MxInput in) {
  in.norm = nullptr;
  return in;
}

struct MxUpOut {
  i32 rows, round, swiglu, out_stride;
  f32 alpha, limit;
  f32 *out;
};

// Stores z (gate) and the one after it (up), or their SwiGLU.
MX_DEVICE void mx_store_up(const MxUpOut &a, const MxLinear &l, i32 slot, i32 row, f32 gate_sum, f32 up_sum, f32 x_scale) {
  MX_GLOBAL f32 *out = mx_global<f32>(a.out) + (i64)slot * a.out_stride;
  f32 gate = mx_round_if(mx_epilogue(l, gate_sum, row, x_scale), a.round);
  f32 up = row + 1 < a.rows ? mx_round_if(mx_epilogue(l, up_sum, row + 1, x_scale), a.round) : 0.0f;
  if (a.swiglu) {
    out[row / 2] = mx_round_if(mx_swiglu(gate, up, a.alpha, a.limit), a.round);
  } else {
    out[row] = gate;
    if (row + 1 < a.rows) out[row + 1] = up;
  }
}

