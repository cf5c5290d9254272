// The same sum straight from the other ranks' memory: each block waits until its like on every rank has come here, which the launches
// before it on that rank have then ended for.
#include "common/ranks.h"

MX_TRAITS(exchange_ranks, 256, 0, 1, 0, 0)
MX_ENTRY(exchange_ranks, 256)(f32 *out, const void *parts, const void *flags, i32 *stop, i32 rank, i32 ranks, i32 stride, i32 width, i32 round,
                              i32 accumulate, i32 n) {
  mx_follow();
  const MX_GLOBAL u64 *from = mx_global<u64>(parts);
  const MX_GLOBAL u64 *marks = mx_global<u64>(flags);
  const i32 block = mx_block_x(), t = mx_thread();
  // flags[r] of a rank: how often rank r came here, by block; its own are what it counts by.
  MX_GLOBAL i32 *own = (MX_GLOBAL i32 *)marks[rank];
  const i32 turn = own[rank * MX_EXCHANGE_BLOCKS + block] + 1;
  mx_barrier();
  if (t < ranks && t != rank) {
    mx_system_store((MX_GLOBAL i32 *)marks[t] + rank * MX_EXCHANGE_BLOCKS + block, turn);
    const MX_GLOBAL i32 *theirs = own + t * MX_EXCHANGE_BLOCKS + block;
    i32 looks = 0;
    // Counters may wrap around.
    while ((i32)((u32)mx_system_load(theirs) - (u32)turn) < 0 && mx_keep_waiting()) {
      if ((++looks & 1023) == 0 && mx_system_load(mx_global<i32>(stop)) != 0) break;
    }
  }
  if (t == 0) own[rank * MX_EXCHANGE_BLOCKS + block] = turn;
  mx_barrier();
  const auto part = [=](i32 r) { return (const MX_GLOBAL f32 *)from[r]; };
  mx_sum_ranks(out, part, ranks, stride, width, round, accumulate, n, mx_grid_x());
}
MX_EXPORT(exchange_ranks)
