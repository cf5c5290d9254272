// The experts' GEMMs for w_mxfp4_a_mxfp4 and w_mxfp4_a_fp8 by the scaled matrix instruction of CDNA 4, which takes codes and block scales as
// they are. Of 128 columns lane 16 g + r holds, of row r, columns 32 g to 32 g + 31 in FP4, but in FP8 columns 16 g to 16 g + 15 and
// 64 + 16 g to 64 + 16 g + 15 (tools/amd_isa_scaled.py says where that is known from). MX_INPUT: 1 rows of MX FP4, 6 rows of FP8 with
// a factor per row.
#include "common/matrix.h"
#include "common/tile.h"

typedef i32 scaled_operand __attribute__((ext_vector_type(8)));

// A step of 128 columns; four waves, each 64 tokens times 64 rows.
constexpr i32 step_blocks = 4;

MX_DEVICE void scaled_tile(const MxTile &t, const u8 *x, i32 x_stride, const u8 *x_blocks, i32 x_block_stride) {
  MX_SHARED f32 staged[mx_sums_tokens * mx_sums_pitch];
  if (t.tokens <= 0 || t.first_row >= t.l.rows) return;
  const MxLinear &l = t.l;
  const i32 lane = mx_wave_lane(), part = lane >> 4, blocks = l.cols / 32;
  const i32 token0 = (mx_wave() & 1) * 64, row0 = (mx_wave() >> 1) * 64;
  MxSums sums;
  mx_zero(sums);
  const MX_GLOBAL u8 *w[4], *w_scales[4], *in[4], *in_scales[4];
  MX_UNROLL
  for (i32 i = 0; i < 4; i++) {
    const i64 row = mx_min(t.first_row + row0 + i * 16 + (lane & 15), l.rows - 1);
    w[i] = mx_global<u8>(l.weight) + row * l.row_stride;
    w_scales[i] = mx_global<u8>(l.scale) + row * l.scale_stride;
    const i64 from = t.x_row(mx_min(token0 + i * 16 + (lane & 15), t.tokens - 1));
    in[i] = mx_global<u8>(x) + from * x_stride;
    in_scales[i] = mx_global<u8>(x_blocks) + from * x_block_stride;
  }
  MX_NO_UNROLL
  for (i32 first = 0; first < blocks; first += step_blocks) {
    const i32 block = first + part;
    // Blocks beyond the last are zeros, with a scale of 1.
    const bool inside = block < blocks;
    scaled_operand a[4] = {};
    i32 a_scale[4];
    MX_UNROLL
    for (i32 i = 0; i < 4; i++) {
      a_scale[i] = 127;
      if (inside) *(u32x4 *)&a[i] = *(const MX_GLOBAL u32x4 *)(w[i] + block * 16), a_scale[i] = w_scales[i][block];
    }
    MX_UNROLL
    for (i32 j = 0; j < 4; j++) {
      scaled_operand b = {};
      i32 b_scale = 127;
#if MX_INPUT == 1
      if (inside) *(u32x4 *)&b = *(const MX_GLOBAL u32x4 *)(in[j] + block * 16), b_scale = in_scales[j][block];
#else
      MX_UNROLL
      for (i32 half = 0; half < 2; half++) {
        const i32 column = first * 32 + half * 64 + part * 16;
        if (column < l.cols) ((u32x4 *)&b)[half] = *(const MX_GLOBAL u32x4 *)(in[j] + column);
      }
#endif
      MX_UNROLL
      for (i32 i = 0; i < 4; i++) {
        // Formats: 4 FP4, 0 FP8 e4m3.
        sums.c[i][j] = __builtin_amdgcn_mfma_scale_f32_16x16x128_f8f6f4(a[i], b, sums.c[i][j], 4, MX_INPUT == 1 ? 4 : 0, 0, a_scale[i], 0, b_scale);
      }
    }
  }
  MX_NO_UNROLL
  for (i32 first = 0; first < t.tokens; first += mx_sums_tokens) {
    mx_put(sums, staged, first);
    mx_barrier();
    MX_NO_UNROLL
    for (i32 i = mx_thread(); i < mx_sums_tokens * mx_tile_rows / 2; i += 256) {
      const i32 m = i / (mx_tile_rows / 2), r = i % (mx_tile_rows / 2) * 2;
      const f32x2 two = *(const f32x2 *)(staged + m * mx_sums_pitch + r);
      t.store_pair(first + m, t.first_row + r, two.x, two.y);
    }
    mx_barrier();
  }
}

#if MX_INPUT == 1
#define SCALED_NAME expert_gemm_mxfp4_e2m1_mma
#else
#define SCALED_NAME expert_gemm_mxfp4_fp8_mma
#endif

#define SCALED_ENTRY(name)                                                                                                             \
  MX_TRAITS(name, 256, 128, 128, 0, 0)                                                                                                 \
  MX_ENTRY(name, 256)(const MxLinear *experts, const u8 *x, i32 x_stride, const u8 *x_blocks, i32 x_block_stride,                     \
                      const f32 *x_scales, i32 divisor, const i32 *sorted, const i32 *offsets, const i32 *tiles,                       \
                      const i32 *tile_count, f32 *out, i32 out_stride, i32 round, i32 swiglu, f32 alpha, f32 limit,                    \
                      [[maybe_unused]] i32 rows, [[maybe_unused]] i32 cols) {                                                          \
    mx_follow();                                                                                                                       \
    scaled_tile(mx_expert_tile(experts, x_scales, divisor, sorted, offsets, tiles, tile_count, out, out_stride, round, swiglu, alpha,  \
                               limit, mx_tile_rows, mx_tile_tokens),                                                                   \
                x, x_stride, x_blocks, x_block_stride);                                                                                \
  }                                                                                                                                    \
  MX_EXPORT(name)
#define SCALED_EXPAND(name) SCALED_ENTRY(name)
SCALED_EXPAND(SCALED_NAME)
