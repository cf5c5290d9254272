// What the kernel of both linears of the experts for one token is made of (expert_mlp.hip): who has which rows, what lies in a place, and what
// warps do that neither ask for the first linear's weights nor multiply.
#pragma once
#include "halves.h"
#include "one_token.h"
#include "row_notes.h"

constexpr i32 places = 6, stagers = 4, staging = 32 * stagers, mlp_threads = threads + staging;
// Most blocks; what a lane sees of them at once.
constexpr i32 most_blocks = 256, most_looks = most_blocks / 32;
typedef Team<chunks> All;

// What lies in a place: a unit of rows of a choice's first or second linear, or that nothing comes any more. Of teams: that one has nothing of it;
// that its scales begin in the middle of 16 bytes.
enum : u32 {
  SECOND = 1u << 28,
  WITHIN = 1u << 29,
  IDLE = 1u << 30,
  END = 1u << 31,
  CHOICE = 24,
  UNIT = (1u << CHOICE) - 1,
  WHICH = SECOND | 15u << CHOICE
};

#if defined(MX_HOST)
MX_DEVICE u32 take(MX_GLOBAL u32 *word, u32 before, u32 after) {
  const u32 v = *word;
  if (v == before) *word = after;
  return v;
}
MX_DEVICE u32 look(const MX_GLOBAL u32 *word) { return *word; }
MX_DEVICE void wait_a_little() { mx_host_yield(); }
#else
// Puts `after` in the place of `before`; gives what was there.
MX_DEVICE u32 take(MX_GLOBAL u32 *word, u32 before, u32 after) {
  u32 v;
  __asm__ volatile("atom.relaxed.gpu.global.cas.b32 %0, [%1], %2, %3;" : "=r"(v) : "l"(word), "r"(before), "r"(after) : "memory");
  return v;
}
MX_DEVICE u32 look(const MX_GLOBAL u32 *word) {
  u32 v;
  __asm__ volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(v) : "l"(word) : "memory");
  return v;
}
MX_DEVICE void wait_a_little() { __asm__ volatile("nanosleep.u32 50;" : : : "memory"); }
#endif

// A launch's counter by block, how far shares are taken, and notes of the first linear's results, four in 16 bytes: two bf16 numbers and a mark
// each.
struct State {
  MX_GLOBAL u32 *turns, *taken;
  MX_GLOBAL u32x4 *notes;
  MX_DEVICE State(i32 *words)
      : turns(mx_global<u32>(words)), taken(turns + most_blocks), notes((MX_GLOBAL u32x4 *)(turns + 2 * most_blocks)) {}
};

// Rows in units, and who has which.
struct Shares {
  i32 up_units, down_units;
  // The first of all chosen experts' units that a share has; each expert's are a part of its own.
  MX_DEVICE i32 begin(i32 found, i32 share) const { return (i32)((u32)(found * up_units) * (u32)share / (u32)mx_grid_x()); }
  MX_DEVICE i32 down_begin(i32 block) const { return (i32)((u32)down_units * (u32)block / (u32)mx_grid_x()); }
};

// Waits for what the first linear gives of a choice and puts it where the second one's inputs are: by the warps that stage.
MX_DEVICE void take_found(const MX_GLOBAL u32x4 *from, u32x4 *to, i32 eights, u32 turn) {
  constexpr i32 together = 3;
  MX_NO_UNROLL
  for (i32 i = mx_thread() - threads; i < eights; i += together * staging) {
    u32x4 v[together][2];
    const auto load = [&](i32 k) __attribute__((always_inline)) {
      const MX_GLOBAL u32x4 *const two = from + 2 * mx_min(i + k * staging, eights - 1);
      v[k][0] = mx_note_load(two), v[k][1] = mx_note_load(two + 1);
    };
    const auto missing = [&](i32 k) __attribute__((always_inline)) {
      return v[k][0].y != turn || v[k][0].w != turn || v[k][1].y != turn || v[k][1].w != turn;
    };
    MX_UNROLL
    for (i32 k = 0; k < together; k++) load(k);
    MX_UNROLL
    for (i32 k = 0; k < together; k++) {
      // What was asked for together with others may have come meanwhile.
      while (missing(k)) {
        load(k);
        if (missing(k)) wait_a_little();
      }
      const u32x4 a = v[k][0], b = v[k][1];
      const i32 eight = i + k * staging;
      // In the order of pairs of weights: 0 4, 1 5, 2 6, 3 7.
      const u32x4 pairs = {mx_lows(a.x, b.x), mx_highs(a.x, b.x), mx_lows(a.z, b.z), mx_highs(a.z, b.z)};
      if (eight < eights) to[eight / 4 * staged_pieces + eight % 4] = pairs;
    }
  }
}

// Places, and how far apart they are.
struct Room {
  u32 *items;
  u32x4 *weights;
  u8 *scales;
  i32 pieces, scale_bytes;
};

// The second linear for teams of warps: units of all choices follow one another, a team each, and those of one choice that come together are one
// copy of weights. Of scales whole pieces come. By the thread that asks.
template <i32 Most>
MX_DEVICE void put_for_teams(const Room &room, Marks<places> &marks, u64 *begun, Place<places> &place, const Chosen &chosen, const MxRecords &downs,
                             i32 teams, i32 blocks, i32 first_unit, i32 own_units) {
  const u32 unit_bytes = (u32)(16 * unit_rows * blocks), scale_bytes = (u32)(unit_rows * blocks + 15) & ~15u;
  i32 left = own_units > 0 ? chosen.found * own_units : 0, j = 0, u = 0;
  MX_NO_UNROLL
  for (; left > 0; left -= teams, place.move(1)) {
    if (place.turn > 0) mx_mark_await(&marks.read[place.at], place.turn - 1);
    const i32 together = mx_min(teams, left);
    u64 *const filled = &marks.filled[place.at];
    u32 *const item = room.items + Most * place.at;
    i32 to_j = j, to_u = u;
    MX_NO_UNROLL
    for (i32 t = 0; t < teams; t++) {
      const i32 unit = first_unit + to_u, scales_at = unit * unit_rows * blocks;
      item[t] = t < together ? SECOND | (scales_at & 8 ? WITHIN : 0u) | (u32)to_j << CHOICE | (u32)unit : SECOND | IDLE;
      if (++to_u == own_units) to_u = 0, to_j++;
    }
    mx_mark_expect(filled, (u32)together * (unit_bytes + scale_bytes));
    MX_NO_UNROLL
    for (i32 t = 0; t < together;) {
      const MxLinear l = downs.of(chosen.expert(j));
      if (u == 0) mx_mark_set(&begun[j]);
      const i32 run = mx_min(together - t, own_units - u), unit = first_unit + u;
      mx_bulk_copy(room.weights + place.at * room.pieces + t * (unit_rows * blocks), mx_global<u8>(l.weight) + (u64)unit * unit_bytes,
                   (u32)run * unit_bytes, filled);
      MX_NO_UNROLL
      for (i32 i = 0; i < run; i++, t++) {
        const i32 from = (unit + i) * unit_rows * blocks;
        mx_bulk_copy(room.scales + place.at * room.scale_bytes + t * (i32)scale_bytes, mx_global<u8>(l.scale) + (from & ~15), scale_bytes, filled);
      }
      u += run;
      if (u == own_units) u = 0, j++;
    }
  }
}

typedef f32 Results[most_choices][block_rows];
// What becomes of units of the second linear in one place, each of a team's own: by a warp that adds up.
template <i32 Teams>
MX_DEVICE void add_up_teams(const u32 *items, const f32 *parts, u64 *found, i32 turn, u64 *read, const Chosen &chosen, const MxRecords &downs,
                            const f32 *weights, Results &results, i32 first_unit) {
  constexpr i32 warps = chunks / Teams;
  const i32 row = row_of_lane();
  u32 item[Teams];
  f32 factor[Teams], bias[Teams], weight[Teams], sum[Teams];
  MX_UNROLL
  for (i32 t = 0; t < Teams; t++) {
    item[t] = mx_lds_peek((u32 *)items + t);
    const bool idle = item[t] & IDLE;
    const i32 j = idle ? 0 : (i32)(item[t] >> CHOICE & 15u);
    const MxLinear l = downs.of(chosen.expert(j));
    factor[t] = l.tensor_scale;
    bias[t] = l.bias && !idle ? mx_element(l.bias, l.bias_format, (i32)(item[t] & UNIT) * unit_rows + row) : 0.0f;
    weight[t] = mx_float(mx_load_past_l1(weights + chosen.slot(j)));
  }
  mx_mark_await(found, turn);
  MX_UNROLL
  for (i32 t = 0; t < Teams; t++) sum[t] = sum_of_parts<warps>(parts + t * (32 * warps));
  if (mx_lane() == 0) mx_mark_set(read);
  MX_UNROLL
  for (i32 t = 0; t < Teams; t++) {
    if ((mx_lane() & 3) || (item[t] & IDLE)) continue;
    const i32 own_row = ((i32)(item[t] & UNIT) - first_unit) * unit_rows + row;
    results[chosen.slot((i32)(item[t] >> CHOICE & 15u))][own_row] = weight[t] * (sum[t] * factor[t] + bias[t]);
  }
}
