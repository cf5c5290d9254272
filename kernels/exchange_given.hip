// The sum over ranks of rows that the kernels which computed them gave (common/given.h), added to the residual stream, and its norm as the linears
// that follow read it: as exchange_rows does it with what ranks gave it.
//
// Tiles say themselves when they are there, this rank's too, so that a launch may begin before the one that gives has ended. That one still reads
// what lies where the norm goes: before it is written the launch ahead is waited for.
#include "common/given.h"
#include "common/row_norm.h"

MX_TRAITS(exchange_given, 256, 0, 1, 0, 0)
MX_ENTRY_RESIDENT(exchange_given, 256, 4)(f32 *h, const void *marks, const void *inboxes, i32 *stop, i32 rank, i32 ranks, i32 *turns, i64 room,
                                          i32 tiles, i32 stride, MxInput in, f32 *normed, i32 normed_stride, u16 *first, i32 first_stride,
                                          i32 first_order, u16 *second, i32 second_stride, i32 second_order, i32 width, i32 round, i32 n,
                                          i32 phase) {
  mx_lead();
  const i32 row = mx_block_x(), t = mx_thread();
  if (row >= n || !(phase & MX_TAKE)) return;
  const MxGiven given{mx_global<u64>(inboxes), mx_global<u64>(marks), rank, ranks, room, tiles};
  MX_GLOBAL i32 *const count = mx_global<i32>(turns) + row;
  const u32 turn = (u32)*count + 1u;
  MX_GLOBAL f32 *const to = mx_global<f32>(h) + (i64)row * stride;
  const i32 quads = (width + 3) >> 2, row_tiles = mx_given_row_tiles(width), first_tile = row / MX_GIVEN_TOKENS * row_tiles;
  f32x4 old[MX_ROW_QUADS], w[MX_ROW_QUADS], v[MX_ROW_QUADS];
  MX_UNROLL
  for (i32 q = 0; q < MX_ROW_QUADS; q++) {
    old[q] = v[q] = f32x4{0, 0, 0, 0};
    if (mx_row_quad(q) < quads) old[q] = *(const MX_GLOBAL f32x4 *)(to + 4 * mx_row_quad(q));
  }
  if (in.norm) mx_row_weights(w, in, width);
  // A thread waits for a tile of a rank. Counters may wrap around, and a rank may be one ahead.
  for (i32 i = t; i < ranks * row_tiles; i += mx_vector_threads) {
    const i32 from = i / row_tiles;
    const MX_GLOBAL i32 *const mark = given.mark(rank, from, first_tile + (i - from * row_tiles));
    for (i32 looks = 1; (i32)((u32)mx_system_load(mark) - turn) < 0 && mx_keep_waiting(); looks++) {
      if ((looks & 1023) == 0 && mx_system_load(mx_global<i32>(stop)) != 0) break;
    }
  }
  mx_barrier();
  if (t == 0) *count = (i32)turn;
  // Rows that the last tile could have had.
  if (row == n - 1) {
    for (i32 i = row + 1 + t; i % MX_GIVEN_TOKENS != 0 && i / MX_GIVEN_TOKENS == row / MX_GIVEN_TOKENS; i += mx_vector_threads) mx_global<i32>(turns)[i] = (i32)turn;
  }
  for (i32 r = 0; r < ranks; r++) {
    const MX_GLOBAL u64 *const from = (const MX_GLOBAL u64 *)given.row(rank, r, turn, row, width);
    MX_UNROLL
    for (i32 q = 0; q < MX_ROW_QUADS; q++) {
      if (mx_row_quad(q) >= quads) continue;
      const u64 four = mx_note_load(from + mx_row_quad(q));
      const f32x4 part = mx_unpack4((u32)four, (u32)(four >> 32));
      v[q] = r == 0 ? part : v[q] + part;
    }
  }
  MX_UNROLL
  for (i32 q = 0; q < MX_ROW_QUADS; q++) {
    if (mx_row_quad(q) >= quads) continue;
    MX_UNROLL
    for (i32 e = 0; e < 4; e++) {
      v[q][e] = mx_round_if(old[q][e] + mx_round_if(v[q][e], round), round);
      if (4 * mx_row_quad(q) + e >= width) v[q][e] = 0.0f;
    }
    mx_store4(to, 4 * mx_row_quad(q), width, v[q]);
  }
  mx_await_launch();
  if (in.norm) mx_norm_row(v, w, row, in, MxNormed{normed, normed_stride, first, first_stride, first_order, second, second_stride, second_order}, width);
}
MX_EXPORT_EXCHANGE(exchange_given)
