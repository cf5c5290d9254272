// gemm_wgmma.hip with MX_TO_RANKS for the host's library, which has none of the instructions: sums by plain loops, given as the devices' are.
#pragma once
#include "given.h"
MX_ENTRY(gemm_bf16_wgmma_give, 256)(MxGroup group, const u16 *x, i32 x_stride, const f32 *x_scales, i32 n, const void *inboxes, const void *marks,
                                    i32 rank, i32 ranks, i64 room, i32 tiles) {
  constexpr i32 pitch = MX_GIVEN_ROWS;
  MX_SHARED f32 sums[MX_GIVEN_TOKENS * pitch];
  const MxTile t = mx_group_tile(group, x_scales, 1, 0, n, MX_GIVEN_ROWS, MX_GIVEN_TOKENS);
  if (t.tokens <= 0 || t.first_row >= t.l.rows) return;
  const i32 rows = mx_min(MX_GIVEN_ROWS, t.l.rows - t.first_row);
  for (i32 i = mx_thread(); i < rows * t.tokens; i += 256) {
    const i32 m = i / rows, row = i % rows;
    const u16 *const w = (const u16 *)((const u8 *)t.l.weight + (t.first_row + row) * t.l.row_stride);
    f32 sum = 0.0f;
    for (i32 c = 0; c < t.l.cols; c++) sum += mx_float((u32)x[t.x_row(m) * x_stride + c] << 16) * mx_float((u32)w[c] << 16);
    sums[m * pitch + row] = sum;
  }
  mx_barrier();
  mx_give_tile(MxGiven{mx_global<u64>(inboxes), mx_global<u64>(marks), rank, ranks, room, tiles}, t, sums, pitch);
}
MX_EXPORT(gemm_bf16_wgmma_give)
