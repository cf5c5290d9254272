// The sum of ranks' rows, for few tokens: each rank writes its numbers into the memory of the others, each with a mark beside it that says
// to which launch it belongs, and adds up as soon as all have come. So a sum takes little more than a number's way to another device.
#include "common/exchange.h"

MX_TRAITS(exchange_ranks, 256, 0, 1, 0, 0)
MX_ENTRY(exchange_ranks, 256)(f32 *out, const f32 *x, const void *inboxes, i32 *stop, i32 rank, i32 ranks, i32 *turns, i32 stride, i32 width,
                              i32 round, i32 accumulate, i32 n, i32 phase) {
  mx_follow();
  const MX_GLOBAL u64 *boxes = mx_global<u64>(inboxes);
  MX_GLOBAL u32 *own_turn = mx_global<u32>(turns) + mx_block_x();
  const u32 turn = mx_next_turn(*own_turn);
  const i32 quads = (width + 3) >> 2, t = mx_thread(), step = mx_grid_x() * MX_EXCHANGE_THREADS, parity = (i32)(turn & 1);
  f32x4 mine[MX_NOTE_PIECES], old[MX_NOTE_PIECES];
  i64 at[MX_NOTE_PIECES];
  i32 column[MX_NOTE_PIECES], pieces = 0;
  MX_UNROLL
  for (i32 p = 0; p < MX_NOTE_PIECES; p++) {
    const i32 i = mx_block_x() * MX_EXCHANGE_THREADS + t + p * step;
    if (i >= n * quads) continue;
    pieces = p + 1;
    const i32 row = i / quads;
    column[p] = (i - row * quads) << 2;
    at[p] = (i64)row * stride + column[p];
    // Rows end in padding, which may be read.
    mine[p] = *(const MX_GLOBAL f32x4 *)(mx_global<f32>(x) + at[p]);
    if (accumulate) old[p] = *(const MX_GLOBAL f32x4 *)(mx_global<f32>(out) + at[p]);
  }
  if (phase & MX_GIVE) {
    for (i32 r = 1; r < ranks; r++) {
      // Not all to the same one first.
      const i32 to = rank + r < ranks ? rank + r : rank + r - ranks;
      MX_GLOBAL u32x4 *notes = mx_notes(boxes, mx_block_x(), to, parity, ranks, rank) + t;
      MX_UNROLL
      for (i32 p = 0; p < MX_NOTE_PIECES; p++) {
        if (p < pieces) mx_leave(notes + p * MX_EXCHANGE_THREADS, mine[p], turn, round);
      }
    }
  }
  if (!(phase & MX_TAKE)) return;
  f32x4 sum[MX_NOTE_PIECES];
  for (i32 r = 0; r < ranks; r++) {
    const MX_GLOBAL u32x4 *notes = mx_notes(boxes, mx_block_x(), rank, parity, ranks, r) + t;
    MX_UNROLL
    for (i32 p = 0; p < MX_NOTE_PIECES; p++) {
      if (p >= pieces) continue;
      const f32x4 v = r == rank ? mine[p] : mx_collect(notes + p * MX_EXCHANGE_THREADS, turn, round, stop);
      sum[p] = r == 0 ? v : sum[p] + v;
    }
  }
  MX_UNROLL
  for (i32 p = 0; p < MX_NOTE_PIECES; p++) {
    if (p < pieces) mx_put_sum(mx_global<f32>(out) + at[p], sum[p], old[p], column[p], width, round, accumulate);
  }
  mx_barrier();
  if (t == 0) *own_turn = turn;
}
MX_EXPORT_EXCHANGE(exchange_ranks)
