// Weights stored [inputs][outputs] (Hugging Face's bf16 experts) times one input row: neighbouring threads read neighbouring outputs.
#pragma once
#include "vector.h"

// Outputs of one block: 8 neighbouring threads take 8 each, and the block's 32 such octets take every 32nd input.
constexpr i32 mx_transposed_rows = 64;

// Stages a row in its natural order. Needs a barrier before it is read.
MX_DEVICE f32 mx_stage_plain(const MxInput &in, i64 row, i32 cols, f32 *lds) {
  return mx_prepare_row(in, row, cols, [=](i32 c, f32x4 v) { *(f32x4 *)(lds + c) = v; });
}

// The sum of output `first + thread`, for the first 64 threads. All threads of the block must call.
template <class F> MX_DEVICE f32 mx_dot_columns(const MxLinear &l, i32 first, const f32 *lds) {
  MX_SHARED f32 parts[8][mx_transposed_rows];
  const i32 row = first + (mx_thread() & 7) * 8;
  f32 sums[8];
  MX_UNROLL
  for (i32 i = 0; i < 8; i++) sums[i] = 0.0f;
  // A whole octet of outputs at an aligned address?
  const bool fast = (l.row_stride & 15) == 0 && (((u64)l.weight) & 15) == 0 && row + 8 <= l.rows;
  MxLinear view = l;
  view.cols = l.rows;
  mx_barrier();
  for (i32 k = mx_thread() >> 3; k < l.cols; k += 32) {
    f32 w[8];
    F::decode8(view, mx_global<u8>(l.weight) + k * l.row_stride, nullptr, row, fast, w);
    f32 x = lds[k];
    MX_UNROLL
    for (i32 i = 0; i < 8; i++) sums[i] = mx_fma(w[i], x, sums[i]);
  }
  MX_UNROLL
  for (i32 i = 0; i < 8; i++) {
    sums[i] += mx_shuffle_xor(sums[i], 8);
    sums[i] += mx_shuffle_xor(sums[i], 16);
    if (mx_lane() < 8) parts[mx_group()][(mx_thread() & 7) * 8 + i] = sums[i];
  }
  mx_barrier();
  f32 sum = 0.0f;
  if (mx_thread() < mx_transposed_rows) {
    MX_UNROLL
    for (i32 g = 0; g < 8; g++) sum += parts[g][mx_thread()];
  }
  return sum;
}
