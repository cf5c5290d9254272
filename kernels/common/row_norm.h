// The norm of a row whose numbers 256 threads have in registers, and rows of it as the linears that follow read them.
#pragma once
#include "summed.h"

// Quads of a row that a thread has, and columns of a row.
enum { MX_ROW_QUADS = 3, MX_ROW_COLUMNS = 4 * MX_ROW_QUADS * mx_vector_threads };

// Which quad of the row a thread has as its q-th.
MX_DEVICE i32 mx_row_quad(i32 q) { return mx_thread() + q * mx_vector_threads; }

// Four numbers a lane, of neighbouring lanes eight columns, to a row of bf16 numbers in an order that has columns c and c + 4 side by side. All
// lanes must call.
MX_DEVICE void mx_store_pairs(MX_GLOBAL u16 *row, i32 order, i32 c, f32x4 v, bool valid) {
  const bool odd = c & 4;
  const f32 a = mx_shuffle_xor(odd ? v[0] : v[2], 1), b = mx_shuffle_xor(odd ? v[1] : v[3], 1);
  const u32 first = odd ? mx_pack(a, v[2]) : mx_pack(v[0], a), second = odd ? mx_pack(b, v[3]) : mx_pack(v[1], b);
  if (!valid) return;
  MX_GLOBAL u16 *const to = row + mx_column_place(order, (c & ~7) + (odd ? 2 : 0));
  *(MX_GLOBAL u32 *)to = first;
  *(MX_GLOBAL u32 *)(to + (order == 1 ? 2 : 8)) = second;
}

// The weights of a norm, zeros beyond the row.
MX_DEVICE void mx_row_weights(f32x4 (&w)[MX_ROW_QUADS], const MxInput &in, i32 width) {
  const i32 quads = (width + 3) >> 2;
  MX_UNROLL
  for (i32 q = 0; q < MX_ROW_QUADS; q++) {
    w[q] = f32x4{0, 0, 0, 0};
    if (mx_row_quad(q) < quads) w[q] = mx_weights4(in.norm, in.norm_format, 4 * mx_row_quad(q), width);
  }
}

// The norm of v, which has zeros beyond the row, by its weights, of row `row`.
MX_DEVICE void mx_norm_row(f32x4 (&v)[MX_ROW_QUADS], const f32x4 (&w)[MX_ROW_QUADS], i32 row, const MxInput &in, const MxNormed &normed, i32 width) {
  const i32 quads = (width + 3) >> 2;
  f32 squares = 0.0f;
  MX_UNROLL
  for (i32 q = 0; q < MX_ROW_QUADS; q++) {
    MX_UNROLL
    for (i32 e = 0; e < 4; e++) squares = mx_fma(v[q][e], v[q][e], squares);
  }
  // As mx_prepare_row has it.
  const f32 inverse = 1.0f / __builtin_sqrtf(mx_block_sum(squares) / (f32)width + in.eps);
  MX_UNROLL
  for (i32 q = 0; q < MX_ROW_QUADS; q++) {
    MX_UNROLL
    for (i32 e = 0; e < 4; e++) v[q][e] = mx_round_if(v[q][e] * inverse * w[q][e], in.round);
  }
  const auto store = [&](u16 *rows, i32 row_stride, i32 order) __attribute__((always_inline)) {
    MX_GLOBAL u16 *const place = mx_global<u16>(rows) + (i64)row * row_stride;
    MX_UNROLL
    for (i32 q = 0; q < MX_ROW_QUADS; q++) {
      const i32 quad = mx_row_quad(q);
      if (order != 0) mx_store_pairs(place, order, 4 * quad, v[q], quad < quads);
      else if (quad < quads) mx_store_columns(place, 0, 4 * quad, v[q]);
    }
  };
  MX_UNROLL
  for (i32 q = 0; q < MX_ROW_QUADS; q++) {
    if (normed.rows && mx_row_quad(q) < quads) normed.store_rows(row, 4 * mx_row_quad(q), width, v[q]);
  }
  if (normed.first) store(normed.first, normed.first_stride, normed.first_order);
  if (normed.second) store(normed.second, normed.second_stride, normed.second_order);
}
