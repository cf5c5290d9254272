// Rows that a matrix kernel gives to a sum over ranks itself, tile by tile, as bf16 numbers: what it multiplies is on its way to the other devices
// while other tiles are multiplied, and no launch reads rows again to give them. Each tile has a mark that is written when all of it is there.
#pragma once
#include "ends.h"
#include "exchange.h"

// A tile: so many rows (tokens), and columns of them (rows of weights).
enum { MX_GIVEN_TOKENS = 128, MX_GIVEN_ROWS = 128 };

MX_DEVICE i32 mx_given_row_tiles(i32 width) { return (width + MX_GIVEN_ROWS - 1) / MX_GIVEN_ROWS; }

// Where ranks leave tiles: of rank `of` [2][ranks][room], by the parity of the turn, as a rank may be one ahead, and what says how often each of
// `tiles` came from each rank, [ranks][tiles]; the rank's own row of it is what it counts by.
struct MxGiven {
  const MX_GLOBAL u64 *inboxes, *marks;
  i32 rank, ranks;
  i64 room;
  i32 tiles;
  // Rows begin at whole lines.
  MX_DEVICE MX_GLOBAL u16 *row(i32 of, i32 from, u32 turn, i32 row, i32 width) const {
    const i64 box = ((i64)(i32)(turn & 1) * ranks + from) * room + (i64)row * ((width + 63) / 64 * 128);
    return (MX_GLOBAL u16 *)(inboxes[of] + (u64)box);
  }
  MX_DEVICE MX_GLOBAL i32 *mark(i32 of, i32 from, i32 tile) const { return (MX_GLOBAL i32 *)marks[of] + from * tiles + tile; }
};

// A tile whose sums lie in LDS, `pitch` apart for each token, to all ranks, this one last among them: by 256 threads, of which 32 neighbours have
// a token's columns.
MX_DEVICE void mx_give_tile(const MxGiven &given, const MxTile &t, const f32 *sums, i32 pitch) {
  const i32 width = t.l.rows, tile = t.first / MX_GIVEN_TOKENS * mx_given_row_tiles(width) + t.first_row / MX_GIVEN_ROWS;
  const i32 tid = mx_thread(), four = tid % 32 * 4, row = t.first_row + four;
  const u32 turn = (u32)*given.mark(given.rank, given.rank, tile) + 1u;
  if (row < width) {
    const MxEnds ends[2] = {MxEnds(t.l, row), MxEnds(t.l, row + 2)};
    MX_NO_UNROLL
    for (i32 r = 1; r <= given.ranks; r++) {
      const i32 to = given.rank + r < given.ranks ? given.rank + r : given.rank + r - given.ranks;
      MX_GLOBAL u16 *const first = given.row(to, given.rank, turn, t.first, width) + row;
      const i32 line = (width + 63) / 64 * 64;
      MX_UNROLL_4
      for (i32 m = tid / 32; m < t.tokens; m += 8) {
        const f32x4 sum = *(const f32x4 *)(sums + m * pitch + four);
        const f32 scale = t.x_scales ? t.x_scales[t.x_row(m)] : 1.0f;
        f32x4 z;
        MX_UNROLL
        for (i32 i = 0; i < 4; i++) z[i] = ends[i >> 1].value(i & 1, sum[i], scale, 1);
        *(MX_GLOBAL u32x2 *)(first + m * line) = mx_pack4(z);
      }
    }
  }
  // What all threads of the block wrote is there before the mark is.
  mx_barrier();
  if (tid < given.ranks) mx_system_store(given.mark(tid, given.rank, tile), (i32)turn);
}
