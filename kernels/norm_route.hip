// The norm before the experts, the router's linear and the choice, for one token a block: three launches of little work in one. With
// MX_CLUSTER only what blocks of a cluster do together.
#include "common/routing.h"
#include "common/vector.h"

#if !defined(MX_CLUSTER)
// Pieces of a row that a thread asks for together. A block reads all of the router alone, so what limits it is how much is on its way.
#if defined(__NVPTX__)
constexpr i32 units_in_flight = 6;
#else
constexpr i32 units_in_flight = 2;
#endif

// Asks for the router's first rows, a group each, in L2: nobody writes them, so this may come before the launch ahead has ended.
MX_DEVICE void ask_for_router(const MxLinear &router) {
#if defined(__NVPTX__)
  if (mx_group() >= router.rows) return;
  const MX_GLOBAL u8 *row = mx_global<u8>(router.weight) + (i64)mx_group() * router.row_stride;
  for (i64 at = mx_lane() * 128; at < router.row_stride; at += 32 * 128) __asm__ volatile("prefetch.global.L2 [%0];" : : "l"(row + at));
#else
  (void)router;
#endif
}

template <class F>
MX_DEVICE void norm_route(const MxInput &in, const MxLinear &router, i32 top_k, f32 *normed, i32 normed_stride, f32 *logits, i32 logits_stride,
                          i32 *ids, f32 *weights, i32 round, i32 n) {
  MX_SHARED f32 chosen[mx_most_experts];
  const i32 t = mx_block_x();
  if (t >= n) return;
  const i32 cols = router.cols;
  f32x4 *lds = MX_LDS(f32x4);
  MX_GLOBAL f32 *y = mx_global<f32>(normed) + (i64)t * normed_stride;
  const bool keep = normed != nullptr;
  const f32 x_scale = mx_prepare_row(in, in.x_rows ? mx_global<i32>(in.x_rows)[t] : t, cols, [=](i32 c, f32x4 v) {
    lds[mx_staged(c)] = v;
    if (keep) mx_store4(y, c, cols, v);
  });
  mx_barrier();
  for (i32 e = mx_group(); e < router.rows; e += 32) {
    f32 sums[1][1];
    mx_dot_rows<F, 1, 1, units_in_flight>(router, e, 1, lds, sums);
    if (mx_lane() == 0) {
      const f32 v = mx_round_if(mx_epilogue(router, sums[0][0], e, x_scale), round);
      chosen[e] = v;
      if (logits) mx_global<f32>(logits)[(i64)t * logits_stride + e] = v;
    }
  }
  mx_barrier();
  if (mx_group() == 0) mx_choose(chosen, router.rows, top_k, mx_global<i32>(ids) + (i64)t * top_k, mx_global<f32>(weights) + (i64)t * top_k);
}

#define NORM_ROUTE_ENTRY(name)                                                                                                         \
  MX_TRAITS(name, 1024, 0, 1, 4.5, 0)                                                                                                    \
  MX_ENTRY(name, 1024)(MxInput in, MxLinear router, i32 top_k, f32 *normed, i32 normed_stride, f32 *logits, i32 logits_stride,        \
                       i32 *ids, f32 *weights, i32 round, i32 n) {                                                                    \
    ask_for_router(router);                                                                                                           \
    mx_follow();                                                                                                                      \
    norm_route<MX_PASTE(mx_format_, MX_FORMAT)>(in, router, top_k, normed, normed_stride, logits, logits_stride, ids, weights, round, n); \
  }                                                                                                                                    \
  MX_EXPORT(name)
#define NORM_ROUTE_EXPAND(name) NORM_ROUTE_ENTRY(name)
NORM_ROUTE_EXPAND(MX_PASTE(norm_route_, MX_FORMAT))
#endif

#if !defined(__AMDGCN__)
#include "common/router_row.h"

#if defined(MX_CLUSTER)
#include "common/cluster.h"
#else
#include "common/blocks.h"
#include "common/summed.h"
#endif

// The same by several blocks a token, a row of the router a group: each makes the norm for itself, and the last to come chooses. In a cluster
// it is the first block that chooses: the others write into its shared memory.
//
// What a block does with a staged row: its logits, and in the last block of the token the choice. Returns whether it is that one.
template <class F>
MX_DEVICE bool route_split(const RouterRow<F> &own, const MxLinear &router, i32 top_k, f32 x_scale, f32 *logits, i32 logits_stride, i32 *ids,
                           f32 *weights, i32 round, [[maybe_unused]] i32 *counters) {
  MX_SHARED f32 chosen[mx_most_experts];
  const i32 t = mx_block_y();
  MX_GLOBAL f32 *const all = mx_global<f32>(logits) + (i64)t * logits_stride;
  // As mx_epilogue has it.
  const f32 sum = own.times(router, MX_LDS(f32x4)) * own.factor * x_scale, logit = mx_round_if(router.bias ? sum + own.bias : sum, round);
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

template <class F>
MX_DEVICE void norm_route_split(const MxInput &in, const MxLinear &router, i32 top_k, f32 *normed, i32 normed_stride, f32 *logits, i32 logits_stride,
                                i32 *ids, f32 *weights, i32 round, i32 n, i32 *counters) {
#if defined(MX_CLUSTER)
  mx_cluster_begin();
#endif
  const i32 t = mx_block_y(), cols = router.cols;
  const RouterRow<F> own(router);
  mx_follow();
  if (t >= n) return;
  f32x4 *lds = MX_LDS(f32x4);
  MX_GLOBAL f32 *y = mx_global<f32>(normed) + (i64)t * normed_stride;
  const bool keep = normed != nullptr && mx_block_x() == 0;
  const f32 x_scale = mx_prepare_row(in, in.x_rows ? mx_global<i32>(in.x_rows)[t] : t, cols, [=](i32 c, f32x4 v) {
    lds[mx_staged(c)] = v;
    if (keep) mx_store4(y, c, cols, v);
  });
  mx_barrier();
  route_split(own, router, top_k, x_scale, logits, logits_stride, ids, weights, round, counters);
}

#if defined(MX_CLUSTER)
#define NORM_ROUTE_CLUSTER_ENTRY(name)                                                                                                 \
  MX_TRAITS(name, 256, 8, 1, 4.5, 0)                                                                                                   \
  MX_ENTRY_RESIDENT(name, 256, 2)(MxInput in, MxLinear router, i32 top_k, f32 *normed, i32 normed_stride, f32 *logits,                 \
                                  i32 logits_stride, i32 *ids, f32 *weights, i32 round, i32 n) {                                       \
    norm_route_split<MX_PASTE(mx_format_, MX_FORMAT)>(in, router, top_k, normed, normed_stride, logits, logits_stride, ids, weights,  \
                                                      round, n, nullptr);                                                              \
  }                                                                                                                                    \
  MX_EXPORT(name)
#define NORM_ROUTE_CLUSTER_EXPAND(name) NORM_ROUTE_CLUSTER_ENTRY(name)
NORM_ROUTE_CLUSTER_EXPAND(MX_PASTE(MX_PASTE(norm_route_, MX_FORMAT), _cluster))
#else
#define NORM_ROUTE_SPLIT_ENTRY(name)                                                                                                   \
  MX_TRAITS(name, 256, 8, 1, 4.5, 0)                                                                                                   \
  MX_ENTRY_RESIDENT(name, 256, 2)(MxInput in, MxLinear router, i32 top_k, f32 *normed, i32 normed_stride, f32 *logits, i32 logits_stride,         \
                      i32 *ids, f32 *weights, i32 round, i32 n, i32 *counters) {                                                      \
    norm_route_split<MX_PASTE(mx_format_, MX_FORMAT)>(in, router, top_k, normed, normed_stride, logits, logits_stride, ids, weights,  \
                                                      round, n, counters);                                                            \
  }                                                                                                                                    \
  MX_EXPORT(name)
#define NORM_ROUTE_SPLIT_EXPAND(name) NORM_ROUTE_SPLIT_ENTRY(name)
NORM_ROUTE_SPLIT_EXPAND(MX_PASTE(MX_PASTE(norm_route_, MX_FORMAT), _split))

// The sum over ranks first, as `exchange_ranks` makes it, with the room of two of its blocks a row, added to row t of h. Every block of a token
// makes it; the first gives what is this rank's, and the last to come, when nobody reads h any more, writes what came out.
template <class F>
MX_DEVICE void exchange_norm_route(f32 *h, const f32 *x, const void *inboxes, i32 *stop, i32 rank, i32 ranks, i32 *turns, i32 stride, const MxInput &in,
                                   const MxLinear &router, i32 top_k, const MxNormed &normed, f32 *logits, i32 logits_stride, i32 *ids,
                                   f32 *weights, i32 round, i32 n, i32 *counters, i32 phase) {
  const i32 t = mx_block_y(), cols = router.cols;
  const RouterRow<F> own(router);
  mx_follow();
  if (t >= n) return;
  const MX_GLOBAL u64 *boxes = mx_global<u64>(inboxes);
  const bool first = mx_block_x() == 0;
  const auto column = [](i32 q) { return 4 * (mx_thread() + q * mx_vector_threads); };
  const auto block = [&](i32 q) { return 2 * t + column(q) / (4 * MX_BLOCK_PIECES); };
  const auto at = [&](i32 q) { return column(q) / 4 % MX_BLOCK_PIECES; };
  u32 turn[mx_held_quads] = {};
  f32x4 mine[mx_held_quads], v[mx_held_quads];
  MX_UNROLL
  for (i32 q = 0; q < mx_held_quads; q++) {
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
      for (i32 q = 0; q < mx_held_quads; q++) {
        if (column(q) < cols) mx_leave(mx_notes(boxes, block(q), to, (i32)(turn[q] & 1), ranks, rank) + at(q), mine[q], turn[q], round);
      }
    }
  }
  if (!(phase & MX_TAKE)) return;
  f32x4 sum[mx_held_quads];
  MX_NO_UNROLL
  for (i32 r = 0; r < ranks; r++) {
    f32x4 part[mx_held_quads];
    const MX_GLOBAL u32x4 *notes[mx_held_quads];
    bool wanted[mx_held_quads];
    MX_UNROLL
    for (i32 q = 0; q < mx_held_quads; q++) {
      part[q] = mine[q], wanted[q] = column(q) < cols;
      notes[q] = mx_notes(boxes, block(q), rank, (i32)(turn[q] & 1), ranks, r) + at(q);
    }
    if (r != rank && round) mx_collect_rounded(notes, wanted, turn, stop, part);
    MX_UNROLL
    for (i32 q = 0; q < mx_held_quads; q++) {
      if (wanted[q] && r != rank && !round) part[q] = mx_collect(notes[q], turn[q], round, stop);
      sum[q] = r == 0 ? part[q] : sum[q] + part[q];
    }
  }
  f32 squares = 0.0f;
  MX_UNROLL
  for (i32 q = 0; q < mx_held_quads; q++) {
    if (column(q) >= cols) continue;
    MX_UNROLL
    for (i32 e = 0; e < 4; e++) {
      v[q][e] = column(q) + e < cols ? mx_round_if(v[q][e] + mx_round_if(sum[q][e], round), round) : 0.0f;
      squares = mx_fma(v[q][e], v[q][e], squares);
    }
  }
  // As mx_prepare_row has it.
  const f32 inverse = 1.0f / __builtin_sqrtf(mx_block_sum(squares) / (f32)cols + in.eps);
  MX_UNROLL
  for (i32 q = 0; q < mx_held_quads; q++) {
    if (column(q) >= mx_round_up(cols, 32)) continue;
    const f32x4 w = mx_weights4(in.norm, in.norm_format, column(q), cols);
    f32x4 y;
    MX_UNROLL
    for (i32 e = 0; e < 4; e++) y[e] = mx_round_if(v[q][e] * inverse * w[e], in.round);
    MX_LDS(f32x4)[mx_staged(column(q))] = y;
    if (first && column(q) < cols) normed.store(t, column(q), cols, y);
  }
  mx_barrier();
  if (!route_split(own, router, top_k, 1.0f, logits, logits_stride, ids, weights, round, counters)) return;
  MX_UNROLL
  for (i32 q = 0; q < mx_held_quads; q++) {
    if (column(q) >= cols) continue;
    mx_store4(mx_global<f32>(h) + (i64)t * stride, column(q), cols, v[q]);
    if (at(q) == 0) mx_global<u32>(turns)[block(q)] = turn[q];
  }
}

#define EXCHANGE_NORM_ROUTE_ENTRY(name)                                                                                                   \
  MX_TRAITS(name, 256, 8, 1, 4.5, 0)                                                                                                      \
  MX_ENTRY_RESIDENT(name, 256, 1)(f32 *h, const f32 *x, const void *inboxes, i32 *stop, i32 rank, i32 ranks, i32 *turns, i32 stride,      \
                                  MxInput in, MxLinear router, i32 top_k, f32 *normed, i32 normed_stride, u16 *first, i32 first_stride,   \
                                  i32 first_order, f32 *logits, i32 logits_stride, i32 *ids, f32 *weights, i32 round, i32 n,              \
                                  i32 *counters, i32 phase) {                                                                             \
    exchange_norm_route<MX_PASTE(mx_format_, MX_FORMAT)>(h, x, inboxes, stop, rank, ranks, turns, stride, in, router, top_k,              \
                                                         MxNormed{normed, normed_stride, first, first_stride, first_order, nullptr, 0, 0}, \
                                                         logits, logits_stride, ids, weights, round, n, counters, phase);                 \
  }                                                                                                                                       \
  MX_EXPORT_EXCHANGE(name)
#define EXCHANGE_NORM_ROUTE_EXPAND(name) EXCHANGE_NORM_ROUTE_ENTRY(name)
EXCHANGE_NORM_ROUTE_EXPAND(MX_PASTE(exchange_norm_route_, MX_FORMAT))
#endif
#endif
