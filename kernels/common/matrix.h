// The matrix instructions: a block multiplies 128 tokens by 128 rows of weights, 32 columns a step, operands bf16 in LDS, sums float32.
// Three functions per kind of machine: zero the sums, multiply a step, put 32 tokens' sums into LDS.
#pragma once
#include "platform.h"

constexpr i32 mx_tile_tokens = 128, mx_tile_rows = 128, mx_tile_step = 32;
// bf16 numbers between rows of an operand in LDS: 80 bytes, so that eight rows' 16 bytes lie in different banks.
constexpr i32 mx_tile_pitch = 40;
// Floats between tokens' sums in LDS.
constexpr i32 mx_sums_pitch = mx_tile_rows + 4, mx_sums_tokens = 32;

#if defined(__NVPTX__) || defined(MX_HOST)
#include "mma.h"

// A warp: 64 tokens times 32 rows, as 4 x 4 products of 16 tokens and 8 rows.
struct MxSums {
  f32 c[4][4][4];
};
MX_DEVICE void mx_zero(MxSums &s) {
  MX_UNROLL
  for (i32 i = 0; i < 4; i++) {
    MX_UNROLL
    for (i32 j = 0; j < 4; j++) {
      MX_UNROLL
      for (i32 k = 0; k < 4; k++) s.c[i][j][k] = 0.0f;
    }
  }
}
MX_DEVICE void mx_multiply(MxSums &s, const u16 *x, const u16 *w, i32 tokens) {
  const i32 lane = mx_lane(), token0 = (mx_group() & 1) * 64, row0 = (mx_group() >> 1) * 32;
  MX_UNROLL
  for (i32 k = 0; k < mx_tile_step; k += 16) {
    u32x4 b[2];
    MX_UNROLL
    for (i32 j = 0; j < 2; j++) b[j] = mx_load_matrices(w + (row0 + j * 16 + (lane & 7) + (lane >> 4) * 8) * mx_tile_pitch + k + ((lane >> 3) & 1) * 8);
    MX_UNROLL
    for (i32 i = 0; i < 4; i++) {
      if (token0 + i * 16 < tokens) {
        const u32x4 a = mx_load_matrices(x + (token0 + i * 16 + (lane & 15)) * mx_tile_pitch + k + (lane >> 4) * 8);
        MX_UNROLL
        for (i32 j = 0; j < 4; j++) {
          f32(&c)[4] = s.c[i][j];
          const u32 b0 = b[j >> 1][(j & 1) * 2], b1 = b[j >> 1][(j & 1) * 2 + 1];
          mx_product(c, a.x, a.y, a.z, a.w, b0, b1);
        }
      }
    }
  }
}
MX_DEVICE void mx_put(const MxSums &s, f32 *sums, i32 first_token) {
  const i32 lane = mx_lane(), token0 = (mx_group() & 1) * 64, row0 = (mx_group() >> 1) * 32;
  MX_UNROLL
  for (i32 i = 0; i < 4; i++) {
    const i32 at = token0 + i * 16 - first_token;
    if (at >= 0 && at < mx_sums_tokens) {
      MX_UNROLL
      for (i32 j = 0; j < 4; j++) {
        f32 *to = sums + (at + (lane >> 2)) * mx_sums_pitch + row0 + j * 8 + (lane & 3) * 2;
        *(f32x2 *)to = f32x2{s.c[i][j][0], s.c[i][j][1]};
        *(f32x2 *)(to + 8 * mx_sums_pitch) = f32x2{s.c[i][j][2], s.c[i][j][3]};
      }
    }
  }
}

#elif defined(__AMDGCN__)

typedef short mx_s16x4 __attribute__((ext_vector_type(4)));
typedef short mx_s16x8 __attribute__((ext_vector_type(8)));
typedef short mx_s16x16 __attribute__((ext_vector_type(16)));
typedef __bf16 mx_bf16x8 __attribute__((ext_vector_type(8)));
typedef f32 mx_f32x8 __attribute__((ext_vector_type(8)));

// Weights are the first operand, tokens the second: a thread then holds neighbouring rows of one token.
#if __GFX9__
// Four waves: 64 tokens times 64 rows, as 4 x 4 products of 16 and 16.
constexpr i32 mx_row_parts = 4, mx_sums_each = 4;
typedef f32x4 mx_part;
MX_DEVICE i32 mx_wave() { return mx_thread() >> 6; }
MX_DEVICE i32 mx_wave_lane() { return mx_thread() & 63; }
// Row of a part that sum i of a lane belongs to.
MX_DEVICE i32 mx_part_row(i32 lane, i32 i) { return (lane >> 4) * 4 + i; }
#else
// Eight waves: 64 tokens times 32 rows, as 2 x 4 products of 16 and 16.
constexpr i32 mx_row_parts = 2, mx_sums_each = 8;
typedef mx_f32x8 mx_part;
MX_DEVICE i32 mx_wave() { return mx_thread() >> 5; }
MX_DEVICE i32 mx_wave_lane() { return mx_thread() & 31; }
#if defined(__GFX12__)
MX_DEVICE i32 mx_part_row(i32 lane, i32 i) { return (lane >> 4) * 8 + i; }
#else
MX_DEVICE i32 mx_part_row(i32 lane, i32 i) { return i * 2 + (lane >> 4); }
#endif
#endif

struct MxSums {
  mx_part c[mx_row_parts][4];
};
MX_DEVICE void mx_zero(MxSums &s) {
  MX_UNROLL
  for (i32 i = 0; i < mx_row_parts; i++) {
    MX_UNROLL
    for (i32 j = 0; j < 4; j++) s.c[i][j] = mx_part(0.0f);
  }
}
MX_DEVICE void mx_multiply(MxSums &s, const u16 *x, const u16 *w, i32 tokens) {
  const i32 lane = mx_wave_lane(), token0 = (mx_wave() & 1) * 64, row0 = (mx_wave() >> 1) * mx_row_parts * 16;
  const u16 *x_lane = x + (token0 + (lane & 15)) * mx_tile_pitch, *w_lane = w + (row0 + (lane & 15)) * mx_tile_pitch;
#if defined(__gfx950__)
  constexpr i32 each = 8, together = 32;
  typedef mx_bf16x8 operand;
#elif __GFX9__
  constexpr i32 each = 4, together = 16;
  typedef mx_s16x4 operand;
#elif defined(__GFX12__)
  constexpr i32 each = 8, together = 16;
  typedef mx_s16x8 operand;
#else
  // Both halves of the wave hold all sixteen columns.
  constexpr i32 each = 0, together = 16;
  typedef mx_s16x16 operand;
#endif
  const i32 own = (lane >> 4) * each;
  MX_UNROLL
  for (i32 k = 0; k < mx_tile_step; k += together) {
    operand a[mx_row_parts];
    MX_UNROLL
    for (i32 i = 0; i < mx_row_parts; i++) __builtin_memcpy(&a[i], __builtin_assume_aligned(w_lane + i * 16 * mx_tile_pitch + k + own, 8), sizeof(operand));
    MX_UNROLL
    for (i32 j = 0; j < 4; j++) {
      if (token0 + j * 16 >= tokens) continue;
      operand b;
      __builtin_memcpy(&b, __builtin_assume_aligned(x_lane + j * 16 * mx_tile_pitch + k + own, 8), sizeof(operand));
      MX_UNROLL
      for (i32 i = 0; i < mx_row_parts; i++) {
#if defined(__gfx950__)
        s.c[i][j] = __builtin_amdgcn_mfma_f32_16x16x32_bf16(a[i], b, s.c[i][j], 0, 0, 0);
#elif __GFX9__
        s.c[i][j] = __builtin_amdgcn_mfma_f32_16x16x16bf16_1k(a[i], b, s.c[i][j], 0, 0, 0);
#elif defined(__GFX12__)
        s.c[i][j] = __builtin_amdgcn_wmma_f32_16x16x16_bf16_w32_gfx12(a[i], b, s.c[i][j]);
#else
        s.c[i][j] = __builtin_amdgcn_wmma_f32_16x16x16_bf16_w32(a[i], b, s.c[i][j]);
#endif
      }
    }
  }
}
MX_DEVICE void mx_put(const MxSums &s, f32 *sums, i32 first_token) {
  const i32 lane = mx_wave_lane(), token0 = (mx_wave() & 1) * 64, row0 = (mx_wave() >> 1) * mx_row_parts * 16;
  MX_UNROLL
  for (i32 j = 0; j < 4; j++) {
    const i32 at = token0 + j * 16 - first_token;
    if (at >= 0 && at < mx_sums_tokens) {
      MX_UNROLL
      for (i32 i = 0; i < mx_row_parts; i++) {
        MX_UNROLL
        for (i32 e = 0; e < mx_sums_each; e++) sums[(at + (lane & 15)) * mx_sums_pitch + row0 + i * 16 + mx_part_row(lane, e)] = s.c[i][j][e];
      }
    }
  }
}

#endif
