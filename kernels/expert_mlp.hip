// Both linears of the chosen experts for one token in one launch (NVIDIA): MXFP4 weights, inputs of bf16 numbers; what the two kernels of
// expert_one.hip compute, with the same bits. Weights of the second linear come while the first one is multiplied, and no block waits until all
// have finished: what the first linear gives goes from block to block as notes, numbers with a mark that says of which launch they are.
//
// A block has a share of the first linear's rows, of every expert some, and after it its rows of the second one. One warp asks for units of
// eight rows, one after the other; what a unit is stands beside it in LDS. Twelve warps multiply (see expert_one.hip), three add up, and four
// take what all blocks have found into LDS, expert by expert.
//
// Blocks need not all run at once: before one waits for what others find, every share has an owner that runs. A block takes its own share when it
// begins, and those that nobody has taken by then before it goes on to the second linear.
#include "common/halves.h"
#include "common/one_token.h"
#include "common/row_notes.h"

constexpr i32 places = 6, stagers = 4, staging = 32 * stagers, mlp_threads = threads + staging;
// Most blocks; what a lane sees of them at once.
constexpr i32 most_blocks = 256, most_looks = most_blocks / 32;
typedef Team<chunks> All;

// What lies in a place: a unit of rows of a choice's first or second linear, or that nothing comes any more.
enum : u32 { SECOND = 1u << 28, END = 1u << 31, CHOICE = 24, UNIT = (1u << CHOICE) - 1, WHICH = SECOND | 15u << CHOICE };

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

// Dynamic LDS: of a column 4.25 bytes of weights and scales a place, and 2.5 of each of five rows of inputs; besides parts of sums, the records of
// both linears, and what lies before the first whole line.
MX_TRAITS(expert_mlp_mxfp4_one, 640, 8, 1, 38, 17520)
MX_ENTRY_RESIDENT(expert_mlp_mxfp4_one, 640, 1)(const MxLinear *up, const MxLinear *down, MxInput in, const i32 *ids, const f32 *weights, i32 first,
                                                i32 count, i32 top_k, f32 *out, i32 accumulate, f32 alpha, f32 limit, i32 *state, i32 rows, i32 cols,
                                                i32 inner) {
  MX_SHARED Marks<places> marks;
  // That the second linear of a choice is asked for, and that its inputs are there.
  MX_SHARED u64 begun[most_choices], staged[most_choices];
  MX_SHARED u32 items[places];
  MX_SHARED f32 results[most_choices][block_rows];
  const i32 lane = mx_lane(), warp = mx_group(), own_block = mx_block_x(), grid = mx_grid_x();
  const i32 up_blocks = cols / 32, down_blocks = inner / 32, most = mx_max(up_blocks, down_blocks);
  const i32 unit_pieces = unit_rows * most, x_row = most * staged_pieces;
  u32x4 *const w = mx_lds_lines(), *const x = w + places * unit_pieces;
  u8 *const scales = (u8 *)(x + (1 + most_choices) * x_row);
  f32 *const parts = (f32 *)(scales + places * unit_pieces);
  u64 *const near = (u64 *)(parts + places * All::unit_parts);
  const MxRecords ups(up, near, count, mlp_threads), downs(down, near + 8 * MxRecords::most, count, mlp_threads);
  marks.begin(places, chunks);
  if (mx_thread() < most_choices) {
    mx_mark_begin(&begun[mx_thread()], 1);
    mx_mark_begin(&staged[mx_thread()], staging);
    mx_marks_visible();
  }
  // No other launch of the same step reads or writes what is looked at here before the launch ahead has ended.
  const State at(state);
  const u32 last = look(at.turns + own_block), turn = mx_next_turn(last);
  const Shares shares{2 * inner / unit_rows, rows / unit_rows};
  i32 own_begin = 0, own_end = 0;
  bool own_share = false;
  if (warp == chunks) {
    const u32 got = lane == 0 ? (u32)(take(at.taken + own_block, last, turn) == last) : 0u;
    own_share = mx_shuffle(got, 0) != 0;
    own_begin = shares.begin(top_k, own_block), own_end = shares.begin(top_k, own_block + 1);
  }
  mx_barrier();
  mx_await_launch();
  // Only now: so the next launch may read what the one before this has written.
  mx_lead();
  const i32 first_unit = shares.down_begin(own_block), own_units = shares.down_begin(own_block + 1) - first_unit;
  Place<places> place;
  if (warp == chunks) {
    const Chosen chosen(ids, first, count, top_k);
    if (chosen.found != top_k) own_begin = shares.begin(chosen.found, own_block), own_end = shares.begin(chosen.found, own_block + 1);
    const auto put = [&](const MxLinear &l, i32 blocks, i32 unit, u32 item) __attribute__((always_inline)) {
      if (lane == 0) {
        if (place.turn > 0) mx_mark_await(&marks.read[place.at], place.turn - 1);
        const u32 bytes = (u32)(unit_rows * blocks);
        u64 *const filled = &marks.filled[place.at];
        items[place.at] = item | (u32)unit;
        mx_mark_expect(filled, 17 * bytes);
        mx_bulk_copy(w + place.at * unit_pieces, mx_global<u8>(l.weight) + (u64)unit * (16 * bytes), 16 * bytes, filled);
        mx_bulk_copy(scales + place.at * unit_pieces, mx_global<u8>(l.scale) + (u64)unit * bytes, bytes, filled);
      }
      place.move(1);
    };
    u32 seen[most_looks];
    const auto look_around = [&]() __attribute__((always_inline)) {
      MX_UNROLL
      for (i32 i = 0; i < most_looks; i++) seen[i] = look(at.taken + mx_min(32 * i + lane, grid - 1));
    };
    const auto put_share = [&](i32 begin, i32 end, i32 looks) __attribute__((always_inline)) {
      MX_NO_UNROLL
      for (i32 j = 0; j < chosen.found; j++) {
        const MxLinear l = ups.of(chosen.expert(j));
        const i32 to = (end + j) / chosen.found;
        MX_NO_UNROLL
        for (i32 unit = (begin + j) / chosen.found; unit < to; unit++) put(l, up_blocks, unit, (u32)j << CHOICE);
        if (j == looks) look_around();
      }
    };
    // Looks early enough for the answer to be there when it is needed.
    if (own_share && chosen.found > 0) put_share(own_begin, own_end, mx_max(chosen.found - 2, 0));
    else look_around();
    bool open = false;
    MX_UNROLL
    for (i32 i = 0; i < most_looks; i++) open = open || (32 * i + lane < grid && seen[i] == last);
    if (mx_ballot(open)) {
      MX_NO_UNROLL
      for (i32 share = 0; share < grid; share++) {
        const u32 got = lane == 0 ? (u32)(take(at.taken + share, last, turn) == last) : 0u;
        if (mx_shuffle(got, 0)) put_share(shares.begin(chosen.found, share), shares.begin(chosen.found, share + 1), -1);
      }
    }
    if (lane != 0) return;
    MX_NO_UNROLL
    for (i32 j = 0; j < chosen.found; j++) {
      const MxLinear l = downs.of(chosen.expert(j));
      mx_mark_set(&begun[j]);
      MX_NO_UNROLL
      for (i32 u = 0; u < own_units; u++) put(l, down_blocks, first_unit + u, SECOND | (u32)j << CHOICE);
    }
    // One for each of the warps that add up.
    MX_NO_UNROLL
    for (i32 i = 0; i < finishers; i++, place.move(1)) {
      if (place.turn > 0) mx_mark_await(&marks.read[place.at], place.turn - 1);
      items[place.at] = END;
      mx_mark_set(&marks.filled[place.at]);
    }
    return;
  }
  if (warp > chunks + finishers) {
    const Chosen chosen(ids, first, count, top_k);
    const i32 eights = inner / 8;
    MX_NO_UNROLL
    for (i32 j = 0; j < chosen.found; j++) {
      const MX_GLOBAL u32x4 *const from = at.notes + (i64)j * (inner / 4);
      u32x4 *const to = x + (1 + j) * x_row;
      // Not before they are needed: who asks for what is not there yet only keeps others from memory.
      mx_mark_await(&begun[j], 0);
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
      mx_mark_set(&staged[j]);
    }
    return;
  }
  const i32 row = row_of_lane();
  if (warp > chunks) {
    const Chosen chosen(ids, first, count, top_k);
    const i32 own_tid = mx_thread() - walking - 32;
    place.move(warp - chunks - 1);
    for (;;) {
      mx_mark_await(&marks.filled[place.at], place.turn);
      const u32 item = mx_lds_peek(&items[place.at]);
      if (item & END) break;
      const bool second = item & SECOND;
      const i32 j = (i32)(item >> CHOICE & 15u), unit = (i32)(item & UNIT), own_row = unit * unit_rows + row;
      const MxLinear l = (second ? downs : ups).of(chosen.expert(j));
      const f32 bias = l.bias ? mx_element(l.bias, l.bias_format, own_row) : 0.0f;
      const f32 weight = second ? mx_float(mx_load_past_l1(weights + chosen.slot(j))) : 0.0f;
      mx_mark_await(&marks.found[place.at], place.turn);
      const f32 sum = sum_of_parts<chunks>(parts + place.at * All::unit_parts + lane);
      if (lane == 0) mx_mark_set(&marks.read[place.at]);
      const f32 y = sum * l.tensor_scale + bias;
      if (second) {
        if ((lane & 3) == 0) results[chosen.slot(j)][own_row - first_unit * unit_rows] = weight * y;
      } else {
        const f32 z = mx_round_bf16(y), next = mx_shuffle_xor(z, 8);
        // Lanes 0, 4, 16 and 20 have the unit's four results.
        const f32 a = mx_round_bf16(mx_swiglu(z, next, alpha, limit)) * mx_prescale_value;
        const u32 pair = mx_pack_exact(a, mx_shuffle_xor(a, 4)), other = mx_shuffle_xor(pair, 16);
        if (lane == 0) mx_note_store(at.notes + (i64)j * (inner / 4) + unit, u32x4{pair, turn, other, turn});
      }
      place.move(finishers);
    }
    finishing_barrier();
    if (own_tid == 0) at.turns[own_block] = turn;
    if (own_tid >= own_units * unit_rows) return;
    f32 total = 0.0f;
    MX_NO_UNROLL
    for (i32 j = 0; j < chosen.found; j++) total = total + results[chosen.slot(j)][own_tid];
    MX_GLOBAL f32 *const to = mx_global<f32>(out) + first_unit * unit_rows + own_tid;
    const f32 y = mx_round_bf16(total);
    *to = accumulate ? mx_round_bf16(*to + y) : y;
    return;
  }
  stage<1>(in.x, 0, 1, cols, x);
  walking_barrier();
  const i32 block = warp * chunk_blocks, t = lane & 3;
  const bool odd = lane & 2;
  u32x4 raw[2];
  u32 own_scales, item, aimed = 0, loaded = ~0u;
  i32 one, two, scale_at, now = 0, turned = 0;
  // Where a lane's weights lie in a place.
  const auto aim = [&](i32 blocks) __attribute__((always_inline)) {
    one = row * blocks + mx_min(block + t, blocks - 1), two = row * blocks + mx_min(block + 4 + t, blocks - 1);
    scale_at = row * blocks + mx_min(block + 2 * t, blocks - 2);
  };
  aim(up_blocks);
  const auto fetch = [&]() __attribute__((always_inline)) {
    mx_mark_await(&marks.filled[now], turned);
    item = mx_lds_peek(&items[now]);
    if ((item ^ aimed) & SECOND) {
      aimed = item;
      aim(item & SECOND ? down_blocks : up_blocks);
    }
    const u32x4 *const from = w + now * unit_pieces;
    raw[0] = from[one], raw[1] = from[two];
    own_scales = *(const u16 *)(scales + now * unit_pieces + scale_at);
  };
  fetch();
  Inputs inputs;
  MX_NO_UNROLL
  while (!(item & END)) {
    if ((item ^ loaded) & WHICH) {
      const bool second = item & SECOND;
      const i32 j = (i32)(item >> CHOICE & 15u);
      if (second) mx_mark_await(&staged[j], 0);
      inputs.load(x + (second ? 1 + j : 0) * x_row, warp, second ? down_blocks : up_blocks);
      loaded = item;
    }
    f32 c[4] = {0, 0, 0, 0}, d[4] = {0, 0, 0, 0};
    MX_UNROLL
    for (i32 k = 0; k < 4; k++) {
      const u32x4 p = decode(raw[0][k]), q = decode(raw[1][k]);
      mx_product(c, p.x, q.x, p.y, q.y, inputs.b[k].x, inputs.b[k].y);
      mx_product(d, p.z, q.z, p.w, q.w, inputs.b[k].z, inputs.b[k].w);
    }
    f32 *const to = parts + now * All::unit_parts + mx_thread();
    u64 *const found = &marks.found[now];
    const u32 own = own_scales;
    if (++now == places) now = 0, turned ^= 1;
    // The next one's weights, before this one's sums are there.
    fetch();
    const f32 even_sum = (odd ? c[2] + d[2] : c[0] + d[0]) * MxFp4::unscale(0), odd_sum = (odd ? c[3] + d[3] : c[1] + d[1]) * MxFp4::unscale(0);
    *to = mx_fma(odd_sum, mx_e8m0(own >> 8), even_sum * mx_e8m0(own & 255u));
    mx_group_barrier();
    if (lane == 0) mx_mark_set(found);
  }
}
MX_EXPORT(expert_mlp_mxfp4_one)
