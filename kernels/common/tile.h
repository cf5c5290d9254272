// A tile of a GEMM: which weights, which input rows, and where results go; for dense groups and for experts' sorted rows.
#pragma once
#include "formats.h"

struct MxTile {
  MxLinear l;
  i32 first_row;  // of the weights
  i32 tokens;     // rows of x in this tile
  i32 first;      // dense: first row of x; experts: first index into `sorted`
  const MX_GLOBAL i32 *sorted;
  i32 divisor;
  const MX_GLOBAL f32 *x_scales;
  MX_GLOBAL f32 *out;
  i32 out_stride;
  i32 round, accumulate, swiglu;
  f32 alpha, limit;

  MX_DEVICE i64 out_row(i32 m) const { return sorted ? sorted[first + m] : first + m; }
  MX_DEVICE i64 x_row(i32 m) const { return sorted ? sorted[first + m] / divisor : first + m; }

  // Results of row m of the tile for weights' rows `row` (even) and row + 1.
  MX_DEVICE void store_pair(i32 m, i32 row, f32 sum0, f32 sum1) const {
    if (m >= tokens || row >= l.rows) return;
    const f32 scale = x_scales ? x_scales[x_row(m)] : 1.0f;
    MX_GLOBAL f32 *to = out + out_row(m) * out_stride;
    const bool both = row + 1 < l.rows;
    const f32 a = mx_round_if(mx_epilogue(l, sum0, row, scale), round), b = both ? mx_round_if(mx_epilogue(l, sum1, row + 1, scale), round) : 0.0f;
    if (swiglu) {
      to[row / 2] = mx_round_if(mx_swiglu(a, b, alpha, limit), round);
    } else {
      to[row] = accumulate ? mx_round_if(to[row] + a, round) : a;
      if (both) to[row + 1] = accumulate ? mx_round_if(to[row + 1] + b, round) : b;
    }
  }
};

// Tile (tile, token_tile) of a dense group; tokens 0 where there is none.
MX_DEVICE MxTile mx_group_tile_at(const MxGroup &group, i32 tile, i32 token_tile, const f32 *x_scales, i32 round, i32 accumulate, i32 n,
                                  i32 tile_rows, i32 tile_tokens) {
  i32 g = 0;
  for (; g < group.count; g++) {
    const i32 own = (group.linear[g].rows + tile_rows - 1) / tile_rows;
    if (tile < own) break;
    tile -= own;
  }
  MxTile t = {};
  if (g >= group.count) return t;
  t.l = group.linear[g];
  t.first_row = tile * tile_rows;
  t.first = token_tile * tile_tokens;
  t.tokens = mx_min(tile_tokens, n - t.first);
  t.x_scales = mx_global<f32>(x_scales);
  t.out = mx_global<f32>(group.out[g]);
  t.out_stride = group.out_stride[g];
  t.round = round;
  t.accumulate = accumulate;
  return t;
}
// The block's.
MX_DEVICE MxTile mx_group_tile(const MxGroup &group, const f32 *x_scales, i32 round, i32 accumulate, i32 n, i32 tile_rows, i32 tile_tokens) {
  return mx_group_tile_at(group, mx_block_x(), mx_block_y(), x_scales, round, accumulate, n, tile_rows, tile_tokens);
}

// The record of an expert, through a global pointer (the array lies in device memory).
MX_DEVICE MxLinear mx_expert_linear(const MxLinear *experts, i32 e) {
  const MX_GLOBAL u64 *words = (const MX_GLOBAL u64 *)experts + (i64)e * 8;
  struct Words {
    u64 w[8];
  } raw;
  MX_UNROLL
  for (i32 i = 0; i < 8; i++) raw.w[i] = words[i];
  return __builtin_bit_cast(MxLinear, raw);
}

MX_DEVICE MxTile mx_expert_tile(const MxLinear *experts, const f32 *x_scales, i32 divisor, const i32 *sorted, const i32 *offsets, const i32 *tiles,
                                const i32 *tile_count, f32 *out, i32 out_stride, i32 round, i32 swiglu, f32 alpha, f32 limit, i32 tile_rows,
                                i32 tile_tokens) {
  MxTile t = {};
  const i32 y = mx_block_y();
  if (y >= mx_global<i32>(tile_count)[0]) return t;
  const i32 e = mx_global<i32>(tiles)[2 * y];
  t.l = mx_expert_linear(experts, e);
  t.first_row = mx_block_x() * tile_rows;
  t.first = mx_global<i32>(tiles)[2 * y + 1];
  t.tokens = mx_min(tile_tokens, mx_global<i32>(offsets)[e + 1] - t.first);
  t.sorted = mx_global<i32>(sorted);
  t.divisor = divisor;
  t.x_scales = mx_global<f32>(x_scales);
  t.out = mx_global<f32>(out);
  t.out_stride = out_stride;
  t.round = round;
  t.swiglu = swiglu;
  t.alpha = alpha;
  t.limit = limit;
  return t;
}
