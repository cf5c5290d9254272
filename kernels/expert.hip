// The two linears of the chosen experts for few tokens: one block row of the grid per (token, choice), the expert read from the routing.
#include "common/experts.h"
#include "common/vector.h"
#include "common/transposed.h"

// Units in flight per row. expert_up always takes two rows together: gate and up.
#define EXPERT_UP_bf16 2
#define EXPERT_UP_f32 2
#define EXPERT_UP_f16 2
#define EXPERT_UP_mxfp4 3
#define EXPERT_UP_mxfp6_e3m2 1
#define EXPERT_UP_mxfp6_e2m3 1
#define EXPERT_UP_fp8 2
#define EXPERT_DOWN_bf16 4
#define EXPERT_DOWN_f32 4
#define EXPERT_DOWN_f16 4
#define EXPERT_DOWN_mxfp4 3
#define EXPERT_DOWN_mxfp6_e3m2 3
#define EXPERT_DOWN_mxfp6_e2m3 3
#define EXPERT_DOWN_fp8 4

#define EXPERT_FORMAT MX_PASTE(mx_format_, MX_FORMAT)

#if !defined(MX_TRANSPOSED)
#define EXPERT_NAME(stem) MX_PASTE(stem, MX_FORMAT)
#define EXPERT_UP_ROWS 8 * 2
#define EXPERT_DOWN_ROWS 8
constexpr i32 up_rows = 16, down_rows = 8;

template <class F> MX_DEVICE f32 stage(const MxInput &in, i64 row, i32 cols, void *lds) { return mx_stage_row<F>(mx_without_norm(in), row, cols, (f32x4 *)lds); }

template <class F> MX_DEVICE void up_tile(const MxUpOut &a, const MxLinear &l, i32 slot, i32 tile, const void *lds, f32 x_scale) {
  const i32 first = tile * up_rows + mx_group() * 2;
  f32 sums[2][1];
  mx_dot_rows<F, 2, 1, MX_PASTE(EXPERT_UP_, MX_FORMAT)>(l, first, 1, (const f32x4 *)lds, sums);
  if (mx_lane() == 0 && first < l.rows) mx_store_up(a, l, slot, first, sums[0][0], sums[1][0], x_scale);
}

// Row `down_row(tile)` of the block's sums for its caller; `down_writes` threads hold one each.
MX_DEVICE i32 down_row(i32 tile) { return tile * down_rows + mx_group(); }
MX_DEVICE bool down_writes() { return mx_lane() == 0; }
template <class F> MX_DEVICE f32 down_sum(const MxLinear &l, i32 tile, const void *lds) {
  f32 sums[1][1];
  mx_dot_rows<F, 1, 1, MX_PASTE(EXPERT_DOWN_, MX_FORMAT)>(l, down_row(tile), 1, (const f32x4 *)lds, sums);
  return sums[0][0];
}

#else
#define EXPERT_NAME(stem) MX_PASTE(MX_PASTE(stem, MX_FORMAT), _t)
#define EXPERT_UP_ROWS 64
#define EXPERT_DOWN_ROWS 64
constexpr i32 up_rows = 64, down_rows = 64;

template <class F> MX_DEVICE f32 stage(const MxInput &in, i64 row, i32 cols, void *lds) { return mx_stage_plain(mx_without_norm(in), row, cols, (f32 *)lds); }

template <class F> MX_DEVICE void up_tile(const MxUpOut &a, const MxLinear &l, i32 slot, i32 tile, const void *lds, f32 x_scale) {
  const i32 row = tile * up_rows + mx_thread();
  f32 sum = mx_dot_columns<F>(l, tile * up_rows, (const f32 *)lds);
  f32 next = mx_shuffle_xor(sum, 1);
  if (mx_thread() < up_rows && (row & 1) == 0 && row < l.rows) mx_store_up(a, l, slot, row, sum, next, x_scale);
}

MX_DEVICE i32 down_row(i32 tile) { return tile * down_rows + mx_thread(); }
MX_DEVICE bool down_writes() { return mx_thread() < down_rows; }
template <class F> MX_DEVICE f32 down_sum(const MxLinear &l, i32 tile, const void *lds) { return mx_dot_columns<F>(l, tile * down_rows, (const f32 *)lds); }

#endif

template <class F> MX_DEVICE void expert_up(const MxExperts &a, const MxInput &in, const MxUpOut &up) {
  const i32 slot = mx_block_y();
  if (slot >= a.n * a.top_k) return;
  const i32 e = mx_local_expert(a, slot);
  if (e < 0) return;
  f32x4 *lds = MX_LDS(f32x4);
  const MxLinear l = mx_expert_linear(a.experts, e);
  const f32 x_scale = stage<F>(in, slot / a.top_k, a.cols, lds);
  mx_barrier();
  for (i32 tile = mx_block_x(); tile * up_rows < a.rows; tile += mx_grid_x()) up_tile<F>(up, l, slot, tile, lds, x_scale);
}

template <class F> MX_DEVICE void expert_down(const MxExperts &a, const MxInput &in, f32 *out, i32 out_stride) {
  const i32 slot = mx_block_y();
  if (slot >= a.n * a.top_k) return;
  const i32 e = mx_local_expert(a, slot);
  MX_GLOBAL f32 *y = mx_global<f32>(out) + (i64)slot * out_stride;
  if (e < 0) {
    for (i32 i = mx_block_x() * 256 + mx_thread(); i < a.rows; i += mx_grid_x() * 256) y[i] = 0.0f;
    return;
  }
  f32x4 *lds = MX_LDS(f32x4);
  const MxLinear l = mx_expert_linear(a.experts, e);
  const f32 x_scale = stage<F>(in, slot, a.cols, lds);
  mx_barrier();
  for (i32 tile = mx_block_x(); tile * down_rows < a.rows; tile += mx_grid_x()) {
    const f32 sum = down_sum<F>(l, tile, lds);
    const i32 row = down_row(tile);
    if (down_writes() && row < a.rows) y[row] = mx_epilogue(l, sum, row, x_scale);
  }
}

// Down, weighting, sum over the choices and (accumulate) the residual add: all choices of a token by the same threads.
template <class F>
MX_DEVICE void expert_down_combine(const MxExperts &a, const MxInput &in, const f32 *weights, f32 *out, i32 out_stride, i32 round, i32 accumulate) {
  const i32 token = mx_block_y(), row_size = 4 * mx_staged_size(a.cols);
  if (token >= a.n) return;
  MX_SHARED f32 x_scale[32];
  f32 *lds = MX_LDS(f32);
  MX_NO_UNROLL
  for (i32 k = 0; k < a.top_k; k++) {
    if (mx_local_expert(a, token * a.top_k + k) < 0) continue;
    const f32 scale = stage<F>(in, token * a.top_k + k, a.cols, lds + k * row_size);
    if (mx_thread() == 0) x_scale[k] = scale;
  }
  mx_barrier();
  for (i32 tile = mx_block_x(); tile * down_rows < a.rows; tile += mx_grid_x()) {
    f32 total = 0.0f;
    const i32 row = down_row(tile);
    MX_NO_UNROLL
    for (i32 k = 0; k < a.top_k; k++) {
      const i32 slot = token * a.top_k + k, e = mx_local_expert(a, slot);
      if (e < 0) continue;
      const MxLinear l = mx_expert_linear(a.experts, e);
      const f32 sum = down_sum<F>(l, tile, lds + k * row_size);
      if (down_writes() && row < a.rows) {
        const f32 y = mx_global<f32>(weights)[slot] * mx_epilogue(l, sum, row, x_scale[k]);
        total = total + y;
      }
    }
    if (down_writes() && row < a.rows) {
      MX_GLOBAL f32 *to = mx_global<f32>(out) + (i64)token * out_stride + row;
      const f32 y = mx_round_if(total, round);
      *to = accumulate ? mx_round_if(*to + y, round) : y;
    }
  }
}

#define EXPERT_UP_ENTRY(name)                                                                                                          \
  MX_TRAITS(name, 256, EXPERT_UP_ROWS, 1, 4.5, 0)                                                                                        \
  MX_ENTRY(name, 256)(const MxLinear *experts, MxInput in, const i32 *ids, i32 first, i32 count, i32 top_k, f32 *out, i32 out_stride, \
                      i32 round, i32 swiglu, f32 alpha, f32 limit, i32 rows, i32 cols, i32 n) {                                       \
    mx_follow();                                                                                                                      \
    expert_up<EXPERT_FORMAT>(MxExperts{experts, ids, first, count, top_k, rows, cols, n}, in,                                         \
                             MxUpOut{rows, round, swiglu, out_stride, alpha, limit, out});                                              \
  }                                                                                                                                    \
  MX_EXPORT(name)
#define EXPERT_DOWN_ENTRY(name)                                                                                                        \
  MX_TRAITS(name, 256, EXPERT_DOWN_ROWS, 1, 4.5, 0)                                                                                      \
  MX_ENTRY(name, 256)(const MxLinear *experts, MxInput in, const i32 *ids, i32 first, i32 count, i32 top_k, f32 *out, i32 out_stride, \
                      i32 rows, i32 cols, i32 n) {                                                                                    \
    mx_follow();                                                                                                                      \
    expert_down<EXPERT_FORMAT>(MxExperts{experts, ids, first, count, top_k, rows, cols, n}, in, out, out_stride);                     \
  }                                                                                                                                    \
  MX_EXPORT(name)
#define EXPERT_COMBINE_ENTRY(name)                                                                                                     \
  MX_TRAITS(name, 256, EXPERT_DOWN_ROWS, 1, 4.5, 0)                                                                                      \
  MX_ENTRY(name, 256)(const MxLinear *experts, MxInput in, const i32 *ids, const f32 *weights, i32 first, i32 count, i32 top_k,       \
                      f32 *out, i32 out_stride, i32 round, i32 accumulate, i32 rows, i32 cols, i32 n) {                               \
    mx_follow();                                                                                                                      \
    expert_down_combine<EXPERT_FORMAT>(MxExperts{experts, ids, first, count, top_k, rows, cols, n}, in, weights, out, out_stride,     \
                                       round, accumulate);                                                                             \
  }                                                                                                                                    \
  MX_EXPORT(name)
#define EXPERT_EXPAND(macro, name) macro(name)
EXPERT_EXPAND(EXPERT_UP_ENTRY, EXPERT_NAME(expert_up_))
EXPERT_EXPAND(EXPERT_DOWN_ENTRY, EXPERT_NAME(expert_down_))
EXPERT_EXPAND(EXPERT_COMBINE_ENTRY, EXPERT_NAME(expert_down_combine_))
