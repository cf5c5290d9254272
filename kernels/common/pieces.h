// How the kernels for batches (gemm_batch.hip) take a row of weights to pieces: which columns a lane of a warp has, as which pairs of bf16
// numbers.
#pragma once
#include "halves.h"

// What a lane takes of a row of weights in one step: `eights` times eight columns, as pairs of bf16 numbers; `column` says which they are,
// so that four lanes ask for whole sectors of 32 bytes together.
template <class F> struct MxPiece {
  static constexpr i32 eights = 2, step = 64, token_pieces = 9;
  static MX_DEVICE i32 column(i32 quarter, i32 k) { return 16 * quarter + 8 * k; }
  MxHalf<F> raw;
  MX_DEVICE void load(const MxLinear &l, const MX_GLOBAL u8 *row, const MX_GLOBAL u8 *scales, i32 first, i32 quarter) {
    raw = MxHalf<F>::load_whole(row, scales, mx_min(first + column(quarter, 0), l.cols - 16));
  }
  MX_DEVICE void pairs(u32 (&out)[8], i32 flags) const { raw.pairs(out, flags); }
};
template <> struct MxPiece<MxPlain<MX_BF16>> {
  static constexpr i32 eights = 2, step = 64, token_pieces = 12;
  static MX_DEVICE i32 column(i32 quarter, i32 k) { return 32 * k + 8 * quarter; }
  u32x4 w[2];
  MX_DEVICE void load(const MxLinear &l, const MX_GLOBAL u8 *row, const MX_GLOBAL u8 *, i32 first, i32 quarter) {
    MX_UNROLL
    for (i32 k = 0; k < 2; k++) {
      const MX_GLOBAL u8 *const from = row + 2 * mx_min(first + column(quarter, k), l.cols - 8);
#if defined(MX_HOST)
      w[k] = *(const u32x4 *)from;
#else
      // Volatile: must not sink below the wait for the launch ahead.
      __asm__ volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
                       : "=r"(w[k].x), "=r"(w[k].y), "=r"(w[k].z), "=r"(w[k].w)
                       : "l"(from));
#endif
    }
  }
  MX_DEVICE void pairs(u32 (&out)[8], i32) const {
    MX_UNROLL
    for (i32 i = 0; i < 4; i++) out[i] = w[0][i], out[4 + i] = w[1][i];
  }
};
// Two blocks of MXFP4, which come by way of LDS (see Batch), so that four lanes take a line of 128 bytes of a row: memory gives half as
// much where it is asked for less at a time. Of eight columns it gives 0 4, 1 5, 2 6, 3 7, and so must the input lie (qdq's order 1).
template <> struct MxPiece<MxFp4> {
  static constexpr i32 eights = 8, step = 256, token_pieces = 44;
  static MX_DEVICE i32 column(i32 quarter, i32 k) { return 128 * (k >> 2) + 32 * quarter + 8 * (k & 3); }
  u32x4 w[2];
  u32 scale[2];
};
// Where eight columns of a token's step lie in LDS, in pieces of 16 bytes: so that what eight lanes read at once lies in different banks.
template <class F> MX_DEVICE i32 mx_piece_place(i32 column) { return MxPiece<F>::eights == 8 ? column / 32 * 5 + column % 32 / 8 : column / 8; }
struct MxFp4Pairs {
  u32x4 w;
  u32 factor;
  MX_DEVICE MxFp4Pairs(const MxPiece<MxFp4> &piece, i32 i) : w(piece.w[i]), factor(mx_fp4_factor(piece.scale[i])) {}
  MX_DEVICE u32x4 eight(i32 k) const { return mx_fp4_eight(w[k], factor); }
};

// Calls f(k, pairs of the first row, pairs of the second).
template <class F, class Use> MX_DEVICE void mx_each_pair(const MxPiece<F> (&rows)[2], i32 flags, Use use) {
  if constexpr (MxPiece<F>::eights == 8) {
    MX_UNROLL
    for (i32 i = 0; i < 2; i++) {
      const MxFp4Pairs a(rows[0], i), b(rows[1], i);
      MX_UNROLL
      for (i32 k = 0; k < 4; k++) use(4 * i + k, a.eight(k), b.eight(k));
    }
  } else {
    u32 a[8], b[8];
    rows[0].pairs(a, flags);
    rows[1].pairs(b, flags);
    MX_UNROLL
    for (i32 k = 0; k < 2; k++) {
      use(k, u32x4{a[4 * k], a[4 * k + 1], a[4 * k + 2], a[4 * k + 3]}, u32x4{b[4 * k], b[4 * k + 1], b[4 * k + 2], b[4 * k + 3]});
    }
  }
}
