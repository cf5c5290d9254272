// Roundings, number formats of vectors and caches, and exp: integer and FMA code, the same bits on every machine.
#pragma once
#include "platform.h"

// Nearest bfloat16, ties to even, in the upper half of the word; NaN stays NaN.
MX_DEVICE u32 mx_bf16_bits(f32 v) {
  u32 b = mx_bits(v);
  if ((b & 0x7fffffffu) > 0x7f800000u) return (b & 0xffff0000u) | 0x00400000u;
  return (b + 0x7fffu + ((b >> 16) & 1u)) & 0xffff0000u;
}
MX_DEVICE f32 mx_round_bf16(f32 v) { return mx_float(mx_bf16_bits(v)); }
MX_DEVICE f32 mx_round_if(f32 v, i32 round) { return round ? mx_round_bf16(v) : v; }

// The numbers of a pair of bf16 numbers.
MX_DEVICE f32 mx_low(u32 w) { return mx_float(w << 16); }
MX_DEVICE f32 mx_high(u32 w) { return mx_float(w & 0xffff0000u); }
// Two numbers that are bf16 numbers already, packed.
MX_DEVICE u32 mx_pack_exact(f32 low, f32 high) { return (mx_bits(low) >> 16) | (mx_bits(high) & 0xffff0000u); }
MX_DEVICE u32 mx_pack(f32 low, f32 high) { return (mx_bf16_bits(low) >> 16) | mx_bf16_bits(high); }

// 2^k for -127 <= k <= 127.
MX_DEVICE f32 mx_exp2i(i32 k) { return k > -127 ? mx_float((u32)(k + 127) << 23) : mx_float(0x00400000u); }

// Value of an e8m0 byte: 2^(b - 127); 255 is NaN.
MX_DEVICE f32 mx_e8m0(u32 b) { return mx_float((b << 23) | ((b == 0u || b == 255u) ? 0x00400000u : 0u)); }

MX_DEVICE f32 mx_half(u32 bits) { return (f32)__builtin_bit_cast(_Float16, (u16)bits); }

// Number formats of vectors, tables and caches.
enum { MX_BF16 = 0, MX_F32 = 1, MX_F16 = 2, MX_FP8 = 3 };

// Element i of a vector of format 0..2 (byte loads are not needed: elements are aligned to their size).
MX_DEVICE f32 mx_element(const void *base, i32 format, i64 i) {
  if (format == MX_F32) return mx_global<f32>(base)[i];
  u32 h = mx_global<u16>(base)[i];
  // NaN for a number that is no format; a trap here makes kernels spill.
  return format == MX_BF16 ? mx_float(h << 16) : (format == MX_F16 ? mx_half(h) : mx_float(0x7fc00000u));
}

// Sum of x*w needs exp within about 1 ulp everywhere: exp(x) = 2^n * exp(r), |r| <= ln(2)/2, ln(2) in two parts (Cody and Waite),
// and the Taylor polynomial of degree 7 (its error, 2^-28 relative, is below the roundings of the Horner steps).
MX_DEVICE f32 mx_exp(f32 x) {
  if (x != x) return x;
  x = mx_min(mx_max(x, -104.0f), 89.0f);
  f32 n = __builtin_rintf(x * 1.44269504f);
  f32 r = mx_fma(n, -0.693359375f, x);
  r = mx_fma(n, 2.12194440e-4f, r);
  f32 p = 1.98412698e-4f;
  p = mx_fma(p, r, 1.38888889e-3f);
  p = mx_fma(p, r, 8.33333333e-3f);
  p = mx_fma(p, r, 4.16666667e-2f);
  p = mx_fma(p, r, 1.66666667e-1f);
  p = mx_fma(p, r, 0.5f);
  p = mx_fma(p, r, 1.0f);
  p = mx_fma(p, r, 1.0f);
  // n is in -150..128: two factors keep each a normal number.
  i32 k = (i32)n, half = k >> 1;
  return p * mx_exp2i(half) * mx_exp2i(k - half);
}

MX_DEVICE f32 mx_sigmoid(f32 x) { return 1.0f / (1.0f + mx_exp(-x)); }

MX_DEVICE f32 mx_swiglu(f32 gate, f32 up, f32 alpha, f32 limit) {
  f32 g = gate > limit ? limit : gate;
  f32 u = up > limit ? limit : (up < -limit ? -limit : up);
  return (u + 1.0f) * g * mx_sigmoid(alpha * g);
}
