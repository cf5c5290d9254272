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
  template <i32 N> MX_DEVICE void load(i32 row, const i32 (&quads)[N], f32x4 (&v)[N]) const { add<false>(row, quads, v); }
  // The same where a token's latency counts: rows of experts that other ranks have are asked for before it is known whose they are, and not used.
  MX_DEVICE f32x4 load_all(i32 row, i32 column) const {
    f32x4 v[1];
    const i32 quads[1] = {column / 4};
    add<true>(row, quads, v);
    return v[0];
  }
  template <bool All, i32 N> MX_DEVICE void add(i32 row, const i32 (&quads)[N], f32x4 (&v)[N]) const {
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
        weight[i] = weights[slot], from[i] = y + (All || own[i] ? (i64)slot * y_stride : 0);
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
// of its blocks. Returns false where there is nothing more to do; `added` is what h has now of a thread's four columns, zeros beyond the row.
template <class Own>
MX_DEVICE bool mx_exchange_row(const Own &own, f32 *h, i32 stride, const MxInboxes &boxes, i32 *stop, i32 *turns, i32 width, i32 round, i32 phase,
                               f32x4 &added) {
  const i32 piece = mx_thread(), row = mx_block_x(), block = 2 * row + piece / MX_BLOCK_PIECES, at = piece % MX_BLOCK_PIECES;
  const i32 rank = boxes.rank, ranks = boxes.ranks;
  const bool has = piece * 4 < width;
  MX_GLOBAL f32 *const to = mx_global<f32>(h) + (i64)row * stride + 4 * piece;
  u32 turn = 0;
  f32x4 mine, old;
  added = f32x4{0, 0, 0, 0};
  if (has) {
    turn = mx_next_turn(mx_global<u32>(turns)[block]);
    old = *(const MX_GLOBAL f32x4 *)to;
    mine = own.load_all(row, 4 * piece);
  }
  if (has && (phase & MX_GIVE)) {
    for (i32 r = 1; r < ranks; r++) {
      const i32 other = rank + r < ranks ? rank + r : rank + r - ranks;
      mx_leave(boxes.notes(block, other, (i32)(turn & 1), rank) + at, mine, turn, round);
    }
  }
  if (!(phase & MX_TAKE)) return false;
  if (has) {
    f32x4 sum;
    for (i32 r = 0; r < ranks; r++) {
      const f32x4 v = r == rank ? mine : mx_collect(boxes.notes(block, rank, (i32)(turn & 1), r) + at, turn, round, stop);
      sum = r == 0 ? v : sum + v;
    }
    added = mx_put_sum(to, sum, old, 4 * piece, width, round, 1);
  }
  mx_barrier();
  if (has && at == 0) mx_global<u32>(turns)[block] = turn;
  return true;
}
