// What a rank gives to a sum of rows, and what is made of the sum: the residual stream, and its norm as the linears that follow read it.
#pragma once
#include "columns.h"
#include "exchange.h"
#include "vector.h"

// Rows as they are. They end in padding, which may be read.
struct MxOwnRows {
  // Lines that a lane has numbers of at a time.
  static constexpr i32 together = 2;
  const MX_GLOBAL f32 *x;
  i32 stride;
  MX_DEVICE f32x4 load(i32 row, i32 column) const { return *(const MX_GLOBAL f32x4 *)(x + (i64)row * stride + column); }
  // Several quads of a row.
  template <i32 N> MX_DEVICE void load(i32 row, const i32 (&quads)[N], f32x4 (&v)[N]) const {
    MX_UNROLL
    for (i32 q = 0; q < N; q++) v[q] = load(row, 4 * quads[q]);
  }
};

// The weighted sums of the experts' rows, as `combine` computes them. Rows of experts that other ranks have are not read: they count as zeros.
struct MxOwnChoices {
  static constexpr i32 together = 1;
  const MX_GLOBAL f32 *y, *weights;
  const MX_GLOBAL i32 *ids;
  i32 y_stride, first, count, top_k, round;
  MX_DEVICE f32x4 load(i32 row, i32 column) const {
    f32x4 v[1];
    const i32 quads[1] = {column / 4};
    load(row, quads, v);
    return v[0];
  }
  template <i32 N> MX_DEVICE void load(i32 row, const i32 (&quads)[N], f32x4 (&v)[N]) const {
    constexpr i32 together = 4;
    MX_UNROLL
    for (i32 q = 0; q < N; q++) v[q] = f32x4{0, 0, 0, 0};
    MX_NO_UNROLL
    for (i32 k0 = 0; k0 < top_k; k0 += together) {
      // All loads before the first use; those in vain are of one place.
      f32x4 part[N][together];
      f32 weight[together];
      const MX_GLOBAL f32 *from[together];
      bool own[together];
      MX_UNROLL
      for (i32 i = 0; i < together; i++) {
        const i32 slot = row * top_k + mx_min(k0 + i, top_k - 1);
        own[i] = k0 + i < top_k && (u32)(ids[slot] - first) < (u32)count;
        weight[i] = weights[slot], from[i] = y + (own[i] ? (i64)slot * y_stride : 0);
      }
      MX_UNROLL
      for (i32 q = 0; q < N; q++) {
        MX_UNROLL
        for (i32 i = 0; i < together; i++) part[q][i] = *(const MX_GLOBAL f32x4 *)(from[i] + 4 * quads[q]);
      }
      MX_UNROLL
      for (i32 q = 0; q < N; q++) {
        MX_UNROLL
        for (i32 i = 0; i < together; i++) {
          const f32x4 term = weight[i] * part[q][i];
          v[q] = v[q] + (own[i] ? term : f32x4{0, 0, 0, 0});
        }
      }
    }
    MX_UNROLL
    for (i32 q = 0; q < N; q++) {
      MX_UNROLL
      for (i32 i = 0; i < 4; i++) v[q][i] = mx_round_if(v[q][i], round);
    }
  }
};

// Where the norm of the residual stream goes: as float32 numbers, and as bf16 in up to two orders of columns; each may be null.
struct MxNormed {
  f32 *rows;
  i32 stride;
  u16 *first;
  i32 first_stride, first_order;
  u16 *second;
  i32 second_stride, second_order;
  MX_DEVICE void store_rows(i64 row, i32 c, i32 width, f32x4 v) const { mx_store4(mx_global<f32>(rows) + row * stride, c, width, v); }
  MX_DEVICE void store_first(i64 row, i32 c, f32x4 v) const { mx_store_columns(mx_global<u16>(first) + row * first_stride, first_order, c, v); }
  MX_DEVICE void store_second(i64 row, i32 c, f32x4 v) const { mx_store_columns(mx_global<u16>(second) + row * second_stride, second_order, c, v); }
  MX_DEVICE void store(i64 row, i32 c, i32 width, f32x4 v) const {
    if (rows) store_rows(row, c, width, v);
    if (first) store_first(row, c, v);
    if (second) store_second(row, c, v);
  }
};

// The sum over ranks of the row that `own` gives, added to row `row` of h, by 1024 threads: as `exchange_ranks` does it, with the room of two
// of its blocks. Returns false where there is nothing more to do.
template <class Own>
MX_DEVICE bool mx_exchange_row(const Own &own, f32 *h, i32 stride, const void *inboxes, i32 *stop, i32 rank, i32 ranks, i32 *turns, i32 width,
                               i32 round, i32 phase) {
  const MX_GLOBAL u64 *boxes = mx_global<u64>(inboxes);
  const i32 piece = mx_thread(), row = mx_block_x(), block = 2 * row + piece / MX_BLOCK_PIECES, at = piece % MX_BLOCK_PIECES;
  const bool has = piece * 4 < width;
  MX_GLOBAL f32 *const to = mx_global<f32>(h) + (i64)row * stride + 4 * piece;
  u32 turn = 0;
  f32x4 mine, old;
  if (has) {
    turn = mx_next_turn(mx_global<u32>(turns)[block]);
    mine = own.load(row, 4 * piece);
    old = *(const MX_GLOBAL f32x4 *)to;
  }
  if (has && (phase & MX_GIVE)) {
    for (i32 r = 1; r < ranks; r++) {
      const i32 other = rank + r < ranks ? rank + r : rank + r - ranks;
      mx_leave(mx_notes(boxes, block, other, (i32)(turn & 1), ranks, rank) + at, mine, turn, round);
    }
  }
  if (!(phase & MX_TAKE)) return false;
  if (has) {
    f32x4 sum;
    for (i32 r = 0; r < ranks; r++) {
      const f32x4 v = r == rank ? mine : mx_collect(mx_notes(boxes, block, rank, (i32)(turn & 1), ranks, r) + at, turn, round, stop);
      sum = r == 0 ? v : sum + v;
    }
    mx_put_sum(to, sum, old, 4 * piece, width, round, 1);
  }
  mx_barrier();
  if (has && at == 0) mx_global<u32>(turns)[block] = turn;
  return true;
}
