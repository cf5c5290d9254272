// The two linears of the chosen experts for some sequences (NVIDIA): MXFP4 weights, inputs of bf16 numbers. Blocks, one a multiprocessor,
// share out all rows of all experts that anybody chose: each walks over its rows, whichever experts have them, so that all end together.
//
// Weights come in copies of whole rows, some steps ahead: memory gives much less where warps ask for pieces of the same rows at different times.
// A warp multiplies sixteen rows of weights (the instruction's first operand) by up to eight tokens, always the same 256 columns, whose
// inputs stay in registers; what a team's warps found is added up by warps that do nothing else, by way of LDS. So no warp waits for another
// one before it begins with its next rows. Of eight columns inputs lie as 0 4, 1 5, 2 6, 3 7 (qdq's order 1). A token's sum does not depend
// on the tokens beside it, nor on who computes it.
#include "common/bulk.h"
#include "common/few_slots.h"
#include "common/halves.h"
#include "common/mma.h"
#include "common/one_records.h"
#include "common/teams.h"
#include "common/tile.h"

constexpr i32 finishers = 3, walking = 32 * chunks, threads = walking + 32 + 32 * finishers, unit_rows = 16;
// Units of a team in LDS or on their way; at least as many as there are finishing warps. With more of them memory gives no more, and the
// first ones come later: see bench/gpu/floor.ts.
constexpr i32 team_places = 3, most_places = most_teams * team_places;
// Units that a block asks for before it is known which experts were chosen, where there are so many times as many slot rows as experts.
constexpr i32 likely_units = 4, likely_slots = 2;
// Sums of a unit by one warp, as quads of rows 2g, 2g + 1 and tokens 2t, 2t + 1 at 8t + g.
constexpr i32 part_quads = 32;

// What one row's scale does to its decoded weights, which are 2^126 times too small: one factor where bf16 has it, else two.
template <bool Large> MX_DEVICE u32x4 scaled(u32 w, u32 scale) {
  // Else what both have in common would be computed, and kept, before it is known which one is needed.
  if (Large) __asm__ volatile("" : "+r"(w));
  const u32 high = w >> 8, first = 0x1040u, second = 0x104u, mask = 0x81c081c0u;
  u32x4 p = {(w & 0x000f000fu) * first & mask, (w & 0x00f000f0u) * second & mask, (high & 0x000f000fu) * first & mask, (high & 0x00f000f0u) * second & mask};
  if (Large) {
    const u32 factor = mx_fp4_factor(scale);
    MX_UNROLL
    for (i32 i = 0; i < 4; i++) p[i] = mx_scale_pair(mx_scale_pair(p[i], 0x7e807e80u), factor);
  } else {
    const u32 factor = (scale + 126u) * 0x800080u;
    MX_UNROLL
    for (i32 i = 0; i < 4; i++) p[i] = mx_scale_pair(p[i], factor);
  }
  return p;
}
constexpr u32 most_scale = 128;

// Rows 2g and 2g + 1 of a unit, blocks t and 4 + t of a warp's eight.
struct Unit {
  u32x4 upper[2], lower[2];
  u32 scales[2][2];
};
template <bool Large> MX_DEVICE f32x4 multiply(const Unit &unit, const u32x4 (&x)[2][4]) {
  f32 c[4] = {0, 0, 0, 0}, d[4] = {0, 0, 0, 0};
  MX_UNROLL
  for (i32 k = 0; k < 2; k++) {
    MX_UNROLL
    for (i32 i = 0; i < 4; i++) {
      const u32x4 p = scaled<Large>(unit.upper[k][i], unit.scales[k][0]), q = scaled<Large>(unit.lower[k][i], unit.scales[k][1]), b = x[k][i];
      mx_product(c, p.x, q.x, p.y, q.y, b.x, b.y);
      mx_product(d, p.z, q.z, p.w, q.w, b.z, b.w);
    }
  }
  return f32x4{c[0] + d[0], c[1] + d[1], c[2] + d[2], c[3] + d[3]};
}

struct Marks {
  // Weights have come; have been read. Sums are there; have been read.
  u64 filled[most_places], emptied[most_places], found[most_places], read[most_places];
  MX_DEVICE void begin(i32 team_warps) {
    const i32 tid = mx_thread();
    if (tid >= most_places) return;
    mx_mark_begin(&filled[tid], 1);
    mx_mark_begin(&emptied[tid], team_warps);
    mx_mark_begin(&found[tid], team_warps);
    mx_mark_begin(&read[tid], 1);
    mx_marks_visible();
  }
};

// Units of a block, some of which one after the other somebody takes: where each lies.
struct Walk {
  const MxSlots &slots;
  i32 at, end, tile, tile_end, each;
  MX_DEVICE Walk(const MxSlots &slots, i32 first, i32 end, i32 each) : slots(slots), at(first), end(end), tile(first / each), each(each) {
    tile_end = (tile + 1) * each;
  }
  MX_DEVICE bool done() const { return at >= end; }
  MX_DEVICE i32 row() const { return (at - tile_end + each) * unit_rows; }
  // Whether the tile is another one than before.
  MX_DEVICE bool move(i32 by) {
    at += by;
    if (at < tile_end) return false;
    while (at >= tile_end) tile++, tile_end += each;
    return true;
  }
};
struct Place {
  i32 at, turn, count;
  MX_DEVICE Place(i32 at, i32 count) : at(at), turn(0), count(count) {}
  MX_DEVICE void move(i32 by) {
    at += by;
    if (at >= count) at -= count, turn++;
  }
};

// Dynamic LDS: sixteen rows of 17 bytes for 32 columns in each of three places; parts of sums; records.
MX_TRAITS(expert_batch_mxfp4_x8, 512, 16, 8, 25.5, 22640)
MX_ENTRY_RESIDENT(expert_batch_mxfp4_x8, 512, 1)(const MxLinear *experts, const f32 *x, const u16 *x_bf16, i32 x_stride, const f32 *x_scales,
                                                 i32 divisor, const i32 *ids, i32 slot_rows, i32 first, i32 count, i32 early, f32 *out,
                                                 i32 out_stride, i32 round, i32 swiglu, f32 alpha, f32 limit, i32 rows, i32 cols) {
  MX_SHARED Marks marks;
  MX_SHARED MxSlots slots;
  const i32 lane = mx_lane(), warp = mx_group(), blocks = cols / 32;
  const Teams teams(blocks, warp);
  const i32 places = team_places * teams.count, unit_pieces = unit_rows * blocks;
  u32x4 *const w = mx_lds_lines();
  u8 *const scales = (u8 *)(w + places * unit_pieces);
  f32x4 *const parts = (f32x4 *)(scales + places * unit_pieces);
  const MxRecords records(experts, (u64 *)(parts + places * teams.warps * part_quads), count, threads);
  marks.begin(teams.warps);
  // Where nearly all experts are chosen by somebody, units of all of them are asked for in L2 before it is known of which, as memory is idle as
  // long as they are being chosen: some units of each expert, far from one another, so that all blocks find some.
  if (!early && warp == chunks && lane < likely_units && count > 0 && slot_rows >= likely_slots * count) {
    const i32 own = mx_block_x() + lane * mx_grid_x(), expert = own % count, units = (likely_units * mx_grid_x() + count - 1) / count;
    const i32 unit = own / count * (rows / unit_rows) / units;
    const MxLinear l = mx_expert_linear(experts, expert);
    mx_bulk_prefetch(mx_global<u8>(l.weight) + (i64)unit * 16 * unit_pieces, (u32)(16 * unit_pieces));
    mx_bulk_prefetch(mx_global<u8>(l.scale) + (i64)unit * unit_pieces, (u32)unit_pieces);
  }
  // What was chosen for the first product is there before it has waited for its launch; so the second may read it at once.
  if (!early) mx_await_launch();
  mx_lead();
  slots.sort(ids, slot_rows, first, count);
  const i32 each = rows / unit_rows, all = slots.tile_count * each;
  const i32 begin = (i32)((i64)all * mx_block_x() / mx_grid_x()), end = (i32)((i64)all * (mx_block_x() + 1) / mx_grid_x());
  if (begin >= end) {
    // Nobody may think that this launch has ended before the one ahead has.
    if (early) mx_await_launch();
    return;
  }
  if (warp == chunks) {
    if (lane != 0) return;
    Walk walk(slots, begin, end, each);
    Place place(0, places);
    while (!walk.done()) {
      const MxLinear l = records.of(slots.tiles[walk.tile].expert);
      const MX_GLOBAL u8 *const weights = mx_global<u8>(l.weight), *const weight_scales = mx_global<u8>(l.scale);
      MX_NO_UNROLL
      do {
        const i32 row = walk.row();
        if (place.turn > 0) mx_mark_await(&marks.emptied[place.at], place.turn - 1);
        mx_mark_expect(&marks.filled[place.at], (u32)(17 * unit_pieces));
        mx_bulk_copy_once(w + place.at * unit_pieces, weights + (i64)row * 16 * blocks, (u32)(16 * unit_pieces), &marks.filled[place.at]);
        mx_bulk_copy_once(scales + place.at * unit_pieces, weight_scales + (i64)row * blocks, (u32)unit_pieces, &marks.filled[place.at]);
        place.move(1);
      } while (!walk.move(1) && !walk.done());
    }
    return;
  }
  if (warp > chunks) {
    if (early && x_scales) mx_await_launch();
    const i32 own = warp - chunks - 1, t = lane >> 3, g = lane & 7;
    Walk walk(slots, begin + own, end, each);
    Place place(own % places, places);
    while (!walk.done()) {
      const MxSlotTile tile = slots.tiles[walk.tile];
      const MxLinear l = records.of(tile.expert);
      f32 factors[2];
      MX_GLOBAL f32 *to[2];
      MX_UNROLL
      for (i32 i = 0; i < 2; i++) {
        const i32 slot = slots.order[tile.first + mx_min(2 * t + i, tile.count - 1)];
        factors[i] = x_scales ? mx_global<f32>(x_scales)[slot / divisor] : 1.0f;
        to[i] = mx_global<f32>(out) + (i64)slot * out_stride;
      }
      bool others;
      MX_NO_UNROLL
      do {
        const i32 row = walk.row() + 2 * g;
        f32 bias[2];
        MX_UNROLL
        for (i32 i = 0; i < 2; i++) bias[i] = l.bias ? mx_element(l.bias, l.bias_format, row + i) : -0.0f;
        mx_mark_await(&marks.found[place.at], place.turn);
        f32x4 sum[4];
        MX_UNROLL
        for (i32 i = 0; i < 4; i++) sum[i] = f32x4{0, 0, 0, 0};
        const bool mine = 2 * t < tile.count;
        if (mine) {
          const f32x4 *const from = parts + place.at * teams.warps * part_quads + lane;
          MX_UNROLL
          for (i32 i = 0; i < chunks; i++) {
            if (i < teams.warps) sum[i & 3] += from[i * part_quads];
          }
        }
        mx_group_barrier();
        if (lane == 0) mx_mark_set(&marks.read[place.at]);
        const f32x4 total = (sum[0] + sum[1]) + (sum[2] + sum[3]);
        MX_UNROLL
        for (i32 i = 0; i < 2; i++) {
          if (!mine || 2 * t + i >= tile.count) continue;
          const f32 z0 = mx_round_if(total[i] * l.tensor_scale * factors[i] + bias[0], round);
          const f32 z1 = mx_round_if(total[2 + i] * l.tensor_scale * factors[i] + bias[1], round);
          if (swiglu) to[i][row / 2] = mx_round_if(mx_swiglu(z0, z1, alpha, limit), round);
          else *(MX_GLOBAL f32x2 *)(to[i] + row) = f32x2{z0, z1};
        }
        place.move(finishers);
        others = walk.move(finishers);
      } while (!others && !walk.done());
    }
    return;
  }
  if (teams.own >= teams.count) return;
  if (early) mx_await_launch();
  const i32 g = lane >> 2, t = lane & 3;
  // A lane's blocks of a row; beyond its end the last one again, with zeros for inputs and scales.
  const i32 block = teams.chunk * chunk_blocks + t, pieces[2] = {mx_min(block, blocks - 1), mx_min(block + 4, blocks - 1)};
  const bool valid[2] = {block < blocks, block + 4 < blocks};
  Place next(teams.own, places);
  Unit unit;
  const auto fetch = [&]() __attribute__((always_inline)) {
    mx_mark_await(&marks.filled[next.at], next.turn);
    const u32x4 *const from = w + next.at * unit_pieces + 2 * g * blocks;
    const u8 *const from_scales = scales + next.at * unit_pieces + 2 * g * blocks;
    MX_UNROLL
    for (i32 k = 0; k < 2; k++) {
      unit.upper[k] = from[pieces[k]], unit.lower[k] = from[blocks + pieces[k]];
      unit.scales[k][0] = valid[k] ? from_scales[pieces[k]] : 0u, unit.scales[k][1] = valid[k] ? from_scales[blocks + pieces[k]] : 0u;
    }
    mx_group_barrier();
    if (lane == 0) mx_mark_set(&marks.emptied[next.at]);
    next.move(teams.count);
  };
  Walk walk(slots, begin + teams.own, end, each);
  Place place(teams.own, places);
  bool begun = false;
  while (!walk.done()) {
    const MxSlotTile tile = slots.tiles[walk.tile];
    u32x4 b[2][4];
    {
      const i64 row = slots.order[tile.first + mx_min(g, tile.count - 1)] / divisor * (i64)x_stride;
      // All asked for together; what nobody has is replaced afterwards.
      if (x_bf16) {
        const MX_GLOBAL u32x4 *const from = (const MX_GLOBAL u32x4 *)(mx_global<u16>(x_bf16) + row);
        MX_UNROLL
        for (i32 k = 0; k < 2; k++) {
          MX_UNROLL
          for (i32 i = 0; i < 4; i++) b[k][i] = from[4 * pieces[k] + i];
        }
      } else {
        const MX_GLOBAL f32x4 *const from = (const MX_GLOBAL f32x4 *)(mx_global<f32>(x) + row);
        f32x4 v[2][8];
        MX_UNROLL
        for (i32 k = 0; k < 2; k++) {
          MX_UNROLL
          for (i32 i = 0; i < 8; i++) v[k][i] = from[8 * pieces[k] + i];
        }
        MX_UNROLL
        for (i32 k = 0; k < 2; k++) {
          MX_UNROLL
          for (i32 i = 0; i < 4; i++) {
            MX_UNROLL
            for (i32 p = 0; p < 4; p++) b[k][i][p] = mx_pack_exact(v[k][2 * i][p], v[k][2 * i + 1][p]);
          }
        }
      }
      MX_UNROLL
      for (i32 k = 0; k < 2; k++) {
        if (valid[k] && g < tile.count) continue;
        MX_UNROLL
        for (i32 i = 0; i < 4; i++) b[k][i] = u32x4{0, 0, 0, 0};
      }
    }
    // The first one's weights come later than inputs.
    if (!begun) fetch();
    begun = true;
    bool others;
    MX_NO_UNROLL
    do {
      const u32 most = mx_max(mx_max(unit.scales[0][0], unit.scales[0][1]), mx_max(unit.scales[1][0], unit.scales[1][1]));
      const f32x4 sums = mx_ballot(most > most_scale) ? multiply<true>(unit, b) : multiply<false>(unit, b);
      others = walk.move(teams.count);
      // The next one's weights, before these sums are there.
      if (!walk.done()) fetch();
      if (place.turn > 0) mx_mark_await(&marks.read[place.at], place.turn - 1);
      if (2 * t < tile.count) parts[(place.at * teams.warps + teams.chunk) * part_quads + 8 * t + g] = sums;
      mx_group_barrier();
      if (lane == 0) mx_mark_set(&marks.found[place.at]);
      place.move(teams.count);
    } while (!others && !walk.done());
  }
}
MX_EXPORT(expert_batch_mxfp4_x8)
