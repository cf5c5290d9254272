// `sample` by several blocks a row, for few rows of a large vocabulary: the same tokens, in four launches ("stages") of 32 blocks a row.
//
// What a stage does, a row's state says, in which the last block of the stage before has left it:
//   best     the largest logit (stage 0)
//   measure  how many candidates, of which weight, are in each of 1024 bins of equal width below it; the bin where the prefix ends
//   gather   the candidates of that bin, or of all up to it where these are few enough to draw from at once; where the prefix ends
//   choose   sums of the prefix's weights by chunks of ids; the draw
// A row without top-k and top-p goes from best to choose; one that leaves few candidates is done after gather. Sums are integers, so no order
// of additions shows. Where very many candidates are in one bin (equal logits), the last block goes over the row alone: right, only slower.
#include "common/draw.h"
#include "common/shares.h"

// Candidates that blocks list for each other.
constexpr i32 most_gathered = 8192;

enum : u32 { row_done, row_measure, row_gather, row_choose };

// In memory: SAMPLE_STATE_WORDS of the host (kernels/abi/attention.ts). Sums and counters are 0 between launches.
struct RowState {
  // Candidates that are looked for; of choose, those of [0, to) are drawn from. In front of `from`: `base`, which counts candidates where
  // `all` is 0, else weight, of which `all` is the whole.
  u64 from, to, base, all;
  u32 next;
  f32 max;
  i32 counter;
  u32 gathered;
  u64 weights[threads], places[most_gathered], chunks[threads];
  u32 counts[threads];
  i32 found[row_blocks];
};
static_assert(sizeof(RowState) == 4 * 21548, "kernels/abi/attention.ts");

// The bin in which the prefix of top_k, or else of top_p, ends. Of the last block.
MX_DEVICE void find_bin(const Candidates &c, MX_GLOBAL RowState *state, i32 top_k, f32 top_p) {
  const i32 t = mx_thread();
  const u64 own_weight = mx_load_shared_by_blocks(state->weights + t), own_count = mx_load_shared_by_blocks(state->counts + t);
  state->weights[t] = 0;
  state->counts[t] = 0;
  u64 all, candidates;
  const u64 weight = block_scan(own_weight, all), count = block_scan(own_count, candidates);
  const bool counting = top_k > 0 && candidates >= (u64)top_k;
  if (!counting && !(top_p < 1.0f)) {
    if (t == 0) state->to = everywhere, state->next = row_choose;
    return;
  }
  const u64 target = counting ? (u64)top_k : nucleus(all, top_p), sum = counting ? count : weight, own = counting ? own_count : own_weight;
  const bool here = sum >= target && sum - own < target;
  const i32 bin = (i32)broadcast(here, (u64)t);
  const u64 base = broadcast(here, sum - own), listed = broadcast(here, count);
  const bool few = bin == 0 || listed <= (u64)most_listed;
  // Both ends at once, each by every second group.
  const u64 bound = end_of_bin(c, bin - (mx_group() & 1)), from = broadcast(t == 32, bound);
  if (t == 0) {
    state->from = few ? 0 : from;
    state->to = bound;
    state->base = few ? 0 : base;
    state->all = counting ? 0 : all;
    state->next = row_gather;
  }
}

MX_DEVICE void measure(const Candidates &share, MX_GLOBAL RowState *state) {
  MX_SHARED u32 low[threads], high[threads], counts[threads];
  const i32 t = mx_thread();
  low[t] = high[t] = counts[t] = 0;
  mx_barrier();
  share.within(0, everywhere, [&](f32 x, u64) __attribute__((always_inline)) {
    const i32 bin = bin_of(x);
    const u32 w = weight_of(x), sum = w + mx_lds_fetch_add(&low[bin], w);
    if (sum < w) mx_lds_add(&high[bin], 1u);
    mx_lds_add(&counts[bin], 1u);
  });
  mx_barrier();
  if (counts[t] == 0) return;
  mx_add_among_blocks(state->weights + t, (u64)high[t] << 32 | low[t]);
  mx_add_among_blocks(state->counts + t, counts[t]);
}

// Adds the share's candidates to the row's list.
MX_DEVICE void gather(const Candidates &share, MX_GLOBAL RowState *state) {
  MX_SHARED u32 at;
  const List own = list(share, state->from, state->to);
  const bool fit = own.count <= most_listed;
  // One that has more than it can list makes all of them too many.
  if (mx_thread() == 0) at = mx_fetch_add_among_blocks(&state->gathered, fit ? (u32)own.count : (u32)most_gathered + 1);
  mx_barrier();
  const u32 to = at + (u32)mx_thread();
  if (fit && mx_thread() < own.count && to < (u32)most_gathered) state->places[to] = own.places[mx_thread()];
}

// Draws from what was listed, where it is all that can be drawn; else finds where the prefix ends. Of the last block.
MX_DEVICE i32 find_end(const Candidates &row, MX_GLOBAL RowState *state, i32 top_k, f32 top_p, f32 u) {
  const u32 gathered = mx_load_shared_by_blocks(&state->gathered);
  const u64 all = state->all;
  const bool counting = all == 0, fit = gathered <= (u32)most_gathered;
  Search s = {state->from, state->to, counting ? (u64)top_k : nucleus(all, top_p), state->base, 0};
  s.divide();
  mx_barrier();
  if (mx_thread() == 0) state->gathered = 0;
  u64 end = everywhere;
  if (fit) {
    const Listed listed = {row, state->places, (i32)gathered};
    const List l = list(listed, s.from, s.to);
    const bool few = l.count <= most_listed;
    if (few && s.from == 0) return draw_listed(l, counting ? top_k : row.vocab, top_p, u, all);
    end = few ? end_listed(l, counting, s.base, s.target) : prefix_end(listed, s, counting, top_p);
  }
  // What is left takes a block long. A loop, so that there is one copy of the code.
  MX_NO_UNROLL
  for (i32 pass = 0; pass < 2; pass++) {
    if (pass == 0 ? !fit : counting && top_p < 1.0f) end = prefix_end(CandidatesBySteps{row}, s, pass == 0 && counting, top_p);
    s = {0, end, 0, 0, -1};
  }
  if (mx_thread() == 0) state->to = end;
  return no_id;
}

MX_TRAITS(sample_split, 1024, 0, 1, 0, 0)
MX_ENTRY(sample_split, 1024)(const f32 *logits, i64 stride, i32 vocab, const f32 *params, const f32 *uniforms, i32 uniform_stride,
                             const i32 *positions, i32 *picked, i32 *states, i32 stage, i32 rows) {
  mx_follow();
  const i32 row = mx_block_y(), t = mx_thread();
  if (row >= rows) return;
  MX_GLOBAL RowState *const state = mx_global<RowState>(states) + row;
  const MX_GLOBAL f32 *const own = mx_global<f32>(logits) + row * stride;
  const f32 temperature = mx_global<f32>(params)[4 * row], top_p = mx_global<f32>(params)[4 * row + 1];
  i32 top_k = (i32)mx_global<f32>(params)[4 * row + 2];
  if (top_k < 0 || top_k >= vocab) top_k = 0;
  i32 *const counter = (i32 *)&state->counter;
  if (stage == 0) {
    i32 id;
    u32 key;
    if (!best_of_shares(own, vocab, state->found, counter, 0, id, key) || t > 0) return;
    const bool drawn = temperature > 0.0f && id >= 0;
    if (!drawn) mx_global<i32>(picked)[row] = id;
    state->max = value_of(key);
    state->to = everywhere;
    state->next = !drawn ? row_done : top_k > 0 || top_p < 1.0f ? row_measure : row_choose;
    return;
  }
  const u32 next = state->next;
  if (next == row_done) return;
  const f32 u = mx_global<f32>(uniforms)[(i64)row * uniform_stride + mx_global<i32>(positions)[row]];
  // Not infinity, which times 0 would be NaN.
  const f32 max = state->max, inverse_temperature = mx_min(1.0f / temperature, 3.40282347e38f);
  const Candidates c = {own, vocab, max, inverse_temperature, key_of(max), 0};
  i32 id = no_id;
  if (next == row_choose) {
    const u64 end = state->to;
    sum_chunks(c, end, mx_block_x() * 32 + mx_group(), 32 * row_blocks, state->chunks);
    if (!mx_comes_last(counter, 0, row_blocks)) return;
    const i32 per = chunk_ids(vocab);
    id = draw_from_chunks(c, end, t < (vocab + per - 1) / per ? mx_load_shared_by_blocks(state->chunks + t) : 0, u);
  } else {
    const Share part = share_of(vocab);
    Candidates share = c;
    share.logits += part.first, share.vocab = part.count, share.first = part.first;
    if (next == row_measure) measure(share, state);
    else gather(share, state);
    if (!mx_comes_last(counter, 0, row_blocks)) return;
    if (next == row_measure) {
      find_bin(c, state, top_k, top_p);
      return;
    }
    id = find_end(c, state, top_k, top_p, u);
  }
  if (t == 0) {
    if (id != no_id) mx_global<i32>(picked)[row] = id;
    state->next = id != no_id ? row_done : row_choose;
  }
}
MX_EXPORT(sample_split)
