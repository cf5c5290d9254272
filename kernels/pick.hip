// The next token from logits: greedy, or drawn from the softmax after top-k and top-p. src/session/sampler.ts makes the same picks.
//
// One block a row; time goes into passes over the logits, of which there are two where top-k leaves few tokens, and two to four else.
// Weights are integers, so that no order of additions shows, computed by single float32 operations that a host can repeat.
#include "common/numerics.h"

constexpr i32 threads = 1024;
// Candidates that are ranked by comparing each with each.
constexpr i32 most_listed = 512;
constexpr i32 no_id = 0x7fffffff;

// Calls f(value, id) for each logit of a row; a thread sees ascending ids. Four loads of 16 bytes are under way at once.
template <class F> MX_DEVICE void each(const MX_GLOBAL f32 *logits, i32 vocab, F f) {
  if (((u64)(const f32 *)logits & 15u) != 0 || (vocab & 3) != 0) {
    for (i32 i = mx_thread(); i < vocab; i += threads) f(logits[i], i);
    return;
  }
  const MX_GLOBAL f32x4 *vectors = (const MX_GLOBAL f32x4 *)logits;
  const auto four = [&](f32x4 v, i32 i) __attribute__((always_inline)) {
    f(v.x, 4 * i);
    f(v.y, 4 * i + 1);
    f(v.z, 4 * i + 2);
    f(v.w, 4 * i + 3);
  };
  const i32 count = vocab >> 2;
  i32 i = mx_thread();
  MX_NO_UNROLL
  for (; i + 3 * threads < count; i += 4 * threads) {
    const f32x4 a = vectors[i], b = vectors[i + threads], c = vectors[i + 2 * threads], d = vectors[i + 3 * threads];
    four(a, i);
    four(b, i + threads);
    four(c, i + 2 * threads);
    four(d, i + 3 * threads);
  }
  MX_NO_UNROLL
  for (; i < count; i += threads) four(vectors[i], i);
}

// Order-preserving key of a logit that is a number: larger logit, larger key; -0 equals 0.
MX_DEVICE u32 key_of(f32 v) {
  const u32 b = mx_bits(v + 0.0f);
  return b & 0x80000000u ? ~b : b | 0x80000000u;
}
MX_DEVICE f32 value_of(u32 key) { return mx_float(key & 0x80000000u ? key & 0x7fffffffu : ~key); }

// The id of the largest logit, of several the lowest one; ~id of the first logit that is NaN or infinite, where there is one.
// `largest`: of this thread's logits.
MX_DEVICE i32 block_best(const MX_GLOBAL f32 *logits, i32 vocab, f32 &largest) {
  MX_SHARED u32 keys[32];
  MX_SHARED i32 ids[32];
  const f32 infinity = __builtin_inff();
  f32 best = -infinity;
  i32 id = no_id, bad = no_id;
  each(logits, vocab, [&](f32 v, i32 i) __attribute__((always_inline)) {
    if (v > best) best = v, id = i;
    if (!(__builtin_fabsf(v) < infinity)) bad = mx_min(bad, i);
  });
  largest = best;
  u32 key = key_of(best);
  if (bad != no_id) key = ~0u, id = bad;
  for (i32 round = 0; round < 2; round++) {
    MX_UNROLL
    for (i32 mask = 16; mask > 0; mask >>= 1) {
      const u32 other = mx_shuffle_xor(key, mask);
      const i32 other_id = (i32)mx_shuffle_xor((u32)id, mask);
      if (other > key || (other == key && other_id < id)) key = other, id = other_id;
    }
    if (round == 0) {
      if (mx_lane() == 0) keys[mx_group()] = key, ids[mx_group()] = id;
      mx_barrier();
      key = keys[mx_lane()], id = ids[mx_lane()];
    }
  }
  return key == ~0u ? ~id : id;
}

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

// exp(x) in units of 2^-31 for x <= 0, rounded down: 2^n * exp(r), |r| <= ln(2)/2, ln(2) in two parts, Taylor polynomial of degree 6.
// Multiplications and additions are rounded one by one, as a host without FMA can do it too.
constexpr f32 least_x = -21.5f;
MX_DEVICE u32 weight_of(f32 x) {
  if (!(x > least_x)) return 0;
  // Adding 1.5 * 2^23 rounds to a whole number.
  const f32 n = (x * 1.44269504f + 12582912.0f) - 12582912.0f;
  const f32 r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  f32 p = 1.38888889e-3f;
  p = p * r + 8.33333333e-3f;
  p = p * r + 4.16666667e-2f;
  p = p * r + 1.66666667e-1f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  return (u32)(p * mx_float((u32)((i32)n + 31 + 127) << 23));
}

// floor(total * u) for u in [0, 1), of which 24 bits count.
MX_DEVICE u64 fraction(u64 total, f32 u) {
  const u64 n = mx_min((i32)(mx_max(u, 0.0f) * 0x1p24f), 0xffffff);
  return (total >> 24) * n + (((total & 0xffffffull) * n) >> 24);
}

MX_DEVICE u64 shuffle(u64 v, i32 lane) { return mx_shuffle((u32)v, lane) | (u64)mx_shuffle((u32)(v >> 32), lane) << 32; }

// Sum of the values of this and all earlier threads of the group.
MX_DEVICE u64 group_scan(u64 v) {
  MX_UNROLL
  for (i32 offset = 1; offset < 32; offset <<= 1) {
    const u64 other = shuffle(v, mx_max(0, mx_lane() - offset));
    if (mx_lane() >= offset) v += other;
  }
  return v;
}
// The same over the block.
MX_DEVICE u64 block_scan(u64 v, u64 &total) {
  MX_SHARED u64 sums[32];
  v = group_scan(v);
  mx_barrier();
  if (mx_lane() == 31) sums[mx_group()] = v;
  mx_barrier();
  const u64 all = group_scan(sums[mx_lane()]);
  total = shuffle(all, 31);
  const u64 before = shuffle(all, mx_max(0, mx_group() - 1));
  return mx_group() > 0 ? v + before : v;
}

// A value of the one thread that has it, for all.
MX_DEVICE u64 broadcast(bool has, u64 v) {
  MX_SHARED u64 value;
  mx_barrier();
  if (has) value = v;
  mx_barrier();
  return value;
}

// The tokens to choose from, likeliest first: by descending logit, then ascending id. `place` is a number that grows in this order.
struct Candidates {
  const MX_GLOBAL f32 *logits;
  i32 vocab;
  f32 max, inverse_temperature;
  u32 best_key;

  MX_DEVICE f32 x(f32 v) const { return (v - max) * inverse_temperature; }
  MX_DEVICE u64 place(f32 v, i32 id) const { return (u64)~key_of(v) << 32 | (u32)id; }

  // f(x, place) for those in [from, to) whose weight is not zero.
  template <class F> MX_DEVICE void within(u64 from, u64 to, F f) const {
    each(logits, vocab, [&](f32 v, i32 id) __attribute__((always_inline)) {
      const f32 xi = x(v);
      if (!(xi > least_x)) return;
      const u64 at = place(v, id);
      if (at >= from && at < to) f(xi, at);
    });
  }
};
constexpr u64 everywhere = ~0ull;

// A bin for each thread; equal widths in x.
MX_DEVICE i32 bin_of(f32 x) { return mx_min((i32)(x * ((f32)threads / least_x)), threads - 1); }

// The first place after those of the keys whose bins are at most `bin`.
MX_DEVICE u64 end_of_bin(const Candidates &c, i32 bin) {
  // -infinity is in no bin, the largest logit in the first.
  u32 outside = 0x007fffffu, inside = c.best_key;
  MX_NO_UNROLL
  while (inside - outside > 1) {
    const u32 middle = outside + (inside - outside) / 2;
    const f32 x = c.x(value_of(middle));
    if (x > least_x && bin_of(x) <= bin) inside = middle;
    else outside = middle;
  }
  return ((u64)~inside + 1) << 32;
}

struct List {
  u64 *places;
  u32 *weights;
  i32 count;
};

// Lists the candidates in [from, to), in no particular order; the count is above most_listed where there are more.
MX_DEVICE List list(const Candidates &c, u64 from, u64 to) {
  MX_SHARED u64 places[most_listed];
  MX_SHARED u32 weights[most_listed];
  MX_SHARED u32 count;
  mx_barrier();
  if (mx_thread() == 0) count = 0;
  mx_barrier();
  c.within(from, to, [&](f32 x, u64 place) __attribute__((always_inline)) {
    // Many that find no room would wait for each other.
    if (mx_lds_peek(&count) > (u32)most_listed) return;
    const u32 at = mx_lds_fetch_add(&count, 1u);
    if (at < (u32)most_listed) places[at] = place, weights[at] = weight_of(x);
  });
  mx_barrier();
  return {places, weights, (i32)count};
}

// Sums over listed candidates in front of `place`: how many, and their weight.
MX_DEVICE void in_front(const List &l, u64 place, u32 &count, u64 &weight) {
  count = 0;
  weight = 0;
  MX_NO_UNROLL
  for (i32 j = 0; j < l.count; j++) {
    if (l.places[j] < place) count++, weight += l.weights[j];
  }
}

// The end of the shortest prefix of [0, end) that has top_k candidates, or, with top_k 0, that share top_p of the weight.
MX_DEVICE u64 prefix_end(const Candidates &c, u64 end, i32 top_k, f32 top_p) {
  MX_SHARED u32 low[threads], high[threads];
  const bool counting = top_k > 0;
  u64 from = 0, to = end, target = (u64)top_k, base = 0;
  // Of [from, to), `base` lies in front, and the end is inside.
  MX_NO_UNROLL
  for (i32 shift = -1;;) {
    mx_barrier();
    low[mx_thread()] = high[mx_thread()] = 0;
    mx_barrier();
    c.within(from, to, [&](f32 x, u64 place) __attribute__((always_inline)) {
      const i32 bin = shift < 0 ? bin_of(x) : (i32)((place - from) >> shift);
      const u32 w = counting ? 1u : weight_of(x), sum = w + mx_lds_fetch_add(&low[bin], w);
      if (sum < w) mx_lds_add(&high[bin], 1u);
    });
    mx_barrier();
    const u64 own = (u64)high[mx_thread()] << 32 | low[mx_thread()];
    u64 total;
    const u64 sum = base + block_scan(own, total);
    if (shift < 0) {
      if (!counting) {
        target = fraction(total, top_p);
        if (target == 0) target = 1;
      }
      if (total < target) return end;
    }
    const bool here = sum >= target && sum - own < target;
    const i32 bin = (i32)broadcast(here, (u64)mx_thread());
    base = broadcast(here, sum - own);
    const u64 first = from, last = to;
    if (shift < 0) {
      if (bin > 0) from = end_of_bin(c, bin - 1);
      to = end_of_bin(c, bin);
    } else {
      from = first + ((u64)bin << shift);
      to = from + (1ull << shift);
    }
    if (to > last) to = last;
    const List l = list(c, from, to);
    if (l.count <= most_listed) {
      const bool mine = mx_thread() < l.count;
      const u64 place = mine ? l.places[mx_thread()] : 0;
      u32 count = 0;
      u64 weight = 0;
      if (mine) in_front(l, place, count, weight);
      const u64 before = base + (counting ? count : weight), own_sum = mine ? counting ? 1u : l.weights[mx_thread()] : 0u;
      return broadcast(before < target && before + own_sum >= target, place + 1);
    }
    const i32 bits = 64 - __builtin_clzll(to - from - 1);
    shift = bits > 10 ? bits - 10 : 0;
  }
}

// A lower bound of the key of the top_k-th largest logit, from each thread's largest: at least top_k of them reach it. 0: unknown.
MX_DEVICE u32 least_key(u32 own, i32 top_k) {
  MX_SHARED u32 counts[2][32];
  u32 floor = 0;
  if (top_k > threads) return floor;
  // The low bits would not leave out many more.
  MX_NO_UNROLL
  for (i32 bit = 31; bit >= 12; bit--) {
    const u32 middle = floor | 1u << bit;
    const u32 reached = (u32)__builtin_popcount(mx_ballot(own >= middle));
    if (mx_lane() == 0) counts[bit & 1][mx_group()] = reached;
    mx_barrier();
    u32 sum = counts[bit & 1][mx_lane()];
    MX_UNROLL
    for (i32 mask = 16; mask > 0; mask >>= 1) sum += mx_shuffle_xor(sum, mask);
    if (sum >= (u32)top_k) floor = middle;
  }
  return floor;
}

// The draw where all candidates that top_k and top_p can leave are listed. Every thread of the block must come here.
MX_DEVICE i32 draw_listed(const List &l, i32 top_k, f32 top_p, f32 u) {
  const i32 t = mx_thread();
  const bool mine = t < l.count;
  const u64 place = mine ? l.places[t] : 0;
  u32 count = 0;
  u64 before = 0, total;
  if (mine) in_front(l, place, count, before);
  u64 weight = mine && count < (u32)top_k ? l.weights[t] : 0;
  if (top_p < 1.0f) {
    block_scan(weight, total);
    const u64 target = fraction(total, top_p);
    if (before >= (target > 0 ? target : 1)) weight = 0;
  }
  block_scan(weight, total);
  mx_barrier();
  if (mine) l.weights[t] = (u32)weight;
  mx_barrier();
  const u64 left = fraction(total, u);
  const u32 id = (u32)place;
  u64 sum = 0;
  if (mine) {
    MX_UNROLL_4
    for (i32 j = 0; j < l.count; j++) sum += (u32)l.places[j] < id ? l.weights[j] : 0u;
  }
  return (i32)broadcast(sum <= left && sum + weight > left, id);
}

// The draw among the candidates in [0, end): first the chunk of ids that holds it, then the id.
MX_DEVICE i32 draw(const Candidates &c, u64 end, f32 u) {
  MX_SHARED u64 sums[threads];
  const auto weight = [&](f32 v, i32 id) __attribute__((always_inline)) -> u32 {
    const f32 x = c.x(v);
    if (!(x > least_x)) return 0;
    return end == everywhere || c.place(v, id) < end ? weight_of(x) : 0;
  };
  const i32 per = (c.vocab + 128 * threads - 1) / (128 * threads) * 128, chunks = (c.vocab + per - 1) / per;
  const bool vectors = ((u64)(const f32 *)c.logits & 15u) == 0 && (c.vocab & 3) == 0;
  mx_barrier();
  MX_NO_UNROLL
  for (i32 chunk = mx_group(); chunk < chunks; chunk += 32) {
    const i32 from = chunk * per, to = mx_min(c.vocab, from + per);
    u64 sum = 0;
    if (vectors) {
#if !defined(MX_HOST)
#pragma unroll 2
#endif
      for (i32 i = from + 4 * mx_lane(); i < to; i += 128) {
        const f32x4 v = *(const MX_GLOBAL f32x4 *)(c.logits + i);
        sum += (u64)weight(v.x, i) + weight(v.y, i + 1);
        sum += (u64)weight(v.z, i + 2) + weight(v.w, i + 3);
      }
    } else {
      MX_NO_UNROLL
      for (i32 i = from + mx_lane(); i < to; i += 32) sum += weight(c.logits[i], i);
    }
    sum = group_scan(sum);
    if (mx_lane() == 31) sums[chunk] = sum;
  }
  mx_barrier();
  u64 total;
  const i32 t = mx_thread();
  const u64 own = t < chunks ? sums[t] : 0, sum = block_scan(own, total), target = fraction(total, u);
  const bool here = sum > target && sum - own <= target;
  const i32 chunk = (i32)broadcast(here, (u64)t);
  u64 left = broadcast(here, target - (sum - own));
  // Of a chunk that is wider than the block, piece by piece.
  const i32 to = mx_min(c.vocab, chunk * per + per);
  for (i32 from = chunk * per;; from += threads) {
    const i32 id = from + t;
    const u64 w = id < to ? weight(c.logits[id], id) : 0, running = block_scan(w, total);
    if (total > left) return (i32)broadcast(running > left && running - w <= left, (u64)id);
    left -= total;
  }
}

MX_TRAITS(sample, 1024, 0, 1, 0, 0)
MX_ENTRY(sample, 1024)(const f32 *logits, i64 stride, i32 vocab, const f32 *params, const f32 *uniforms, i32 uniform_stride, const i32 *positions,
                       i32 *picked, i32 rows) {
  mx_follow();
  const i32 row = mx_block_x();
  if (row >= rows) return;
  const f32 temperature = mx_global<f32>(params)[4 * row], top_p = mx_global<f32>(params)[4 * row + 1];
  i32 top_k = (i32)mx_global<f32>(params)[4 * row + 2];
  Candidates c = {mx_global<f32>(logits) + row * stride, vocab, 0.0f, 0.0f, 0};
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
        if (pass == 0 ? top_k > 0 : top_p < 1.0f) end = prefix_end(c, end, pass == 0 ? top_k : 0, top_p);
      }
      id = draw(c, end, u);
    }
  }
  if (mx_thread() == 0) mx_global<i32>(picked)[row] = id;
}
MX_EXPORT(sample)
