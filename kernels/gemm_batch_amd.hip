// x W^T + b for batches of some sequences (AMD; gemm_batch.hip says what for, and is NVIDIA's): each weight is read from memory once, decoded
// once, in registers, and multiplied by all rows of x of a tile. For dense groups and for experts' sorted rows.
//
// The order of columns inside a product is free as long as both operands have it: a lane takes sixteen neighbouring columns of its row of
// weights, as they lie in memory, and the same of its token from LDS, where the block has put some columns of all tokens. A token's sum does
// not depend on the tokens beside it, nor on the size of the tile.
#include "common/halves.h"
#include "common/matrix.h"
#include "common/tile.h"

constexpr i32 threads = 256, block_rows = 128;
// Columns in LDS at a time; fewer where a lane has all of them, whose code and registers would double.
#if __GFX9__ || defined(__GFX12__)
constexpr i32 chunk = 128;
#else
constexpr i32 chunk = 64;
#endif
// 16 bytes between tokens in LDS: one more than their columns take, so that neighbours lie in different banks.
constexpr i32 pitch = chunk / 8 + 1;
// Floats between tokens' sums there.
constexpr i32 sums_pitch = block_rows + 4;

#if __GFX9__
constexpr i32 lane_groups = 4, row_parts = 2;
MX_DEVICE i32 weight_row(i32 row) { return row; }
#elif defined(__GFX12__)
constexpr i32 lane_groups = 2, row_parts = 1;
MX_DEVICE i32 weight_row(i32 row) { return row; }
#else
// Both halves of a wave hold the same columns. Sum i of half h is row 2 i + h of the operand, which is row 8 h + i of the weights, so that a
// lane holds neighbouring rows.
constexpr i32 lane_groups = 1, row_parts = 1;
MX_DEVICE i32 weight_row(i32 row) { return 8 * (row & 1) + (row >> 1); }
#endif
constexpr i32 step = 16 * lane_groups, steps = chunk / step;
static_assert(threads / MX_WAVE * row_parts * 16 == block_rows, "waves take all rows");

// Sixteen columns of sixteen rows times those of sixteen tokens, in one to four instructions.
MX_DEVICE void product(mx_part &c, const u32 (&w)[8], const u32 (&x)[8]) {
#if defined(__gfx950__) || defined(__GFX12__)
  constexpr i32 words = 4;
#elif __GFX9__
  constexpr i32 words = 2;
#else
  constexpr i32 words = 8;
#endif
#if defined(__gfx950__)
  typedef mx_bf16x8 operand;
#elif __GFX9__
  typedef mx_s16x4 operand;
#elif defined(__GFX12__)
  typedef mx_s16x8 operand;
#else
  typedef mx_s16x16 operand;
#endif
  MX_UNROLL
  for (i32 k = 0; k < 8; k += words) {
    operand a, b;
    __builtin_memcpy(&a, w + k, sizeof(a));
    __builtin_memcpy(&b, x + k, sizeof(b));
#if defined(__gfx950__)
    c = __builtin_amdgcn_mfma_f32_16x16x32_bf16(a, b, c, 0, 0, 0);
#elif __GFX9__
    c = __builtin_amdgcn_mfma_f32_16x16x16bf16_1k(a, b, c, 0, 0, 0);
#elif defined(__GFX12__)
    c = __builtin_amdgcn_wmma_f32_16x16x16_bf16_w32_gfx12(a, b, c);
#else
    c = __builtin_amdgcn_wmma_f32_16x16x16_bf16_w32(a, b, c);
#endif
  }
}

template <class A, class B> constexpr bool same = false;
template <class A> constexpr bool same<A, A> = true;
// A lane's sixteen weights as bf16 pairs, in the order in which inputs lie: MXFP4 has of eight columns 0 4, 1 5, 2 6, 3 7 (qdq's order 1).
template <class F> MX_DEVICE void pairs_of(const MxHalf<F> &raw, u32 (&out)[8], i32 flags) {
  if constexpr (same<F, MxFp4>) {
    const u32 factor = mx_fp4_factor(raw.scale);
    MX_UNROLL
    for (i32 i = 0; i < 2; i++) {
      const u32x4 eight = mx_fp4_eight(raw.w[i], factor);
      MX_UNROLL
      for (i32 k = 0; k < 4; k++) out[4 * i + k] = eight[k];
    }
  } else if constexpr (same<F, MxFp8>) {
    // A code moved up is its number times 2^-120 (fnuz: 2^-119).
    const bool fnuz = flags & 1;
    const u32 up = fnuz ? 0x7b007b00u : 0x7b807b80u;
    MX_UNROLL
    for (i32 i = 0; i < 8; i++) {
      const u32 word = raw.w[i / 2], nan = (fnuz ? F::nan_bytes_fnuz(word) : F::nan_bytes(word)) >> (16 * (i & 1)), codes = word >> (16 * (i & 1));
      const u32 two = (codes & 0xffu) | (codes & 0xff00u) << 8, not_numbers = (nan & 0x80u) | (nan & 0x8000u) << 8;
      out[i] = mx_scale_pair((two & 0x800080u) << 8 | (two & 0x7f007fu) << 4, up) | not_numbers * 0xffu | not_numbers >> 1;
    }
  } else {
    raw.pairs(out, flags);
  }
}

struct Split {
  i32 part, parts;
  f32 *partial;
  i32 *counters;
  i32 tile;  // of the launch
};

template <class F, i32 Tokens> MX_DEVICE void batch_tile(const MxTile &t, const u16 *x, i32 x_stride, const Split &split) {
  constexpr i32 groups = Tokens / 16, pieces = Tokens * chunk / 8, copies = (pieces + threads - 1) / threads;
  // The sums use the same memory afterwards.
  constexpr i32 sums = Tokens * sums_pitch / 4, most = sums > 2 * Tokens * pitch ? sums : 2 * Tokens * pitch;
  MX_SHARED u32x4 lds[most];
  if (t.tokens <= 0 || t.first_row >= t.l.rows) return;
  const MxLinear &l = t.l;
  const i32 tid = mx_thread(), lane = mx_wave_lane(), tokens = t.tokens, quarter = lane_groups > 1 ? lane >> 4 : 0;
  const i32 chunks = (l.cols + chunk - 1) / chunk, share = (chunks + split.parts - 1) / split.parts;
  const i32 begin = split.part * share, end = mx_min(begin + share, chunks);
  const i32 row0 = t.first_row + mx_wave() * row_parts * 16;
  const MX_GLOBAL u8 *w[row_parts], *scales[row_parts];
  MX_UNROLL
  for (i32 p = 0; p < row_parts; p++) {
    const i64 row = mx_min(row0 + 16 * p + weight_row(lane & 15), l.rows - 1);
    w[p] = mx_global<u8>(l.weight) + row * l.row_stride;
    scales[p] = F::blocks ? mx_global<u8>(l.scale) + row * l.scale_stride : nullptr;
  }
  // This thread's share of the tokens' columns.
  const i32 at = tid % (chunk / 8);
  const MX_GLOBAL u16 *from[copies];
  i32 to[copies];
  MX_UNROLL
  for (i32 i = 0; i < copies; i++) {
    const i32 token = tid / (chunk / 8) + i * (threads / (chunk / 8));
    from[i] = mx_global<u16>(x) + t.x_row(mx_min(token, tokens - 1)) * x_stride + at * 8;
    to[i] = token * pitch + at;
  }
  u32x4 next[copies];
  const auto fetch = [&](i32 first) __attribute__((always_inline)) {
    MX_UNROLL
    for (i32 i = 0; i < copies; i++) {
      next[i] = u32x4{0, 0, 0, 0};
      if (first + at * 8 < l.cols) next[i] = *(const MX_GLOBAL u32x4 *)(from[i] + first);
    }
  };
  const auto put = [&](i32 buffer) __attribute__((always_inline)) {
    MX_UNROLL
    for (i32 i = 0; i < copies; i++) if (pieces % threads == 0 || to[i] < Tokens * pitch) lds[buffer * Tokens * pitch + to[i]] = next[i];
  };
  MxHalf<F> raw[steps][row_parts];
  const auto load = [&](i32 s, i32 p, i32 first) __attribute__((always_inline)) {
    raw[s][p] = MxHalf<F>::load(l, w[p], scales[p], first + s * step + 16 * quarter, true);
  };
  mx_part c[row_parts][groups];
  MX_UNROLL
  for (i32 p = 0; p < row_parts; p++) {
    MX_UNROLL
    for (i32 j = 0; j < groups; j++) c[p][j] = mx_part(0.0f);
  }
  if (begin < end) {
    MX_UNROLL
    for (i32 s = 0; s < steps; s++) {
      MX_UNROLL
      for (i32 p = 0; p < row_parts; p++) load(s, p, begin * chunk);
    }
    fetch(begin * chunk);
    put(0);
  }
  mx_barrier();
  i32 buffer = 0;
  MX_NO_UNROLL
  for (i32 now = begin; now < end; now++) {
    const i32 ahead = (now + 1) * chunk;
    const bool more = now + 1 < end;
    if (more) fetch(ahead);
    const u32x4 *const own = lds + buffer * Tokens * pitch + (lane & 15) * pitch + 2 * quarter;
    MX_UNROLL
    for (i32 s = 0; s < steps; s++) {
      u32 a[row_parts][8];
      MX_UNROLL
      for (i32 p = 0; p < row_parts; p++) {
        pairs_of(raw[s][p], a[p], l.flags);
        // Into the same registers, once they are decoded.
        if (more) load(s, p, ahead);
      }
      MX_UNROLL
      for (i32 j = 0; j < groups; j++) {
        if (16 * j >= tokens) break;
        const u32x4 b0 = own[16 * j * pitch + s * (step / 8)], b1 = own[16 * j * pitch + s * (step / 8) + 1];
        const u32 b[8] = {b0.x, b0.y, b0.z, b0.w, b1.x, b1.y, b1.z, b1.w};
        MX_UNROLL
        for (i32 p = 0; p < row_parts; p++) product(c[p][j], a[p], b);
      }
    }
    buffer ^= 1;
    if (more) put(buffer);
    mx_barrier();
  }
  if (split.parts > 1) {
    // The last block to come adds the parts, in their order.
    constexpr i32 fours = row_parts * groups * mx_sums_each / 4;
    MX_SHARED i32 last;
    MX_GLOBAL f32x4 *const all = mx_global<f32x4>(split.partial) + (i64)split.tile * split.parts * fours * threads + tid;
    const auto each = [&](auto use) __attribute__((always_inline)) {
      MX_UNROLL
      for (i32 p = 0; p < row_parts; p++) {
        MX_UNROLL
        for (i32 j = 0; j < groups; j++) {
          if (16 * j >= tokens) break;
          MX_UNROLL
          for (i32 e = 0; e < mx_sums_each; e += 4) use(c[p][j], e, ((p * groups + j) * mx_sums_each + e) / 4);
        }
      }
    };
    each([&](mx_part &sum, i32 e, i32 i) __attribute__((always_inline)) {
      all[(split.part * fours + i) * threads] = f32x4{sum[e], sum[e + 1], sum[e + 2], sum[e + 3]};
    });
    __builtin_amdgcn_fence(__ATOMIC_RELEASE, "agent");
    mx_barrier();
    if (tid == 0) {
      MX_GLOBAL i32 *const counter = mx_global<i32>(split.counters) + split.tile;
      last = __hip_atomic_fetch_add(counter, 1, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT) == split.parts - 1;
    }
    mx_barrier();
    if (!last) return;
    __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "agent");
    if (tid == 0) mx_global<i32>(split.counters)[split.tile] = 0;
    each([&](mx_part &sum, i32 e, i32 i) __attribute__((always_inline)) {
      f32x4 total = {0, 0, 0, 0};
      for (i32 part = 0; part < split.parts; part++) total = total + all[(part * fours + i) * threads];
      sum[e] = total.x, sum[e + 1] = total.y, sum[e + 2] = total.z, sum[e + 3] = total.w;
    });
  }
  // By way of LDS, so that neighbours write neighbouring results; everybody is done with what was there.
  f32 *const staged = (f32 *)lds;
  MX_UNROLL
  for (i32 p = 0; p < row_parts; p++) {
    MX_UNROLL
    for (i32 j = 0; j < groups; j++) {
      f32 *const own = staged + (16 * j + (lane & 15)) * sums_pitch + (mx_wave() * row_parts + p) * 16 + (lane >> 4) * mx_sums_each;
      MX_UNROLL
      for (i32 e = 0; e < mx_sums_each; e++) own[e] = c[p][j][e];
    }
  }
  mx_barrier();
  MX_NO_UNROLL
  for (i32 i = tid; i < tokens * (block_rows / 2); i += threads) {
    const i32 m = i / (block_rows / 2), r = i % (block_rows / 2) * 2;
    t.store_pair(m, t.first_row + r, staged[m * sums_pitch + r], staged[m * sums_pitch + r + 1]);
  }
}

#define BATCH_FORMAT MX_PASTE(mx_format_, MX_FORMAT)
// The grid's x counts token tiles, so that blocks with the same weights run together.
#define GEMM_BATCH_ENTRY(name, tokens)                                                                                                 \
  MX_TRAITS(name, 256, 128, tokens, 0, 0)                                                                                              \
  MX_ENTRY(name, 256)(MxGroup group, const u16 *x, i32 x_stride, const f32 *x_scales, i32 round, i32 accumulate, i32 n, i32 parts,     \
                      f32 *partial, i32 *counters) {                                                                                   \
    const i32 token_tiles = (n + tokens - 1) / tokens, tile = mx_block_y();                                                            \
    const Split split{mx_block_z(), parts, partial, counters, tile * token_tiles + mx_block_x()};                                      \
    batch_tile<BATCH_FORMAT, tokens>(                                                                                                  \
        mx_group_tile_at(group, tile, mx_block_x(), x_scales, round, accumulate, n, block_rows, tokens), x, x_stride, split);          \
  }                                                                                                                                    \
  MX_EXPORT(name)
#define EXPERT_BATCH_ENTRY(name, tokens)                                                                                               \
  MX_TRAITS(name, 256, 128, tokens, 0, 0)                                                                                              \
  MX_ENTRY(name, 256)(const MxLinear *experts, const u16 *x, i32 x_stride, const f32 *x_scales, i32 divisor, const i32 *sorted,        \
                      const i32 *offsets, const i32 *tiles, const i32 *tile_count, f32 *out, i32 out_stride, i32 round, i32 swiglu,    \
                      f32 alpha, f32 limit, [[maybe_unused]] i32 rows, [[maybe_unused]] i32 cols) {                                    \
    batch_tile<BATCH_FORMAT, tokens>(mx_expert_tile(experts, x_scales, divisor, sorted, offsets, tiles, tile_count, out, out_stride,   \
                                                    round, swiglu, alpha, limit, block_rows, tokens),                                  \
                                     x, x_stride, Split{0, 1, nullptr, nullptr, 0});                                                   \
  }                                                                                                                                    \
  MX_EXPORT(name)
#define BATCH_EXPAND(macro, name, tokens) macro(name, tokens)
#define BATCH_NAME(stem, suffix) MX_PASTE(MX_PASTE(stem, MX_FORMAT), suffix)
BATCH_EXPAND(GEMM_BATCH_ENTRY, BATCH_NAME(batch_, _x16), 16)
BATCH_EXPAND(GEMM_BATCH_ENTRY, BATCH_NAME(batch_, _x64), 64)
BATCH_EXPAND(EXPERT_BATCH_ENTRY, BATCH_NAME(expert_batch_, _x16), 16)
BATCH_EXPAND(EXPERT_BATCH_ENTRY, BATCH_NAME(expert_batch_, _x32), 32)
