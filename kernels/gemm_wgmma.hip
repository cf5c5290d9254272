// x W^T + b for many rows of x by the products of warpgroups (NVIDIA, sm_90a alone). For dense groups and for experts' sorted rows.
//
// A warpgroup multiplies 64 rows of weights, the instruction's first operand, by all tokens of a tile, the second. Tokens lie in LDS,
// where copies that do not pass through registers have put them some steps of 64 columns before. bf16 weights come the same way; MXFP4 is
// decoded into the registers that the instruction reads: of a step, lane 4g + t takes the t-th quarter of two rows, and columns of x lie in
// the order in which it does (qdq's order 2). Where the last step has 32 columns, as where ranks divide 2,880, zeros stand for the rest. A
// token's sum does not depend on the tokens beside it, nor on the size of the tile.
//
// With MX_TO_RANKS: the products of a linear that are to be summed over ranks, which go to all ranks instead of to memory (common/given.h).
#include "common/ends.h"
#include "common/halves.h"
#include "common/wgmma.h"
#if defined(MX_TO_RANKS)
#include "common/given.h"
#endif

#if !defined(WGMMA_WARPGROUPS)
#define WGMMA_WARPGROUPS 2
#define WGMMA_STAGES_bf16 3
#define WGMMA_STAGES_mxfp4 4
// Blocks on a multiprocessor.
#define WGMMA_RESIDENT 2
// Most tokens of a tile of experts' rows, whose number is no multiple of anything: what is left over takes nearly as long as a whole tile.
#define WGMMA_EXPERT_TOKENS_bf16 128
#define WGMMA_EXPERT_TOKENS_mxfp4 160
// Dynamic LDS: the stages, and what it takes to begin at a multiple of 1,024 bytes; of MXFP4 each row's byte for 32 columns besides.
#define WGMMA_LDS_bf16_128 97 * 1024
#define WGMMA_LDS_mxfp4_128 81 * 1024
#define WGMMA_LDS_mxfp4_160 97 * 1024
#endif

constexpr i32 threads = 128 * WGMMA_WARPGROUPS, block_rows = 64 * WGMMA_WARPGROUPS;
constexpr i32 stages = MX_PASTE(WGMMA_STAGES_, MX_FORMAT);
constexpr bool decoded = MX_PASTE(mx_format_, MX_FORMAT)::blocks;
// Bytes of a stage's rows of weights.
constexpr i32 w_bytes = block_rows * (decoded ? 32 : mx_wgmma_row);
// Steps that are asked for ahead. A stage is free again when the products of the step after it are under way; those of bf16 end earlier.
constexpr i32 ahead = decoded ? stages - 2 : stages - 1;

// Floats between tokens' sums in LDS, which take the place of the stages.
constexpr i32 pitch = block_rows + 4;

// A block's LDS for tiles of at most so many tokens.
template <i32 Most> struct Room {
  // Bytes of a stage's tokens.
  static constexpr i32 x_bytes = Most * mx_wgmma_row, all_stages = stages * (x_bytes + w_bytes);
  static_assert(Most * (pitch * 4 + 12) <= all_stages, "the sums fit");
};

// So many bytes from memory to LDS, or zeros.
template <i32 Bytes> MX_DEVICE void copy(u32 to, const MX_GLOBAL u8 *from, bool valid) {
  if constexpr (Bytes == 16) {
    __asm__ volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" : : "r"(to), "l"(from), "r"(valid ? 16 : 0) : "memory");
  } else {
    __asm__ volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" : : "r"(to), "l"(from), "r"(valid ? 8 : 0) : "memory");
  }
}
MX_DEVICE void end_copies() { __asm__ volatile("cp.async.commit_group;" : : : "memory"); }
template <i32 Left> MX_DEVICE void wait_copies() { __asm__ volatile("cp.async.wait_group %0;" : : "n"(Left) : "memory"); }

// The rows of weights that a thread brings to LDS. Of sixteen, an even one becomes row g of the instruction's, the next one g + 8, so that
// a lane gets the sums of neighbours.
struct Weights {
  static constexpr i32 count = decoded ? 2 : block_rows * 8 / threads;
  const MX_GLOBAL u8 *from;
  i64 row_bytes;
  i32 rows;  // that there are, from the first of this thread
  i32 cols;  // that there are, from its first of a step on
  MX_DEVICE Weights(const MxLinear &l, i32 first_row) {
    const i32 tid = mx_thread(), lane = mx_lane();
    const i32 own = decoded ? mx_group() * 16 + (lane >> 2) * 2 : (tid >> 3 & ~15) + 2 * (tid >> 3 & 7) + (tid >> 6 & 1);
    row_bytes = l.row_stride;
    rows = l.rows - first_row - own;
    cols = l.cols - (decoded ? (lane & 3) * 16 : (tid & 7) * 8);
    from = mx_global<u8>(l.weight) + (i64)(first_row + own) * row_bytes + (decoded ? (lane & 3) * 8 : (tid & 7) * 16);
  }
  MX_DEVICE void copy_step(i32 step, u32 to) const {
    MX_UNROLL
    for (i32 i = 0; i < count; i++) {
      const i32 row = decoded ? i : i * (threads / 8);
      const bool valid = row < rows && step * mx_wgmma_step < cols;
      // Of an address that is not read nothing is asked.
      const MX_GLOBAL u8 *const at = from + (valid ? row * row_bytes : 0) + (i64)step * (decoded ? 32 : mx_wgmma_row);
      if constexpr (decoded) copy<8>(to + (i * threads + mx_thread()) * 8, at, valid);
      else copy<16>(to + mx_wgmma_place(mx_thread() >> 3, mx_thread() & 7) + row * mx_wgmma_row, at, valid);
    }
  }
};

// Puts sums into LDS, for each token those of the block's rows.
template <i32 N, i32 Most> MX_DEVICE void multiply(const MxTile &t, const u16 *x, i32 x_stride) {
  constexpr i32 x_bytes = Room<Most>::x_bytes, rows_each = threads / 8, copies = (N + rows_each - 1) / rows_each;
  const i32 tid = mx_thread(), lane = mx_lane(), tokens = t.tokens, steps = (t.l.cols + mx_wgmma_step - 1) / mx_wgmma_step;
  const u32 lds = (mx_lds_address(MX_LDS(u8)) + 1023u) & ~1023u, w_lds = lds + stages * x_bytes;
  const Weights weights(t.l, t.first_row);
  const MX_GLOBAL u8 *from[copies];
  MX_UNROLL
  for (i32 i = 0; i < copies; i++) {
    const i32 m = mx_min((tid >> 3) + i * rows_each, tokens - 1);
    from[i] = mx_global<u8>(x) + ((i64)t.x_row(m) * x_stride + (tid & 7) * 8) * 2;
  }
  const u32 own_x = mx_wgmma_place(tid >> 3, tid & 7);
  const u32 scales_lds = w_lds + stages * w_bytes;
  if constexpr (decoded) {
    // Scales of all rows follow one another. They come with the first step.
    const i32 bytes = mx_min(block_rows, t.l.rows - t.first_row) * (i32)t.l.scale_stride;
    const MX_GLOBAL u8 *const own = mx_global<u8>(t.l.scale) + t.first_row * t.l.scale_stride;
    for (i32 i = tid * 16; i < bytes; i += threads * 16) copy<16>(scales_lds + i, own + i, true);
  }
  const i32 scale_row = mx_group() * 16 + (lane >> 2) * 2, scale_last = t.l.rows - 1 - t.first_row;
  const u32 own_scale[2] = {scales_lds + (u32)mx_min(scale_row, scale_last) * (u32)t.l.scale_stride,
                            scales_lds + (u32)mx_min(scale_row + 1, scale_last) * (u32)t.l.scale_stride};
  // Columns that are not there are zeros of the block before, which must be a number if the row is one.
  const i32 last_block = t.l.cols / 32 - 1;
  const auto copy_step = [&](i32 step, i32 stage) __attribute__((always_inline)) {
    if (step < steps) {
      // MXFP4's rows of x end in zeros.
      const bool there = decoded || step * mx_wgmma_step < weights.cols;
      MX_UNROLL
      for (i32 i = 0; i < copies; i++) {
        const i32 m = (tid >> 3) + i * rows_each;
        if (N % rows_each == 0 || m < N) copy<16>(lds + stage * x_bytes + own_x + i * rows_each * mx_wgmma_row, from[i] + step * mx_wgmma_row, m < tokens && there);
      }
      weights.copy_step(step, w_lds + stage * w_bytes);
    }
    end_copies();
  };
  f32 c[N / 2];
  MX_UNROLL
  for (i32 i = 0; i < N / 2; i++) c[i] = 0.0f;
  MX_UNROLL
  for (i32 i = 0; i < ahead; i++) copy_step(i, i);
  i32 stage = 0, next = ahead;
  MX_NO_UNROLL
  for (i32 step = 0; step < steps; step++) {
    wait_copies<ahead - 1>();
    mx_wgmma_publish();
    if constexpr (!decoded) mx_wgmma_wait<0>();
    mx_barrier();
    copy_step(step + ahead, next);
    next = next == stages - 1 ? 0 : next + 1;
    const u64 b = mx_wgmma_rows(lds + stage * x_bytes);
    if constexpr (decoded) {
      const __attribute__((address_space(3))) u32x2 *const own = (const __attribute__((address_space(3))) u32x2 *)(u64)(w_lds + stage * w_bytes) + tid;
      const u32x2 w[2] = {own[0], own[threads]};
      const u32 block = (u32)mx_min(2 * step + (lane >> 1 & 1), last_block);
      u32 factor[2];
      MX_UNROLL
      for (i32 i = 0; i < 2; i++) factor[i] = mx_fp4_factor(*(const __attribute__((address_space(3))) u8 *)(u64)(own_scale[i] + block));
      MX_UNROLL
      for (i32 half = 0; half < 2; half++) {
        // The registers that the products before the last ones read.
        mx_wgmma_wait<1>();
        const u32x4 upper = mx_fp4_eight(w[0][half], factor[0]), lower = mx_fp4_eight(w[1][half], factor[1]);
        const u32 first[4] = {upper.x, lower.x, upper.y, lower.y}, second[4] = {upper.z, lower.z, upper.w, lower.w};
        mx_wgmma_fence();
        MxWgmma<N>::products(c, first, b + half * 4);
        MxWgmma<N>::products(c, second, b + half * 4 + 2);
        mx_wgmma_commit();
      }
    } else {
      const u64 a = mx_wgmma_rows(w_lds + stage * w_bytes + (tid >> 7) * 64 * mx_wgmma_row);
      mx_wgmma_fence();
      MX_UNROLL
      for (i32 k = 0; k < 4; k++) MxWgmma<N>::products(c, a + 2 * k, b + 2 * k);
      mx_wgmma_commit();
    }
    stage = stage == stages - 1 ? 0 : stage + 1;
  }
  MxWgmma<N>::finish(c);
  // Nobody reads stages any more.
  mx_barrier();
  f32 *const own = MX_LDS(f32) + (mx_group() * 16 + (lane >> 2) * 2);
  MX_UNROLL
  for (i32 j = 0; j < N / 8; j++) {
    MX_UNROLL
    for (i32 i = 0; i < 2; i++) *(f32x2 *)(own + (8 * j + 2 * (lane & 3) + i) * pitch) = f32x2{c[4 * j + i], c[4 * j + 2 + i]};
  }
  // Otherwise the ends of all sizes are joined, and sums moved before, for which there are not enough registers.
  __asm__ volatile("// %0 tokens" : : "n"(N) : "memory");
}

// Puts a tile's sums into LDS; false where it has none. `tile()` is called again for the end, so that what only that needs takes no registers
// meanwhile.
template <i32 Most, class Tile> MX_DEVICE bool multiply_tile(Tile tile, const u16 *x, i32 x_stride) {
  const MxTile t = tile();
  if (t.tokens <= 0 || t.first_row >= t.l.rows) return false;
  if (Most > 128 && t.tokens > 128) multiply<Most, Most>(t, x, x_stride);
  else if (t.tokens > 96) multiply<128, Most>(t, x, x_stride);
  else if (t.tokens > 64) multiply<96, Most>(t, x, x_stride);
  else if (t.tokens > 32) multiply<64, Most>(t, x, x_stride);
  else multiply<32, Most>(t, x, x_stride);
  return true;
}

template <i32 Most, class Tile> MX_DEVICE void wgmma_tile(Tile tile, const u16 *x, i32 x_stride) {
  if (!multiply_tile<Most>(tile, x, x_stride)) return;
  const MxTile t = tile();
  const i32 tid = mx_thread();
  // Where the results of each token go, behind the sums.
  i64 *const places = (i64 *)(MX_LDS(f32) + Most * pitch);
  f32 *const scales = (f32 *)(places + Most);
  if (tid < t.tokens) {
    places[tid] = t.out_row(tid) * t.out_stride;
    scales[tid] = t.x_scales ? t.x_scales[t.x_row(tid)] : 1.0f;
  }
  mx_barrier();
  // A thread has four neighbouring rows of weights, for every so many tokens.
  constexpr i32 fours = block_rows / 4;
  const i32 four = tid % fours * 4, row = t.first_row + four, rows = t.l.rows;
  if (row >= rows) return;
  const MxEnds ends[2] = {MxEnds(t.l, row), MxEnds(t.l, row + 2)};
  const bool whole = row + 4 <= rows && (t.out_stride & 3) == 0 && ((u64)t.out & 15) == 0;
  MX_NO_UNROLL
  for (i32 m = tid / fours; m < t.tokens; m += threads / fours) {
    const f32x4 sums = *(const f32x4 *)(MX_LDS(f32) + m * pitch + four);
    MX_GLOBAL f32 *const to = t.out + places[m];
    f32x4 z;
    MX_UNROLL
    for (i32 i = 0; i < 4; i++) z[i] = ends[i >> 1].value(i & 1, sums[i], scales[m], t.round);
    if (t.swiglu) {
      f32x2 a;
      MX_UNROLL
      for (i32 i = 0; i < 2; i++) a[i] = mx_round_if(mx_swiglu(z[2 * i], row + 2 * i + 1 < rows ? z[2 * i + 1] : 0.0f, t.alpha, t.limit), t.round);
      if (whole) *(MX_GLOBAL f32x2 *)(to + row / 2) = a;
      else to[row / 2] = a.x;
      if (!whole && row + 2 < rows) to[row / 2 + 1] = a.y;
      continue;
    }
    f32x4 before = {0, 0, 0, 0};
    if (t.accumulate) {
      if (whole) before = *(MX_GLOBAL f32x4 *)(to + row);
      MX_UNROLL
      for (i32 i = 0; i < 4; i++) {
        if (!whole && row + i < rows) before[i] = to[row + i];
        z[i] = mx_round_if(before[i] + z[i], t.round);
      }
    }
    if (whole) *(MX_GLOBAL f32x4 *)(to + row) = z;
    MX_UNROLL
    for (i32 i = 0; i < 4; i++) {
      if (!whole && row + i < rows) to[row + i] = z[i];
    }
  }
}

#define WGMMA_NAME(stem) MX_PASTE(MX_PASTE(stem, MX_FORMAT), _wgmma)
#define WGMMA_COLUMN_bf16 0
#define WGMMA_COLUMN_mxfp4 2 * WGMMA_WARPGROUPS
#define WGMMA_LDS(most) MX_PASTE(MX_PASTE(WGMMA_LDS_, MX_FORMAT), MX_PASTE(_, most))
#define WGMMA_TRAITS(name, most)                                                                                                       \
  static_assert(Room<most>::all_stages + 1024 <= WGMMA_LDS(most), "the stages fit");                                                   \
  MX_TRAITS(name, 128 * WGMMA_WARPGROUPS, 64 * WGMMA_WARPGROUPS, most, MX_PASTE(WGMMA_COLUMN_, MX_FORMAT), WGMMA_LDS(most))
#define GEMM_WGMMA_ENTRY(name)                                                                                                         \
  WGMMA_TRAITS(name, 128)                                                                                                              \
  MX_ENTRY_RESIDENT(name, threads, WGMMA_RESIDENT)(MxGroup group, const u16 *x, i32 x_stride, const f32 *x_scales, i32 round,             \
                                                i32 accumulate, i32 n) {                                                              \
    mx_follow();                                                                                                                       \
    const auto at = [&]() __attribute__((always_inline)) {                                                                             \
      return mx_group_tile(group, x_scales, round, accumulate, n, block_rows, 128);                                                    \
    };                                                                                                                                 \
    wgmma_tile<128>(at, x, x_stride);                                                                                                  \
  }                                                                                                                                    \
  MX_EXPORT(name)
#define EXPERT_WGMMA_ENTRY(name, tokens)                                                                                               \
  WGMMA_TRAITS(name, tokens)                                                                                                           \
  MX_ENTRY_RESIDENT(name, threads, WGMMA_RESIDENT)(const MxLinear *experts, const u16 *x, i32 x_stride, const f32 *x_scales, i32 divisor, \
                                                const i32 *sorted, const i32 *offsets, const i32 *tiles, const i32 *tile_count,       \
                                                f32 *out, i32 out_stride, i32 round, i32 swiglu, f32 alpha, f32 limit,                \
                                                [[maybe_unused]] i32 rows, [[maybe_unused]] i32 cols) {                               \
    mx_follow();                                                                                                                       \
    const auto at = [&]() __attribute__((always_inline)) {                                                                             \
      return mx_expert_tile(experts, x_scales, divisor, sorted, offsets, tiles, tile_count, out, out_stride, round, swiglu, alpha,     \
                            limit, block_rows, tokens);                                                                                \
    };                                                                                                                                 \
    wgmma_tile<tokens>(at, x, x_stride);                                                                                               \
  }                                                                                                                                    \
  MX_EXPORT(name)
#define GIVE_WGMMA_ENTRY(name)                                                                                                         \
  WGMMA_TRAITS(name, 128)                                                                                                              \
  MX_ENTRY_RESIDENT(name, threads, WGMMA_RESIDENT)(MxGroup group, const u16 *x, i32 x_stride, const f32 *x_scales, i32 n,               \
                                                const void *inboxes, const void *marks, i32 rank, i32 ranks, i64 room, i32 tiles) {   \
    mx_follow();                                                                                                                       \
    const auto at = [&]() __attribute__((always_inline)) { return mx_group_tile(group, x_scales, 1, 0, n, block_rows, 128); };          \
    if (!multiply_tile<128>(at, x, x_stride)) return;                                                                                  \
    mx_barrier();                                                                                                                      \
    const MxGiven given{mx_global<u64>(inboxes), mx_global<u64>(marks), rank, ranks, room, tiles};                                      \
    mx_give_tile(given, at(), MX_LDS(f32), pitch);                                                                                     \
  }                                                                                                                                    \
  MX_EXPORT(name)
#define WGMMA_EXPAND(macro, ...) macro(__VA_ARGS__)
#if defined(MX_TO_RANKS)
#define GIVE_NAME(stem) MX_PASTE(WGMMA_NAME(stem), _give)
WGMMA_EXPAND(GIVE_WGMMA_ENTRY, GIVE_NAME(gemm_))
#else
WGMMA_EXPAND(GEMM_WGMMA_ENTRY, WGMMA_NAME(gemm_))
WGMMA_EXPAND(EXPERT_WGMMA_ENTRY, WGMMA_NAME(expert_gemm_), MX_PASTE(WGMMA_EXPERT_TOKENS_, MX_FORMAT))
#endif
