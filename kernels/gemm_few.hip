// x W^T + b for up to eight tokens of some sequences (NVIDIA), of bf16 weights whose columns are cut in parts: each warp of a block has a part,
// all of them the same sixteen rows, so that what they found is added up by way of LDS and not of memory. A sum has the bits that gemm_batch.hip
// gives it, whose parts these are.
// Where columns are whole a warp has rows of its own, and none waits for another.
//
// A launch has as many warps as parts: of six parts three blocks run on a multiprocessor, and all of q, k and v at the same time.
//
// There are few blocks and few steps, so time goes into waiting: weights of several steps are asked for before the launch ahead has ended, and
// inputs, which lie in L2, come straight into registers two steps ahead.
#include "common/ends.h"
#include "common/mma.h"
#include "common/pieces.h"

constexpr i32 warps = 8, rows = 16, most_tokens = 8;
// MX_ROWS: for so many rows that their columns are whole, with more under way.
#if defined(MX_ROWS)
#define MX_AHEAD 4
#define MX_BLOCKS 2
#define MX_FEW_NAME batch_bf16_x8_rows
#else
#define MX_AHEAD 2
#define MX_BLOCKS 3
#define MX_FEW_NAME batch_bf16_x8
#endif
// Steps of weights that are in registers or on their way, and of inputs.
constexpr i32 ahead = MX_AHEAD, inputs = 2;
static_assert(ahead % inputs == 0);
typedef MxPiece<MxPlain<MX_BF16>> Piece;

#define FEW_ENTRY(name)                                                                                                                     \
  MX_TRAITS(name, 256, 16, 8, 0, 0)                                                                                                        \
  MX_ENTRY_RESIDENT(name, 256, MX_BLOCKS)(MxGroup group, const u16 *x, i32 x_stride, const f32 *x_scales, i32 round, i32 accumulate, i32 n, \
                                          i32 parts) {                                                                                     \
    const auto at = [&]() __attribute__((always_inline)) {                                                                                   \
      return mx_group_tile_at(group, parts > 1 ? mx_block_x() : mx_block_x() * warps + mx_group(), mx_block_y(), x_scales, round, accumulate, n, rows, most_tokens);                         \
    };                                                                                                                                      \
    few(at, x, x_stride, parts);                                                                                                            \
  }                                                                                                                                        \
  MX_EXPORT(name)
#define FEW_EXPAND(name) FEW_ENTRY(name)

// `tile()` is called twice, so that what only the end needs takes no registers meanwhile.
template <class Tile> MX_DEVICE void few(Tile tile, const u16 *x, i32 x_stride, i32 parts) {
  MX_SHARED f32x4 sums[warps][32];
  const MxTile begun = tile();
  if (begun.tokens <= 0) return mx_follow();
  const MxLinear &l = begun.l;
  const i32 tokens = begun.tokens;
  const bool alone = parts == 1;
  const i32 part = alone ? 0 : mx_group(), lane = mx_lane(), g = lane >> 2, quarter = lane & 3;
  const i32 steps = (l.cols + Piece::step - 1) / Piece::step, share = (steps + parts - 1) / parts;
  const i32 begin = part * share, end = part < parts ? mx_min(begin + share, steps) : begin;
  const i32 row0 = begun.first_row + 2 * g;
  const MX_GLOBAL u8 *w[2];
  MX_UNROLL
  for (i32 i = 0; i < 2; i++) w[i] = mx_global<u8>(l.weight) + (i64)mx_min(row0 + i, l.rows - 1) * l.row_stride;
  Piece raw[ahead][2];
  const auto load = [&](Piece(&to)[2], i32 step) __attribute__((always_inline)) {
    if (step >= end) return;
    MX_UNROLL
    for (i32 i = 0; i < 2; i++) to[i].load(l, w[i], nullptr, step * Piece::step, quarter);
  };
  MX_UNROLL
  for (i32 i = 0; i < ahead; i++) load(raw[i], begin + i);
  mx_follow();
  const MX_GLOBAL u16 *const own = mx_global<u16>(x) + (i64)(begun.first + mx_min(g, tokens - 1)) * x_stride;
  u32x4 b[inputs][2];
  const auto ask = [&](u32x4(&to)[2], i32 step) __attribute__((always_inline)) {
    MX_UNROLL
    for (i32 k = 0; k < 2; k++) {
      const i32 column = step * Piece::step + Piece::column(quarter, k);
      to[k] = step < end && g < tokens && column < l.cols ? *(const MX_GLOBAL u32x4 *)(own + column) : u32x4{0, 0, 0, 0};
    }
  };
  MX_UNROLL
  for (i32 i = 0; i < inputs; i++) ask(b[i], begin + i);
  f32 c[4] = {0, 0, 0, 0};
  MX_NO_UNROLL
  for (i32 first = begin; first < end; first += ahead) {
    MX_UNROLL
    for (i32 i = 0; i < ahead; i++) {
      const i32 step = first + i;
      if (step >= end) break;
      mx_each_pair<MxPlain<MX_BF16>>(raw[i], l.flags, [&](i32 k, const u32x4 &upper, const u32x4 &lower) __attribute__((always_inline)) {
        const u32x4 v = b[i % inputs][k];
        mx_product(c, upper.x, lower.x, upper.y, lower.y, v.x, v.y);
        mx_product(c, upper.z, lower.z, upper.w, lower.w, v.z, v.w);
      });
      load(raw[i], step + ahead);
      ask(b[i % inputs], step + inputs);
    }
  }
  if (!alone) {
    sums[part][lane] = f32x4{c[0], c[1], c[2], c[3]};
    if (part > 0) return mx_barrier();
  }
  // What the end reads is asked for before the other parts are waited for. Sum 2e + i is that of row row0 + e and token 2 * quarter + i.
  const MxTile t = tile();
  const MxEnds ends(t.l, row0);
  MX_GLOBAL f32 *places[2];
  bool has[2][2];
  f32 before[2][2], scale[2];
  MX_UNROLL
  for (i32 i = 0; i < 2; i++) {
    const i32 m = mx_min(2 * quarter + i, t.tokens - 1);
    places[i] = t.out + t.out_row(m) * t.out_stride + row0;
    scale[i] = t.x_scales ? t.x_scales[t.x_row(m)] : 1.0f;
    MX_UNROLL
    for (i32 e = 0; e < 2; e++) {
      has[i][e] = 2 * quarter + i < t.tokens && row0 + e < t.l.rows;
      before[i][e] = has[i][e] && t.accumulate ? places[i][e] : 0.0f;
    }
  }
  if (!alone) {
    mx_barrier();
    f32x4 sum = {0, 0, 0, 0};
    for (i32 p = 0; p < parts; p++) sum = sum + sums[p][lane];
    MX_UNROLL
    for (i32 i = 0; i < 4; i++) c[i] = sum[i];
  }
  MX_UNROLL
  for (i32 i = 0; i < 2; i++) {
    MX_UNROLL
    for (i32 e = 0; e < 2; e++) {
      const f32 v = ends.value(e, c[2 * e + i], scale[i], t.round);
      if (has[i][e]) places[i][e] = t.accumulate ? mx_round_if(before[i][e] + v, t.round) : v;
    }
  }
}
FEW_EXPAND(MX_FEW_NAME)
#undef MX_AHEAD
#undef MX_BLOCKS
#undef MX_FEW_NAME
