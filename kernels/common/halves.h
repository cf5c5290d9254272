// Sixteen neighbouring weights of a row as bf16 pairs, for tiles of the matrix instructions: loaded early (`load`), decoded late
// (`pairs`), so that the loads of one step are in flight while the step before is multiplied.
#pragma once
#include "formats.h"

// Two bf16 numbers times two, on NVIDIA in one instruction; factors are powers of two and products bf16 numbers, so nothing is rounded.
MX_DEVICE u32 mx_scale_pair(u32 pair, u32 factor) {
#if defined(__NVPTX__)
  u32 r;
  __asm__("mul.rn.bf16x2 %0, %1, %2;" : "=r"(r) : "r"(pair), "r"(factor));
  return r;
#else
  return mx_pack_exact(mx_low(pair) * mx_low(factor), mx_high(pair) * mx_low(factor));
#endif
}
// The low and the high halves of two words.
MX_DEVICE u32 mx_lows(u32 a, u32 b) { return (a & 0xffffu) | (b << 16); }
MX_DEVICE u32 mx_highs(u32 a, u32 b) { return (a >> 16) | (b & 0xffff0000u); }

// A block's scale as a pair of bf16 numbers, which have all of them (2^-127 as a subnormal).
MX_DEVICE u32 mx_fp4_factor(u32 scale) {
  const u32 s = (scale << 7) | ((scale == 0u || scale == 255u) ? 0x40u : 0u);
  return s | s << 16;
}
// Columns 0 4, 1 5, 2 6, 3 7 of eight columns of MXFP4, as bf16 pairs.
MX_DEVICE u32x4 mx_fp4_eight(u32 w, u32 factor) {
  // A product by two powers of two puts a code's bits where sign and number belong; the mask drops what else it gives. The decoded number
  // is 2^126 times too small.
  const u32 low = w, high = w >> 8, first = 0x1040u, second = 0x104u, mask = 0x81c081c0u, up = 0x7e807e80u;
  u32x4 p = {(low & 0x000f000fu) * first & mask, (low & 0x00f000f0u) * second & mask, (high & 0x000f000fu) * first & mask,
             (high & 0x00f000f0u) * second & mask};
  MX_UNROLL
  for (i32 i = 0; i < 4; i++) p[i] = mx_scale_pair(mx_scale_pair(p[i], up), factor);
  return p;
}

template <class F> struct MxHalf;

template <> struct MxHalf<MxPlain<MX_BF16>> {
  u32x4 a, b;
  // Of whole and aligned rows, where all sixteen columns exist.
  static MX_DEVICE MxHalf load_whole(const MX_GLOBAL u8 *row, const MX_GLOBAL u8 *, i32 col) {
    const MX_GLOBAL u32x4 *p = (const MX_GLOBAL u32x4 *)(row + (i64)col * 2);
    return MxHalf{mx_load_stream(p), mx_load_stream(p + 1)};
  }
  static MX_DEVICE MxHalf load(const MxLinear &l, const MX_GLOBAL u8 *row, const MX_GLOBAL u8 *, i32 col, bool fast) {
    MxHalf h = {};
    if (fast) {
      if (col < l.cols) h.a = *(const MX_GLOBAL u32x4 *)(row + (i64)col * 2);
      if (col + 8 < l.cols) h.b = *(const MX_GLOBAL u32x4 *)(row + (i64)col * 2 + 16);
    } else {
      MX_UNROLL
      for (i32 i = 0; i < 8; i++) {
        const i32 at = col + 2 * i;
        const MX_GLOBAL u16 *p = (const MX_GLOBAL u16 *)row + at;
        const u32 w = (at < l.cols ? (u32)p[0] : 0u) | (at + 1 < l.cols ? (u32)p[1] << 16 : 0u);
        if (i < 4) h.a[i] = w;
        else h.b[i - 4] = w;
      }
    }
    return h;
  }
  MX_DEVICE void pairs(u32 (&out)[8], i32) const {
    MX_UNROLL
    for (i32 i = 0; i < 4; i++) out[i] = a[i], out[i + 4] = b[i];
  }
};

template <> struct MxHalf<MxFp4> {
  u32x2 w;
  u32 scale;
  static MX_DEVICE MxHalf load(const MxLinear &l, const MX_GLOBAL u8 *row, const MX_GLOBAL u8 *scales, i32 col, bool) {
    MxHalf h = {};
    if (col < l.cols) h.w = *(const MX_GLOBAL u32x2 *)(row + (col >> 1)), h.scale = scales[col >> 5];
    return h;
  }
  MX_DEVICE void pairs(u32 (&out)[8], i32) const {
    // 2^126 undoes the decoding's 2^-126; then the block's scale, a power of two that bf16 has (2^-127 as a subnormal).
    const u32 s = (scale << 7) | ((scale == 0u || scale == 255u) ? 0x40u : 0u), factor = s | s << 16, up = 0x7e807e80u;
    MX_UNROLL
    for (i32 i = 0; i < 2; i++) {
      const u32 p0 = mx_scale_pair(mx_scale_pair(MxFp4::pair<0>(w[i]), up), factor), p1 = mx_scale_pair(mx_scale_pair(MxFp4::pair<1>(w[i]), up), factor);
      const u32 p2 = mx_scale_pair(mx_scale_pair(MxFp4::pair<2>(w[i]), up), factor), p3 = mx_scale_pair(mx_scale_pair(MxFp4::pair<3>(w[i]), up), factor);
      out[4 * i] = mx_lows(p0, p1), out[4 * i + 1] = mx_lows(p2, p3), out[4 * i + 2] = mx_highs(p0, p1), out[4 * i + 3] = mx_highs(p2, p3);
    }
  }
};

template <i32 M> struct MxHalf<MxFp6<M>> {
  u32 w[3], scale;
  static MX_DEVICE MxHalf load_whole(const MX_GLOBAL u8 *row, const MX_GLOBAL u8 *scales, i32 col) {
    const MX_GLOBAL u32 *p = (const MX_GLOBAL u32 *)(row + (col >> 2) * 3);
    return MxHalf{{p[0], p[1], p[2]}, scales[col >> 5]};
  }
  static MX_DEVICE MxHalf load(const MxLinear &l, const MX_GLOBAL u8 *row, const MX_GLOBAL u8 *scales, i32 col, bool) {
    MxHalf h = {};
    if (col < l.cols) {
      const MX_GLOBAL u32 *p = (const MX_GLOBAL u32 *)(row + (col >> 2) * 3);
      h.w[0] = p[0], h.w[1] = p[1], h.w[2] = p[2], h.scale = scales[col >> 5];
    }
    return h;
  }
  MX_DEVICE void pairs(u32 (&out)[8], i32) const {
    const f32 s = mx_e8m0(scale);
    MX_UNROLL
    for (i32 i = 0; i < 8; i++) {
      // Codes 2i and 2i+1: twelve bits from bit 12i.
      const i32 word = i * 12 / 32, bit = i * 12 % 32;
      u32 codes = w[word] >> bit;
      if (bit > 20) codes |= w[word + 1 > 2 ? 2 : word + 1] << (32 - bit);
      out[i] = mx_pack_exact(MxFp6<M>::number(codes) * MxFp6<M>::Factor * s, MxFp6<M>::number(codes >> 6) * MxFp6<M>::Factor * s);
    }
  }
};

template <> struct MxHalf<MxFp8> {
  u32x4 w;
  static MX_DEVICE MxHalf load_whole(const MX_GLOBAL u8 *row, const MX_GLOBAL u8 *, i32 col) { return MxHalf{mx_load_stream((const MX_GLOBAL u32x4 *)(row + col))}; }
  static MX_DEVICE MxHalf load(const MxLinear &l, const MX_GLOBAL u8 *row, const MX_GLOBAL u8 *, i32 col, bool fast) {
    MxHalf h = {};
    if (fast) {
      if (col < l.cols) h.w = *(const MX_GLOBAL u32x4 *)(row + col);
    } else {
      MX_UNROLL
      for (i32 i = 0; i < 4; i++) h.w[i] = mx_bytes(row + col + 4 * i, mx_max(0, mx_min(4, l.cols - col - 4 * i)));
    }
    return h;
  }
  MX_DEVICE void pairs(u32 (&out)[8], i32 flags) const {
    MX_UNROLL
    for (i32 i = 0; i < 8; i++) {
      const u32 two = w[i / 2] >> (16 * (i & 1));
      out[i] = mx_pack_exact(MxFp8::one(two & 255u, flags), MxFp8::one((two >> 8) & 255u, flags));
    }
  }
};
