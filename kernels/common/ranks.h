// Sums over ranks: what kernels of several devices read and write together.
#pragma once
#include "numerics.h"

// Blocks that wait for one another across devices; more would not all be under way at once everywhere.
enum { MX_EXCHANGE_BLOCKS = 128, MX_RANK_THREADS = 256 };

#if defined(MX_HOST)
// Everything is there before a launch begins: launches are one after another.
MX_DEVICE void mx_system_store(MX_GLOBAL i32 *p, i32 v) { *p = v; }
MX_DEVICE i32 mx_system_load(const MX_GLOBAL i32 *p) { return *p; }
MX_DEVICE bool mx_keep_waiting() { return false; }
#elif defined(__NVPTX__)
// Ordered for all devices: what was written before the store is seen by whoever loads its value.
MX_DEVICE void mx_system_store(MX_GLOBAL i32 *p, i32 v) { __asm__ volatile("st.release.sys.global.s32 [%0], %1;" : : "l"(p), "r"(v) : "memory"); }
MX_DEVICE i32 mx_system_load(const MX_GLOBAL i32 *p) {
  i32 v;
  __asm__ volatile("ld.acquire.sys.global.s32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
  return v;
}
MX_DEVICE bool mx_keep_waiting() { return true; }
#else
MX_DEVICE void mx_system_store(MX_GLOBAL i32 *p, i32 v) { __hip_atomic_store(p, v, __ATOMIC_RELEASE, __HIP_MEMORY_SCOPE_SYSTEM); }
MX_DEVICE i32 mx_system_load(const MX_GLOBAL i32 *p) { return __hip_atomic_load(p, __ATOMIC_ACQUIRE, __HIP_MEMORY_SCOPE_SYSTEM); }
MX_DEVICE bool mx_keep_waiting() { return true; }
#endif

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
