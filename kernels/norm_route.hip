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
#if defined(MX_CLUSTER)
#include "common/cluster.h"
#else
#include "common/blocks.h"
#include "common/exchange.h"
#endif

// The same by several blocks a token, a row of the router a group: each makes the norm for itself, and the last to come chooses. A row is
// asked for, whole where registers hold it, before the launch ahead has ended; its sums are those of `mx_dot_rows`. In a cluster it is the
// first block that chooses: the others write into its shared memory.
constexpr i32 split_rows = 8, held_units = 12;

MX_DEVICE u32x4 load_early(const MX_GLOBAL u32x4 *p) {
#if defined(__NVPTX__)
  u32x4 v;
  // Volatile: must not sink to where it is used.
  __asm__ volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p));
  return v;
#else
  return *p;
#endif
}

template <class F>
MX_DEVICE void norm_route_split(const MxInput &in, const MxLinear &router, i32 top_k, f32 *normed, i32 normed_stride, f32 *logits, i32 logits_stride,
                                i32 *ids, f32 *weights, i32 round, i32 n, [[maybe_unused]] i32 *counters) {
#if defined(MX_CLUSTER)
  mx_cluster_begin();
#endif
  MX_SHARED f32 chosen[mx_most_experts];
  const i32 t = mx_block_y(), e = mx_block_x() * split_rows + mx_group(), cols = router.cols, units = cols / F::Columns;
  const MX_GLOBAL u8 *const row = mx_global<u8>(router.weight) + (i64)mx_min(e, router.rows - 1) * router.row_stride;
  const bool whole = F::aligned(router);
  const f32 factor = router.scale && router.scale_stride == 0 ? mx_global<f32>(router.scale)[mx_min(e, router.rows - 1)] : router.tensor_scale;
  const f32 bias = router.bias ? mx_element(router.bias, router.bias_format, mx_min(e, router.rows - 1)) : 0.0f;
  typename F::Raw held[held_units];
  MX_UNROLL
  for (i32 b = 0; b < held_units; b++) {
    const i32 unit = mx_lane() + 32 * b;
    held[b] = whole && unit < units ? typename F::Raw{load_early((const MX_GLOBAL u32x4 *)(row + (i64)unit * 16))} : F::zero();
  }
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
  f32 sum = 0.0f;
  if (whole) {
    MX_NO_UNROLL
    for (i32 first = mx_lane(); first < units; first += 32 * held_units) {
      MX_UNROLL
      for (i32 b = 0; b < held_units; b++) {
        const i32 unit = first + 32 * b;
        if (unit < units) {
          u32 nan = 0;
          f32 parts[1];
          F::template dot<1>(first == mx_lane() ? held[b] : F::load(row, unit, nullptr), lds + mx_staged(unit * F::Columns), 0, parts, nan);
          sum += parts[0];
        }
      }
    }
    sum = mx_group_sum(sum);
  } else {
    f32 sums[1][1];
    mx_dot_rows<F, 1, 1, 1>(router, e, 1, lds, sums);
    sum = sums[0][0];
  }
  MX_GLOBAL f32 *const all = mx_global<f32>(logits) + (i64)t * logits_stride;
  // As mx_epilogue has it.
  sum = sum * factor * x_scale;
  const f32 logit = mx_round_if(router.bias ? sum + bias : sum, round);
  const bool own = mx_lane() == 0 && e < router.rows;
#if defined(MX_CLUSTER)
  mx_cluster_meet();
  if (own) mx_cluster_put(chosen + e, logit);
  if (own && logits) all[e] = logit;
  mx_cluster_give();
  if (mx_block_x() > 0) return;
  mx_cluster_take();
#else
  if (own) all[e] = logit;
  if (!mx_comes_last(counters, t, (router.rows + split_rows - 1) / split_rows)) return;
  for (i32 i = mx_thread(); i < router.rows; i += 256) chosen[i] = mx_load_shared_by_blocks(all + i);
  mx_barrier();
#endif
  if (mx_group() == 0) mx_choose(chosen, router.rows, top_k, mx_global<i32>(ids) + (i64)t * top_k, mx_global<f32>(weights) + (i64)t * top_k);
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
#endif
