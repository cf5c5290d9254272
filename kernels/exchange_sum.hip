// The sum over ranks of rows of many tokens, the residual add of it, and its norm as the linears that follow read it: between attention and the
// experts, and, of the experts' weighted sums, between a layer and the next. One launch gives what is this rank's, which waits for nobody, and
// the next one takes what came. A row is computed by 256 threads, as `rms_norm` computes it.
#include "common/summed.h"

// Quads of a row that a thread has at a time.
enum { MX_ROW_QUADS = 3, MX_ROW_COLUMNS = 4 * MX_ROW_QUADS * mx_vector_threads };

// What a rank receives lies in two places by turns. turns[0] counts what was taken, and turns[1] what was given: each launch reads one and
// writes the other.
struct MxRowBoxes {
  const MX_GLOBAL u64 *all;
  i64 room;
  i32 ranks, parity, round;
  MX_DEVICE MX_GLOBAL u8 *box(i32 of, i32 from) const { return (MX_GLOBAL u8 *)(all[of] + (u64)(((i64)parity * ranks + from) * room)); }
  MX_DEVICE void put(i32 of, i32 from, i64 i, f32x4 v) const {
    if (round) ((MX_GLOBAL u32x2 *)box(of, from))[i] = mx_pack4(v);
    else ((MX_GLOBAL f32x4 *)box(of, from))[i] = v;
  }
  MX_DEVICE f32x4 get(i32 of, i32 from, i64 i) const {
    if (!round) return ((const MX_GLOBAL f32x4 *)box(of, from))[i];
    const u32x2 w = ((const MX_GLOBAL u32x2 *)box(of, from))[i];
    return mx_unpack4(w.x, w.y);
  }
};

// What is dear to compute is kept in the rank's own place too.
template <class Own> MX_DEVICE void give_row(const Own &own, MxRowBoxes boxes, i32 rank, i32 *turns, i32 width, i32 n) {
  const i32 row = mx_block_x(), quads = (width + 3) >> 2;
  if (row >= n) return;
  boxes.parity = mx_global<i32>(turns)[0] & 1;
  for (i32 base = mx_thread(); base < quads; base += MX_ROW_QUADS * mx_vector_threads) {
    f32x4 v[MX_ROW_QUADS];
    own.template load<MX_ROW_QUADS>(row, base, quads, v);
    for (i32 r = 0; r < boxes.ranks; r++) {
      if (r == rank && Own::cheap) continue;
      MX_UNROLL
      for (i32 q = 0; q < MX_ROW_QUADS; q++) {
        const i32 i = base + q * mx_vector_threads;
        if (i < quads) boxes.put(r, rank, (i64)row * quads + i, v[q]);
      }
    }
  }
  if (row == 0 && mx_thread() == 0) mx_global<i32>(turns)[1] = mx_global<i32>(turns)[0] + 1;
}

MX_TRAITS(exchange_give, 256, 0, 1, 0, 0)
MX_ENTRY_RESIDENT(exchange_give, 256, 4)(const f32 *x, i32 stride, const void *inboxes, i32 rank, i32 ranks, i32 *turns, i64 room, i32 width, i32 round,
                                         i32 n) {
  mx_follow();
  give_row(MxOwnRows{mx_global<f32>(x), stride}, MxRowBoxes{mx_global<u64>(inboxes), room, ranks, 0, round}, rank, turns, width, n);
}
MX_EXPORT(exchange_give)

MX_TRAITS(exchange_give_combined, 256, 0, 1, 0, 0)
MX_ENTRY_RESIDENT(exchange_give_combined, 256, 3)(const f32 *y, i32 y_stride, const i32 *ids, const f32 *weights, i32 first_expert, i32 count, i32 top_k,
                                                  const void *inboxes, i32 rank, i32 ranks, i32 *turns, i64 room, i32 width, i32 round, i32 n) {
  mx_follow();
  const MxOwnChoices own{mx_global<f32>(y), mx_global<f32>(weights), mx_global<i32>(ids), y_stride, first_expert, count, top_k, round};
  give_row(own, MxRowBoxes{mx_global<u64>(inboxes), room, ranks, 0, round}, rank, turns, width, n);
}
MX_EXPORT(exchange_give_combined)

// Four numbers a lane, of neighbouring lanes eight columns, to a row of bf16 numbers in an order that has columns c and c + 4 side by side. All
// lanes must call.
MX_DEVICE void store_pairs(MX_GLOBAL u16 *row, i32 order, i32 c, f32x4 v, bool valid) {
  const bool odd = c & 4;
  const f32 a = mx_shuffle_xor(odd ? v[0] : v[2], 1), b = mx_shuffle_xor(odd ? v[1] : v[3], 1);
  const u32 first = odd ? mx_pack(a, v[2]) : mx_pack(v[0], a), second = odd ? mx_pack(b, v[3]) : mx_pack(v[1], b);
  if (!valid) return;
  MX_GLOBAL u16 *const to = row + mx_column_place(order, (c & ~7) + (odd ? 2 : 0));
  *(MX_GLOBAL u32 *)to = first;
  *(MX_GLOBAL u32 *)(to + (order == 1 ? 2 : 8)) = second;
}

// `x`: this rank's rows, or null where they lie in its own place. A norm is made of rows of at most MX_ROW_COLUMNS.
MX_TRAITS(exchange_take, 256, 0, 1, 0, 0)
MX_ENTRY_RESIDENT(exchange_take, 256, 3)(f32 *out, const f32 *x, const void *inboxes, i32 *stop, i32 rank, i32 ranks, const void *marks, i32 *turns,
                                         i64 room, i32 stride, i32 x_stride, MxInput in, f32 *normed, i32 normed_stride, u16 *first,
                                         i32 first_stride, i32 first_order, u16 *second, i32 second_stride, i32 second_order, i32 width, i32 round,
                                         i32 accumulate, i32 n, i32 phase) {
  mx_follow();
  const MxMarks waits{mx_global<u64>(marks), rank, ranks, stop};
  const i32 row = mx_block_x(), t = mx_thread(), turn = mx_global<i32>(turns)[1], quads = (width + 3) >> 2;
  // That this launch runs says that all of the one before has come.
  if (row == 0 && t < ranks && t != rank && (phase & MX_GIVE)) waits.tell(t, 0, turn);
  if (!(phase & MX_TAKE) || row >= n) return;
  const MxRowBoxes boxes{mx_global<u64>(inboxes), room, ranks, (turn - 1) & 1, round};
  MX_GLOBAL f32 *const to = mx_global<f32>(out) + (i64)row * stride;
  MX_NO_UNROLL
  for (i32 base = t; base - t < quads; base += MX_ROW_QUADS * mx_vector_threads) {
    const auto at = [&](i32 q) { return base + q * mx_vector_threads; };
    f32x4 v[MX_ROW_QUADS], old[MX_ROW_QUADS], mine[MX_ROW_QUADS], w[MX_ROW_QUADS];
    // What does not come from others is asked for before they are waited for.
    MX_UNROLL
    for (i32 q = 0; q < MX_ROW_QUADS; q++) {
      v[q] = old[q] = f32x4{0, 0, 0, 0};
      if (at(q) >= quads) continue;
      if (accumulate) old[q] = *(const MX_GLOBAL f32x4 *)(to + 4 * at(q));
      mine[q] = x ? *(const MX_GLOBAL f32x4 *)(mx_global<f32>(x) + (i64)row * x_stride + 4 * at(q)) : boxes.get(rank, rank, (i64)row * quads + at(q));
      if (in.norm) w[q] = mx_weights4(in.norm, in.norm_format, 4 * at(q), width);
    }
    if (base == t) {
      if (t < ranks && t != rank) waits.await(t, 0, turn);
      mx_barrier();
    }
    for (i32 r = 0; r < ranks; r++) {
      MX_UNROLL
      for (i32 q = 0; q < MX_ROW_QUADS; q++) {
        if (at(q) >= quads) continue;
        const f32x4 term = r == rank ? mine[q] : boxes.get(rank, r, (i64)row * quads + at(q));
        v[q] = r == 0 ? term : v[q] + term;
      }
    }
    f32 squares = 0.0f;
    MX_UNROLL
    for (i32 q = 0; q < MX_ROW_QUADS; q++) {
      if (at(q) >= quads) continue;
      MX_UNROLL
      for (i32 e = 0; e < 4; e++) {
        v[q][e] = mx_round_if(v[q][e], round);
        if (accumulate) v[q][e] = mx_round_if(old[q][e] + v[q][e], round);
        if (4 * at(q) + e >= width) v[q][e] = 0.0f;
        squares = mx_fma(v[q][e], v[q][e], squares);
      }
      mx_store4(to, 4 * at(q), width, v[q]);
    }
    if (!in.norm) continue;
    // As mx_prepare_row has it.
    const f32 inverse = 1.0f / __builtin_sqrtf(mx_block_sum(squares) / (f32)width + in.eps);
    MX_UNROLL
    for (i32 q = 0; q < MX_ROW_QUADS; q++) {
      MX_UNROLL
      for (i32 e = 0; e < 4; e++) v[q][e] = mx_round_if(v[q][e] * inverse * w[q][e], in.round);
    }
    const auto store = [&](u16 *rows, i32 row_stride, i32 order) __attribute__((always_inline)) {
      MX_GLOBAL u16 *const place = mx_global<u16>(rows) + (i64)row * row_stride;
      MX_UNROLL
      for (i32 q = 0; q < MX_ROW_QUADS; q++) {
        if (order != 0) store_pairs(place, order, 4 * at(q), v[q], at(q) < quads);
        else if (at(q) < quads) mx_store_columns(place, 0, 4 * at(q), v[q]);
      }
    };
    MX_UNROLL
    for (i32 q = 0; q < MX_ROW_QUADS; q++) {
      if (normed && at(q) < quads) mx_store4(mx_global<f32>(normed) + (i64)row * normed_stride, 4 * at(q), width, v[q]);
    }
    if (first) store(first, first_stride, first_order);
    if (second) store(second, second_stride, second_order);
  }
  if (row == 0 && t == 0) mx_global<i32>(turns)[0] = turn;
}
MX_EXPORT_EXCHANGE(exchange_take)

// Of few tokens, a block each, whose numbers come with a mark beside each.
MX_TRAITS(exchange_combine_few, 1024, 0, 1, 0, 0)
MX_ENTRY(exchange_combine_few, 1024)(f32 *h, const f32 *y, const void *inboxes, i32 *stop, i32 rank, i32 ranks, i32 *turns, i32 stride,
                                     i32 y_stride, const i32 *ids, const f32 *weights, i32 first_expert, i32 count, i32 top_k, MxInput in,
                                     f32 *normed, i32 normed_stride, u16 *first, i32 first_stride, i32 first_order, i32 width, i32 round, i32 n,
                                     i32 phase) {
  mx_follow();
  if (mx_block_x() >= n) return;
  const MxOwnChoices own{mx_global<f32>(y), mx_global<f32>(weights), mx_global<i32>(ids), y_stride, first_expert, count, top_k, round};
  if (!mx_exchange_row(own, h, stride, inboxes, stop, rank, ranks, turns, width, round, phase) || !in.norm) return;
  const MxNormed to{normed, normed_stride, first, first_stride, first_order, nullptr, 0, 0};
  const i32 row = mx_block_x();
  mx_prepare_row(in, row, width, [=](i32 c, f32x4 v) {
    if (c < width) to.store(row, c, width, v);
  });
}
MX_EXPORT_EXCHANGE(exchange_combine_few)
