// The same sum for many tokens, and the columns of all ranks side by side: pieces of 16 bytes go into the memory of the other ranks, and a
// mark after each part of them.
#include "common/exchange.h"

// Threads of a block. Two blocks must fit on a multiprocessor, as all blocks wait for others.
enum { MX_ROW_THREADS = 512 };

// The sum over ranks of rows, in parts of which a thread has a piece of eight numbers: while a part is added up the next one is on its way.
// `Own` loads the rank's numbers, once where it `keeps` them for the sum.
template <class Own>
MX_DEVICE void exchange_rows_of(const Own own, f32 *out, const void *inboxes, i32 *stop, i32 rank, i32 ranks, const void *marks, i32 *turns,
                                i64 room, i32 stride, i32 width, i32 round, i32 accumulate, i32 n, i32 phase) {
  const MX_GLOBAL u64 *boxes = mx_global<u64>(inboxes);
  const MxMarks waits{mx_global<u64>(marks), rank, ranks, stop};
  MX_GLOBAL i32 *own_mark = waits.mine();
  MX_GLOBAL i32 *own_turn = mx_global<i32>(turns) + mx_block_x();
  const i32 before = *own_mark, parity = *own_turn & 1, t = mx_thread();
  const i32 eights = (width + 7) >> 3, all = n * eights, step = mx_grid_x() * MX_ROW_THREADS;
  // The same for all blocks, so that they count alike.
  const i32 parts = (all + step - 1) / step;
  // Pieces of the second halves of float32 numbers lie after the first ones.
  const i64 second = room / 32;
  const auto box = [&](i32 of, i32 from) { return (MX_GLOBAL u32x4 *)(boxes[of] + (u64)(((i64)parity * ranks + from) * room)); };
  const auto index = [&](i32 part) { return part * step + mx_block_x() * MX_ROW_THREADS + t; };
  const auto put = [&](MX_GLOBAL u32x4 *there, i32 i, const f32x4 (&v)[2]) {
    if (round) {
      const u32x2 a = mx_pack4(v[0]), b = mx_pack4(v[1]);
      there[i] = u32x4{a.x, a.y, b.x, b.y};
    } else {
      there[i] = __builtin_bit_cast(u32x4, v[0]);
      there[second + i] = __builtin_bit_cast(u32x4, v[1]);
    }
  };
  const auto get = [&](const MX_GLOBAL u32x4 *there, i32 i, f32x4 (&v)[2]) {
    const u32x4 w = there[i];
    if (round) v[0] = mx_unpack4(w.x, w.y), v[1] = mx_unpack4(w.z, w.w);
    else v[0] = __builtin_bit_cast(f32x4, w), v[1] = __builtin_bit_cast(f32x4, there[second + i]);
  };
  const auto send = [&](i32 part) {
    const i32 i = index(part);
    if (i < all) {
      const i32 row = i / eights;
      f32x4 v[2];
      own.load(row, (i - row * eights) << 3, v);
      if (Own::keeps) put(box(rank, rank), i, v);
      for (i32 r = 1; r < ranks; r++) put(box(rank + r < ranks ? rank + r : rank + r - ranks, rank), i, v);
    }
    waits.say((i32)((u32)before + (u32)part + 1u));
  };
  const auto take = [&](i32 part) {
    waits.wait((i32)((u32)before + (u32)part + 1u));
    const i32 i = index(part);
    if (i >= all) return;
    const i32 row = i / eights, column = (i - row * eights) << 3;
    MX_GLOBAL f32x4 *const to = (MX_GLOBAL f32x4 *)(mx_global<f32>(out) + (i64)row * stride + column);
    f32x4 sum[2], old[2];
    // All loads before the first store: the compiler cannot know that they are of other memory.
    if (accumulate) old[0] = to[0], old[1] = to[1];
    for (i32 r = 0; r < ranks; r++) {
      f32x4 v[2];
      if (r == rank && !Own::keeps) own.load(row, column, v);
      else get(box(rank, r), i, v);
      MX_UNROLL
      for (i32 h = 0; h < 2; h++) sum[h] = r == 0 ? v[h] : sum[h] + v[h];
    }
    MX_UNROLL
    for (i32 h = 0; h < 2; h++) mx_put_sum((MX_GLOBAL f32 *)(to + h), sum[h], old[h], column + 4 * h, width, round, accumulate);
  };
  if (phase & MX_GIVE) send(0);
  for (i32 part = 0; part < parts; part++) {
    if ((phase & MX_GIVE) && part + 1 < parts) send(part + 1);
    if (phase & MX_TAKE) take(part);
  }
  mx_barrier();
  if (t == 0 && (phase & MX_TAKE)) *own_mark = (i32)((u32)before + (u32)parts), *own_turn += 1;
}

// Rows as they are. They end in padding, which may be read.
struct MxOwnRows {
  static constexpr bool keeps = false;
  const MX_GLOBAL f32 *x;
  i32 stride;
  MX_DEVICE void load(i32 row, i32 column, f32x4 (&v)[2]) const {
    const MX_GLOBAL f32x4 *from = (const MX_GLOBAL f32x4 *)(x + (i64)row * stride + column);
    v[0] = from[0], v[1] = from[1];
  }
};

MX_TRAITS(exchange_rows, 512, 0, 1, 0, 0)
MX_ENTRY_RESIDENT(exchange_rows, 512, 2)(f32 *out, const f32 *x, const void *inboxes, i32 *stop, i32 rank, i32 ranks, const void *marks, i32 *turns,
                             i64 room, i32 stride, i32 width, i32 round, i32 accumulate, i32 n, i32 phase) {
  mx_follow();
  exchange_rows_of(MxOwnRows{mx_global<f32>(x), stride}, out, inboxes, stop, rank, ranks, marks, turns, room, stride, width, round, accumulate, n,
                   phase);
}
MX_EXPORT_EXCHANGE(exchange_rows)

// The weighted sums of the experts' rows, as `combine` computes them. What was sent is kept for the sum over ranks.
struct MxOwnChoices {
  static constexpr bool keeps = true;
  const MX_GLOBAL f32 *y;
  const MX_GLOBAL f32 *weights;
  i32 y_stride, top_k, round;
  MX_DEVICE void load(i32 row, i32 column, f32x4 (&v)[2]) const {
    const MX_GLOBAL f32 *const from = y + (i64)row * top_k * y_stride + column;
    v[0] = v[1] = f32x4{0, 0, 0, 0};
    MX_UNROLL_4
    for (i32 k = 0; k < top_k; k++) {
      const f32 p = weights[row * top_k + k];
      MX_UNROLL
      for (i32 h = 0; h < 2; h++) {
        const f32x4 part = p * *(const MX_GLOBAL f32x4 *)(from + (i64)k * y_stride + 4 * h);
        v[h] = v[h] + part;
      }
    }
    MX_UNROLL
    for (i32 i = 0; i < 8; i++) v[i >> 2][i & 3] = mx_round_if(v[i >> 2][i & 3], round);
  }
};

MX_TRAITS(exchange_combine, 512, 0, 1, 0, 0)
MX_ENTRY_RESIDENT(exchange_combine, 512, 2)(f32 *out, const f32 *y, const void *inboxes, i32 *stop, i32 rank, i32 ranks, const void *marks,
                                i32 *turns, i64 room, i32 stride, i32 y_stride, const f32 *weights, i32 top_k, i32 width, i32 round,
                                i32 accumulate, i32 n, i32 phase) {
  mx_follow();
  exchange_rows_of(MxOwnChoices{mx_global<f32>(y), mx_global<f32>(weights), y_stride, top_k, round}, out, inboxes, stop, rank, ranks, marks, turns,
                   room, stride, width, round, accumulate, n, phase);
}
MX_EXPORT_EXCHANGE(exchange_combine)

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
