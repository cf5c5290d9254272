// The columns of all ranks side by side: each rank writes its own into the memory of the others.
#include "common/exchange.h"

// Each rank's columns of some rows to their place in the rows of all. What is there may be read until every rank has come here.
MX_TRAITS(exchange_columns, 256, 0, 1, 0, 0)
MX_ENTRY(exchange_columns, 256)(const f32 *x, i32 stride, const void *wholes, i32 *stop, i32 rank, i32 ranks, const void *marks, i32 n, i32 phase) {
  mx_follow();
  const MxMarks waits{mx_global<u64>(marks), rank, ranks, stop};
  MX_GLOBAL i32 *own = waits.mine();
  const u32 before = (u32)*own;
  const i32 t = mx_thread();
  if (phase & MX_GIVE) waits.say((i32)(before + 1u));
  if (!(phase & MX_TAKE)) return;
  waits.wait((i32)(before + 1u));
  const i64 all = (i64)n * stride, step = (i64)mx_grid_x() * MX_EXCHANGE_THREADS, whole = (i64)ranks * stride;
  for (i64 first = (i64)mx_block_x() * MX_EXCHANGE_THREADS + t; first < all; first += 8 * step) {
    f32 v[8];
    MX_UNROLL
    for (i32 p = 0; p < 8; p++) {
      if (first + p * step < all) v[p] = mx_global<f32>(x)[first + p * step];
    }
    for (i32 r = 0; r < ranks; r++) {
      MX_GLOBAL f32 *to = (MX_GLOBAL f32 *)mx_global<u64>(wholes)[r] + (i64)rank * stride;
      MX_UNROLL
      for (i32 p = 0; p < 8; p++) {
        const i64 i = first + p * step, row = i / stride;
        if (i < all) to[row * whole + (i - row * stride)] = v[p];
      }
    }
  }
  waits.say((i32)(before + 2u));
  waits.wait((i32)(before + 2u));
  if (t == 0) *own = (i32)(before + 2u);
}
MX_EXPORT_EXCHANGE(exchange_columns)
