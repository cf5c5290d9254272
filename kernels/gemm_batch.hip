// x W^T + b for batches of some sequences (NVIDIA): the weights are what takes time, so each is read from memory once, decoded once, in
// registers, and multiplied by all rows of x of a tile. For dense groups and for experts' sorted rows.
//
// A warp multiplies sixteen rows of weights (the instruction's first operand) by up to so many tokens, eight at a time. The order of
// columns inside a product is free as long as both operands have it: of a step, lane 4g + t takes the t-th quarter of rows 2g and
// 2g + 1, in whole pieces as they lie in memory, and the same quarter of token g from LDS, where copies that do not pass through
// registers have put it some steps before. A token's sum does not depend on the tokens beside it, nor on the size of the tile.
#include "common/blocks.h"
#include "common/copies.h"
#include "common/ends.h"
#include "common/mma.h"
#include "common/pieces.h"

constexpr i32 warps = 8, threads = 32 * warps, warp_rows = 16, block_rows = warps * warp_rows;

// `stages`: steps whose inputs are in LDS or on their way; `ahead`: steps whose weights are in registers or on their way. `through`: MXFP4
// itself passes through LDS, with as many stages, and its scales, for all steps at once, before the first.
template <class F, i32 Tokens> struct Batch {
  static constexpr bool through = MxPiece<F>::eights == 8;
  static constexpr i32 stages = through && Tokens > 16 ? 2 : 3, ahead = MxPiece<F>::eights == 8 ? 1 : 2;
  static constexpr i32 eights = MxPiece<F>::eights, step = MxPiece<F>::step, groups = Tokens / 8;
  // Whether a row's numbers of a step are a line of 128 bytes.
  static constexpr bool lines = MxPiece<F>::token_pieces == 12;
  static constexpr i32 weights = through ? 4 * threads : 0, token = MxPiece<F>::token_pieces, stage = weights + Tokens * token;
  static constexpr i32 copies = Tokens * step / 8 / threads > 0 ? Tokens * step / 8 / threads : 1;
};

// Parts of a sum that are asked for together.
constexpr i32 together = 8;
// Steps of a block whose weights are all asked for before the launch ahead has ended.
constexpr i32 few_steps = 6;
struct Split {
  i32 part, parts;
  f32 *partial;
  i32 *counters;
  i32 tile;  // of the launch
};

// `tile()` is called twice, so that what only the end needs takes no registers meanwhile. `Early`: it reads nothing that the launch ahead
// writes, so that the first weights are asked for before that has ended.
template <class F, i32 Tokens, bool Early, class Tile> MX_DEVICE void batch_tile(Tile tile, const u16 *x, i32 x_stride, const Split &split) {
  typedef Batch<F, Tokens> B;
  if (!Early) mx_follow();
  const MxTile t = tile();
  if (t.tokens <= 0 || t.first_row >= t.l.rows) return;
  const MxLinear &l = t.l;
  const i32 scale_bytes = B::through ? block_rows * (i32)l.scale_stride : 0;
  u32x4 *const scales_lds = MX_LDS(u32x4), *const lds = scales_lds + scale_bytes / 16;
  const i32 tid = mx_thread(), lane = mx_lane(), g = lane >> 2, quarter = lane & 3, tokens = t.tokens;
  const i32 steps = (l.cols + B::step - 1) / B::step, share = (steps + split.parts - 1) / split.parts;
  const i32 begin = split.part * share, end = mx_min(begin + share, steps);
  const i32 row0 = t.first_row + mx_group() * warp_rows + 2 * g;
  const MX_GLOBAL u8 *w[2], *scales[2];
  MX_UNROLL
  for (i32 i = 0; i < 2; i++) {
    const i64 row = mx_min(row0 + i, l.rows - 1);
    w[i] = mx_global<u8>(l.weight) + row * l.row_stride;
    scales[i] = F::blocks ? mx_global<u8>(l.scale) + row * l.scale_stride : nullptr;
  }
  // This thread's share of the copies of a step.
  constexpr i32 row_copies = B::step / 8;
  const MX_GLOBAL u16 *from[B::copies];
  i32 to[B::copies];
  const i32 at = tid % row_copies;
  MX_UNROLL
  for (i32 i = 0; i < B::copies; i++) {
    const i32 token = tid / row_copies + i * (threads / row_copies);
    from[i] = mx_global<u16>(x) + t.x_row(mx_min(token, tokens - 1)) * x_stride + at * 8;
    to[i] = token < tokens ? B::weights + token * B::token + mx_piece_place<F>(8 * at) : -1;
  }
  const auto copy = [&](i32 step, i32 stage) __attribute__((always_inline)) {
    if (step < end) {
      if constexpr (B::through) {
        MX_UNROLL
        for (i32 i = 0; i < 4; i++) {
          const i32 own = mx_min(step * B::step + MxPiece<F>::column(quarter, i & 1 ? 4 : 0), l.cols - 32);
          mx_copy16(lds + stage * B::stage + i * threads + tid, (const MX_GLOBAL u16 *)(w[i >> 1] + (own >> 1)), true);
        }
      }
      MX_UNROLL
      for (i32 i = 0; i < B::copies; i++) {
        if (to[i] >= 0) mx_copy16(lds + stage * B::stage + to[i], from[i] + (i64)step * B::step, step * B::step + at * 8 < l.cols);
      }
    }
    mx_end_copies();
  };
  MxPiece<F> raw[B::ahead][2];
  const auto load = [&](MxPiece<F>(&to)[2], i32 step) __attribute__((always_inline)) {
    if constexpr (!B::through) {
      MX_UNROLL
      for (i32 i = 0; i < 2; i++) {
        if (step < end) to[i].load(l, w[i], scales[i], step * B::step, quarter);
      }
    }
  };
  f32 c[B::groups][4];
  MX_UNROLL
  for (i32 j = 0; j < B::groups; j++) {
    MX_UNROLL
    for (i32 k = 0; k < 4; k++) c[j][k] = 0.0f;
  }
  MX_UNROLL
  for (i32 i = 0; i < B::ahead; i++) load(raw[i], begin + i);
  if constexpr (Early && B::lines) {
    // The others come to L2 meanwhile: two threads a row, each of whose steps is a line. With more of them memory would be slower for it.
    if (end - begin <= few_steps) {
      const MX_GLOBAL u8 *const own = mx_global<u8>(l.weight) + (i64)mx_min(t.first_row + (tid >> 1), l.rows - 1) * l.row_stride;
      for (i32 step = begin + B::ahead + (tid & 1); step < end; step += 2) {
        mx_prefetch(own + mx_min(2 * B::step * step, 2 * l.cols - 2));
      }
    }
  }
  if (Early) mx_follow();
  if constexpr (B::through) {
    // The rows' scales follow one another.
    const MX_GLOBAL u8 *const own = mx_global<u8>(l.scale) + t.first_row * l.scale_stride;
    const i32 bytes = mx_min(block_rows, l.rows - t.first_row) * (i32)l.scale_stride;
    for (i32 i = tid; i * 16 < bytes; i += threads) mx_copy16(scales_lds + i, (const MX_GLOBAL u16 *)(own + 16 * i), true);
  }
  MX_UNROLL
  for (i32 i = 0; i < B::stages - 1; i++) copy(begin + i, i);
  i32 stage = 0;
  MX_NO_UNROLL
  for (i32 first = begin; first < end; first += B::ahead) {
    MX_UNROLL
    for (i32 i = 0; i < B::ahead; i++) {
      const i32 step = first + i;
      if (step >= end) break;
      mx_wait_groups<B::stages - 2>();
      mx_barrier();
      // Everybody is done with the stage of the step before.
      copy(step + B::stages - 1, stage == 0 ? B::stages - 1 : stage - 1);
      if constexpr (B::through) {
        MX_UNROLL
        for (i32 h = 0; h < 4; h++) {
          const i32 block = mx_min(step * (B::step / 32) + MxPiece<F>::column(quarter, h & 1 ? 4 : 0) / 32, l.cols / 32 - 1);
          raw[i][h >> 1].w[h & 1] = lds[stage * B::stage + h * threads + tid];
          const i32 row = mx_min(row0 + (h >> 1), l.rows - 1) - t.first_row;
          raw[i][h >> 1].scale[h & 1] = ((const u8 *)scales_lds)[row * (i32)l.scale_stride + block];
        }
      }
      const u32x4 *const own = lds + stage * B::stage + B::weights + g * B::token;
      mx_each_pair(raw[i], l.flags, [&](i32 k, const u32x4 &upper, const u32x4 &lower) __attribute__((always_inline)) {
        MX_UNROLL
        for (i32 j = 0; j < B::groups; j++) {
          if (8 * j < tokens) {
            const u32x4 b = own[8 * j * B::token + mx_piece_place<F>(MxPiece<F>::column(quarter, k))];
            mx_product(c[j], upper.x, lower.x, upper.y, lower.y, b.x, b.y);
            mx_product(c[j], upper.z, lower.z, upper.w, lower.w, b.z, b.w);
          }
        }
      });
      // Only now, into the same registers: the compiler would move them elsewhere, which waits for what has just been asked for.
      load(raw[i], step + B::ahead);
      stage = stage == B::stages - 1 ? 0 : stage + 1;
    }
  }
  // What the end reads is asked for before other parts are waited for.
  const MxTile done = tile();
  const MxEnds ends(done.l, row0);
  if (split.parts > 1) {
    // The last block to come adds the parts, in their order.
    MX_GLOBAL f32x4 *const parts = mx_global<f32x4>(split.partial) + (i64)split.tile * split.parts * B::groups * threads + tid;
    MX_UNROLL
    for (i32 j = 0; j < B::groups; j++) {
      if (8 * j < tokens) parts[(split.part * B::groups + j) * threads] = f32x4{c[j][0], c[j][1], c[j][2], c[j][3]};
    }
    if (!mx_comes_last(split.counters, split.tile, split.parts)) return;
    MX_UNROLL
    for (i32 j = 0; j < B::groups; j += 2) {
      if (8 * j >= tokens) break;
      f32x4 sum[2] = {f32x4{0, 0, 0, 0}, f32x4{0, 0, 0, 0}};
      MX_NO_UNROLL
      for (i32 first = 0; first < split.parts; first += together) {
        // All are asked for before the first is added; those behind the last one, and of tokens that there are not, in vain.
        f32x4 v[together][2];
        MX_UNROLL
        for (i32 p = 0; p < together; p++) {
          const i32 part = mx_min(first + p, split.parts - 1);
          MX_UNROLL
          for (i32 i = 0; i < 2; i++) v[p][i] = mx_load_shared_by_blocks(parts + (part * B::groups + j + i) * threads);
        }
        MX_UNROLL
        for (i32 p = 0; p < together; p++) {
          MX_UNROLL
          for (i32 i = 0; i < 2; i++) {
            if (first + p < split.parts) sum[i] = sum[i] + v[p][i];
          }
        }
      }
      MX_UNROLL
      for (i32 i = 0; i < 2; i++) {
        MX_UNROLL
        for (i32 e = 0; e < 4; e++) c[j + i][e] = sum[i][e];
      }
    }
  }
  MX_UNROLL
  for (i32 j = 0; j < B::groups; j++) {
    if (8 * j >= tokens) break;
    MX_UNROLL
    for (i32 i = 0; i < 2; i++) {
      const i32 m = 8 * j + 2 * quarter + i;
      if (m < tokens) ends.store(done, m, row0, c[j][i], c[j][2 + i]);
    }
  }
}

// Dynamic LDS in bytes, stages times what one takes; MXFP4: of 128 rows in each a byte for 32 columns, and besides 16 KiB of weights a stage.
#define BATCH_LDS_COLUMN_bf16 0
#define BATCH_LDS_COLUMN_mxfp4 4
#define BATCH_LDS_COLUMN_mxfp6_e3m2 0
#define BATCH_LDS_COLUMN_mxfp6_e2m3 0
#define BATCH_LDS_COLUMN_fp8 0
#define BATCH_LDS_16_bf16 3 * 16 * 192
#define BATCH_LDS_16_mxfp4 3 * 27648
#define BATCH_LDS_16_mxfp6_e3m2 3 * 16 * 144
#define BATCH_LDS_16_mxfp6_e2m3 3 * 16 * 144
#define BATCH_LDS_16_fp8 3 * 16 * 144
#define BATCH_LDS_32_bf16 3 * 32 * 192
#define BATCH_LDS_32_mxfp4 2 * 38912
#define BATCH_LDS_32_mxfp6_e3m2 3 * 32 * 144
#define BATCH_LDS_32_mxfp6_e2m3 3 * 32 * 144
#define BATCH_LDS_32_fp8 3 * 32 * 144
#define BATCH_LDS_64_bf16 3 * 64 * 192
#define BATCH_LDS_64_mxfp4 2 * 61440
#define BATCH_LDS_64_mxfp6_e3m2 3 * 64 * 144
#define BATCH_LDS_64_mxfp6_e2m3 3 * 64 * 144
#define BATCH_LDS_64_fp8 3 * 64 * 144
#define BATCH_TRAITS(name, tokens) \
  MX_TRAITS(name, 256, 128, tokens, MX_PASTE(BATCH_LDS_COLUMN_, MX_FORMAT), MX_PASTE(BATCH_LDS_##tokens##_, MX_FORMAT))
#define BATCH_FORMAT MX_PASTE(mx_format_, MX_FORMAT)
// The grid's x counts token tiles, so that blocks with the same weights run together.
#define GEMM_BATCH_ENTRY(name, tokens)                                                                                                 \
  BATCH_TRAITS(name, tokens)                                                                                                           \
  MX_ENTRY_RESIDENT(name, 256, 2)(MxGroup group, const u16 *x, i32 x_stride, const f32 *x_scales, i32 round, i32 accumulate, i32 n,    \
                                  i32 parts, f32 *partial, i32 *counters) {                                                            \
    const i32 token_tiles = (n + tokens - 1) / tokens, tile = mx_block_y();                                                            \
    const Split split{mx_block_z(), parts, partial, counters, tile * token_tiles + mx_block_x()};                                      \
    const auto at = [&]() __attribute__((always_inline)) {                                                                             \
      return mx_group_tile_at(group, tile, mx_block_x(), x_scales, round, accumulate, n, block_rows, tokens);                          \
    };                                                                                                                                 \
    batch_tile<BATCH_FORMAT, tokens, true>(at, x, x_stride, split);                                                                    \
  }                                                                                                                                    \
  MX_EXPORT(name)
#define EXPERT_BATCH_ENTRY(name, tokens)                                                                                               \
  BATCH_TRAITS(name, tokens)                                                                                                           \
  MX_ENTRY_RESIDENT(name, 256, 2)(const MxLinear *experts, const u16 *x, i32 x_stride, const f32 *x_scales, i32 divisor,               \
                                  const i32 *sorted, const i32 *offsets, const i32 *tiles, const i32 *tile_count, f32 *out,            \
                                  i32 out_stride, i32 round, i32 swiglu, f32 alpha, f32 limit, [[maybe_unused]] i32 rows,              \
                                  [[maybe_unused]] i32 cols) {                                                                         \
    const auto at = [&]() __attribute__((always_inline)) {                                                                             \
      return mx_expert_tile(experts, x_scales, divisor, sorted, offsets, tiles, tile_count, out, out_stride, round, swiglu, alpha,     \
                            limit, block_rows, tokens);                                                                                \
    };                                                                                                                                 \
    batch_tile<BATCH_FORMAT, tokens, false>(at, x, x_stride, Split{0, 1, nullptr, nullptr, 0});                                               \
  }                                                                                                                                    \
  MX_EXPORT(name)
#define BATCH_EXPAND(macro, name, tokens) macro(name, tokens)
#define BATCH_NAME(stem, suffix) MX_PASTE(MX_PASTE(stem, MX_FORMAT), suffix)
BATCH_EXPAND(GEMM_BATCH_ENTRY, BATCH_NAME(batch_, _x16), 16)
BATCH_EXPAND(GEMM_BATCH_ENTRY, BATCH_NAME(batch_, _x64), 64)
BATCH_EXPAND(EXPERT_BATCH_ENTRY, BATCH_NAME(expert_batch_, _x16), 16)
BATCH_EXPAND(EXPERT_BATCH_ENTRY, BATCH_NAME(expert_batch_, _x32), 32)
