// y = QDQ(norm(x)) W^T + b for few tokens: a group of 32 threads per row (or rows) of W, the input staged in LDS.
#include "common/vector.h"
#include "common/transposed.h"

// Rows of W that a group handles together, units in flight per row, blocks that a multiprocessor shall hold (NVIDIA); for one token and for
// four. An MX row has few units (90 of 2,880 columns), so two rows together give more loads in flight, and each LDS read of x serves both.
#if defined(__NVPTX__)
#define LINEAR_1_plain 1, 4, 3
#else
#define LINEAR_1_plain 1, 4, 4
#endif
#define LINEAR_1_bf16 LINEAR_1_plain
#define LINEAR_1_f32 LINEAR_1_plain
#define LINEAR_1_f16 LINEAR_1_plain
#define LINEAR_1_mxfp4 2, 3, 2
#define LINEAR_1_mxfp6_e3m2 2, 1, 3
#define LINEAR_1_mxfp6_e2m3 2, 1, 3
#define LINEAR_1_fp8 1, 4, 3
#define LINEAR_4_bf16 1, 2, 3
#define LINEAR_4_f32 1, 2, 3
#define LINEAR_4_f16 1, 2, 3
#define LINEAR_4_mxfp4 1, 1, 3
#define LINEAR_4_mxfp6_e3m2 1, 1, 2
#define LINEAR_4_mxfp6_e2m3 1, 1, 2
#define LINEAR_4_fp8 1, 1, 3

// Which linear of a group a tile belongs to, and which of its tiles it is.
struct GroupTile {
  i32 linear, tile;
};
MX_DEVICE i32 group_tiles(const MxGroup &group, i32 rows_per_tile) {
  i32 tiles = 0;
  for (i32 g = 0; g < group.count; g++) tiles += (group.linear[g].rows + rows_per_tile - 1) / rows_per_tile;
  return tiles;
}
MX_DEVICE GroupTile group_tile(const MxGroup &group, i32 rows_per_tile, i32 tile) {
  for (i32 g = 0;; g++) {
    i32 own = (group.linear[g].rows + rows_per_tile - 1) / rows_per_tile;
    if (tile < own) return GroupTile{g, tile};
    tile -= own;
  }
}

MX_DEVICE void linear_store(const MxGroup &group, i32 g, i64 token, i32 row, f32 sum, f32 x_scale, i32 round, i32 accumulate) {
  f32 y = mx_round_if(mx_epilogue(group.linear[g], sum, row, x_scale), round);
  MX_GLOBAL f32 *out = mx_global<f32>(group.out[g]) + token * group.out_stride[g] + row;
  *out = accumulate ? mx_round_if(*out + y, round) : y;
}

// Whether a block asks for the first pieces of its first rows before the launch ahead has ended, which is right because nobody writes weights.
// Not on AMD, whose launches do not overlap, and only for formats whose pieces are 16 bytes.
template <class F> constexpr bool comes_early = false;
#if !defined(__AMDGCN__)
template <i32 Kind> constexpr bool comes_early<MxPlain<Kind>> = true;
#endif

// Sums of R rows with one input as mx_dot_rows has them, the first pieces being loaded before.
template <class F, i32 R, i32 Batch> struct Early {
  typename F::Raw raw[R][Batch];

  static MX_DEVICE void load(typename F::Raw (&to)[R][Batch], const MxLinear &l, i32 first, i32 at) {
    MX_UNROLL
    for (i32 b = 0; b < Batch; b++) {
      MX_UNROLL
      for (i32 r = 0; r < R; r++) {
        const MX_GLOBAL u8 *const row = mx_global<u8>(l.weight) + (i64)mx_min(first + r, l.rows - 1) * l.row_stride;
        to[r][b] = at + 32 * b < l.cols / F::Columns ? F::load(row, at + 32 * b, nullptr) : F::zero();
      }
    }
  }
  MX_DEVICE void begin(const MxLinear &l, i32 first) {
    if (!F::aligned(l)) return;
    load(raw, l, first, mx_lane());
#if defined(__NVPTX__)
    // The loads would sink to where they are used.
    MX_UNROLL
    for (i32 b = 0; b < Batch; b++) {
      MX_UNROLL
      for (i32 r = 0; r < R; r++) __asm__ volatile("" : "+r"(raw[r][b].w.x), "+r"(raw[r][b].w.y), "+r"(raw[r][b].w.z), "+r"(raw[r][b].w.w));
    }
#endif
  }
  static MX_DEVICE void add(const typename F::Raw (&some)[R][Batch], i32 at, i32 units, const f32x4 *lds, f32 (&sums)[R][1]) {
    MX_UNROLL
    for (i32 b = 0; b < Batch; b++) {
      const i32 unit = at + 32 * b;
      if (unit >= units) break;
      MX_UNROLL
      for (i32 r = 0; r < R; r++) {
        f32 parts[1];
        u32 nan = 0;
        F::template dot<1>(some[r][b], lds + mx_staged(unit * F::Columns), 0, parts, nan);
        sums[r][0] += parts[0];
      }
    }
  }
  MX_DEVICE void dot(const MxLinear &l, i32 first, const f32x4 *lds, f32 (&sums)[R][1]) const {
    if (!F::aligned(l)) return mx_dot_rows<F, R, 1, 1>(l, first, 1, lds, sums);
    const i32 units = l.cols / F::Columns;
    MX_UNROLL
    for (i32 r = 0; r < R; r++) sums[r][0] = 0.0f;
    add(raw, mx_lane(), units, lds, sums);
    MX_NO_UNROLL
    for (i32 at = mx_lane() + 32 * Batch; at < units; at += 32 * Batch) {
      typename F::Raw more[R][Batch];
      load(more, l, first, at);
      add(more, at, units, lds, sums);
    }
    MX_UNROLL
    for (i32 r = 0; r < R; r++) sums[r][0] = mx_group_sum(sums[r][0]);
  }
};

template <class F, i32 T, i32 R, i32 Batch> MX_DEVICE void linear(const MxGroup &group, const MxInput &in, i32 round, i32 accumulate, i32 n) {
  constexpr bool early = comes_early<F> && T == 1;
  Early<F, R, Batch> pieces;
  if constexpr (early) {
    if (mx_block_x() < group_tiles(group, 8 * R)) {
      const GroupTile at = group_tile(group, 8 * R, mx_block_x());
      pieces.begin(group.linear[at.linear], (at.tile * 8 + mx_group()) * R);
    }
  }
  mx_follow();
  const i32 token = mx_block_y() * T, tokens = mx_min(T, n - token);
  if (tokens <= 0) return;
  const i32 cols = group.linear[0].cols;
  f32x4 *lds = MX_LDS(f32x4);
  MX_SHARED f32 x_scale[T];
  MX_NO_UNROLL
  for (i32 t = 0; t < tokens; t++) {
    i32 row = in.x_rows ? mx_global<i32>(in.x_rows)[token + t] : token + t;
    f32 scale = mx_stage_row<F>(in, row, cols, lds + t * mx_staged_size(cols));
    if (mx_thread() == 0) x_scale[t] = scale;
  }
  mx_barrier();
  const i32 tiles = group_tiles(group, 8 * R);
  for (i32 tile = mx_block_x(); tile < tiles; tile += mx_grid_x()) {
    const GroupTile at = group_tile(group, 8 * R, tile);
    const MxLinear l = group.linear[at.linear];
    const i32 first = (at.tile * 8 + mx_group()) * R;
    f32 sums[R][T];
    if constexpr (early) {
      if (tile != mx_block_x()) pieces.begin(l, first);
      pieces.dot(l, first, lds, sums);
    } else {
      mx_dot_rows<F, R, T, Batch>(l, first, 1, lds, sums);
    }
    // Thread r + R*t of the group writes element (r, t).
    MX_UNROLL
    for (i32 t = 0; t < T; t++) {
      MX_UNROLL
      for (i32 r = 0; r < R; r++) {
        if (mx_lane() == r + R * t && first + r < l.rows && t < tokens) {
          linear_store(group, at.linear, token + t, first + r, sums[r][t], x_scale[t], round, accumulate);
        }
      }
    }
  }
}

#define LINEAR_TRAITS(name, tokens, rows) MX_TRAITS(name, 256, 8 * rows, tokens, 4.5 * tokens, 0)
#define LINEAR_ENTRY_(name, tokens, rows, batch, blocks)                                                                               \
  LINEAR_TRAITS(name, tokens, rows)                                                                                                    \
  MX_ENTRY_RESIDENT(name, 256, blocks)(MxGroup group, MxInput in, i32 round, i32 accumulate, i32 n) {                                  \
    linear<MX_PASTE(mx_format_, MX_FORMAT), tokens, rows, batch>(group, in, round, accumulate, n);                                     \
  }                                                                                                                                    \
  MX_EXPORT(name)
#define LINEAR_ENTRY(...) LINEAR_ENTRY_(__VA_ARGS__)

#if !defined(MX_TRANSPOSED)

LINEAR_ENTRY(MX_PASTE(linear_, MX_FORMAT), 1, MX_PASTE(LINEAR_1_, MX_FORMAT))
LINEAR_ENTRY(MX_PASTE(MX_PASTE(linear_, MX_FORMAT), _x4), 4, MX_PASTE(LINEAR_4_, MX_FORMAT))

#else

template <class F> MX_DEVICE void linear_transposed(const MxGroup &group, const MxInput &in, i32 round, i32 accumulate, i32 n) {
  const i32 token = mx_block_y();
  if (token >= n) return;
  f32 *lds = MX_LDS(f32);
  f32 x_scale = mx_stage_plain(in, in.x_rows ? mx_global<i32>(in.x_rows)[token] : token, group.linear[0].cols, lds);
  const i32 tiles = group_tiles(group, mx_transposed_rows);
  for (i32 tile = mx_block_x(); tile < tiles; tile += mx_grid_x()) {
    const GroupTile at = group_tile(group, mx_transposed_rows, tile);
    const MxLinear l = group.linear[at.linear];
    const i32 first = at.tile * mx_transposed_rows;
    f32 sum = mx_dot_columns<F>(l, first, lds);
    if (mx_thread() < mx_transposed_rows && first + mx_thread() < l.rows) {
      linear_store(group, at.linear, token, first + mx_thread(), sum, x_scale, round, accumulate);
    }
  }
}

#define LINEAR_T_ENTRY_(name)                                                                                                          \
  MX_TRAITS(name, 256, 64, 1, 4, 0)                                                                                                    \
  MX_ENTRY(name, 256)(MxGroup group, MxInput in, i32 round, i32 accumulate, i32 n) {                                                   \
    mx_follow();                                                                                                                       \
    linear_transposed<MX_PASTE(mx_format_, MX_FORMAT)>(group, in, round, accumulate, n);                                               \
  }                                                                                                                                    \
  MX_EXPORT(name)
#define LINEAR_T_ENTRY(name) LINEAR_T_ENTRY_(name)
LINEAR_T_ENTRY(MX_PASTE(MX_PASTE(linear_, MX_FORMAT), _t))

#endif
