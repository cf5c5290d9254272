// How stored weights turn into numbers. One struct per format, all with the same members; -DMX_FORMAT=<name> picks one.
//
// - `Columns`: columns of a unit, the piece of a row that one thread loads at once; a unit is `Bytes` long.
// - `Raw` holds a unit as loaded by `load`, which needs whole and aligned units; `aligned` says whether the matrix has them. `factor` is one
//   number of a matrix that has not (formats without blocks only), in the scaling of `dot`.
// - `dot<T>(raw, x, token_stride, parts, nan)` gives the sums of the unit's products with T inputs; columns 4j..4j+3 of the unit of input t are
//   x[j + t * token_stride].
// - `decode8` gives eight consecutive numbers, for tiles.
//
// The small formats decode without tables: a code's exponent and fraction bits, moved to where float32 has them, are the number times
// a power of two that only depends on the format (a subnormal float32, exact). The caller multiplies x by 2^64 beforehand and block sums by
// `unscale()` afterwards; both are exact.
#pragma once
#include "formats_mx.h"

// Up to four bytes of an address with any alignment, one by one (the ISA emulator has no unaligned loads).
MX_DEVICE u32 mx_bytes(const MX_GLOBAL u8 *p, i32 count) {
  u32 v = 0;
  MX_NO_UNROLL
  for (i32 i = 0; i < count; i++) v |= (u32)p[i] << (8 * i);
  return v;
}

constexpr f32 mx_prescale_value = 0x1p64f;

// -- plain numbers --

template <i32 Kind> struct MxPlain {
  static constexpr bool prescaled = false, blocks = false;
  static constexpr i32 Size = Kind == MX_F32 ? 4 : 2;
  static constexpr i32 Columns = 16 / Size, Bytes = 16;
  struct Raw {
    u32x4 w;
  };
  static MX_DEVICE f32 unscale(i32) { return 1.0f; }
  static MX_DEVICE bool aligned(const MxLinear &l) { return (l.row_stride & 15) == 0 && (((u64)l.weight) & 15) == 0 && l.cols % Columns == 0; }
  static MX_DEVICE Raw zero() { return Raw{u32x4{0, 0, 0, 0}}; }
  static MX_DEVICE Raw load(const MX_GLOBAL u8 *row, i32 unit, const MX_GLOBAL u8 *) {
    return Raw{mx_load_stream((const MX_GLOBAL u32x4 *)(row + (i64)unit * 16))};
  }
  static MX_DEVICE f32 pair(u32 w, i32 high) { return Kind == MX_BF16 ? (high ? mx_high(w) : mx_low(w)) : mx_half(high ? w >> 16 : w & 0xffffu); }
  template <i32 T> static MX_DEVICE void dot(const Raw &r, const f32x4 *x, i32 token_stride, f32 (&parts)[T], u32 &) {
    MX_UNROLL
    for (i32 t = 0; t < T; t++) {
      const f32x4 a = x[t * token_stride];
      f32 sum;
      if constexpr (Kind == MX_F32) {
        sum = mx_float(r.w.x) * a.x;
        sum = mx_fma(mx_float(r.w.y), a.y, sum);
        sum = mx_fma(mx_float(r.w.z), a.z, sum);
        sum = mx_fma(mx_float(r.w.w), a.w, sum);
      } else {
        const f32x4 b = x[t * token_stride + 1];
        sum = pair(r.w.x, 0) * a.x;
        sum = mx_fma(pair(r.w.x, 1), a.y, sum);
        sum = mx_fma(pair(r.w.y, 0), a.z, sum);
        sum = mx_fma(pair(r.w.y, 1), a.w, sum);
        sum = mx_fma(pair(r.w.z, 0), b.x, sum);
        sum = mx_fma(pair(r.w.z, 1), b.y, sum);
        sum = mx_fma(pair(r.w.w, 0), b.z, sum);
        sum = mx_fma(pair(r.w.w, 1), b.w, sum);
      }
      parts[t] = sum;
    }
  }
  static MX_DEVICE f32 factor(const MX_GLOBAL u8 *row, i32 col, u32 &) {
    if constexpr (Kind == MX_F32) return ((const MX_GLOBAL f32 *)row)[col];
    const u32 w = ((const MX_GLOBAL u16 *)row)[col];
    return Kind == MX_BF16 ? mx_float(w << 16) : mx_half(w);
  }
  static MX_DEVICE void decode8(const MxLinear &l, const MX_GLOBAL u8 *row, const MX_GLOBAL u8 *, i32 col, bool fast, f32 *out) {
    if (fast) {
      u32x4 w = *(const MX_GLOBAL u32x4 *)(row + (i64)col * Size);
      if constexpr (Kind == MX_F32) {
        // A unit is four columns: behind a row's last one lies what may be a NaN.
        u32x4 v = {0, 0, 0, 0};
        if (col + 4 < l.cols) v = *(const MX_GLOBAL u32x4 *)(row + (i64)col * Size + 16);
        out[0] = mx_float(w.x), out[1] = mx_float(w.y), out[2] = mx_float(w.z), out[3] = mx_float(w.w);
        out[4] = mx_float(v.x), out[5] = mx_float(v.y), out[6] = mx_float(v.z), out[7] = mx_float(v.w);
      } else {
        out[0] = pair(w.x, 0), out[1] = pair(w.x, 1), out[2] = pair(w.y, 0), out[3] = pair(w.y, 1);
        out[4] = pair(w.z, 0), out[5] = pair(w.z, 1), out[6] = pair(w.w, 0), out[7] = pair(w.w, 1);
      }
    } else {
      MX_UNROLL
      for (i32 i = 0; i < 8; i++) {
        u32 nan = 0;
        out[i] = col + i < l.cols ? factor(row, col + i, nan) : 0.0f;
      }
    }
  }
};

// -- FP8 e4m3fn and e4m3fnuz (flag): a scale per tensor or per row, applied to the sum --

struct MxFp8 {
  static constexpr bool prescaled = true, blocks = false;
  static constexpr i32 Columns = 16, Bytes = 16;
  struct Raw {
    u32x4 w;
  };
  static MX_DEVICE f32 unscale(i32 flags) { return flags & 1 ? 0x1p55f : 0x1p56f; }
  static MX_DEVICE bool aligned(const MxLinear &l) { return (l.row_stride & 15) == 0 && (((u64)l.weight) & 15) == 0 && l.cols % 16 == 0; }
  static MX_DEVICE Raw zero() { return Raw{u32x4{0, 0, 0, 0}}; }
  static MX_DEVICE Raw load(const MX_GLOBAL u8 *row, i32 unit, const MX_GLOBAL u8 *) {
    return Raw{mx_load_stream((const MX_GLOBAL u32x4 *)(row + (i64)unit * 16))};
  }
  // The number of byte I of a word, times 2^-120 (fnuz: 2^-119).
  template <i32 I> static MX_DEVICE f32 number(u32 w) {
    u32 sign, number;
    if constexpr (I == 3) sign = w, number = w >> 4;
    else sign = w << (24 - 8 * I), number = w << (I == 0 ? 20 : (I == 1 ? 12 : 4));
    return mx_float((sign & 0x80000000u) | (number & 0x07f00000u));
  }
  // Nonzero where a byte is NaN: 0x7f and 0xff, of e4m3fnuz 0x80. A NaN weight makes its row NaN, so this is looked at once a row.
  static MX_DEVICE u32 nan_bytes(u32 w) { return (((w & 0x7f7f7f7fu) + 0x01010101u) & 0x80808080u); }
  static MX_DEVICE u32 nan_bytes_fnuz(u32 w) {
    u32 v = w ^ 0x80808080u;
    return (v - 0x01010101u) & ~v & 0x80808080u;
  }
  // `nan` carries the flags in bit 0 and collects in bits above.
  template <i32 T> static MX_DEVICE void dot(const Raw &r, const f32x4 *x, i32 token_stride, f32 (&parts)[T], u32 &nan) {
    f32 even[T], odd[T];
    MX_UNROLL
    for (i32 t = 0; t < T; t++) even[t] = odd[t] = 0.0f;
    MX_UNROLL
    for (i32 i = 0; i < 4; i++) {
      if (T > 1) mx_schedule_barrier();
      const u32 w = r.w[i];
      nan |= (nan & 1u) ? nan_bytes_fnuz(w) : nan_bytes(w);
      const f32 w0 = number<0>(w), w1 = number<1>(w), w2 = number<2>(w), w3 = number<3>(w);
      MX_UNROLL
      for (i32 t = 0; t < T; t++) {
        const f32x4 a = x[i + t * token_stride];
        even[t] = mx_fma(w0, a.x, even[t]);
        odd[t] = mx_fma(w1, a.y, odd[t]);
        even[t] = mx_fma(w2, a.z, even[t]);
        odd[t] = mx_fma(w3, a.w, odd[t]);
      }
    }
    MX_UNROLL
    for (i32 t = 0; t < T; t++) parts[t] = even[t] + odd[t];
  }
  static MX_DEVICE f32 factor(const MX_GLOBAL u8 *row, i32 col, u32 &nan) {
    u32 w = row[col];
    nan |= (nan & 1u) ? nan_bytes_fnuz(w | 0x01010100u) : nan_bytes(w);
    return number<0>(w);
  }
  static MX_DEVICE f32 one(u32 code, i32 flags) {
    if (flags & 1 ? code == 0x80u : (code & 0x7fu) == 0x7fu) return mx_float(0x7fc00000u);
    return number<0>(code) * (flags & 1 ? 0x1p119f : 0x1p120f);
  }
  static MX_DEVICE void decode8(const MxLinear &l, const MX_GLOBAL u8 *row, const MX_GLOBAL u8 *, i32 col, bool fast, f32 *out) {
    u32 low, high;
    if (fast) {
      u32x2 w = *(const MX_GLOBAL u32x2 *)(row + col);
      low = w.x, high = w.y;
    } else {
      low = mx_bytes(row + col, mx_max(0, mx_min(4, l.cols - col)));
      high = mx_bytes(row + col + 4, mx_max(0, mx_min(4, l.cols - col - 4)));
    }
    MX_UNROLL
    for (i32 i = 0; i < 4; i++) out[i] = one((low >> (8 * i)) & 255u, l.flags), out[i + 4] = one((high >> (8 * i)) & 255u, l.flags);
  }
};

using mx_format_bf16 = MxPlain<MX_BF16>;
using mx_format_f32 = MxPlain<MX_F32>;
using mx_format_f16 = MxPlain<MX_F16>;
using mx_format_mxfp4 = MxFp4;
using mx_format_mxfp6_e3m2 = MxFp6<2>;
using mx_format_mxfp6_e2m3 = MxFp6<3>;
using mx_format_fp8 = MxFp8;

#define MX_PASTE_(a, b) a##b
#define MX_PASTE(a, b) MX_PASTE_(a, b)

// What multiplies a finished sum: the weight's scale and the input's, then the bias is added.
MX_DEVICE f32 mx_epilogue(const MxLinear &l, f32 sum, i32 row, f32 x_scale) {
  if (l.scale && l.scale_stride == 0) sum = sum * mx_global<f32>(l.scale)[row];
  else sum = sum * l.tensor_scale;
  sum = sum * x_scale;
  return l.bias ? sum + mx_element(l.bias, l.bias_format, row) : sum;
}
