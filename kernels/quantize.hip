// Norm (if any) and quantization of rows to the codes that the scaled matrix instructions take: MX FP4 (kind 1: 16 bytes and one e8m0 byte a
// block of 32) or FP8 (kinds 6 and 7: one byte a number and a factor per row).
#include "common/vector.h"

MX_TRAITS(quantize, 256, 0, 1, 0, 0)
MX_ENTRY(quantize, 256)(u8 *codes, i32 code_stride, u8 *block_scales, i32 scale_stride, f32 *row_scales, MxInput in, i32 width, i32 n) {
  mx_follow();
  const i32 i = mx_block_x();
  if (i >= n) return;
  MX_GLOBAL u8 *to = mx_global<u8>(codes) + (i64)i * code_stride, *scales = mx_global<u8>(block_scales) + (i64)i * scale_stride;
  const i64 row = in.x_rows ? mx_global<i32>(in.x_rows)[i] : i;
  if (in.kind == MX_E2M1) {
    // The norm alone is prepared here; a thread holds four of a block's numbers.
    MxInput plain = in;
    plain.kind = MX_NONE;
    const MxGrid grid = mx_grid_of(MX_E2M1);
    const MxScaling scaling = mx_scaling_of(grid, in.rule);
    mx_prepare_row(plain, row, width, [=](i32 c, f32x4 v) {
      const i32 e = mx_block_exponent4(v, grid, scaling);
      u32 packed = 0;
      MX_UNROLL
      for (i32 k = 0; k < 4; k++) packed |= mx_fp4_code(mx_to_grid(v[k] * mx_exp2i(-e), grid)) << (4 * k);
      *(MX_GLOBAL u16 *)(to + c / 2) = (u16)packed;
      if ((c & 31) == 0) scales[c / 32] = (u8)(e + 127);
    });
  } else {
    // The instructions take no other kind's codes.
    if (!mx_keeps_codes(in.kind)) __builtin_trap();
    const f32 scale = mx_prepare_row(in, row, width, [=](i32 c, f32x4 v) {
      *(MX_GLOBAL u32 *)(to + c) = mx_fp8_code(v.x) | mx_fp8_code(v.y) << 8 | mx_fp8_code(v.z) << 16 | mx_fp8_code(v.w) << 24;
    });
    if (row_scales && mx_thread() == 0) mx_global<f32>(row_scales)[i] = scale;
  }
}
MX_EXPORT(quantize)
