// The same sum for many tokens, and the columns of all ranks side by side: pieces of 16 bytes go into the memory of the other ranks, and a
// mark after each part of them.
#include "common/exchange.h"

// Pieces of eight numbers of a part that a thread sends before it looks for those of the others: while a part is added up the next one
// is on its way. Two blocks must fit on a multiprocessor, as all blocks wait for others.
enum { MX_ROW_PIECES = 2, MX_ROW_THREADS = 512 };

MX_TRAITS(exchange_rows, 512, 0, 1, 0, 0)
MX_ENTRY_RESIDENT(exchange_rows, 512, 2)(f32 *out, const f32 *x, const void *inboxes, i32 *stop, i32 rank, i32 ranks, const void *marks, i32 *turns,
                             i64 room, i32 stride, i32 width, i32 round, i32 accumulate, i32 n, i32 phase) {
  mx_follow();
  const MX_GLOBAL u64 *boxes = mx_global<u64>(inboxes);
  const MxMarks waits{mx_global<u64>(marks), rank, ranks, stop};
  MX_GLOBAL i32 *own = waits.mine();
  MX_GLOBAL i32 *own_turn = mx_global<i32>(turns) + mx_block_x();
  const i32 before = *own, parity = *own_turn & 1, t = mx_thread();
  const i32 eights = (width + 7) >> 3, all = n * eights, step = mx_grid_x() * MX_ROW_THREADS;
  // The same for all blocks, so that they count alike.
  const i32 parts = (all + step * MX_ROW_PIECES - 1) / (step * MX_ROW_PIECES);
  // Pieces of the second halves of float32 numbers lie after the first ones.
  const i64 second = room / 32;
  const auto box = [&](i32 of, i32 from) { return (MX_GLOBAL u32x4 *)(boxes[of] + (u64)(((i64)parity * ranks + from) * room)); };
  const auto index = [&](i32 part, i32 p) { return (part * MX_ROW_PIECES + p) * step + mx_block_x() * MX_ROW_THREADS + t; };
  const auto send = [&](i32 part) {
    f32x4 v[MX_ROW_PIECES][2];
    MX_UNROLL
    for (i32 p = 0; p < MX_ROW_PIECES; p++) {
      const i32 i = index(part, p);
      if (i >= all) continue;
      const i32 row = i / eights;
      // Rows end in padding, which may be read.
      const MX_GLOBAL f32x4 *from = (const MX_GLOBAL f32x4 *)(mx_global<f32>(x) + (i64)row * stride + ((i - row * eights) << 3));
      v[p][0] = from[0], v[p][1] = from[1];
    }
    for (i32 r = 1; r < ranks; r++) {
      const i32 to = rank + r < ranks ? rank + r : rank + r - ranks;
      MX_GLOBAL u32x4 *there = box(to, rank);
      MX_UNROLL
      for (i32 p = 0; p < MX_ROW_PIECES; p++) {
        const i32 i = index(part, p);
        if (i >= all) continue;
        if (round) {
          const u32x2 a = mx_pack4(v[p][0]), b = mx_pack4(v[p][1]);
          there[i] = u32x4{a.x, a.y, b.x, b.y};
        } else {
          there[i] = __builtin_bit_cast(u32x4, v[p][0]);
          there[second + i] = __builtin_bit_cast(u32x4, v[p][1]);
        }
      }
    }
    waits.say((i32)((u32)before + (u32)part + 1u));
  };
  const auto take = [&](i32 part) {
    waits.wait((i32)((u32)before + (u32)part + 1u));
    f32x4 sum[MX_ROW_PIECES][2], old[MX_ROW_PIECES][2];
    i64 at[MX_ROW_PIECES];
    i32 column[MX_ROW_PIECES];
    // All loads before the first store: the compiler cannot know that they are of other memory.
    MX_UNROLL
    for (i32 p = 0; p < MX_ROW_PIECES; p++) {
      const i32 i = mx_min(index(part, p), all - 1), row = i / eights;
      column[p] = (i - row * eights) << 3;
      at[p] = (i64)row * stride + column[p];
      const MX_GLOBAL f32x4 *to = (const MX_GLOBAL f32x4 *)(mx_global<f32>(out) + at[p]);
      if (accumulate) old[p][0] = to[0], old[p][1] = to[1];
      for (i32 r = 0; r < ranks; r++) {
        f32x4 u, v;
        if (r == rank) {
          const MX_GLOBAL f32x4 *from = (const MX_GLOBAL f32x4 *)(mx_global<f32>(x) + at[p]);
          u = from[0], v = from[1];
        } else {
          const MX_GLOBAL u32x4 *there = box(rank, r);
          const u32x4 w = there[i];
          if (round) u = mx_unpack4(w.x, w.y), v = mx_unpack4(w.z, w.w);
          else u = __builtin_bit_cast(f32x4, w), v = __builtin_bit_cast(f32x4, there[second + i]);
        }
        sum[p][0] = r == 0 ? u : sum[p][0] + u;
        sum[p][1] = r == 0 ? v : sum[p][1] + v;
      }
    }
    MX_UNROLL
    for (i32 p = 0; p < MX_ROW_PIECES; p++) {
      if (index(part, p) >= all) continue;
      MX_UNROLL
      for (i32 h = 0; h < 2; h++) mx_put_sum(mx_global<f32>(out) + at[p] + 4 * h, sum[p][h], old[p][h], column[p] + 4 * h, width, round, accumulate);
    }
  };
  if (phase & MX_GIVE) send(0);
  for (i32 part = 0; part < parts; part++) {
    if ((phase & MX_GIVE) && part + 1 < parts) send(part + 1);
    if (phase & MX_TAKE) take(part);
  }
  mx_barrier();
  if (t == 0 && (phase & MX_TAKE)) *own = (i32)((u32)before + (u32)parts), *own_turn += 1;
}
MX_EXPORT(exchange_rows)

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
MX_EXPORT(exchange_columns)
