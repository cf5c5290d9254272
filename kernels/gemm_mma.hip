// x W^T + b for many rows of x by matrix instructions. x is bf16; weights become bf16 (exactly) on their way into LDS.
#include "common/halves.h"
#include "common/matrix.h"
#include "common/tile.h"

// Two buffers of both operands; the sums use the same memory afterwards.
constexpr i32 operand_size = mx_tile_rows * mx_tile_pitch;
static_assert(mx_sums_tokens * mx_sums_pitch * 4 <= 4 * operand_size * 2, "the sums fit");

template <class F> MX_DEVICE void gemm_matrix(const MxTile &t, const u16 *x, i32 x_stride) {
  MX_SHARED u32x4 lds[4 * operand_size / 8];
  if (t.tokens <= 0 || t.first_row >= t.l.rows) return;
  const i32 tid = mx_thread();
  const MxLinear &l = t.l;
  u16 *const xs = (u16 *)lds, *const ws = xs + 2 * operand_size;
  // Two threads a row, sixteen columns each.
  const i32 row = tid >> 1, half = (tid & 1) * 16;
  const MX_GLOBAL u16 *x_row = mx_global<u16>(x) + t.x_row(mx_min(row, t.tokens - 1)) * x_stride + half;
#if defined(MX_TRANSPOSED)
  // Stored [columns][rows]: a thread takes sixteen rows of one column.
  const i32 w_col = tid >> 3, w_row = t.first_row + (tid & 7) * 16;
  MxLinear view = l;
  view.cols = l.rows;
  const bool fast = (l.row_stride & 15) == 0 && (((u64)l.weight) & 15) == 0 && l.rows % 8 == 0;
#else
  const i32 w_row = mx_min(t.first_row + row, l.rows - 1);
  const MX_GLOBAL u8 *w = mx_global<u8>(l.weight) + w_row * l.row_stride;
  const MX_GLOBAL u8 *scales = F::blocks ? mx_global<u8>(l.scale) + w_row * l.scale_stride : nullptr;
  const bool fast = F::aligned(l);
#endif
  MxSums sums;
  mx_zero(sums);
  u32x4 x0, x1;
  MxHalf<F> raw;
  const auto load = [&](i32 k) {
    x0 = *(const MX_GLOBAL u32x4 *)(x_row + k);
    x1 = *(const MX_GLOBAL u32x4 *)(x_row + k + 8);
#if defined(MX_TRANSPOSED)
    raw = k + w_col < l.cols ? MxHalf<F>::load(view, mx_global<u8>(l.weight) + (k + w_col) * l.row_stride, nullptr, w_row, fast) : MxHalf<F>{};
#else
    raw = MxHalf<F>::load(l, w, scales, k + half, fast);
#endif
  };
  const auto store = [&](i32 buffer) {
    u16 *const to = xs + buffer * operand_size + row * mx_tile_pitch + half;
    *(u32x4 *)to = x0;
    *(u32x4 *)(to + 8) = x1;
    u32 pairs[8];
    raw.pairs(pairs, l.flags);
#if defined(MX_TRANSPOSED)
    u16 *const column = ws + buffer * operand_size + (tid & 7) * 16 * mx_tile_pitch + w_col;
    MX_UNROLL
    for (i32 i = 0; i < 8; i++) column[2 * i * mx_tile_pitch] = (u16)pairs[i], column[(2 * i + 1) * mx_tile_pitch] = (u16)(pairs[i] >> 16);
#else
    u16 *const own = ws + buffer * operand_size + row * mx_tile_pitch + half;
    *(u32x4 *)own = u32x4{pairs[0], pairs[1], pairs[2], pairs[3]};
    *(u32x4 *)(own + 8) = u32x4{pairs[4], pairs[5], pairs[6], pairs[7]};
#endif
  };
  load(0);
  store(0);
  mx_barrier();
  i32 buffer = 0;
  MX_NO_UNROLL
  for (i32 k = 0; k < l.cols; k += mx_tile_step) {
    const bool more = k + mx_tile_step < l.cols;
    if (more) load(k + mx_tile_step);
    mx_multiply(sums, xs + buffer * operand_size, ws + buffer * operand_size, t.tokens);
    buffer ^= 1;
    if (more) store(buffer);
    mx_barrier();
  }
  f32 *const staged = (f32 *)lds;
  MX_NO_UNROLL
  for (i32 first = 0; first < t.tokens; first += mx_sums_tokens) {
    mx_put(sums, staged, first);
    mx_barrier();
    MX_NO_UNROLL
    for (i32 i = tid; i < mx_sums_tokens * mx_tile_rows / 2; i += 256) {
      const i32 m = i / (mx_tile_rows / 2), r = i % (mx_tile_rows / 2) * 2;
      const f32x2 two = *(const f32x2 *)(staged + m * mx_sums_pitch + r);
      t.store_pair(first + m, t.first_row + r, two.x, two.y);
    }
    mx_barrier();
  }
}

#if defined(MX_TRANSPOSED)
#define GEMM_NAME(stem) MX_PASTE(MX_PASTE(stem, MX_FORMAT), _t_mma)
#else
#define GEMM_NAME(stem) MX_PASTE(MX_PASTE(stem, MX_FORMAT), _mma)
#endif

#define GEMM_ENTRY(name)                                                                                                               \
  MX_TRAITS(name, 256, 128, 128, 0, 0)                                                                                                 \
  MX_ENTRY_RESIDENT(name, 256, 2)(MxGroup group, const u16 *x, i32 x_stride, const f32 *x_scales, i32 round, i32 accumulate, i32 n) {  \
    mx_follow();                                                                                                                       \
    gemm_matrix<MX_PASTE(mx_format_, MX_FORMAT)>(mx_group_tile(group, x_scales, round, accumulate, n, mx_tile_rows, mx_tile_tokens),   \
                                                 x, x_stride);                                                                         \
  }                                                                                                                                    \
  MX_EXPORT(name)
#define EXPERT_GEMM_ENTRY(name)                                                                                                        \
  MX_TRAITS(name, 256, 128, 128, 0, 0)                                                                                                 \
  MX_ENTRY_RESIDENT(name, 256, 2)(const MxLinear *experts, const u16 *x, i32 x_stride, const f32 *x_scales, i32 divisor, const i32 *sorted,       \
                      const i32 *offsets, const i32 *tiles, const i32 *tile_count, f32 *out, i32 out_stride, i32 round, i32 swiglu,    \
                      f32 alpha, f32 limit, [[maybe_unused]] i32 rows, [[maybe_unused]] i32 cols) {                                    \
    mx_follow();                                                                                                                       \
    gemm_matrix<MX_PASTE(mx_format_, MX_FORMAT)>(mx_expert_tile(experts, x_scales, divisor, sorted, offsets, tiles, tile_count, out,   \
                                                                out_stride, round, swiglu, alpha, limit, mx_tile_rows, mx_tile_tokens), \
                                                 x, x_stride);                                                                         \
  }                                                                                                                                    \
  MX_EXPORT(name)
#define GEMM_EXPAND(macro, name) macro(name)
GEMM_EXPAND(GEMM_ENTRY, GEMM_NAME(gemm_))
GEMM_EXPAND(EXPERT_GEMM_ENTRY, GEMM_NAME(expert_gemm_))
