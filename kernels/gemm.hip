// x W^T + b for many rows of x, in float32: tiles of 64 tokens and 64 weight rows, a step of 32 columns at a time through LDS.
// For dense groups and for experts' sorted rows.
#include "common/tile.h"

constexpr i32 tile_tokens = 64, tile_rows = 64, step = 32;

// One thread's share of a step: 8 columns of one row, transposed into LDS so that the sums read along rows.
template <class F> MX_DEVICE void gemm_tile(const MxTile &t, const f32 *x, i32 x_stride) {
  MX_SHARED f32x4 xs[step][tile_tokens / 4], ws[step][tile_rows / 4];
  if (t.tokens <= 0 || t.first_row >= t.l.rows) return;
  const i32 tid = mx_thread(), tx = tid & 15, ty = tid >> 4;
  const i32 own = tid & 63, octet = tid >> 6;
  const MxLinear &l = t.l;
  const MX_GLOBAL f32 *x_row = mx_global<f32>(x) + t.x_row(mx_min(own, t.tokens - 1)) * x_stride;
  f32 sums[4][4];
  MX_UNROLL
  for (i32 i = 0; i < 4; i++) {
    MX_UNROLL
    for (i32 j = 0; j < 4; j++) sums[i][j] = 0.0f;
  }
#if defined(MX_TRANSPOSED)
  // Stored [columns][rows]: a thread decodes 8 rows of one column.
  const i32 w_row = t.first_row + (tid & 7) * 8, w_step = tid >> 3;
  MxLinear view = l;
  view.cols = l.rows;
  const bool fast = (l.row_stride & 15) == 0 && (((u64)l.weight) & 15) == 0 && w_row + 8 <= l.rows;
#else
  const i32 w_row = mx_min(t.first_row + own, l.rows - 1);
  const MX_GLOBAL u8 *row = mx_global<u8>(l.weight) + w_row * l.row_stride;
  const MX_GLOBAL u8 *scales = F::blocks ? mx_global<u8>(l.scale) + w_row * l.scale_stride : nullptr;
  const bool fast = F::aligned(l);
#endif
  for (i32 k = 0; k < l.cols; k += step) {
    f32 w[8], v[8];
#if defined(MX_TRANSPOSED)
    MX_UNROLL
    for (i32 i = 0; i < 8; i++) w[i] = 0.0f;
    if (k + w_step < l.cols) F::decode8(view, mx_global<u8>(l.weight) + (k + w_step) * l.row_stride, nullptr, w_row, fast, w);
#else
    const i32 col = k + octet * 8;
    MX_UNROLL
    for (i32 i = 0; i < 8; i++) w[i] = 0.0f;
    if (col < l.cols) F::decode8(l, row, scales, col, fast, w);
#endif
    const i32 at = k + octet * 8;
    if (at + 8 <= l.cols) {
      f32x4 a = *(const MX_GLOBAL f32x4 *)(x_row + at), b = *(const MX_GLOBAL f32x4 *)(x_row + at + 4);
      v[0] = a.x, v[1] = a.y, v[2] = a.z, v[3] = a.w, v[4] = b.x, v[5] = b.y, v[6] = b.z, v[7] = b.w;
    } else {
      MX_UNROLL
      for (i32 i = 0; i < 8; i++) v[i] = at + i < l.cols ? x_row[at + i] : 0.0f;
    }
    mx_barrier();
    MX_UNROLL
    for (i32 i = 0; i < 8; i++) {
      ((f32 *)xs[octet * 8 + i])[own] = v[i];
#if defined(MX_TRANSPOSED)
      ((f32 *)ws[w_step])[(tid & 7) * 8 + i] = w[i];
#else
      ((f32 *)ws[octet * 8 + i])[own] = w[i];
#endif
    }
    mx_barrier();
    MX_UNROLL_4
    for (i32 i = 0; i < step; i++) {
      const f32x4 a = xs[i][ty], b = ws[i][tx];
      MX_UNROLL
      for (i32 m = 0; m < 4; m++) {
        MX_UNROLL
        for (i32 r = 0; r < 4; r++) sums[m][r] = mx_fma(a[m], b[r], sums[m][r]);
      }
    }
  }
  MX_UNROLL
  for (i32 m = 0; m < 4; m++) {
    t.store_pair(ty * 4 + m, t.first_row + tx * 4, sums[m][0], sums[m][1]);
    t.store_pair(ty * 4 + m, t.first_row + tx * 4 + 2, sums[m][2], sums[m][3]);
  }
}

#if defined(MX_TRANSPOSED)
#define GEMM_NAME(stem) MX_PASTE(MX_PASTE(stem, MX_FORMAT), _t)
#else
#define GEMM_NAME(stem) MX_PASTE(stem, MX_FORMAT)
#endif

#define GEMM_ENTRY(name)                                                                                                               \
  MX_TRAITS(name, 256, 64, 64, 0, 0)                                                                                                   \
  MX_ENTRY(name, 256)(MxGroup group, const f32 *x, i32 x_stride, const f32 *x_scales, i32 round, i32 accumulate, i32 n) {              \
    mx_follow();                                                                                                                       \
    gemm_tile<MX_PASTE(mx_format_, MX_FORMAT)>(mx_group_tile(group, x_scales, round, accumulate, n, tile_rows, tile_tokens), x, x_stride); \
  }                                                                                                                                    \
  MX_EXPORT(name)
#define EXPERT_GEMM_ENTRY(name)                                                                                                        \
  MX_TRAITS(name, 256, 64, 64, 0, 0)                                                                                                   \
  MX_ENTRY(name, 256)(const MxLinear *experts, const f32 *x, i32 x_stride, const f32 *x_scales, i32 divisor, const i32 *sorted,       \
                      const i32 *offsets, const i32 *tiles, const i32 *tile_count, f32 *out, i32 out_stride, i32 round, i32 swiglu,    \
                      f32 alpha, f32 limit, [[maybe_unused]] i32 rows, [[maybe_unused]] i32 cols) {                                    \
    mx_follow();                                                                                                                       \
    gemm_tile<MX_PASTE(mx_format_, MX_FORMAT)>(mx_expert_tile(experts, x_scales, divisor, sorted, offsets, tiles, tile_count, out,     \
                                                              out_stride, round, swiglu, alpha, limit, tile_rows, tile_tokens),        \
                                               x, x_stride);                                                                           \
  }                                                                                                                                    \
  MX_EXPORT(name)
#define GEMM_EXPAND(macro, name) macro(name)
GEMM_EXPAND(GEMM_ENTRY, GEMM_NAME(gemm_))
GEMM_EXPAND(EXPERT_GEMM_ENTRY, GEMM_NAME(expert_gemm_))
