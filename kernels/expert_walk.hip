// The two linears of the chosen experts for some sequences (NVIDIA): MXFP4 weights, sorted rows of bf16 numbers. Blocks, one a multiprocessor,
// share out all rows of all experts that anybody chose: each walks over its rows, whichever experts have them, so that all end together.
//
// Weights come in copies of whole rows, some steps ahead: memory gives much less where warps ask for pieces of the same rows at different times.
// A warp multiplies sixteen rows of weights (the instruction's first operand) by up to eight tokens, always the same 256 columns, whose
// inputs stay in registers; what twelve warps found is added up by way of LDS. Of eight columns inputs lie as 0 4, 1 5, 2 6, 3 7 (qdq's order
// 1). A token's sum does not depend on the tokens beside it, nor on who computes it.
#include "common/bulk.h"
#include "common/halves.h"
#include "common/tile.h"

constexpr i32 chunks = 12, threads = 32 * chunks, chunk_blocks = 8, unit_rows = 16, together = 2, stage_rows = together * unit_rows, most_tokens = 8;
// Steps whose weights are in LDS or on their way. More of them are faster alone and slower between other kernels: see expert_one.hip.
constexpr i32 stages = 2, part_floats = 128;

MX_DEVICE void product(f32 (&c)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
  __asm__("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
          : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
          : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}
MX_DEVICE void walkers_barrier() { __asm__ volatile("bar.sync 1, %0;" : : "n"(threads) : "memory"); }

// What one row's scale does to its decoded weights, which are 2^126 times too small: one factor where bf16 has it, else two.
template <bool Large> MX_DEVICE u32x4 scaled(u32 w, u32 scale) {
  // Else what both have in common would be computed, and kept, before it is known which one is needed.
  if (Large) __asm__ volatile("" : "+r"(w));
  const u32 high = w >> 8, first = 0x1040u, second = 0x104u, mask = 0x81c081c0u;
  u32x4 p = {(w & 0x000f000fu) * first & mask, (w & 0x00f000f0u) * second & mask, (high & 0x000f000fu) * first & mask, (high & 0x00f000f0u) * second & mask};
  if (Large) {
    const u32 factor = mx_fp4_factor(scale);
    MX_UNROLL
    for (i32 i = 0; i < 4; i++) p[i] = mx_scale_pair(mx_scale_pair(p[i], 0x7e807e80u), factor);
  } else {
    const u32 factor = (scale + 126u) * 0x800080u;
    MX_UNROLL
    for (i32 i = 0; i < 4; i++) p[i] = mx_scale_pair(p[i], factor);
  }
  return p;
}
constexpr u32 most_scale = 128;

struct Unit {
  u32x4 upper[2], lower[2];
};
// Two units by the same inputs.
template <bool Large> MX_DEVICE void multiply(const Unit (&units)[together], const u32 (&scales)[2 * together], const u32x4 (&x)[2][4], f32x4 (&sums)[together]) {
  f32 c[together][4] = {}, d[together][4] = {};
  MX_UNROLL
  for (i32 k = 0; k < 2; k++) {
    MX_UNROLL
    for (i32 i = 0; i < 4; i++) {
      MX_UNROLL
      for (i32 u = 0; u < together; u++) {
        const u32 up = k ? scales[2 * u] >> 8 : scales[2 * u] & 255u, low = k ? scales[2 * u + 1] >> 8 : scales[2 * u + 1] & 255u;
        const u32x4 p = scaled<Large>(units[u].upper[k][i], up), q = scaled<Large>(units[u].lower[k][i], low), b = x[k][i];
        product(c[u], p.x, q.x, p.y, q.y, b.x, b.y);
        product(d[u], p.z, q.z, p.w, q.w, b.z, b.w);
      }
    }
  }
  MX_UNROLL
  for (i32 u = 0; u < together; u++) sums[u] = f32x4{c[u][0] + d[u][0], c[u][1] + d[u][1], c[u][2] + d[u][2], c[u][3] + d[u][3]};
}

// Dynamic LDS: two steps of 32 rows, of 17 bytes for 32 columns each; and parts of sums, of two pairs of units.
MX_TRAITS(expert_batch_mxfp4_x8, 416, 16, 8, 34, 24704)
MX_ENTRY_RESIDENT(expert_batch_mxfp4_x8, 416, 1)(const MxLinear *experts, const u16 *x, i32 x_stride, const f32 *x_scales, i32 divisor,
                                                 const i32 *sorted, const i32 *offsets, const i32 *tiles, const i32 *tile_count, f32 *out,
                                                 i32 out_stride, i32 round, i32 swiglu, f32 alpha, f32 limit, i32 rows, i32 cols) {
  MX_SHARED u64 filled[stages], emptied[stages];
  const i32 lane = mx_lane(), chunk = mx_group(), tid = mx_thread(), blocks = cols / 32;
  if (tid < stages) {
    mx_mark_begin(&filled[tid], 1);
    mx_mark_begin(&emptied[tid], chunks);
    mx_marks_visible();
  }
  mx_barrier();
  mx_follow();
  // What is shared out: pairs of units.
  const i32 pairs = (rows + stage_rows - 1) / stage_rows, all = mx_global<i32>(tile_count)[0] * pairs;
  const i32 begin = (i32)((i64)all * mx_block_x() / mx_grid_x()), end = (i32)((i64)all * (mx_block_x() + 1) / mx_grid_x());
  if (begin >= end) return;
  const i32 stage_pieces = stage_rows * blocks, stage_scales = stage_rows * blocks;
  u32x4 *const w = MX_LDS(u32x4);
  u8 *const scales = (u8 *)(w + stages * stage_pieces);
  f32 *const parts = (f32 *)(scales + stages * stage_scales);
  if (chunk == chunks) {
    // Asks for weights, as stages become free.
    if (lane != 0) return;
    i32 stage = 0, turn = 0;
    for (i32 at = begin; at < end;) {
      const i32 tile = at / pairs, last = mx_min(end, (tile + 1) * pairs);
      const MxLinear l = mx_expert_linear(experts, mx_global<i32>(tiles)[2 * tile]);
      MX_NO_UNROLL
      for (; at < last; at++) {
        const i32 row = (at - tile * pairs) * stage_rows, count = mx_min(stage_rows, rows - row);
        if (turn > 0) mx_mark_await(&emptied[stage], turn - 1);
        mx_mark_expect(&filled[stage], (u32)(count * blocks * 17));
        mx_bulk_copy(w + stage * stage_pieces, mx_global<u8>(l.weight) + (i64)row * 16 * blocks, (u32)(count * 16 * blocks), &filled[stage]);
        mx_bulk_copy(scales + stage * stage_scales, mx_global<u8>(l.scale) + (i64)row * blocks, (u32)(count * blocks), &filled[stage]);
        if (++stage == stages) stage = 0, turn++;
      }
    }
    return;
  }
  const i32 g = lane >> 2, t = lane & 3;
  // A lane's blocks of a row; beyond its end the last one again, with zeros for inputs and scales.
  const i32 block = chunk * chunk_blocks + 2 * t, pieces[2] = {mx_min(block, blocks - 1), mx_min(block + 1, blocks - 1)};
  const bool valid[2] = {block < blocks, block + 1 < blocks};
  i32 stage = 0, turn = 0, buffer = 0;
  MX_NO_UNROLL
  for (i32 at = begin; at < end;) {
    const i32 tile = at / pairs, last = mx_min(end, (tile + 1) * pairs);
    const i32 e = mx_global<i32>(tiles)[2 * tile], first = mx_global<i32>(tiles)[2 * tile + 1];
    const i32 tokens = mx_min(most_tokens, mx_global<i32>(offsets)[e + 1] - first);
    // Of the parts of a unit, number q of 128 is the sum of row 2 * (q / 4 % 8) + (q >> 1 & 1) and token 2 * (q / 32) + (q & 1): four warps
    // finish a unit, each two tokens.
    const i32 q = tid & 127, own_token = (q >> 5) * 2 + (q & 1);
    const i32 slot = mx_global<i32>(sorted)[first + mx_min(own_token, tokens - 1)];
    const MxLinear l = mx_expert_linear(experts, e);
    const f32 x_scale = x_scales ? mx_global<f32>(x_scales)[slot / divisor] : 1.0f;
    u32x4 b[2][4];
    {
      const i32 row = mx_global<i32>(sorted)[first + mx_min(g, tokens - 1)] / divisor;
      const MX_GLOBAL u32x4 *const from = (const MX_GLOBAL u32x4 *)(mx_global<u16>(x) + (i64)row * x_stride);
      MX_UNROLL
      for (i32 k = 0; k < 2; k++) {
        MX_UNROLL
        for (i32 i = 0; i < 4; i++) b[k][i] = valid[k] && g < tokens ? from[4 * pieces[k] + i] : u32x4{0, 0, 0, 0};
      }
    }
    MX_NO_UNROLL
    for (; at < last; at++) {
      const i32 own_row = (at - tile * pairs) * stage_rows + (tid >> 7) * unit_rows + (q >> 2 & 7) * 2 + (q >> 1 & 1);
      const bool finishes = tid < 128 * together && own_row < rows && own_token < tokens;
      const f32 bias = finishes && l.bias ? mx_element(l.bias, l.bias_format, own_row) : -0.0f;
      mx_mark_await(&filled[stage], turn);
      Unit own[together];
      u32 now[2 * together];
      MX_UNROLL
      for (i32 u = 0; u < together; u++) {
        const u32x4 *const from = w + stage * stage_pieces + (u * unit_rows + 2 * g) * blocks;
        const u8 *const from_scales = scales + stage * stage_scales + (u * unit_rows + 2 * g) * blocks;
        MX_UNROLL
        for (i32 k = 0; k < 2; k++) {
          own[u].upper[k] = from[pieces[k]], own[u].lower[k] = from[blocks + pieces[k]];
          const u32 up = valid[k] ? from_scales[pieces[k]] : 0u, low = valid[k] ? from_scales[blocks + pieces[k]] : 0u;
          now[2 * u] = k ? now[2 * u] | up << 8 : up;
          now[2 * u + 1] = k ? now[2 * u + 1] | low << 8 : low;
        }
      }
      mx_group_barrier();
      if (lane == 0) mx_mark_set(&emptied[stage]);
      if (++stage == stages) stage = 0, turn++;
      u32 most = 0;
      MX_UNROLL
      for (i32 i = 0; i < 2 * together; i++) most = mx_max(most, mx_max(now[i] & 255u, now[i] >> 8));
      f32x4 sums[together];
      if (mx_ballot(most > most_scale)) multiply<true>(own, now, b, sums);
      else multiply<false>(own, now, b, sums);
      if (2 * t < tokens) {
        MX_UNROLL
        for (i32 u = 0; u < together; u++) ((f32x4 *)parts)[((buffer * together + u) * chunks + chunk) * 32 + 8 * t + g] = sums[u];
      }
      walkers_barrier();
      if (tid < 128 * together && (q >> 5) * 2 < tokens) {
        const f32 *const from = parts + ((buffer * together + (tid >> 7)) * chunks) * part_floats + q;
        f32 sum[4] = {0, 0, 0, 0};
        MX_UNROLL
        for (i32 i = 0; i < chunks; i++) sum[i & 3] += from[i * part_floats];
        const f32 z = mx_round_if(((sum[0] + sum[1]) + (sum[2] + sum[3])) * l.tensor_scale * x_scale + bias, round);
        const f32 next = mx_shuffle_xor(z, 2);
        MX_GLOBAL f32 *const to = mx_global<f32>(out) + (i64)slot * out_stride;
        if (finishes) {
          if (!swiglu) to[own_row] = z;
          else if ((q & 2) == 0) to[own_row / 2] = mx_round_if(mx_swiglu(z, own_row + 1 < rows ? next : 0.0f, alpha, limit), round);
        }
      }
      buffer ^= 1;
    }
  }
}
MX_EXPORT(expert_batch_mxfp4_x8)
