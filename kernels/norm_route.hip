// The norm before the experts, the router's linear and the choice, for one token a block: three launches of little work in one.
#include "common/routing.h"
#include "common/vector.h"

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

#if !defined(__AMDGCN__)
#include "common/exchange.h"

// The sum over ranks of a row of x, added to row t of h, by 1024 threads: as `exchange_ranks` does it, with the room of two of its blocks.
// Returns false where there is nothing more to do.
MX_DEVICE bool exchange_row(f32 *h, const f32 *x, const MX_GLOBAL u64 *boxes, i32 *stop, i32 rank, i32 ranks, i32 *turns, i32 stride, i32 width,
                            i32 round, i32 phase) {
  const i32 piece = mx_thread(), row = mx_block_x(), block = 2 * row + piece / MX_BLOCK_PIECES, at = piece % MX_BLOCK_PIECES;
  const bool has = piece * 4 < width;
  u32 turn = 0;
  f32x4 mine, old;
  if (has) {
    turn = mx_next_turn(mx_global<u32>(turns)[block]);
    mine = *(const MX_GLOBAL f32x4 *)(mx_global<f32>(x) + (i64)row * stride + 4 * piece);
    old = *(const MX_GLOBAL f32x4 *)(mx_global<f32>(h) + (i64)row * stride + 4 * piece);
  }
  if (has && (phase & MX_GIVE)) {
    for (i32 r = 1; r < ranks; r++) {
      const i32 to = rank + r < ranks ? rank + r : rank + r - ranks;
      mx_leave(mx_notes(boxes, block, to, (i32)(turn & 1), ranks, rank) + at, mine, turn, round);
    }
  }
  if (!(phase & MX_TAKE)) return false;
  if (has) {
    f32x4 sum;
    for (i32 r = 0; r < ranks; r++) {
      const f32x4 v = r == rank ? mine : mx_collect(mx_notes(boxes, block, rank, (i32)(turn & 1), ranks, r) + at, turn, round, stop);
      sum = r == 0 ? v : sum + v;
    }
    mx_put_sum(mx_global<f32>(h) + (i64)row * stride + 4 * piece, sum, old, 4 * piece, width, round, 1);
  }
  mx_barrier();
  if (has && at == 0) mx_global<u32>(turns)[block] = turn;
  return true;
}

#define EXCHANGE_NORM_ROUTE_ENTRY(name)                                                                                                   \
  MX_TRAITS(name, 1024, 0, 1, 4.5, 0)                                                                                                     \
  MX_ENTRY(name, 1024)(f32 *h, const f32 *x, const void *inboxes, i32 *stop, i32 rank, i32 ranks, i32 *turns, i32 stride, MxInput in,     \
                       MxLinear router, i32 top_k, f32 *normed, i32 normed_stride, i32 *ids, f32 *weights, i32 round, i32 n, i32 phase) { \
    ask_for_router(router);                                                                                                               \
    mx_follow();                                                                                                                          \
    const MX_GLOBAL u64 *boxes = mx_global<u64>(inboxes);                                                                                 \
    if (!exchange_row(h, x, boxes, stop, rank, ranks, turns, stride, router.cols, round, phase)) return;                                  \
    norm_route<MX_PASTE(mx_format_, MX_FORMAT)>(in, router, top_k, normed, normed_stride, nullptr, 0, ids, weights, round, n);            \
  }                                                                                                                                       \
  MX_EXPORT_EXCHANGE(name)
#define EXCHANGE_NORM_ROUTE_EXPAND(name) EXCHANGE_NORM_ROUTE_ENTRY(name)
EXCHANGE_NORM_ROUTE_EXPAND(MX_PASTE(exchange_norm_route_, MX_FORMAT))
#endif
