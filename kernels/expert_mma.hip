// The two linears of the chosen experts for few tokens by matrix instructions (NVIDIA): MXFP4 weights, an input of bf16 numbers.
//
// A warp multiplies eight rows of each of two matrices, "halves", by an input row each, four blocks of 32 columns a step. Lane 4g + t
// loads and decodes block t of row g of both halves; to the instruction these are rows g and g + 8. Its eight columns, which are meant
// for tokens, tell blocks apart instead: column t has block t's inputs of the first half in the places of lane t's weights and zeros
// elsewhere, column 4 + t those of the second. So every sum that comes out is one of one block, which its scale may multiply.
//
// Decoding is two operations a weight instead of three in expert.hip, and the products cost none of the ordinary units. A block's
// products are exact; the instruction adds them in float32. What was tried beside it is in docs/measurements/h100.md.
#include "common/experts.h"
#include "common/mma.h"
#include "common/vector.h"

constexpr i32 groups = 8, quarters = 4, half_rows = 8, most_choices = 32;
// Steps whose weights are in flight.
constexpr i32 ahead = 3;
// 16-byte pieces from one staged block of inputs to the next: four, and one so that four blocks lie in different banks.
constexpr i32 staged_pieces = 5;

// Stages a row as bf16 numbers times 2^64, in the order in which MxFp4::pair gives weights: of eight columns 0 4, 1 5, 2 6, 3 7.
MX_DEVICE f32 stage(const MxInput &in, i64 row, i32 cols, u32x4 *to) {
  return mx_prepare_row(mx_without_norm(in), row, cols, [=](i32 c, f32x4 v) {
    u16 *const at = (u16 *)(to + c / 32 * staged_pieces + c % 32 / 8) + (c >> 2 & 1);
    MX_UNROLL
    for (i32 i = 0; i < 4; i++) at[2 * i] = (u16)(mx_bits(v[i] * mx_prescale_value) >> 16);
  });
}

// Rows that follow one another and need no QDQ, eight columns at a time, so many of them asked for together: a block spends more of its time
// waiting for one answer after the other than for bytes.
template <i32 Pieces> struct Held {
  f32x4 v[Pieces][2];
  static MX_DEVICE bool knows(const MxInput &in, i32 cols) { return in.kind == MX_NONE && (cols & 31) == 0; }
  // Those from piece `first` of all rows' pieces on that are this thread's.
  MX_DEVICE void load(const MxInput &in, i64 first_row, i32 rows, i32 cols, i32 first) {
    MX_UNROLL
    for (i32 i = 0; i < Pieces; i++) {
      const u32 at = (u32)(first + i * 32 * groups + mx_thread()), each = (u32)cols / 8, row = at / each;
      const MX_GLOBAL f32x4 *const x = (const MX_GLOBAL f32x4 *)(mx_global<f32>(in.x) + (first_row + row) * in.x_stride + (at - row * each) * 8);
      if ((i32)row < rows) v[i][0] = x[0], v[i][1] = x[1];
    }
  }
  MX_DEVICE void put(u32x4 *to, i32 row_pieces, i32 rows, i32 cols, i32 first) const {
    MX_UNROLL
    for (i32 i = 0; i < Pieces; i++) {
      const u32 at = (u32)(first + i * 32 * groups + mx_thread()), each = (u32)cols / 8, row = at / each, piece = at - row * each;
      u32x4 pairs;
      MX_UNROLL
      for (i32 k = 0; k < 4; k++) pairs[k] = mx_pack_exact(v[i][0][k] * mx_prescale_value, v[i][1][k] * mx_prescale_value);
      if ((i32)row < rows) to[(i32)row * row_pieces + piece / 4 * staged_pieces + piece % 4] = pairs;
    }
  }
};
constexpr i32 up_pieces = 2, down_pieces = 3;

// What a lane multiplies: row lane / 4 of each half, and where it finds their inputs.
struct Rows {
  const MX_GLOBAL u8 *weights[2];
  const MX_GLOBAL u8 *scales;  // of the row whose sums this lane gets: of half lane >> 1 & 1
  const u32x4 *x;              // staged row of the half whose column lane / 4 is, or null where its sums are to be zero
};

struct Raw {
  u32x4 w[2];
  u32 scale[2];
};
// Beyond the end the last block again; its inputs are zeros there.
MX_DEVICE Raw load(const Rows &r, i32 step, i32 blocks) {
  const i32 t = mx_lane() & 3, block = mx_min(4 * step + t, blocks - 1), own = 4 * step + 2 * (t & 1);
  Raw raw;
  MX_UNROLL
  for (i32 h = 0; h < 2; h++) raw.w[h] = mx_load_stream((const MX_GLOBAL u32x4 *)(r.weights[h] + (i64)block * 16));
  MX_UNROLL
  for (i32 i = 0; i < 2; i++) raw.scale[i] = r.scales[mx_min(own + i, blocks - 1)];
  return raw;
}

// Blocks 4 * step .. 4 * step + 3 of all sixteen rows; adds to the sum of row lane / 4 of half lane >> 1 & 1.
MX_DEVICE f32 multiply(const Raw &raw, const u32x4 *x, f32 sum) {
  f32 c[4] = {0, 0, 0, 0}, d[4] = {0, 0, 0, 0};
  MX_UNROLL
  for (i32 i = 0; i < 4; i++) {
    const u32x4 b = x[i];
    const u32 w0 = raw.w[0][i], w1 = raw.w[1][i];
    mx_product(c, MxFp4::pair<0>(w0), MxFp4::pair<0>(w1), MxFp4::pair<1>(w0), MxFp4::pair<1>(w1), b.x, b.y);
    mx_product(d, MxFp4::pair<2>(w0), MxFp4::pair<2>(w1), MxFp4::pair<3>(w0), MxFp4::pair<3>(w1), b.z, b.w);
  }
  const bool second = mx_lane() & 2;
  MX_UNROLL
  for (i32 i = 0; i < 2; i++) {
    const f32 part = second ? c[2 + i] + d[2 + i] : c[i] + d[i];
    sum = mx_fma(part * MxFp4::unscale(0), mx_e8m0(raw.scale[i]), sum);
  }
  return sum;
}

// Sum over a quarter of the columns of row lane / 4 of half lane >> 1 & 1. `zeros` are four pieces.
MX_DEVICE f32 quarter_sum(const Rows &rows, i32 cols, i32 quarter, const u32x4 *zeros) {
  const i32 blocks = cols / 32, steps = (blocks + 3) / 4, share = (steps + quarters - 1) / quarters;
  const i32 first = quarter * share, last = mx_min(first + share, steps), end = mx_min(4 * last, blocks);
  const i32 column = mx_lane() >> 2 & 3;
  const bool filled = rows.x && column == (mx_lane() & 3);
  f32 total = 0.0f;
  if (first < last) {
    Raw raw[ahead];
    MX_UNROLL
    for (i32 i = 0; i < ahead; i++) raw[i] = load(rows, first + i, blocks);
    for (i32 step = first; step < last; step += ahead) {
      const bool more = step + ahead < last;
      MX_UNROLL
      for (i32 i = 0; i < ahead; i++) {
        const i32 block = 4 * (step + i) + column;
        total = multiply(raw[i], filled && block < end ? rows.x + block * staged_pieces : zeros, total);
        if (more) raw[i] = load(rows, step + i + ahead, blocks);
      }
    }
  }
  return total + mx_shuffle_xor(total, 1);
}

MX_DEVICE f32 sum_of_quarters(const f32 *parts, i32 step) { return (parts[0] + parts[step]) + (parts[2 * step] + parts[3 * step]); }
MX_DEVICE const MX_GLOBAL u8 *weights_of(const MxLinear &l, i32 row) { return mx_global<u8>(l.weight) + (i64)mx_min(row, l.rows - 1) * l.row_stride; }
MX_DEVICE const MX_GLOBAL u8 *scales_of(const MxLinear &l, i32 row) { return mx_global<u8>(l.scale) + (i64)mx_min(row, l.rows - 1) * l.scale_stride; }

// What is added to and multiplies the sum of a row, asked for long before it is needed.
struct Epilogue {
  f32 factor, bias;
  MX_DEVICE void load(const MxLinear &l, i32 row) {
    factor = l.tensor_scale;
    bias = l.bias ? mx_element(l.bias, l.bias_format, row) : 0.0f;
  }
};

// Two tiles of sixteen rows; each by four warps, a quarter of the columns a warp. Both halves belong to one expert and have one input.
MX_TRAITS(expert_up_mxfp4_mma, 256, 32, 1, 2.5, 0)
MX_ENTRY_RESIDENT(expert_up_mxfp4_mma, 256, 3)(const MxLinear *experts, MxInput in, const i32 *ids, i32 first, i32 count, i32 top_k, f32 *out,
                                               i32 out_stride, i32 round, i32 swiglu, f32 alpha, f32 limit, i32 rows, i32 cols, i32 n) {
  mx_follow();
  MX_SHARED u32x4 zeros[4];
  MX_SHARED f32 parts[quarters][4 * half_rows];
  const MxExperts a{experts, ids, first, count, top_k, rows, cols, n};
  const i32 slot = mx_block_y(), tid = mx_thread(), lane = mx_lane();
  if (slot >= n * top_k) return;
  const bool plain = Held<up_pieces>::knows(in, cols) && cols <= up_pieces * 8 * 32 * groups;
  Held<up_pieces> held;
  const i32 e = mx_local_expert(a, slot);
  if (plain) held.load(in, slot / top_k, 1, cols, 0);
  if (e < 0) return;
  u32x4 *const x = MX_LDS(u32x4);
  const MxLinear l = mx_expert_linear(experts, e);
  const i32 row0 = mx_block_x() * 4 * half_rows, tile = mx_group() & 1, quarter = mx_group() >> 1, half = lane >> 1 & 1;
  const i32 row = row0 + tile * 2 * half_rows + (lane >> 2);
  const bool finishes = tid < 4 * half_rows && row0 + tid < rows;
  Epilogue epilogue = {};
  if (finishes) epilogue.load(l, row0 + tid);
  if (tid < 4) zeros[tid] = u32x4{0, 0, 0, 0};
  const Rows own{{weights_of(l, row), weights_of(l, row + half_rows)}, scales_of(l, row + half * half_rows), x};
  f32 x_scale = 1.0f;
  if (plain) held.put(x, 0, 1, cols, 0);
  else x_scale = stage(in, slot / top_k, cols, x);
  mx_barrier();
  const f32 sum = quarter_sum(own, cols, quarter, zeros);
  if ((lane & 1) == 0) parts[quarter][tile * 2 * half_rows + half * half_rows + (lane >> 2)] = sum;
  mx_barrier();
  if (tid >= 4 * half_rows) return;
  const f32 z = mx_round_if(sum_of_quarters(&parts[0][tid], 4 * half_rows) * epilogue.factor * x_scale + epilogue.bias, round);
  const f32 next = mx_shuffle_xor(z, 1);
  MX_GLOBAL f32 *const to = mx_global<f32>(out) + (i64)slot * out_stride;
  if (finishes && !swiglu) to[row0 + tid] = z;
  if (finishes && swiglu && (tid & 1) == 0) to[(row0 + tid) / 2] = mx_round_if(mx_swiglu(z, next, alpha, limit), round);
}
MX_EXPORT(expert_up_mxfp4_mma)

// Eight rows of all chosen experts: the halves are two choices, each with its own input; four warps a pair of choices, a quarter of
// the columns a warp.
MX_TRAITS(expert_down_combine_mxfp4_mma, 256, 8, 1, 2.5, 0)
MX_ENTRY_RESIDENT(expert_down_combine_mxfp4_mma, 256, 3)(const MxLinear *experts, MxInput in, const i32 *ids, const f32 *weights, i32 first, i32 count,
                                                         i32 top_k, f32 *out, i32 out_stride, i32 round, i32 accumulate, i32 rows, i32 cols, i32 n) {
  mx_follow();
  MX_SHARED u32x4 zeros[4];
  MX_SHARED f32 parts[most_choices][quarters][half_rows], results[most_choices][half_rows], x_scales[most_choices];
  const MxExperts a{experts, ids, first, count, top_k, rows, cols, n};
  const i32 token = mx_block_y(), tid = mx_thread(), lane = mx_lane();
  if (token >= n) return;
  u32x4 *const x = MX_LDS(u32x4);
  const i32 x_row = cols / 32 * staged_pieces, row0 = mx_block_x() * half_rows, row = row0 + (lane >> 2);
  const i32 half = lane >> 1 & 1, column_half = lane >> 4, quarter = mx_group() >> 1, pairs = (top_k + 1) / 2;
  const auto rows_of = [&](i32 pair) {
    Rows r = {{nullptr, nullptr}, nullptr, nullptr};
    MX_UNROLL
    for (i32 h = 0; h < 2; h++) {
      const i32 k = 2 * pair + h, e = k < top_k ? mx_local_expert(a, token * top_k + k) : -1;
      if (e < 0) continue;
      const MxLinear l = mx_expert_linear(experts, e);
      // A half without an expert reads the other's rows, with zeros for inputs.
      r.weights[h] = weights_of(l, row);
      if (!r.weights[1 - h]) r.weights[1 - h] = r.weights[h];
      if (h == half || !r.scales) r.scales = scales_of(l, row);
      if (h == column_half) r.x = x + k * x_row;
    }
    return r;
  };
  // Thread (k, r) finishes row r of choice k.
  const i32 k_own = tid / half_rows, own = row0 + tid % half_rows;
  const bool finishes = k_own < top_k && own < rows;
  const i32 e_own = finishes ? mx_local_expert(a, token * top_k + k_own) : -1;
  f32 weight = 0.0f;
  Epilogue epilogue = {};
  if (e_own >= 0) {
    epilogue.load(mx_expert_linear(experts, e_own), own);
    weight = mx_global<f32>(weights)[token * top_k + k_own];
  }
  Rows chosen = rows_of(mx_group() & 1);
  if (tid < 4) zeros[tid] = u32x4{0, 0, 0, 0};
  if (Held<down_pieces>::knows(in, cols)) {
    // Rows of experts that other ranks have are staged in vain; nobody multiplies them.
    MX_NO_UNROLL
    for (i32 at = 0; at < top_k * cols / 8; at += down_pieces * 32 * groups) {
      Held<down_pieces> held;
      held.load(in, (i64)token * top_k, top_k, cols, at);
      held.put(x, x_row, top_k, cols, at);
    }
    if (tid < top_k) x_scales[tid] = 1.0f;
  } else {
    MX_NO_UNROLL
    for (i32 k = 0; k < top_k; k++) {
      if (mx_local_expert(a, token * top_k + k) < 0) continue;
      const f32 scale = stage(in, token * top_k + k, cols, x + k * x_row);
      if (tid == 0) x_scales[k] = scale;
    }
  }
  mx_barrier();
  for (i32 pair = mx_group() & 1; pair < pairs; pair += groups / quarters) {
    if (pair >= groups / quarters) chosen = rows_of(pair);
    if (!chosen.weights[0]) continue;
    const f32 sum = quarter_sum(chosen, cols, quarter, zeros);
    const i32 k = 2 * pair + half;
    if ((lane & 1) == 0 && k < top_k) parts[k][quarter][lane >> 2] = sum;
  }
  mx_barrier();
  if (finishes) {
    const f32 sum = sum_of_quarters(&parts[k_own][0][tid % half_rows], half_rows);
    results[k_own][tid % half_rows] = e_own < 0 ? 0.0f : weight * (sum * epilogue.factor * x_scales[k_own] + epilogue.bias);
  }
  mx_barrier();
  if (tid >= half_rows || !finishes) return;
  f32 total = 0.0f;
  MX_NO_UNROLL
  for (i32 k = 0; k < top_k; k++) total = total + results[k][tid];
  MX_GLOBAL f32 *to = mx_global<f32>(out) + (i64)token * out_stride + own;
  const f32 y = mx_round_if(total, round);
  *to = accumulate ? mx_round_if(*to + y, round) : y;
}
MX_EXPORT(expert_down_combine_mxfp4_mma)
