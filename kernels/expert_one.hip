// The two linears of the chosen experts for one token (NVIDIA): MXFP4 weights, inputs of bf16 numbers. Blocks, one a multiprocessor, share out
// the rows of all chosen experts. Weights come in copies of whole rows that one thread asks for: memory gives much less where warps ask for
// pieces of the same rows at different times. A block has less than 132 KB of LDS, the division of L1 of the other kernels of a step: a
// multiprocessor has to be empty before it is divided otherwise.
//
// A warp multiplies eight rows of weights by one input row, eight blocks of 32 columns a step: the same columns of all its rows, so that
// their inputs stay in registers. Lane 4g + t decodes blocks t and 4 + t of row g; to the instruction these are rows g and g + 8 of its
// first operand. Its eight columns, which are meant for tokens, tell blocks apart instead: column c has block c's inputs in the places
// of lane (c mod 4)'s weights and zeros elsewhere. So every sum that comes out is one of one block, which its scale may multiply. A block's
// products are exact; the instruction adds them in float32. What was tried is in docs/measurements/h100.md.
#include "common/one_token.h"
#include "common/row_notes.h"

// Dynamic LDS: of a column 4.25 bytes of weights and scales a place, 2.5 of inputs; besides parts of sums and records, 11776 bytes. And more,
// so that two blocks of gpt-oss's columns never have room on one multiprocessor: some others would have none.
MX_TRAITS(expert_up_mxfp4_one, 512, 8, 1, 23.75, 15728)
MX_ENTRY_RESIDENT(expert_up_mxfp4_one, 512, 2)(const MxLinear *experts, MxInput in, const i32 *ids, i32 first, i32 count, i32 top_k, f32 *out,
                                                i32 out_stride, i32 round, i32 swiglu, f32 alpha, f32 limit, i32 rows, i32 cols) {
  typedef Team<chunks> All;
  MX_SHARED Marks<up_places> marks;
  const All team;
  const i32 lane = mx_lane(), warp = mx_group(), blocks = cols / 32, unit_pieces = unit_rows * blocks, unit_scales = unit_rows * blocks;
  u32x4 *const w = mx_lds_lines(), *const x = w + up_places * unit_pieces;
  u8 *const scales = (u8 *)(x + blocks * staged_pieces);
  f32 *const parts = (f32 *)(scales + up_places * unit_scales);
  const MxRecords records(experts, (u64 *)(parts + up_places * All::unit_parts), count, threads);
  marks.begin(up_places, chunks);
  mx_barrier();
  mx_await_launch();
  // Only now: so the next launch may read what the one before this has written.
  mx_lead();
  const Chosen chosen(ids, first, count, top_k);
  const i32 each = (rows + unit_rows - 1) / unit_rows;
  // Of each expert's units some follow one another, and elsewhere for every choice, since blocks do not get as many of each.
  const auto units_of = [&](i32 j) __attribute__((always_inline)) {
    i32 turned = mx_block_x() + j * (mx_grid_x() / most_choices);
    if (turned >= mx_grid_x()) turned -= mx_grid_x();
    return u32x2{(u32)each * (u32)turned / (u32)mx_grid_x(), (u32)each * (u32)(turned + 1) / (u32)mx_grid_x()};
  };
  Place<up_places> place;
  if (warp == chunks) {
    if (lane != 0) return;
    MX_NO_UNROLL
    for (i32 j = 0; j < chosen.found; j++) {
      const MxLinear l = records.of(chosen.expert(j));
      const u32x2 range = units_of(j);
      MX_NO_UNROLL
      for (u32 unit = range.x; unit < range.y; unit++, place.move(1)) {
        if (place.turn > 0) mx_mark_await(&marks.read[place.at], place.turn - 1);
        const u32 own = (u32)mx_min(unit_rows, rows - (i32)unit * unit_rows) * (u32)blocks;
        mx_mark_expect(&marks.filled[place.at], 17 * own);
        mx_bulk_copy(w + place.at * unit_pieces, mx_global<u8>(l.weight) + (u64)unit * (16 * unit_pieces), 16 * own, &marks.filled[place.at]);
        mx_bulk_copy(scales + place.at * unit_scales, mx_global<u8>(l.scale) + (u64)unit * unit_scales, own, &marks.filled[place.at]);
      }
    }
    return;
  }
  const i32 row = row_of_lane();
  if (warp > chunks) {
    const i32 own = warp - chunks - 1;
    i32 item = 0;
    MX_NO_UNROLL
    for (i32 j = 0; j < chosen.found; j++) {
      const u32x2 range = units_of(j);
      const MxLinear l = records.of(chosen.expert(j));
      MX_GLOBAL f32 *const to = mx_global<f32>(out) + (i64)chosen.slot(j) * out_stride;
      MX_NO_UNROLL
      for (u32 unit = range.x; unit < range.y; unit++, item = item == finishers - 1 ? 0 : item + 1, place.move(1)) {
        if (item != own) continue;
        const i32 own_row = (i32)unit * unit_rows + row;
        const f32 bias = l.bias ? mx_element(l.bias, l.bias_format, mx_min(own_row, rows - 1)) : 0.0f;
        mx_mark_await(&marks.found[place.at], place.turn);
        const f32 sum = sum_of_parts<chunks>(parts + place.at * All::unit_parts + lane);
        if (lane == 0) mx_mark_set(&marks.read[place.at]);
        const f32 z = mx_round_if(sum * l.tensor_scale + bias, round), next = mx_shuffle_xor(z, 8);
        if (own_row >= rows) continue;
        if (!swiglu && (lane & 3) == 0) to[own_row] = z;
        if (swiglu && (lane & 11) == 0) to[own_row / 2] = mx_round_if(mx_swiglu(z, next, alpha, limit), round);
      }
    }
    return;
  }
  stage<1>(in.x, 0, 1, cols, x);
  walking_barrier();
  i32 all = 0;
  for (i32 j = 0; j < chosen.found; j++) all += (i32)(units_of(j).y - units_of(j).x);
  walk<up_places>(
      marks, team, w, blocks, parts, row, all, [&](i32, i32 at) __attribute__((always_inline)) { return scales + at * unit_scales; },
      [&](i32 i, Inputs &in) __attribute__((always_inline)) {
        if (i == 0) in.load(x, warp, blocks);
      });
}
MX_EXPORT(expert_up_mxfp4_one)

constexpr i32 most_teams = 4;
struct Down {
  const MxLinear *experts;
  MxInput in;
  const i32 *ids;
  const f32 *weights;
  i32 first, count, top_k;
  f32 *out;
  i32 round, accumulate;
  const void *inboxes;
  i32 *stop;
  i32 rank, ranks;
  i32 *turns;
  i32 rows, cols;
};
typedef f32 Results[most_choices][block_rows];

template <i32 Warps> MX_DEVICE void down(const Down &a, Marks<down_places * most_teams> &marks, Results &results) {
  typedef Team<Warps> Own;
  constexpr i32 places = down_places * Own::count;
  // Rows' scales begin anywhere where there is an odd number of blocks.
  constexpr u64 within = Own::count == 1 ? 2 : 3;
  const Own team;
  const i32 lane = mx_lane(), warp = mx_group(), blocks = a.cols / 32, unit_pieces = unit_rows * blocks, x_row = blocks * staged_pieces;
  const i32 s_row = block_rows * blocks + 4;
  u32x4 *const w = mx_lds_lines(), *const x = w + places * unit_pieces;
  u8 *const scales = (u8 *)(x + most_choices * x_row);
  f32 *const parts = (f32 *)(scales + most_choices * s_row);
  // What the launch ahead waited for has chosen them.
  const Chosen chosen(a.ids, a.first, a.count, a.top_k);
  const MxRecords records(a.experts, (u64 *)(parts + places * Own::unit_parts), a.count, threads);
  marks.begin(places, Warps);
  mx_barrier();
  const i32 row0 = (i32)((i64)a.rows * mx_block_x() / mx_grid_x()), own_rows = (i32)((i64)a.rows * (mx_block_x() + 1) / mx_grid_x()) - row0;
  const i32 units = (own_rows + unit_rows - 1) / unit_rows;
  Place<places> place;
  if (warp == chunks) {
    if (lane != 0) return;
    MX_NO_UNROLL
    for (i32 j = 0; j < chosen.found; j++) {
      const MX_GLOBAL u8 *const from = mx_global<u8>(records.of(chosen.expert(j)).weight) + (i64)row0 * 16 * blocks;
      MX_NO_UNROLL
      for (i32 u = 0; u < units; u++, place.move(1)) {
        const u32 bytes = (u32)(mx_min(unit_rows, own_rows - u * unit_rows) * 16 * blocks);
        if (place.turn > 0) mx_mark_await(&marks.read[place.at], place.turn - 1);
        mx_mark_expect(&marks.filled[place.at], bytes);
        mx_bulk_copy(w + place.at * unit_pieces, from + (i64)u * unit_rows * 16 * blocks, bytes, &marks.filled[place.at]);
      }
    }
    return;
  }
  const i32 row = row_of_lane();
  if (warp > chunks) {
    const i32 own = warp - chunks - 1, own_tid = mx_thread() - walking - 32;
    MX_NO_UNROLL
    for (i32 i = own; i < chosen.found * units; i += finishers) {
      const i32 j = i / units, u = i - j * units, k = chosen.slot(j), own_row = u * unit_rows + row;
      const MxLinear l = records.of(chosen.expert(j));
      const f32 bias = l.bias && own_row < own_rows ? mx_element(l.bias, l.bias_format, row0 + own_row) : 0.0f;
      const f32 weight = mx_float(mx_load_past_l1(a.weights + k));
      place.move(i == own ? own : finishers);
      mx_mark_await(&marks.found[place.at], place.turn);
      const f32 sum = sum_of_parts<Warps>(parts + place.at * Own::unit_parts + lane);
      if (lane == 0) mx_mark_set(&marks.read[place.at]);
      if ((lane & 3) == 0) results[k][own_row] = weight * (sum * l.tensor_scale + bias);
    }
    const u32 turn = a.inboxes ? mx_next_turn(mx_load_past_l1(a.turns + mx_block_x())) : 0;
    finishing_barrier();
    if (own_tid >= own_rows) return;
    f32 total = 0.0f;
    MX_NO_UNROLL
    for (i32 j = 0; j < chosen.found; j++) total = total + results[chosen.slot(j)][own_tid];
    MX_GLOBAL f32 *const to = mx_global<f32>(a.out) + row0 + own_tid;
    f32 y = mx_round_if(total, a.round);
    if (a.inboxes) {
      const RowNotes notes{mx_global<u64>(a.inboxes), a.rank, a.ranks, turn, row0 + own_tid};
      y = mx_round_if(sum_over_ranks(y, notes, a.stop), a.round);
      if (own_tid == 0) mx_global<u32>(a.turns)[mx_block_x()] = turn;
    }
    mx_await_launch();
    *to = a.accumulate ? mx_round_if(*to + y, a.round) : y;
    return;
  }
  // Scales of neighbouring rows follow one another; what is read are whole words.
  MX_NO_UNROLL
  for (i32 j = 0; j < chosen.found; j++) {
    const MX_GLOBAL u8 *const from = mx_global<u8>(records.of(chosen.expert(j)).scale) + (i64)row0 * blocks;
    const i32 off = (i32)((u64)from & within);
    for (i32 i = mx_thread(); 4 * i < own_rows * blocks + off; i += walking) mx_copy4(scales + j * s_row + 4 * i, from - off + 4 * i);
  }
  mx_wait_copies();
  mx_await_launch();
  stage<most_choices>(a.in.x, a.in.x_stride, a.top_k, a.cols, x);
  walking_barrier();
  if (units == 0) return;
  // The choice and its unit that are fetched next, and those that are multiplied next.
  struct At {
    i32 j = 0, u = 0;
    MX_DEVICE void move(i32 by, i32 units) {
      u += by;
      while (u >= units) u -= units, j++;
    }
  };
  At next, at;
  next.move(team.own, units), at.move(team.own, units);
  i32 loaded = -1;
  walk<places>(
      marks, team, w, blocks, parts, row, chosen.found * units,
      [&](i32, i32) __attribute__((always_inline)) {
        const i32 off = (i32)(((u64)records.of(chosen.expert(next.j)).scale + (u64)((i64)row0 * blocks)) & within);
        const u8 *const from = scales + next.j * s_row + off + next.u * unit_rows * blocks;
        next.move(Own::count, units);
        return from;
      },
      [&](i32, Inputs &in) __attribute__((always_inline)) {
        if (loaded != at.j) in.load(x + chosen.slot(at.j) * x_row, team.chunk, blocks);
        loaded = at.j;
        at.move(Own::count, units);
      });
}

// Dynamic LDS, as of as many rows as there are teams: of a column 4 bytes of weights a place, and of four choices 10 of inputs and 3 of scales;
// besides parts of sums and records, and what scales lie off whole words.
MX_TRAITS(expert_down_combine_mxfp4_one, 512, 24, 1, 33, 11904)
MX_ENTRY_RESIDENT(expert_down_combine_mxfp4_one, 512, 2)(const MxLinear *experts, MxInput in, const i32 *ids, const f32 *weights, i32 first, i32 count,
                                                          i32 top_k, f32 *out, [[maybe_unused]] i32 out_stride, i32 round, i32 accumulate,
                                                          const void *inboxes, i32 *stop, i32 rank, i32 ranks, i32 *turns, i32 rows,
                                                          i32 cols) {
  MX_SHARED Marks<down_places * most_teams> marks;
  MX_SHARED Results results;
  mx_lead();
  const Down all{experts, in, ids, weights, first, count, top_k, out, round, accumulate, inboxes, stop, rank, ranks, turns, rows, cols};
  const i32 blocks = cols / 32;
  if (blocks > 6 * chunk_blocks) down<12>(all, marks, results);
  else if (blocks > 3 * chunk_blocks) down<6>(all, marks, results);
  else down<3>(all, marks, results);
}
MX_EXPORT(expert_down_combine_mxfp4_one)
