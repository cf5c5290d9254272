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
//
// MX_RANKS: for one of several ranks. Rows of the second linear are short there, so that teams of the twelve warps have different units of it, which
// come to one place together; and what a block has of the sum goes to the other ranks (see row_notes.h), whose blocks all run at once.
#include "common/mlp.h"

// Dynamic LDS: of a column 4.25 bytes of weights and scales a place, and 2.5 of each of five rows of inputs; besides parts of sums, the records of
// both linears, and what lies before the first whole line.
#if defined(MX_RANKS)
// Columns as of so many of the second linear's rows as there are teams; scales lie off whole pieces.
MX_TRAITS(expert_mlp_ranks_mxfp4_one, 640, 8, 1, 38, 17712)
MX_ENTRY_RESIDENT(expert_mlp_ranks_mxfp4_one, 640, 1)(const MxLinear *up, const MxLinear *down, MxInput in, const i32 *ids, const f32 *weights, i32 first,
                                                  i32 count, i32 top_k, f32 *out, i32 accumulate, f32 alpha, f32 limit, i32 *state,
                                                  const void *inboxes, i32 *stop, i32 rank, i32 ranks, i32 *turns, i32 rows, i32 cols, i32 inner) {
  constexpr bool over_ranks = true;
#else
MX_TRAITS(expert_mlp_mxfp4_one, 640, 8, 1, 38, 17520)
MX_ENTRY_RESIDENT(expert_mlp_mxfp4_one, 640, 1)(const MxLinear *up, const MxLinear *down, MxInput in, const i32 *ids, const f32 *weights, i32 first,
                                                i32 count, i32 top_k, f32 *out, i32 accumulate, f32 alpha, f32 limit, i32 *state, i32 rows, i32 cols,
                                                i32 inner) {
  constexpr bool over_ranks = false;
  constexpr const void *inboxes = nullptr;
  constexpr i32 *stop = nullptr, *turns = nullptr, rank = 0, ranks = 1;
#endif
  // Units of the second linear that come to one place at most.
  constexpr i32 most_items = over_ranks ? 4 : 1;
  MX_SHARED Marks<places> marks;
  // That the second linear of a choice is asked for, and that its inputs are there.
  MX_SHARED u64 begun[most_choices], staged[most_choices];
  MX_SHARED u32 items[places * most_items] __attribute__((aligned(16)));
  MX_SHARED Results results;
  const i32 lane = mx_lane(), warp = mx_group(), own_block = mx_block_x(), grid = mx_grid_x();
  const i32 up_blocks = cols / 32, down_blocks = inner / 32;
  // As in expert_one.hip, so that sums have the same order.
  const i32 teams = !over_ranks || down_blocks > 6 * chunk_blocks ? 1 : down_blocks > 3 * chunk_blocks ? 2 : most_items;
  const i32 most = mx_max(up_blocks, teams * down_blocks);
  const i32 unit_pieces = unit_rows * most, x_row = mx_max(up_blocks, down_blocks) * staged_pieces;
  // Of a unit of the second linear whole pieces come; with an odd number of blocks half of one more than there is.
  const i32 down_scales = over_ranks ? (unit_rows * down_blocks + 15) & ~15 : unit_rows * down_blocks;
  const i32 place_scales = over_ranks ? mx_max(unit_rows * up_blocks, teams * down_scales) : unit_pieces;
  u32x4 *const w = mx_lds_lines(), *const x = w + places * unit_pieces;
  u8 *const scales = (u8 *)(x + (1 + most_choices) * x_row);
  f32 *const parts = (f32 *)(scales + places * place_scales);
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
    // To all teams alike.
    const auto say = [&](u32 item) __attribute__((always_inline)) {
      if constexpr (over_ranks) *(u32x4 *)(items + most_items * place.at) = u32x4{item, item, item, item};
      else items[place.at] = item;
    };
    const auto put = [&](const MxLinear &l, i32 blocks, i32 unit, u32 item) __attribute__((always_inline)) {
      if (lane == 0) {
        if (place.turn > 0) mx_mark_await(&marks.read[place.at], place.turn - 1);
        const u32 bytes = (u32)(unit_rows * blocks);
        u64 *const filled = &marks.filled[place.at];
        say(item | (u32)unit);
        mx_mark_expect(filled, 17 * bytes);
        mx_bulk_copy(w + place.at * unit_pieces, mx_global<u8>(l.weight) + (u64)unit * (16 * bytes), 16 * bytes, filled);
        mx_bulk_copy(scales + place.at * place_scales, mx_global<u8>(l.scale) + (u64)unit * bytes, bytes, filled);
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
    if constexpr (over_ranks) {
      const Room room{items, w, scales, unit_pieces, place_scales};
      put_for_teams<most_items>(room, marks, begun, place, chosen, downs, teams, down_blocks, first_unit, own_units);
    } else {
      MX_NO_UNROLL
      for (i32 j = 0; j < chosen.found; j++) {
        const MxLinear l = downs.of(chosen.expert(j));
        mx_mark_set(&begun[j]);
        MX_NO_UNROLL
        for (i32 u = 0; u < own_units; u++) put(l, down_blocks, first_unit + u, SECOND | (u32)j << CHOICE);
      }
    }
    // One for each of the warps that add up.
    MX_NO_UNROLL
    for (i32 i = 0; i < finishers; i++, place.move(1)) {
      if (place.turn > 0) mx_mark_await(&marks.read[place.at], place.turn - 1);
      say(END);
      mx_mark_set(&marks.filled[place.at]);
    }
    return;
  }
  if (warp > chunks + finishers) {
    if (over_ranks && own_units == 0) return;
    const Chosen chosen(ids, first, count, top_k);
    MX_NO_UNROLL
    for (i32 j = 0; j < chosen.found; j++) {
      // Not before they are needed: who asks for what is not there yet only keeps others from memory.
      mx_mark_await(&begun[j], 0);
      take_found(at.notes + (i64)j * (inner / 4), x + (1 + j) * x_row, inner / 8, turn);
      mx_mark_set(&staged[j]);
    }
    return;
  }
  const i32 row = row_of_lane();
  if (warp > chunks) {
    const Chosen chosen(ids, first, count, top_k);
    const i32 own_tid = mx_thread() - walking - 32;
    MX_GLOBAL f32 *const to = mx_global<f32>(out) + first_unit * unit_rows + own_tid;
    u32 over_turn = 0;
    f32 old = 0.0f;
    if constexpr (over_ranks) {
      // Asked for long before it is needed.
      if (inboxes) over_turn = mx_next_turn(mx_load_past_l1(turns + own_block));
      if (accumulate && own_tid < own_units * unit_rows) old = *to;
    }
    place.move(warp - chunks - 1);
    for (;;) {
      mx_mark_await(&marks.filled[place.at], place.turn);
      const u32 item = mx_lds_peek(&items[most_items * place.at]);
      if (item & END) break;
      const bool second = item & SECOND;
      if constexpr (over_ranks) {
        if (second) {
          const u32 *const of_place = items + most_items * place.at;
          const f32 *const from = parts + place.at * All::unit_parts + lane;
          u64 *const found = &marks.found[place.at], *const read = &marks.read[place.at];
          if (teams == 1) add_up_teams<1>(of_place, from, found, place.turn, read, chosen, downs, weights, results, first_unit);
          else if (teams == 2) add_up_teams<2>(of_place, from, found, place.turn, read, chosen, downs, weights, results, first_unit);
          else add_up_teams<4>(of_place, from, found, place.turn, read, chosen, downs, weights, results, first_unit);
          place.move(finishers);
          continue;
        }
      }
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
    if (over_ranks && inboxes && own_tid == 0) mx_global<u32>(turns)[own_block] = over_turn;
    if (own_tid >= own_units * unit_rows) return;
    f32 total = 0.0f;
    MX_NO_UNROLL
    for (i32 j = 0; j < chosen.found; j++) total = total + results[chosen.slot(j)][own_tid];
    f32 y = mx_round_bf16(total);
    if constexpr (over_ranks) {
      if (inboxes) {
        const RowNotes notes{mx_global<u64>(inboxes), rank, ranks, over_turn, first_unit * unit_rows + own_tid};
        y = mx_round_bf16(sum_over_ranks(y, notes, stop));
      }
      *to = accumulate ? mx_round_bf16(old + y) : y;
    } else *to = accumulate ? mx_round_bf16(*to + y) : y;
    return;
  }
  stage<1>(in.x, 0, 1, cols, x);
  walking_barrier();
  const i32 t = lane & 3;
  const bool odd = lane & 2;
  // In the second linear.
  const i32 team_warps = chunks / teams, team = over_ranks ? warp / team_warps : 0, team_chunk = over_ranks ? warp - team * team_warps : warp;
  u32x4 raw[2];
  u32 own_scales, item, aimed = 0, loaded = ~0u;
  i32 one, two, scale_at, odd_at, now = 0, turned = 0;
  // Where a lane's weights lie in a place.
  const auto aim = [&](i32 chunk, i32 blocks, i32 before, i32 scales_before) __attribute__((always_inline)) {
    const i32 block = chunk * chunk_blocks;
    one = before + row * blocks + mx_min(block + t, blocks - 1), two = before + row * blocks + mx_min(block + 4 + t, blocks - 1);
    scale_at = scales_before + row * blocks + mx_min(block + 2 * t, blocks - (over_ranks ? 1 : 2));
    odd_at = scales_before + row * blocks + mx_min(block + 2 * t + 1, blocks - 1);
  };
  aim(warp, up_blocks, 0, 0);
  const auto fetch = [&]() __attribute__((always_inline)) {
    mx_mark_await(&marks.filled[now], turned);
    item = mx_lds_peek(&items[over_ranks ? most_items * now + team : now]);
    if ((item ^ aimed) & SECOND) {
      aimed = item;
      if (item & SECOND) aim(team_chunk, down_blocks, team * (unit_rows * down_blocks), team * down_scales);
      else aim(warp, up_blocks, 0, 0);
    }
    const u32x4 *const from = w + now * unit_pieces;
    raw[0] = from[one], raw[1] = from[two];
    const u8 *const from_scales = scales + now * place_scales;
    if constexpr (over_ranks) {
      const u32 within = item >> 26 & 8u;
      own_scales = from_scales[within + scale_at] | (u32)from_scales[within + odd_at] << 8;
    } else own_scales = *(const u16 *)(from_scales + scale_at);
  };
  fetch();
  Inputs inputs;
  MX_NO_UNROLL
  while (!(item & END)) {
    if (over_ranks && (item & IDLE)) {
      u64 *const found = &marks.found[now];
      if (++now == places) now = 0, turned ^= 1;
      fetch();
      if (lane == 0) mx_mark_set(found);
      continue;
    }
    if ((item ^ loaded) & WHICH) {
      const bool second = item & SECOND;
      const i32 j = (i32)(item >> CHOICE & 15u);
      if (second) mx_mark_await(&staged[j], 0);
      inputs.load(x + (second ? 1 + j : 0) * x_row, second ? team_chunk : warp, second ? down_blocks : up_blocks);
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
#if defined(MX_RANKS)
MX_EXPORT(expert_mlp_ranks_mxfp4_one)
#else
MX_EXPORT(expert_mlp_mxfp4_one)
#endif
