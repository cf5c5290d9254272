// Where the columns of a row lie that a matrix kernel reads as bf16 numbers.
#pragma once
#include "formats.h"

// `order` 1: of eight columns 0 4, 1 5, 2 6, 3 7, in which MXFP4 is decoded; 2: such pairs as gemm_wgmma.hip takes them of 64 columns, pair p
// of the sixteen that begin with column 16t at 8p + 2t.
MX_DEVICE i32 mx_column_place(i32 order, i32 c) {
  if (order == 0) return c;
  if (order == 1) return (c & ~7) + 2 * (c & 3) + (c >> 2 & 1);
  return (c & ~63) + (c & 8) * 4 + (c >> 3 & 6) + 8 * (c & 3) + (c >> 2 & 1);
}

// Writes columns c..c+3 of a row.
MX_DEVICE void mx_store_columns(MX_GLOBAL u16 *row, i32 order, i32 c, f32x4 v) {
  if (order == 0) {
    *(MX_GLOBAL u32x2 *)(row + c) = u32x2{mx_pack(v.x, v.y), mx_pack(v.z, v.w)};
    return;
  }
  const i32 step = order == 1 ? 2 : 8;
  MX_GLOBAL u16 *const to = row + mx_column_place(order, c);
  MX_UNROLL
  for (i32 k = 0; k < 4; k++) to[step * k] = (u16)(mx_bf16_bits(v[k]) >> 16);
}
