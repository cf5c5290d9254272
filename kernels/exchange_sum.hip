// The sum over ranks of rows of many tokens, the residual add of it, and its norm as the linears that follow read it: between attention and the
// experts, and, of the experts' weighted sums, between a layer and the next. A row is given by a block, and taken by another one: 256 threads,
// which compute it as `rms_norm` does.
#include "common/row_norm.h"

// Rows come in lines of 128 bytes whose last 8 are a mark that says to which launch they belong. Eight neighbouring lanes write a line at once,
// each 16 bytes, and such a line is never seen in part, as NCCL's protocol LL128 relies on where devices are joined by NVLink. So nobody waits
// until what was written is there, and whoever reads knows by the line itself whether it has come.
enum { MX_LINE_LANES = 8, MX_BLOCK_LINES = mx_vector_threads / MX_LINE_LANES, MX_LINES_TOGETHER = 2 };

// A launch that sums rows. turns: how often each of up to `most` rows was given, then how often it was taken.
struct MxRowSum {
  const MX_GLOBAL u64 *inboxes;
  i64 room;
  i32 rank, ranks;
  i32 *turns;
  i32 most;
  const i32 *stop;
};

// Which numbers of a line a lane has: bf16 two quads, the last lane one; float32 numbers one, the last lane none.
template <bool Round> struct MxRowLines {
  static constexpr i32 each = Round ? 2 : 1, line_quads = Round ? 15 : 7;
  i32 quads, lines, lane, line;
  MX_DEVICE explicit MxRowLines(i32 width) : quads((width + 3) >> 2), lines((quads + line_quads - 1) / line_quads), lane(mx_thread() % MX_LINE_LANES), line(mx_thread() / MX_LINE_LANES) {}
  MX_DEVICE i32 quad(i32 line, i32 k) const { return line * line_quads + lane * each + k; }
  MX_DEVICE bool has(i32 line, i32 k) const { return (lane < MX_LINE_LANES - 1 || k < each - 1) && quad(line, k) < quads; }
  MX_DEVICE bool marks() const { return lane == MX_LINE_LANES - 1; }
  MX_DEVICE MX_GLOBAL u32x4 *place(const MxRowSum &sum, i32 of, i32 from, u32 turn, i32 row, i32 line) const {
    const i64 box = ((i64)(i32)(turn & 1) * sum.ranks + from) * sum.room + ((i64)row * lines + line) * 128;
    return (MX_GLOBAL u32x4 *)(sum.inboxes[of] + (u64)box) + lane;
  }
  static MX_DEVICE f32x4 unpack(u32x4 piece, i32 k) {
    if constexpr (Round) return k == 0 ? mx_unpack4(piece.x, piece.y) : mx_unpack4(piece.z, piece.w);
    else return f32x4{mx_float(piece.x), mx_float(piece.y), mx_float(piece.z), mx_float(piece.w)};
  }
  MX_DEVICE u32x4 pack(const f32x4 (&v)[each], u32 turn) const {
    u32x4 piece;
    if constexpr (Round) {
      const u32x2 a = mx_pack4(v[0]), b = mx_pack4(v[1]);
      piece = u32x4{a.x, a.y, b.x, b.y};
    } else piece = u32x4{mx_bits(v[0][0]), mx_bits(v[0][1]), mx_bits(v[0][2]), mx_bits(v[0][3])};
    if (marks()) piece.z = piece.w = turn;
    return piece;
  }
};

// A row to all ranks, this one among them.
template <bool Round, class Own> MX_DEVICE void give_row(const Own &own, const MxRowSum &sum, i32 row, i32 width) {
  MX_GLOBAL u32 *const count = mx_global<u32>(sum.turns) + row;
  const u32 turn = mx_next_turn(*count);
  const MxRowLines<Round> of(width);
  constexpr i32 each = MxRowLines<Round>::each, together = Own::together;
  MX_NO_UNROLL
  for (i32 base = 0; base < of.lines; base += together * MX_BLOCK_LINES) {
    i32 quads[together * each];
    f32x4 all[together * each];
    // What a line has no room for, or a row has not, is read in vain.
    MX_UNROLL
    for (i32 i = 0; i < together * each; i++) {
      quads[i] = mx_min(of.quad(base + i / each * MX_BLOCK_LINES + of.line, i % each), of.quads - 1);
    }
    own.load(row, quads, all);
    MX_UNROLL
    for (i32 p = 0; p < together; p++) {
      const i32 line = base + p * MX_BLOCK_LINES + of.line;
      f32x4 v[each];
      MX_UNROLL
      for (i32 k = 0; k < each; k++) v[k] = of.has(line, k) ? all[p * each + k] : f32x4{0, 0, 0, 0};
      const u32x4 piece = of.pack(v, turn);
      for (i32 r = 1; r <= sum.ranks; r++) {
        // This one last.
        const i32 to = sum.rank + r < sum.ranks ? sum.rank + r : sum.rank + r - sum.ranks;
        mx_group_barrier();
        if (line < of.lines) mx_note_store(of.place(sum, to, sum.rank, turn, row, line), piece);
      }
    }
  }
  mx_barrier();
  if (mx_thread() == 0) *count = turn;
}

// The sum of a row over ranks, and its norm, of rows of at most MX_ROW_COLUMNS.
template <bool Round>
MX_DEVICE void take_row(const MxRowSum &sum, i32 row, MX_GLOBAL f32 *to, const MxInput &in, const MxNormed &normed, i32 width, i32 accumulate) {
  MX_SHARED f32x4 staged[MX_ROW_COLUMNS / 4];
  MX_GLOBAL u32 *const count = mx_global<u32>(sum.turns) + sum.most + row;
  const u32 turn = mx_next_turn(*count);
  const i32 t = mx_thread();
  const MxRowLines<Round> of(width);
  MX_NO_UNROLL
  for (i32 base = 0; base < of.lines; base += MX_LINES_TOGETHER * MX_BLOCK_LINES) {
    f32x4 v[MX_LINES_TOGETHER][of.each], old[MX_LINES_TOGETHER][of.each];
    const auto line = [&](i32 p) { return base + p * MX_BLOCK_LINES + of.line; };
    MX_UNROLL
    for (i32 p = 0; p < MX_LINES_TOGETHER; p++) {
      MX_UNROLL
      for (i32 k = 0; k < of.each; k++) {
        v[p][k] = old[p][k] = f32x4{0, 0, 0, 0};
        if (accumulate && of.has(line(p), k)) old[p][k] = *(const MX_GLOBAL f32x4 *)(to + 4 * of.quad(line(p), k));
      }
    }
    for (i32 r = 0; r < sum.ranks; r++) {
      u32x4 got[MX_LINES_TOGETHER] = {};
      for (i32 looks = 1;; looks++) {
        bool missing = false;
        mx_group_barrier();
        MX_UNROLL
        for (i32 p = 0; p < MX_LINES_TOGETHER; p++) {
          if (line(p) < of.lines) got[p] = mx_note_load(of.place(sum, sum.rank, r, turn, row, line(p)));
        }
        MX_UNROLL
        for (i32 p = 0; p < MX_LINES_TOGETHER; p++) missing = missing || (line(p) < of.lines && of.marks() && (got[p].z != turn || got[p].w != turn));
        if (mx_ballot(missing) == 0 || !mx_keep_waiting()) break;
        if ((looks & 1023) == 0 && mx_ballot(mx_system_load(mx_global<i32>(sum.stop)) != 0) != 0) break;
      }
      MX_UNROLL
      for (i32 p = 0; p < MX_LINES_TOGETHER; p++) {
        MX_UNROLL
        for (i32 k = 0; k < of.each; k++) v[p][k] = r == 0 ? of.unpack(got[p], k) : v[p][k] + of.unpack(got[p], k);
      }
    }
    MX_UNROLL
    for (i32 p = 0; p < MX_LINES_TOGETHER; p++) {
      MX_UNROLL
      for (i32 k = 0; k < of.each; k++) {
        if (!of.has(line(p), k)) continue;
        const i32 quad = of.quad(line(p), k);
        f32x4 w = v[p][k];
        MX_UNROLL
        for (i32 e = 0; e < 4; e++) {
          w[e] = mx_round_if(w[e], Round);
          if (accumulate) w[e] = mx_round_if(old[p][k][e] + w[e], Round);
          if (4 * quad + e >= width) w[e] = 0.0f;
        }
        mx_store4(to, 4 * quad, width, w);
        if (in.norm) staged[quad] = w;
      }
    }
  }
  mx_barrier();
  if (t == 0) *count = turn;
  if (!in.norm) return;
  f32x4 all[MX_ROW_QUADS], w[MX_ROW_QUADS];
  mx_row_weights(w, in, width);
  MX_UNROLL
  for (i32 q = 0; q < MX_ROW_QUADS; q++) all[q] = mx_row_quad(q) < of.quads ? staged[mx_row_quad(q)] : f32x4{0, 0, 0, 0};
  mx_norm_row(all, w, row, in, normed, width);
}

// The first blocks give a row each and wait for nobody; as many more take one each. Blocks begin in their order, so that of all that are at work
// some give as long as there is anything to give: rows are on their way to other devices while others that have come are added up.
template <class Own>
MX_DEVICE void sum_rows(const Own &own, const MxRowSum &sum, f32 *out, i32 stride, const MxInput &in, const MxNormed &normed, i32 width,
                        i32 round, i32 accumulate, i32 n, i32 phase) {
  const i32 block = mx_block_x(), row = block - n;
  if (block < n) {
    if (!(phase & MX_GIVE)) return;
    if (round) give_row<true>(own, sum, block, width);
    else give_row<false>(own, sum, block, width);
  } else if (row < n && (phase & MX_TAKE)) {
    MX_GLOBAL f32 *const to = mx_global<f32>(out) + (i64)row * stride;
    if (round) take_row<true>(sum, row, to, in, normed, width, accumulate);
    else take_row<false>(sum, row, to, in, normed, width, accumulate);
  }
}
#define ROW_SUM MxRowSum{mx_global<u64>(inboxes), room, rank, ranks, turns, most, stop}
#define ROW_NORMS MxNormed{normed, normed_stride, first, first_stride, first_order, second, second_stride, second_order}

MX_TRAITS(exchange_rows, 256, 0, 1, 0, 0)
MX_ENTRY_RESIDENT(exchange_rows, 256, 3)(f32 *out, const f32 *x, const void *inboxes, i32 *stop, i32 rank, i32 ranks, i32 *turns,
                                         i32 most, i64 room, i32 stride, i32 x_stride, MxInput in, f32 *normed, i32 normed_stride, u16 *first,
                                         i32 first_stride, i32 first_order, u16 *second, i32 second_stride, i32 second_order, i32 width, i32 round,
                                         i32 accumulate, i32 n, i32 phase) {
  mx_follow();
  sum_rows(MxOwnRows{mx_global<f32>(x), x_stride}, ROW_SUM, out, stride, in, ROW_NORMS, width, round, accumulate, n, phase);
}
MX_EXPORT_EXCHANGE(exchange_rows)

MX_TRAITS(exchange_combine, 256, 0, 1, 0, 0)
MX_ENTRY_RESIDENT(exchange_combine, 256, 3)(f32 *h, const f32 *y, const void *inboxes, i32 *stop, i32 rank, i32 ranks, i32 *turns,
                                            i32 most, i64 room, i32 stride, i32 y_stride, const i32 *ids, const f32 *weights, i32 first_expert,
                                            i32 count, i32 top_k, MxInput in, f32 *normed, i32 normed_stride, u16 *first, i32 first_stride,
                                            i32 first_order, u16 *second, i32 second_stride, i32 second_order, i32 width, i32 round, i32 n,
                                            i32 phase) {
  mx_follow();
  const MxOwnChoices own{mx_global<f32>(y), mx_global<f32>(weights), mx_global<i32>(ids), y_stride, first_expert, count, top_k, round};
  sum_rows(own, ROW_SUM, h, stride, in, ROW_NORMS, width, round, 1, n, phase);
}
MX_EXPORT_EXCHANGE(exchange_combine)

// Of few tokens, a block each, whose numbers come with a mark beside each. There is little to do and much to wait for, so what needs nothing of
// the launch ahead is asked for before it has ended, and all the rest together.
MX_TRAITS(exchange_combine_few, 1024, 0, 1, 0, 0)
MX_ENTRY(exchange_combine_few, 1024)(f32 *h, const f32 *y, const void *inboxes, i32 *stop, i32 rank, i32 ranks, i32 *turns, i32 stride,
                                     i32 y_stride, const i32 *ids, const f32 *weights, i32 first_expert, i32 count, i32 top_k, MxInput in,
                                     f32 *normed, i32 normed_stride, u16 *first, i32 first_stride, i32 first_order, i32 width, i32 round, i32 n,
                                     i32 phase) {
  constexpr i32 lots = 1024 / mx_vector_threads;
  MX_SHARED f32x4 whole[1024];
  const i32 row = mx_block_x(), c = 4 * mx_thread();
  // Norms without QDQ of rows that a block has in full; others are read again.
  const bool plain = in.norm && mx_is_plain(in, width), has = c < width;
  const u32x2 w = plain && has ? *(const MX_GLOBAL u32x2 *)(mx_global<u16>(in.norm) + c) : u32x2{0, 0};
  const MxInboxes boxes(inboxes, rank, ranks);
  mx_follow();
  if (row >= n) return;
  const MxOwnChoices own{mx_global<f32>(y), mx_global<f32>(weights), mx_global<i32>(ids), y_stride, first_expert, count, top_k, round};
  const MxNormed to{normed, normed_stride, first, first_stride, first_order, nullptr, 0, 0};
  f32x4 v;
  if (!mx_exchange_row(own, h, stride, boxes, stop, turns, width, round, phase, v) || !in.norm) return;
  if (!plain) {
    mx_prepare_row(in, row, width, [=](i32 c, f32x4 v) {
      if (c < width) to.store(row, c, width, v);
    });
    return;
  }
  whole[mx_thread()] = v;
  mx_barrier();
  // As mx_prepare_row has it.
  f32 squares = 0.0f;
  if (mx_thread() < mx_vector_threads) {
    MX_UNROLL
    for (i32 i = 0; i < lots; i++) {
      const f32x4 own = whole[mx_thread() + i * mx_vector_threads];
      MX_UNROLL
      for (i32 e = 0; e < 4; e++) squares = mx_fma(own[e], own[e], squares);
    }
  }
  const f32 inverse = 1.0f / __builtin_sqrtf(mx_block_sum(squares) / (f32)width + in.eps);
  if (!has) return;
  const f32 factors[4] = {mx_low(w.x), mx_high(w.x), mx_low(w.y), mx_high(w.y)};
  MX_UNROLL
  for (i32 e = 0; e < 4; e++) v[e] = mx_round_if(v[e] * inverse * factors[e], in.round);
  to.store(row, c, width, v);
}
MX_EXPORT_EXCHANGE(exchange_combine_few)
