// One row of weights times one (or four) input rows: staging the input in LDS, and a group's dot product.
#pragma once
#include "formats.h"
#include "quantize.h"

constexpr i32 mx_vector_threads = 256;

MX_DEVICE i32 mx_round_up(i32 v, i32 to) { return (v + to - 1) / to * to; }

MX_DEVICE f32x4 mx_load4(const MX_GLOBAL f32 *row, i32 col, i32 cols) {
  if (col + 4 <= cols) return *(const MX_GLOBAL f32x4 *)(row + col);
  f32x4 v = {0, 0, 0, 0};
  if (col < cols) v.x = row[col];
  if (col + 1 < cols) v.y = row[col + 1];
  if (col + 2 < cols) v.z = row[col + 2];
  return v;
}

// Four neighbouring elements of a vector of format 0..2; zeros beyond the end.
MX_DEVICE f32x4 mx_weights4(const void *base, i32 format, i32 col, i32 cols) {
  if (col + 4 <= cols && format == MX_BF16) {
    const u32x2 w = *(const MX_GLOBAL u32x2 *)(mx_global<u16>(base) + col);
    return f32x4{mx_low(w.x), mx_high(w.x), mx_low(w.y), mx_high(w.y)};
  }
  f32x4 v = {0, 0, 0, 0};
  MX_UNROLL
  for (i32 i = 0; i < 4; i++) {
    if (col + i < cols) v[i] = mx_element(base, format, col + i);
  }
  return v;
}
MX_DEVICE void mx_store4(MX_GLOBAL f32 *row, i32 col, i32 cols, f32x4 v) {
  if (col + 4 <= cols) {
    *(MX_GLOBAL f32x4 *)(row + col) = v;
    return;
  }
  if (col < cols) row[col] = v.x;
  if (col + 1 < cols) row[col + 1] = v.y;
  if (col + 2 < cols) row[col + 2] = v.z;
}

// Sum and maximum over the first 256 threads of a block, in one fixed order; all threads of the block must call and all get it.
MX_DEVICE f32 mx_block_sum(f32 v) {
  MX_SHARED f32 parts[8];
  v = mx_group_sum(v);
  mx_barrier();
  if (mx_lane() == 0 && mx_group() < 8) parts[mx_group()] = v;
  mx_barrier();
  return ((parts[0] + parts[1]) + (parts[2] + parts[3])) + ((parts[4] + parts[5]) + (parts[6] + parts[7]));
}
MX_DEVICE u32 mx_block_max(u32 v) {
  MX_SHARED u32 parts[8];
  v = mx_group_max(v);
  mx_barrier();
  if (mx_lane() == 0 && mx_group() < 8) parts[mx_group()] = v;
  mx_barrier();
  return mx_max(mx_max(mx_max(parts[0], parts[1]), mx_max(parts[2], parts[3])), mx_max(mx_max(parts[4], parts[5]), mx_max(parts[6], parts[7])));
}

// A row of the input after norm, before QDQ: constructed by all threads of a block.
struct MxRow {
  const MX_GLOBAL f32 *x;
  const void *norm;
  i32 norm_format, cols, round;
  f32 inverse;

  MX_DEVICE MxRow(const MxInput &in, i64 row, i32 cols_) : x(mx_global<f32>(in.x) + row * in.x_stride), norm(in.norm), norm_format(in.norm_format), cols(cols_), round(in.round), inverse(1.0f) {
    if (!norm) return;
    f32 sum = 0.0f;
    if (mx_thread() < mx_vector_threads) {
      for (i32 c = 4 * mx_thread(); c < cols; c += 4 * mx_vector_threads) {
        f32x4 v = mx_load4(x, c, cols);
        sum = mx_fma(v.x, v.x, sum);
        sum = mx_fma(v.y, v.y, sum);
        sum = mx_fma(v.z, v.z, sum);
        sum = mx_fma(v.w, v.w, sum);
      }
    }
    inverse = 1.0f / __builtin_sqrtf(mx_block_sum(sum) / (f32)cols + in.eps);
  }
  MX_DEVICE f32x4 at(i32 c) const {
    f32x4 v = mx_load4(x, c, cols);
    if (!norm) return v;
    const f32x4 w = mx_weights4(norm, norm_format, c, cols);
    MX_UNROLL
    for (i32 i = 0; i < 4; i++) v[i] = mx_round_if(v[i] * inverse * w[i], round);
    return v;
  }
};

// Rows of up to so many quads a thread (4,096 columns), of whole quads, without QDQ: each number is asked for once, all of them together with
// the norm's weights. Nearly every row is one.
constexpr i32 mx_held_quads = 4;
MX_DEVICE bool mx_is_plain(const MxInput &in, i32 cols) {
  return in.kind == MX_NONE && (cols & 31) == 0 && cols <= mx_held_quads * 4 * mx_vector_threads && (!in.norm || in.norm_format == MX_BF16);
}
template <class Put> MX_DEVICE void mx_prepare_plain(const MxInput &in, i64 row, i32 cols, Put put) {
  const MX_GLOBAL f32 *x = mx_global<f32>(in.x) + row * in.x_stride;
  const MX_GLOBAL u16 *norm = mx_global<u16>(in.norm);
  const bool works = mx_thread() < mx_vector_threads;
  f32x4 v[mx_held_quads];
  MX_UNROLL
  for (i32 i = 0; i < mx_held_quads; i++) {
    const i32 c = 4 * (mx_thread() + i * mx_vector_threads);
    v[i] = works && c < cols ? *(const MX_GLOBAL f32x4 *)(x + c) : f32x4{0, 0, 0, 0};
  }
  if (in.norm) {
    u32x2 w[mx_held_quads];
    MX_UNROLL
    for (i32 i = 0; i < mx_held_quads; i++) {
      const i32 c = 4 * (mx_thread() + i * mx_vector_threads);
      w[i] = works && c < cols ? *(const MX_GLOBAL u32x2 *)(norm + c) : u32x2{0, 0};
    }
    f32 sum = 0.0f;
    MX_UNROLL
    for (i32 i = 0; i < mx_held_quads; i++) {
      MX_UNROLL
      for (i32 j = 0; j < 4; j++) sum = mx_fma(v[i][j], v[i][j], sum);
    }
    const f32 inverse = 1.0f / __builtin_sqrtf(mx_block_sum(sum) / (f32)cols + in.eps);
    MX_UNROLL
    for (i32 i = 0; i < mx_held_quads; i++) {
      const f32 weights[4] = {mx_low(w[i].x), mx_high(w[i].x), mx_low(w[i].y), mx_high(w[i].y)};
      MX_UNROLL
      for (i32 j = 0; j < 4; j++) v[i][j] = mx_round_if(v[i][j] * inverse * weights[j], in.round);
    }
  }
  MX_UNROLL
  for (i32 i = 0; i < mx_held_quads; i++) {
    const i32 c = 4 * (mx_thread() + i * mx_vector_threads);
    if (works && c < cols) put(c, v[i]);
  }
}

// Norm and QDQ of one row; `put(c, v)` receives columns c..c+3 for every c < roundUp(cols, 32), zeros beyond cols. Returns the
// factor of the epilogue (kinds 6 and 7; else 1). All threads of the block must call; the first 256 work.
template <class Put> MX_DEVICE f32 mx_prepare_row(const MxInput &in, i64 row_index, i32 cols, Put put) {
  if (mx_is_plain(in, cols)) {
    mx_prepare_plain(in, row_index, cols, put);
    return 1.0f;
  }
  if (in.kind < MX_NONE || in.kind > MX_E4M3) __builtin_trap();
  MxRow row(in, row_index, cols);
  const bool works = mx_thread() < mx_vector_threads;
  const i32 padded = mx_round_up(cols, 32);
  f32 scale = in.scale;
  if (in.kind == MX_FP8_ROW || in.kind == MX_FP8_ROW_CODES) {
    u32 amax = 0;
    if (works) {
      for (i32 c = 4 * mx_thread(); c < cols; c += 4 * mx_vector_threads) {
        amax = mx_max(amax, mx_magnitude(row.at(c)));
      }
    }
    scale = mx_row_scale(mx_float(mx_block_max(amax)));
  }
  const MxScaling scaling = mx_scaling_of(mx_grid_of(in.kind), in.rule);
  // Whole groups stay together in this loop: a block of 32 columns is shared by eight threads.
  if (works) {
    for (i32 first = 0; first < padded; first += 4 * mx_vector_threads) {
      i32 c = first + 4 * mx_thread();
      f32x4 v = c < cols ? row.at(c) : f32x4{0, 0, 0, 0};
      if (in.kind != MX_NONE) v = mx_qdq(v, in.kind, scaling, scale, in.round);
      if (c < padded) put(c, v);
    }
  }
  return mx_keeps_codes(in.kind) ? scale : 1.0f;
}

// A staged row has 16 bytes of padding after every 32 columns, so that neighbouring threads, which read units of 4, 8, 16 or 32 columns
// 16 bytes at a time, hit different banks: index of the float4 that holds columns c..c+3.
MX_DEVICE i32 mx_staged(i32 c) { return c / 4 + c / 32; }
// float4 of a staged row.
MX_DEVICE i32 mx_staged_size(i32 cols) { return mx_round_up(cols, 32) / 32 * 9; }

// Stages a row in LDS. Needs a barrier before it is read.
template <class F> MX_DEVICE f32 mx_stage_row(const MxInput &in, i64 row, i32 cols, f32x4 *lds) {
  return mx_prepare_row(in, row, cols, [=](i32 c, f32x4 v) {
    if (F::prescaled) v = v * mx_prescale_value;
    lds[mx_staged(c)] = v;
  });
}

// Sums of R rows of weights (from `first`, `row_step` apart) with T staged input rows that follow one another, by one group. Every thread gets them.
template <class F, i32 R, i32 T, i32 Batch>
MX_DEVICE void mx_dot_rows(const MxLinear &l, i32 first, i32 row_step, const f32x4 *lds, f32 (&sums)[R][T]) {
  const i32 units = l.cols / F::Columns, token_stride = mx_staged_size(l.cols);
  const MX_GLOBAL u8 *rows[R], *scales[R];
  u32 nan[R];
  MX_UNROLL
  for (i32 r = 0; r < R; r++) {
    i64 row = mx_min(first + r * row_step, l.rows - 1);
    rows[r] = mx_global<u8>(l.weight) + row * l.row_stride;
    scales[r] = F::blocks ? mx_global<u8>(l.scale) + row * l.scale_stride : nullptr;
    nan[r] = (u32)l.flags & 1u;
    MX_UNROLL
    for (i32 t = 0; t < T; t++) sums[r][t] = 0.0f;
  }
  const f32 unscale = F::unscale(l.flags);
  if (F::blocks || F::aligned(l)) {
    for (i32 at = mx_lane(); at < units; at += 32 * Batch) {
      typename F::Raw raw[R][Batch];
      MX_UNROLL
      for (i32 b = 0; b < Batch; b++) {
        MX_UNROLL
        for (i32 r = 0; r < R; r++) raw[r][b] = at + 32 * b < units ? F::load(rows[r], at + 32 * b, scales[r]) : F::zero();
      }
      MX_UNROLL
      for (i32 b = 0; b < Batch; b++) {
        i32 unit = at + 32 * b;
        if (unit < units) {
          MX_UNROLL
          for (i32 r = 0; r < R; r++) {
            f32 parts[T];
            F::template dot<T>(raw[r][b], lds + mx_staged(unit * F::Columns), token_stride, parts, nan[r]);
            MX_UNROLL
            for (i32 t = 0; t < T; t++) {
              if constexpr (F::blocks) sums[r][t] = mx_fma(parts[t] * unscale, mx_e8m0(raw[r][b].scale), sums[r][t]);
              else sums[r][t] += parts[t];
            }
          }
        }
      }
    }
  } else if constexpr (!F::blocks) {
    // Rows without alignment or with a cut unit: number by number.
    MX_NO_UNROLL
    for (i32 c = mx_lane(); c < l.cols; c += 32) {
      MX_UNROLL
      for (i32 r = 0; r < R; r++) {
        f32 w = F::factor(rows[r], c, nan[r]);
        MX_UNROLL
        for (i32 t = 0; t < T; t++) {
          sums[r][t] = mx_fma(w, ((const f32 *)(lds + t * token_stride + mx_staged(c)))[c & 3], sums[r][t]);
        }
      }
    }
  }
  MX_UNROLL
  for (i32 r = 0; r < R; r++) {
    MX_UNROLL
    for (i32 t = 0; t < T; t++) {
      f32 sum = mx_group_sum(sums[r][t]);
      if constexpr (F::prescaled && !F::blocks) sum = mx_group_max(nan[r] & ~1u) ? mx_float(0x7fc00000u) : sum * unscale;
      sums[r][t] = sum;
    }
  }
}
