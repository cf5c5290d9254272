// Quantization of activations: to the grid of a small float format, and MX blocks of 32 with a shared power of two.
#pragma once
#include "numerics.h"

// Input kinds of MxInput.kind.
enum {
  MX_NONE = 0,
  MX_E2M1 = 1,
  MX_E3M2 = 2,
  MX_E2M3 = 3,
  MX_FP8_STATIC = 4,
  MX_FP8_ROW = 5,
  MX_FP8_STATIC_CODES = 6,
  MX_FP8_ROW_CODES = 7,
  MX_E4M3 = 8
};
// Scale rules of MX blocks: MxInput.rule.
enum { MX_EVEN = 0, MX_FLOOR = 1, MX_RCEIL = 2 };

// Of kinds that are not MX_NONE: whether blocks of 32 columns have a scale each.
MX_DEVICE bool mx_has_blocks(i32 kind) { return kind < MX_FP8_STATIC || kind == MX_E4M3; }
// Whether FP8 codes' values stay without their scale, which multiplies the sum.
MX_DEVICE bool mx_keeps_codes(i32 kind) { return kind == MX_FP8_STATIC_CODES || kind == MX_FP8_ROW_CODES; }

// A small float format: fraction bits, exponent of the smallest normal number, largest number.
struct MxGrid {
  i32 mantissa, min_exponent;
  f32 max;
};
MX_DEVICE MxGrid mx_grid_of(i32 kind) {
  return kind == MX_E2M1 ? MxGrid{1, 0, 6.0f} : (kind == MX_E3M2 ? MxGrid{2, -2, 28.0f} : (kind == MX_E2M3 ? MxGrid{3, 0, 7.5f} : MxGrid{3, -6, 448.0f}));
}

// |v| rounded to the nearest number of the grid, ties to even: adding 2^23 steps pushes everything below the step out of the
// fraction. Limited to the largest number; NaN stays NaN; the sign is v's.
MX_DEVICE f32 mx_to_grid(f32 v, const MxGrid &grid) {
  u32 b = mx_bits(v);
  f32 a = mx_float(b & 0x7fffffffu);
  if (a > grid.max) a = grid.max;
  // A NaN's exponent is kept from overflowing; its sum is NaN anyway.
  i32 exponent = mx_min(mx_max((i32)(mx_bits(a) >> 23), grid.min_exponent + 127), 200);
  f32 magic = mx_float((u32)(exponent - grid.mantissa + 23) << 23);
  f32 q = (a + magic) - magic;
  if (q > grid.max) q = grid.max;
  return mx_float(mx_bits(q) | (b & 0x80000000u));
}

MX_DEVICE f32 mx_to_fp8(f32 v) { return mx_to_grid(v, MxGrid{3, -6, 448.0f}); }

// Code of a number that lies on the e4m3fn grid.
MX_DEVICE u32 mx_fp8_code(f32 q) {
  u32 b = mx_bits(q), sign = (b >> 24) & 0x80u, a = b & 0x7fffffffu;
  if (a > 0x7f800000u) return 0xffu;
  // Below 2^-6 the code counts steps of 2^-9.
  if (a < 0x3c800000u) return sign | (u32)(mx_float(a) * 512.0f);
  return sign | ((a - 0x3c000000u) >> 20);
}
MX_DEVICE f32 mx_fp8_value(u32 code) {
  if ((code & 0x7fu) == 0x7fu) return mx_float(0x7fc00000u);
  f32 a = mx_float((code & 0x7fu) << 20) * 0x1p120f;
  return mx_float(mx_bits(a) | ((code & 0x80u) << 24));
}

// How the scale of an MX block follows from the bits of its largest magnitude.
struct MxScaling {
  // Added before the power of two is taken. MX_EVEN: half of the grid's last fraction bit; MX_RCEIL: what carries where the fraction is
  // larger than that of the grid's largest number.
  u32 carry;
  // Sums from which on the scale is the largest, 2^127: those of infinity, and of rounding to even that overflows the exponent.
  u32 limit;
};
MX_DEVICE MxScaling mx_scaling_of(const MxGrid &grid, i32 rule) {
  const u32 max = mx_bits(grid.max), above = rule == MX_RCEIL ? 0x7fffffu - (max & 0x7fffffu) : 0u;
  return MxScaling{rule == MX_EVEN ? 1u << (22 - grid.mantissa) : above, 0x7f800000u + above};
}

// The power of two that an MX block with largest magnitude `amax` (as bits) is divided by: that of the sum over that of the grid's largest
// number.
MX_DEVICE i32 mx_block_exponent(u32 amax, const MxGrid &grid, const MxScaling &scaling) {
  const u32 sum = amax + scaling.carry;
  return sum >= scaling.limit ? 127 : mx_max((i32)(sum >> 23) - (i32)(mx_bits(grid.max) >> 23), -127);
}

MX_DEVICE u32 mx_magnitude(f32 v) { return mx_bits(v) & 0x7fffffffu; }
MX_DEVICE u32 mx_magnitude(f32x4 v) {
  return mx_max(mx_max(mx_magnitude(v.x), mx_magnitude(v.y)), mx_max(mx_magnitude(v.z), mx_magnitude(v.w)));
}

// Scale of a row for FP8 per token.
MX_DEVICE f32 mx_row_scale(f32 amax) {
  f32 s = amax / 448.0f;
  return s < 1.0f / (448.0f * 512.0f) ? 1.0f / (448.0f * 512.0f) : s;
}

// The exponent of the block of 32 that four numbers of eight neighbouring threads make (all threads of the group must call). 128 stands
// for NaN: a block with a NaN is NaN throughout.
MX_DEVICE i32 mx_block_exponent4(f32x4 v, const MxGrid &grid, const MxScaling &scaling) {
  u32 amax = mx_magnitude(v);
  MX_UNROLL
  for (i32 mask = 1; mask < 8; mask <<= 1) amax = mx_max(amax, mx_shuffle_xor(amax, mask));
  return amax > 0x7f800000u ? 128 : mx_block_exponent(amax, grid, scaling);
}

// Code of a number that lies on the e2m1 grid; NaN gives 0 (its block's scale says NaN).
MX_DEVICE u32 mx_fp4_code(f32 q) {
  const u32 b = mx_bits(q), a = b & 0x7fffffffu, sign = (b >> 28) & 8u;
  if (a > 0x7f800000u) return 0;
  // 0.5 is the one subnormal; from 1 on exponent and fraction follow those of float32.
  return sign | (a < 0x3f800000u ? (a != 0u ? 1u : 0u) : (a - 0x3f000000u) >> 22);
}

// QDQ of four numbers. For MX kinds they are a quarter of a quarter of a block of 32 that lies in eight neighbouring threads (all threads of
// the group must call); for FP8 kinds `scale` is the static or the row's scale.
MX_DEVICE f32x4 mx_qdq(f32x4 v, i32 kind, const MxScaling &scaling, f32 scale, i32 round) {
  const MxGrid grid = mx_grid_of(kind);
  const bool blocks = mx_has_blocks(kind);
  f32 back = scale;
  if (blocks) {
    const i32 e = mx_block_exponent4(v, grid, scaling);
    back = e == 128 ? mx_float(0x7fc00000u) : mx_exp2i(e);
    v = v * mx_exp2i(-e);
  } else {
    v = v / f32x4{scale, scale, scale, scale};
    if (mx_keeps_codes(kind)) back = 1.0f;
  }
  MX_UNROLL
  for (i32 i = 0; i < 4; i++) {
    f32 q = mx_to_grid(v[i], grid) * back;
    v[i] = blocks ? q : mx_round_if(q, round);
  }
  return v;
}
