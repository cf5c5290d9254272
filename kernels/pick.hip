// The next token from logits: greedy, or drawn from the softmax after top-k and top-p. src/session/sampler.ts makes the same picks.
//
// One block a row; time goes into passes over the logits, of which there are two where top-k leaves few tokens, and two to four else.
// Weights are integers, so that no order of additions shows, computed by single float32 operations that a host can repeat.
#include "common/draw.h"

MX_TRAITS(argmax, 1024, 0, 1, 0, 0)
MX_ENTRY(argmax, 1024)(const f32 *logits, i64 stride, i32 vocab, i32 *picked, f32 *sums, i32 rows) {
  mx_follow();
  const i32 row = mx_block_x();
  if (row >= rows) return;
  const MX_GLOBAL f32 *const own = mx_global<f32>(logits) + row * stride;
  f32 largest;
  const i32 id = block_best(own, vocab, largest);
  if (mx_thread() == 0) mx_global<i32>(picked)[row] = id;
  if (!sums || id < 0) return;
  // The inverse of the picked token's probability.
  MX_SHARED f32 parts[32];
  const f32 most = own[id];
  f32 sum = 0.0f;
  each(own, vocab, [&](f32 v, i32) __attribute__((always_inline)) { sum += mx_exp(v - most); });
  sum = mx_group_sum(sum);
  if (mx_lane() == 0) parts[mx_group()] = sum;
  mx_barrier();
  sum = mx_group_sum(parts[mx_lane()]);
  if (mx_thread() == 0) mx_global<f32>(sums)[row] = sum;
}
MX_EXPORT(argmax)

#if !defined(__AMDGCN__)
#include "common/shares.h"

// The same without the sums by several blocks a row, the last of which to come compares what each has found.
MX_TRAITS(argmax_split, 1024, 0, 1, 0, 0)
MX_ENTRY(argmax_split, 1024)(const f32 *logits, i64 stride, i32 vocab, i32 *picked, i32 *partial, i32 *counters, i32 rows) {
  mx_follow();
  const i32 row = mx_block_y();
  if (row >= rows) return;
  i32 best;
  u32 key;
  const MX_GLOBAL f32 *const own = mx_global<f32>(logits) + row * stride;
  if (!best_of_shares(own, vocab, mx_global<i32>(partial) + row * row_blocks, counters, row, best, key)) return;
  if (mx_lane() == 0) mx_global<i32>(picked)[row] = best;
}
MX_EXPORT(argmax_split)
#endif

MX_TRAITS(sample, 1024, 0, 1, 0, 0)
MX_ENTRY(sample, 1024)(const f32 *logits, i64 stride, i32 vocab, const f32 *params, const f32 *uniforms, i32 uniform_stride, const i32 *positions,
                       i32 *picked, i32 rows) {
  mx_follow();
  const i32 row = mx_block_x();
  if (row >= rows) return;
  const f32 temperature = mx_global<f32>(params)[4 * row], top_p = mx_global<f32>(params)[4 * row + 1];
  i32 top_k = (i32)mx_global<f32>(params)[4 * row + 2];
  Candidates c = {mx_global<f32>(logits) + row * stride, vocab, 0.0f, 0.0f, 0, 0};
  f32 largest;
  i32 id = block_best(c.logits, vocab, largest);
  if (temperature > 0.0f && id >= 0) {
    const f32 u = mx_global<f32>(uniforms)[(i64)row * uniform_stride + mx_global<i32>(positions)[row]];
    c.max = c.logits[id];
    c.best_key = key_of(c.max);
    // Not infinity, which times 0 would be NaN.
    c.inverse_temperature = mx_min(1.0f / temperature, 3.40282347e38f);
    if (top_k < 0 || top_k >= vocab) top_k = 0;
    u64 end = everywhere;
    i32 count = most_listed + 1;
    if (top_k > 0) {
      const u32 floor = least_key(key_of(largest), top_k);
      if (floor > 0) end = ((u64)~floor + 1) << 32;
      const List l = list(c, 0, end);
      count = l.count;
      if (count <= most_listed) id = draw_listed(l, top_k, top_p, u);
    }
    if (count > most_listed) {
      // A loop, so that there is one copy of the code.
      MX_NO_UNROLL
      for (i32 pass = 0; pass < 2; pass++) {
        if (pass == 0 ? top_k > 0 : top_p < 1.0f) end = prefix_end(c, {0, end, (u64)top_k, 0, -1}, pass == 0, top_p);
      }
      id = draw(c, end, u);
    }
  }
  if (mx_thread() == 0) mx_global<i32>(picked)[row] = id;
}
MX_EXPORT(sample)
