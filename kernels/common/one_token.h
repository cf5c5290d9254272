// What the kernels of expert_one.hip share: how blocks divide their warps, how inputs and weights lie in LDS, and what a warp multiplies.
#pragma once
#include "bulk.h"
#include "experts.h"
#include "few_slots.h"
#include "mma.h"
#include "one_records.h"
#include "vector.h"

// Warps that multiply, each with so many blocks of a row; one more asks for weights, and others add up what a unit's warps have found.
constexpr i32 chunks = 12, chunk_blocks = 8, finishers = 3, walking = 32 * chunks, finishing = 32 * finishers, threads = walking + 32 + finishing;
constexpr i32 unit_rows = 8, most_choices = 4, down_units = 3, block_rows = down_units * unit_rows;
// Units of a team in LDS or on their way. With more of them memory gives no more, and the first ones come later: see bench/gpu/floor.ts.
constexpr i32 up_places = 5, down_places = 5;
// 16-byte pieces from one staged block of inputs to the next: four, and one so that four blocks lie in different banks.
constexpr i32 staged_pieces = 5;

// Warps that share rows of weights; where rows are short, as on one of several ranks, there are several teams, each with other units.
template <i32 Warps> struct Team {
  static constexpr i32 warps = Warps, count = chunks / Warps, unit_parts = 32 * Warps;
  // Which team this is, and which of its blocks a warp has.
  i32 own = mx_group() / Warps, chunk = mx_group() % Warps;
};

MX_DEVICE void walking_barrier() { mx_part_barrier<1, walking>(); }
MX_DEVICE void finishing_barrier() { mx_part_barrier<2, finishing>(); }

// Rows that follow one another as bf16 numbers times 2^64, in the order in which pairs of weights lie: of eight columns 0 4, 1 5, 2 6, 3 7.
// So many pieces of eight columns a walking thread, all asked for together.
template <i32 Pieces> MX_DEVICE void stage(const f32 *x, i32 stride, i32 rows, i32 cols, u32x4 *to) {
  f32x4 v[Pieces][2];
  const u32 each = (u32)cols / 8;
  MX_UNROLL
  for (i32 i = 0; i < Pieces; i++) {
    const u32 at = (u32)(i * walking + mx_thread()), row = at / each;
    const MX_GLOBAL f32x4 *const from = (const MX_GLOBAL f32x4 *)(mx_global<f32>(x) + (i64)row * stride + (at - row * each) * 8);
    if ((i32)row < rows) v[i][0] = from[0], v[i][1] = from[1];
  }
  MX_UNROLL
  for (i32 i = 0; i < Pieces; i++) {
    const u32 at = (u32)(i * walking + mx_thread()), row = at / each, piece = at - row * each;
    u32x4 pairs;
    MX_UNROLL
    for (i32 k = 0; k < 4; k++) pairs[k] = mx_pack_exact(v[i][0][k] * mx_prescale_value, v[i][1][k] * mx_prescale_value);
    if ((i32)row < rows) to[(i32)row * (cols / 32 * staged_pieces) + piece / 4 * staged_pieces + piece % 4] = pairs;
  }
}

// Pairs 0 4, 1 5, 2 6, 3 7 of eight weights as bf16 numbers times 2^-126: a product by two powers of two puts a code's bits where sign and
// number belong; the mask drops what else it gives.
MX_DEVICE u32x4 decode(u32 w) {
  const u32 high = w >> 8, first = 0x1040u, second = 0x104u, mask = 0x81c081c0u;
  return u32x4{(w & 0x000f000fu) * first & mask, (w & 0x00f000f0u) * second & mask, (high & 0x000f000fu) * first & mask,
               (high & 0x00f000f0u) * second & mask};
}

// The inputs of a chunk's blocks in the places of this lane.
struct Inputs {
  u32x4 b[4];
  MX_DEVICE void load(const u32x4 *x, i32 chunk, i32 blocks) {
    const i32 column = mx_lane() >> 2, block = chunk * chunk_blocks + column;
    const bool filled = (column & 3) == (mx_lane() & 3) && block < blocks;
    MX_UNROLL
    for (i32 i = 0; i < 4; i++) b[i] = filled ? x[block * staged_pieces + i] : u32x4{0, 0, 0, 0};
  }
};

// The sum of a row of a unit from the lanes of so many warps, in every lane.
template <i32 Warps> MX_DEVICE f32 sum_of_parts(const f32 *parts) {
  f32 sum[4] = {0, 0, 0, 0};
  MX_UNROLL
  for (i32 i = 0; i < Warps; i++) sum[i & 3] += parts[32 * i];
  const f32 all = (sum[0] + sum[1]) + (sum[2] + sum[3]), pair = all + mx_shuffle_xor(all, 1);
  return pair + mx_shuffle_xor(pair, 2);
}

// Local experts of the choices that this rank has, in order, and which choices these are.
struct Chosen {
  u64 experts = 0;
  u32 slots = 0;
  i32 found = 0;
  MX_DEVICE Chosen(const i32 *ids, i32 first, i32 count, i32 top_k) {
    i32 e[most_choices];
    MX_UNROLL
    for (i32 k = 0; k < most_choices; k++) e[k] = k < top_k ? (i32)mx_load_past_l1(ids + k) : -1;
    MX_UNROLL
    for (i32 k = 0; k < most_choices; k++) {
      if (k >= top_k || e[k] < first || e[k] - first >= count) continue;
      experts |= (u64)(u32)(e[k] - first) << (16 * found);
      slots |= (u32)k << (8 * found++);
    }
  }
  MX_DEVICE i32 expert(i32 j) const { return (i32)(experts >> (16 * j) & 0xffffu); }
  MX_DEVICE i32 slot(i32 j) const { return (i32)(slots >> (8 * j) & 255u); }
};

// A place among those of units, and how often it was taken before.
template <i32 Places> struct Place {
  i32 at = 0, turn = 0;
  MX_DEVICE void move(i32 by) {
    at += by;
    while (at >= Places) at -= Places, turn++;
  }
};

// Places that hold weights; parts of sums that are complete, and have been read. As many as there are at most.
template <i32 Most> struct Marks {
  u64 filled[Most], found[Most], read[Most];
  MX_DEVICE void begin(i32 places, i32 warps) {
    const i32 tid = mx_thread();
    if (tid >= places) return;
    mx_mark_begin(&filled[tid], 1);
    mx_mark_begin(&found[tid], warps);
    mx_mark_begin(&read[tid], 1);
    mx_marks_visible();
  }
};

// A walking warp's parts of those of `count` units that its team has, one after the other; scales_of(i) is where unit i's scales lie, begin(i,
// inputs) comes before it. With one team only an even number of blocks: its scales are read in pairs.
template <i32 Places, class Team, i32 Most, class Scales, class Begin>
MX_DEVICE void walk(Marks<Most> &marks, const Team &team, const u32x4 *w, i32 blocks, f32 *parts, i32 row, i32 count, Scales scales_of, Begin begin) {
  const i32 lane = mx_lane(), block = team.chunk * chunk_blocks, t = lane & 3;
  const i32 one = row * blocks + mx_min(block + t, blocks - 1), two = row * blocks + mx_min(block + 4 + t, blocks - 1);
  constexpr bool pairs = Team::count == 1;
  const i32 scale_at = row * blocks + mx_min(block + 2 * t, blocks - (pairs ? 2 : 1)), odd_at = row * blocks + mx_min(block + 2 * t + 1, blocks - 1);
  const bool second = lane & 2;
  Place<Places> place;
  place.move(team.own);
  u32x4 raw[2];
  u32 scales;
  const auto fetch = [&](i32 i) __attribute__((always_inline)) {
    mx_mark_await(&marks.filled[place.at], place.turn);
    const u32x4 *const from = w + place.at * (unit_rows * blocks);
    raw[0] = from[one], raw[1] = from[two];
    const u8 *const from_scales = scales_of(i, place.at);
    if constexpr (pairs) scales = *(const u16 *)(from_scales + scale_at);
    else scales = from_scales[scale_at] | (u32)from_scales[odd_at] << 8;
  };
  if (team.own < count) fetch(team.own);
  Inputs in;
  MX_NO_UNROLL
  for (i32 i = team.own; i < count; i += Team::count) {
    begin(i, in);
    f32 c[4] = {0, 0, 0, 0}, d[4] = {0, 0, 0, 0};
    MX_UNROLL
    for (i32 k = 0; k < 4; k++) {
      const u32x4 p = decode(raw[0][k]), q = decode(raw[1][k]);
      mx_product(c, p.x, q.x, p.y, q.y, in.b[k].x, in.b[k].y);
      mx_product(d, p.z, q.z, p.w, q.w, in.b[k].z, in.b[k].w);
    }
    f32 *const to = parts + place.at * Team::unit_parts + team.chunk * 32 + lane;
    u64 *const found = &marks.found[place.at];
    const u32 own = scales;
    place.move(Team::count);
    // The next one's weights, before this one's sums are there.
    if (i + Team::count < count) fetch(i + Team::count);
    const f32 first = (second ? c[2] + d[2] : c[0] + d[0]) * MxFp4::unscale(0), other = (second ? c[3] + d[3] : c[1] + d[1]) * MxFp4::unscale(0);
    *to = mx_fma(other, mx_e8m0(own >> 8), first * mx_e8m0(own & 255u));
    mx_group_barrier();
    if (lane == 0) mx_mark_set(found);
  }
}

// To lane 4g + t belongs a row of a unit in whose pieces eight neighbouring lanes find different banks.
MX_DEVICE i32 row_of_lane() {
  const i32 g = mx_lane() >> 2;
  return (g & 4) | (g & 1) << 1 | (g >> 1 & 1);
}
