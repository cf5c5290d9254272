// What the router's kernels are made of whose blocks share a token: a row of the router a group of threads; and the sums over ranks that come
// before it (NVIDIA). With MX_CLUSTER a token's blocks are a cluster.
#pragma once
#include "blocks.h"
#include "few_slots.h"
#include "router_rows.h"
#include "routing.h"
#include "summed.h"

#if defined(MX_CLUSTER)
#include "cluster.h"
#endif

// What a block does with a staged row: its logits, and in the last block of the token the choice. Returns whether it is that one. In a cluster
// it is the first block that chooses: the others write into its shared memory.
template <class Own>
MX_DEVICE bool route_split(const Own &own, const f32x4 *staged, const MxLinear &router, i32 top_k, f32 x_scale, f32 *logits, i32 logits_stride, i32 *ids,
                           f32 *weights, i32 round, [[maybe_unused]] i32 *counters) {
  MX_SHARED f32 chosen[mx_most_experts];
  const i32 t = mx_block_y();
  MX_GLOBAL f32 *const all = mx_global<f32>(logits) + (i64)t * logits_stride;
  // As mx_epilogue has it.
  const f32 sum = own.times(router, staged) * own.factor * x_scale, logit = mx_round_if(router.bias ? sum + own.bias : sum, round);
  const bool mine = mx_lane() == 0 && own.e < router.rows;
#if defined(MX_CLUSTER)
  mx_cluster_meet();
  if (mine) mx_cluster_put(chosen + own.e, logit);
  if (mine && logits) all[own.e] = logit;
  mx_cluster_give();
  if (mx_block_x() > 0) return false;
  mx_cluster_take();
#else
  if (mine) all[own.e] = logit;
  if (!mx_comes_last(counters, t, (router.rows + mx_router_rows - 1) / mx_router_rows)) return false;
  for (i32 i = mx_thread(); i < router.rows; i += 256) chosen[i] = mx_load_shared_by_blocks(all + i);
  mx_barrier();
#endif
  if (mx_group() == 0) mx_choose(chosen, router.rows, top_k, mx_global<i32>(ids) + (i64)t * top_k, mx_global<f32>(weights) + (i64)t * top_k);
  return true;
}

// Column of a thread's quad q of a row.
MX_DEVICE i32 mx_quad_column(i32 q) { return 4 * (mx_thread() + q * mx_vector_threads); }

// `h` as the sum leaves it, and its norm, staged and stored: by all threads of a block.
template <i32 N, class Weights>
MX_DEVICE void mx_norm_sum(f32x4 (&h)[N], const f32x4 (&sum)[N], const MxInput &in, i32 cols, i32 round, Weights weights,
                           f32x4 *staged, const MxNormed &normed) {
  f32 squares = 0.0f;
  MX_UNROLL
  for (i32 q = 0; q < N; q++) {
    if (mx_quad_column(q) >= cols) continue;
    MX_UNROLL
    for (i32 e = 0; e < 4; e++) {
      h[q][e] = mx_quad_column(q) + e < cols ? mx_round_if(h[q][e] + mx_round_if(sum[q][e], round), round) : 0.0f;
      squares = mx_fma(h[q][e], h[q][e], squares);
    }
  }
  // As mx_prepare_row has it.
  const f32 inverse = 1.0f / __builtin_sqrtf(mx_block_sum(squares) / (f32)cols + in.eps);
  MX_UNROLL
  for (i32 q = 0; q < N; q++) {
    if (mx_quad_column(q) >= mx_round_up(cols, 32)) continue;
    const f32x4 w = weights(mx_quad_column(q));
    f32x4 y;
    MX_UNROLL
    for (i32 e = 0; e < 4; e++) y[e] = mx_round_if(h[q][e] * inverse * w[e], in.round);
    staged[mx_staged(mx_quad_column(q))] = y;
    if (mx_block_x() == 0 && mx_quad_column(q) < cols) normed.store(mx_block_y(), mx_quad_column(q), cols, y);
  }
  mx_barrier();
}

// Quads of a thread where the blocks of a token are a cluster: fewer, so that registers leave room beside blocks of the launch ahead.
constexpr i32 mx_few_quads = 3;

// The sum over ranks first, as `exchange_ranks` makes it, with the room of two of its blocks a row, added to row t of h. Every block of a token
// makes it; the first gives what is this rank's, and the last to come, when nobody reads h any more, writes what came out.
template <i32 N, class Own, class Weights>
MX_DEVICE void exchange_norm_route(const Own &own, Weights norm_weights, f32x4 *staged, f32 *h, const f32 *x, const void *inboxes, i32 *stop, i32 rank, i32 ranks, i32 *turns, i32 stride, const MxInput &in,
                                   const MxLinear &router, i32 top_k, const MxNormed &normed, f32 *logits, i32 logits_stride, i32 *ids,
                                   f32 *weights, i32 round, i32 n, i32 *counters, i32 phase) {
  const i32 t = mx_block_y(), cols = router.cols;
  const MxInboxes boxes(inboxes, rank, ranks);
  mx_follow();
  if (t >= n) return;
  const bool first = mx_block_x() == 0;
  const auto column = [](i32 q) { return mx_quad_column(q); };
  const auto block = [&](i32 q) { return 2 * t + column(q) / (4 * MX_BLOCK_PIECES); };
  const auto at = [&](i32 q) { return column(q) / 4 % MX_BLOCK_PIECES; };
  u32 turn[N] = {};
  f32x4 mine[N], v[N];
  MX_UNROLL
  for (i32 q = 0; q < N; q++) {
    mine[q] = v[q] = f32x4{0, 0, 0, 0};
    if (column(q) >= cols) continue;
    turn[q] = mx_next_turn(mx_global<u32>(turns)[block(q)]);
    mine[q] = *(const MX_GLOBAL f32x4 *)(mx_global<f32>(x) + (i64)t * stride + column(q));
    v[q] = *(const MX_GLOBAL f32x4 *)(mx_global<f32>(h) + (i64)t * stride + column(q));
  }
  if (first && (phase & MX_GIVE)) {
    for (i32 r = 1; r < ranks; r++) {
      const i32 to = rank + r < ranks ? rank + r : rank + r - ranks;
      MX_UNROLL
      for (i32 q = 0; q < N; q++) {
        if (column(q) < cols) mx_leave(boxes.notes(block(q), to, (i32)(turn[q] & 1), rank) + at(q), mine[q], turn[q], round);
      }
    }
  }
  if (!(phase & MX_TAKE)) return;
  f32x4 sum[N];
  MX_NO_UNROLL
  for (i32 r = 0; r < ranks; r++) {
    f32x4 part[N];
    const MX_GLOBAL u32x4 *notes[N];
    bool wanted[N];
    MX_UNROLL
    for (i32 q = 0; q < N; q++) {
      part[q] = mine[q], wanted[q] = column(q) < cols;
      notes[q] = boxes.notes(block(q), rank, (i32)(turn[q] & 1), r) + at(q);
    }
    if (r != rank && round) mx_collect_rounded(notes, wanted, turn, stop, part);
    MX_UNROLL
    for (i32 q = 0; q < N; q++) {
      if (wanted[q] && r != rank && !round) part[q] = mx_collect(notes[q], turn[q], round, stop);
      sum[q] = r == 0 ? part[q] : sum[q] + part[q];
    }
  }
  mx_norm_sum(v, sum, in, cols, round, norm_weights, staged, normed);
  if (!route_split(own, staged, router, top_k, 1.0f, logits, logits_stride, ids, weights, round, counters)) return;
  MX_UNROLL
  for (i32 q = 0; q < N; q++) {
    if (column(q) >= cols) continue;
    mx_store4(mx_global<f32>(h) + (i64)t * stride, column(q), cols, v[q]);
    if (at(q) == 0) mx_global<u32>(turns)[block(q)] = turn[q];
  }
}
