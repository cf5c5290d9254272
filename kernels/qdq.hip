// Norm (if any) and QDQ of rows, as float32 and, or, as bf16 for the matrix instructions, in the order of columns that common/columns.h has.
#include "common/columns.h"
#include "common/vector.h"

MX_TRAITS(qdq, 256, 0, 1, 0, 0)
MX_ENTRY(qdq, 256)(f32 *out, i32 out_stride, u16 *out_bf16, i32 bf16_stride, i32 order, f32 *row_scales, MxInput in, i32 width, i32 n) {
  mx_follow();
  const i32 i = mx_block_x();
  if (i >= n) return;
  MX_GLOBAL f32 *y = mx_global<f32>(out) + (i64)i * out_stride;
  MX_GLOBAL u16 *h = mx_global<u16>(out_bf16) + (i64)i * bf16_stride;
  const bool f32_too = out != nullptr, bf16_too = out_bf16 != nullptr;
  f32 scale = mx_prepare_row(in, in.x_rows ? mx_global<i32>(in.x_rows)[i] : i, width, [=](i32 c, f32x4 v) {
    if (f32_too) mx_store4(y, c, width, v);
    if (!bf16_too || c >= bf16_stride) return;
    mx_store_columns(h, order, c, v);
  });
  // The preparation ends at the next multiple of 32. Places of what follows lie among those of the last columns where 64 belong together.
  if (bf16_too) {
    const i32 end = order == 2 ? mx_round_up(bf16_stride, 64) : bf16_stride;
    for (i32 c = mx_round_up(width, 32) + mx_thread(); c < end; c += 256) {
      const i32 place = mx_column_place(order, c);
      if (place < bf16_stride) h[place] = 0;
    }
  }
  if (row_scales && mx_thread() == 0) mx_global<f32>(row_scales)[i] = scale;
}
MX_EXPORT(qdq)
