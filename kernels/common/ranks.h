// Sums over ranks.
#pragma once
#include "numerics.h"

enum { MX_RANK_THREADS = 256 };
// Pieces of 16 bytes that a thread asks every rank for together: one is on its way for two microseconds.
enum { MX_RANK_QUADS = 4 };

// out = sum of the parts in order, or the residual add of it. `part(r)` gives a rank's rows.
template <class Part>
MX_DEVICE void mx_sum_ranks(f32 *out, Part part, i32 ranks, i32 stride, i32 width, i32 round, i32 accumulate, i32 n, i32 blocks) {
  const i32 quads = (width + 3) >> 2;
  const i64 all = (i64)n * quads, step = (i64)blocks * MX_RANK_THREADS;
  for (i64 first = (i64)mx_block_x() * MX_RANK_THREADS + mx_thread(); first < all; first += step * MX_RANK_QUADS) {
    i64 at[MX_RANK_QUADS];
    i32 column[MX_RANK_QUADS];
    f32x4 sum[MX_RANK_QUADS];
    MX_UNROLL
    for (i32 q = 0; q < MX_RANK_QUADS; q++) {
      // What is beyond the end is read again and not written.
      const i64 i = first + q * step < all ? first + q * step : first;
      const i32 t = (i32)(i / quads);
      column[q] = (i32)(i - (i64)t * quads) << 2;
      at[q] = (i64)t * stride + column[q];
      // Rows end in padding, which may be read.
      sum[q] = *(const MX_GLOBAL f32x4 *)(part(0) + at[q]);
    }
    for (i32 r = 1; r < ranks; r++) {
      const MX_GLOBAL f32 *from = part(r);
      MX_UNROLL
      for (i32 q = 0; q < MX_RANK_QUADS; q++) sum[q] = sum[q] + *(const MX_GLOBAL f32x4 *)(from + at[q]);
    }
    MX_UNROLL
    for (i32 q = 0; q < MX_RANK_QUADS; q++) {
      if (first + q * step >= all) continue;
      MX_GLOBAL f32 *to = mx_global<f32>(out) + at[q];
      MX_UNROLL
      for (i32 e = 0; e < 4; e++) {
        if (column[q] + e >= width) continue;
        const f32 v = mx_round_if(sum[q][e], round);
        to[e] = accumulate ? mx_round_if(to[e] + v, round) : v;
      }
    }
  }
}
