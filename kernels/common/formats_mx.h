// The MX formats among those of formats.h: blocks of 32 columns, each with an e8m0 scale, decoded without tables.
#pragma once
#include "numerics.h"
#include "abi.h"

// -- MXFP4: 32 columns in 16 bytes, even column in the low nibble --

struct MxFp4 {
  static constexpr bool prescaled = true, blocks = true;
  static constexpr i32 Columns = 32, Bytes = 16;
  struct Raw {
    u32x4 w;
    u32 scale;
  };
  static MX_DEVICE f32 unscale(i32) { return 0x1p62f; }
  static MX_DEVICE bool aligned(const MxLinear &) { return true; }
  static MX_DEVICE Raw zero() { return Raw{u32x4{0, 0, 0, 0}, 0}; }
  static MX_DEVICE Raw load(const MX_GLOBAL u8 *row, i32 unit, const MX_GLOBAL u8 *scales) {
    return Raw{mx_load_stream((const MX_GLOBAL u32x4 *)(row + (i64)unit * 16)), scales[unit]};
  }
  // Nibbles I and I+4 of a word as a pair of bf16 numbers times 2^-126: sign to bit 15, exponent and fraction to bits 8..6.
  template <i32 I> static MX_DEVICE u32 pair(u32 w) {
    u32 sign, number;
    if constexpr (I == 3) sign = w;
    else sign = w << (12 - 4 * I);
    if constexpr (I < 2) number = w << (6 - 4 * I);
    else number = w >> (4 * I - 6);
    return (sign & 0x80008000u) | (number & 0x01c001c0u);
  }
  template <i32 T> static MX_DEVICE void dot(const Raw &r, const f32x4 *x, i32 token_stride, f32 (&parts)[T], u32 &) {
    f32 even[T], odd[T];
    MX_UNROLL
    for (i32 t = 0; t < T; t++) even[t] = odd[t] = 0.0f;
    MX_UNROLL
    for (i32 i = 0; i < 4; i++) {
      if (T > 1) mx_schedule_barrier();
      const u32 w = r.w[i];
      const u32 p0 = pair<0>(w), p1 = pair<1>(w), p2 = pair<2>(w), p3 = pair<3>(w);
      MX_UNROLL
      for (i32 t = 0; t < T; t++) {
        const f32x4 a = x[2 * i + t * token_stride], b = x[2 * i + 1 + t * token_stride];
        even[t] = mx_fma(mx_low(p0), a.x, even[t]);
        odd[t] = mx_fma(mx_low(p1), a.y, odd[t]);
        even[t] = mx_fma(mx_low(p2), a.z, even[t]);
        odd[t] = mx_fma(mx_low(p3), a.w, odd[t]);
        even[t] = mx_fma(mx_high(p0), b.x, even[t]);
        odd[t] = mx_fma(mx_high(p1), b.y, odd[t]);
        even[t] = mx_fma(mx_high(p2), b.z, even[t]);
        odd[t] = mx_fma(mx_high(p3), b.w, odd[t]);
      }
    }
    MX_UNROLL
    for (i32 t = 0; t < T; t++) parts[t] = even[t] + odd[t];
  }
  static MX_DEVICE void decode8(const MxLinear &, const MX_GLOBAL u8 *row, const MX_GLOBAL u8 *scales, i32 col, bool, f32 *out) {
    u32 w = *(const MX_GLOBAL u32 *)(row + (col >> 1));
    f32 s = mx_e8m0(scales[col >> 5]);
    u32 p0 = pair<0>(w), p1 = pair<1>(w), p2 = pair<2>(w), p3 = pair<3>(w);
    out[0] = mx_low(p0) * 0x1p126f * s, out[1] = mx_low(p1) * 0x1p126f * s, out[2] = mx_low(p2) * 0x1p126f * s, out[3] = mx_low(p3) * 0x1p126f * s;
    out[4] = mx_high(p0) * 0x1p126f * s, out[5] = mx_high(p1) * 0x1p126f * s, out[6] = mx_high(p2) * 0x1p126f * s, out[7] = mx_high(p3) * 0x1p126f * s;
  }
};

// -- MXFP6: 32 columns in 24 bytes, code c of a group of four at bits 6c of three bytes --

template <i32 Mantissa> struct MxFp6 {
  static constexpr bool prescaled = true, blocks = true;
  static constexpr i32 Columns = 32, Bytes = 24;
  static constexpr i32 Shift = 23 - Mantissa;
  // e3m2 has bias 3, e2m3 bias 1: the code moved up is the number times 2^(bias - 127).
  static constexpr f32 Factor = Mantissa == 2 ? 0x1p124f : 0x1p126f;
  struct Raw {
    u32x2 w[3];
    u32 scale;
  };
  static MX_DEVICE f32 unscale(i32) { return Mantissa == 2 ? 0x1p60f : 0x1p62f; }
  static MX_DEVICE bool aligned(const MxLinear &) { return true; }
  static MX_DEVICE Raw zero() { return Raw{{u32x2{0, 0}, u32x2{0, 0}, u32x2{0, 0}}, 0}; }
  static MX_DEVICE Raw load(const MX_GLOBAL u8 *row, i32 unit, const MX_GLOBAL u8 *scales) {
    const MX_GLOBAL u32x2 *p = (const MX_GLOBAL u32x2 *)(row + (i64)unit * 24);
    return Raw{{mx_load_stream(p), mx_load_stream(p + 1), mx_load_stream(p + 2)}, scales[unit]};
  }
  // The number of the code in the low six bits, times 1 / Factor.
  static MX_DEVICE f32 number(u32 code) { return mx_float(((code & 32u) << 26) | ((code & 31u) << Shift)); }
  template <i32 T> static MX_DEVICE void dot(const Raw &r, const f32x4 *x, i32 token_stride, f32 (&parts)[T], u32 &) {
    f32 even[T], odd[T];
    MX_UNROLL
    for (i32 t = 0; t < T; t++) even[t] = odd[t] = 0.0f;
    const u32 words[7] = {r.w[0].x, r.w[0].y, r.w[1].x, r.w[1].y, r.w[2].x, r.w[2].y, 0};
    MX_UNROLL
    for (i32 q = 0; q < 8; q++) {
      if (T > 1) mx_schedule_barrier();
      // Four codes: 24 bits from bit 24q.
      const i32 word = q * 24 / 32, bit = q * 24 % 32;
      const u32 w = bit == 0 ? words[word] : (bit == 8 ? words[word] >> 8 : (words[word] >> bit) | (words[word + 1] << (32 - bit)));
      const f32 w0 = number(w), w1 = number(w >> 6), w2 = number(w >> 12), w3 = number(w >> 18);
      MX_UNROLL
      for (i32 t = 0; t < T; t++) {
        const f32x4 a = x[q + t * token_stride];
        even[t] = mx_fma(w0, a.x, even[t]);
        odd[t] = mx_fma(w1, a.y, odd[t]);
        even[t] = mx_fma(w2, a.z, even[t]);
        odd[t] = mx_fma(w3, a.w, odd[t]);
      }
    }
    MX_UNROLL
    for (i32 t = 0; t < T; t++) parts[t] = even[t] + odd[t];
  }
  static MX_DEVICE void decode8(const MxLinear &, const MX_GLOBAL u8 *row, const MX_GLOBAL u8 *scales, i32 col, bool, f32 *out) {
    const MX_GLOBAL u16 *p = (const MX_GLOBAL u16 *)(row + (col >> 2) * 3);
    u64 w = (u64)p[0] | (u64)p[1] << 16 | (u64)p[2] << 32;
    f32 s = mx_e8m0(scales[col >> 5]);
    MX_UNROLL
    for (i32 i = 0; i < 8; i++) out[i] = number((u32)(w >> (6 * i))) * Factor * s;
  }
};
