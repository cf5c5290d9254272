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
#include "common/route_ranks.h"

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
  route_split(own, lds, router, top_k, x_scale, logits, logits_stride, ids, weights, round, counters);
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

#define EXCHANGE_NORM_ROUTE_ENTRY(name)                                                                                                   \
  MX_TRAITS(name, 256, 8, 1, 4.5, 0)                                                                                                      \
  MX_ENTRY_RESIDENT(name, 256, 1)(f32 *h, const f32 *x, const void *inboxes, i32 *stop, i32 rank, i32 ranks, i32 *turns, i32 stride,      \
                                  MxInput in, MxLinear router, i32 top_k, f32 *normed, i32 normed_stride, u16 *first, i32 first_stride,   \
                                  i32 first_order, f32 *logits, i32 logits_stride, i32 *ids, f32 *weights, i32 round, i32 n,              \
                                  i32 *counters, i32 phase) {                                                                             \
    const RouterRow<MX_PASTE(mx_format_, MX_FORMAT)> own(router);                                                                         \
    const auto norm_weights = [&](i32 c) { return mx_weights4(in.norm, in.norm_format, c, router.cols); };                                \
    exchange_norm_route<mx_held_quads>(own, norm_weights, MX_LDS(f32x4), h, x, inboxes, stop, rank, ranks, turns, stride, in, router,     \
                        top_k, MxNormed{normed, normed_stride, first, first_stride, first_order, nullptr, 0, 0}, logits,                  \
                        logits_stride, ids, weights, round, n, counters, phase);                                                          \
  }                                                                                                                                       \
  MX_EXPORT_EXCHANGE(name)
#define EXCHANGE_NORM_ROUTE_EXPAND(name) EXCHANGE_NORM_ROUTE_ENTRY(name)
EXCHANGE_NORM_ROUTE_EXPAND(MX_PASTE(exchange_norm_route_, MX_FORMAT))
#endif

#if defined(MX_CLUSTER)
// Dynamic LDS of RouterRows: eight rows of the router, the norm's weights, and a staged row; and what lies before the first whole line.
#define ROUTER_ROWS_LDS_bf16 22.5
#define ROUTER_ROWS_LDS_f32 38.5
#define EXCHANGE_NORM_ROUTE_CLUSTER_ENTRY(name, lds)                                                                                      \
  MX_TRAITS(name, 256, 8, 1, lds, 128)                                                                                                    \
  MX_ENTRY_RESIDENT(name, 256, 2)(f32 *h, const f32 *x, const void *inboxes, i32 *stop, i32 rank, i32 ranks, i32 *turns, i32 stride,      \
                                  MxInput in, MxLinear router, i32 top_k, f32 *normed, i32 normed_stride, u16 *first, i32 first_stride,   \
                                  i32 first_order, f32 *logits, i32 logits_stride, i32 *ids, f32 *weights, i32 round, i32 n,              \
                                  i32 *counters, i32 phase) {                                                                             \
    MX_SHARED u64 come;                                                                                                                   \
    mx_cluster_begin();                                                                                                                   \
    const RouterRows<MX_PASTE(mx_format_, MX_FORMAT)> own(router, in, &come, mx_lds_lines());                                             \
    mx_barrier();                                                                                                                         \
    const auto norm_weights = [&](i32 c) __attribute__((always_inline)) {                                                                 \
      own.await();                                                                                                                        \
      return own.norm4(c);                                                                                                                \
    };                                                                                                                                    \
    exchange_norm_route<mx_few_quads>(own, norm_weights, own.end(), h, x, inboxes, stop, rank, ranks, turns, stride, in, router,        \
                        top_k, MxNormed{normed, normed_stride, first, first_stride, first_order, nullptr, 0, 0}, logits,                  \
                        logits_stride, ids, weights, round, n, counters, phase);                                                          \
  }                                                                                                                                       \
  MX_EXPORT_EXCHANGE(name)
#define EXCHANGE_NORM_ROUTE_CLUSTER_EXPAND(...) EXCHANGE_NORM_ROUTE_CLUSTER_ENTRY(__VA_ARGS__)
EXCHANGE_NORM_ROUTE_CLUSTER_EXPAND(MX_PASTE(MX_PASTE(exchange_norm_route_, MX_FORMAT), _cluster), MX_PASTE(ROUTER_ROWS_LDS_, MX_FORMAT))
#endif
#endif
