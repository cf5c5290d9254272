// The tokens that top-k and top-p leave to draw from, likeliest first, found by passes over a row of logits.
#pragma once
#include "blocks.h"
#include "logits.h"

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
  // The id of the first logit, where they are a share of a row.
  i32 first;

  MX_DEVICE f32 x(f32 v) const { return (v - max) * inverse_temperature; }
  MX_DEVICE u64 place(f32 v, i32 id) const { return (u64)~key_of(v) << 32 | (u32)id; }

  // f(x, place) for those in [from, to) whose weight is not zero.
  template <bool Copies = true, class F> MX_DEVICE void within(u64 from, u64 to, F f) const {
    each<Copies>(logits, vocab, [&](f32 v, i32 id) __attribute__((always_inline)) {
      const f32 xi = x(v);
      if (!(xi > least_x)) return;
      const u64 at = place(v, first + id);
      if (at >= from && at < to) f(xi, at);
    });
  }
};
constexpr u64 everywhere = ~0ull;

// The same in less code and more time.
struct CandidatesBySteps : Candidates {
  template <class F> MX_DEVICE void within(u64 from, u64 to, F f) const { Candidates::within<false>(from, to, f); }
};

// Of a row's candidates those whose places are in memory, passed over instead of the logits.
struct Listed : Candidates {
  const MX_GLOBAL u64 *places;
  i32 count;

  template <class F> MX_DEVICE void within(u64 from, u64 to, F f) const {
    for (i32 i = mx_thread(); i < count; i += threads) {
      const u64 at = mx_load_shared_by_blocks(places + i);
      if (at >= from && at < to) f(x(value_of(~(u32)(at >> 32))), at);
    }
  }
};

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

// Candidates that are ranked by comparing each with each.
constexpr i32 most_listed = 512;

struct List {
  u64 *places;
  u32 *weights;
  i32 count;
};

MX_DEVICE List list_room() {
  MX_SHARED u64 places[most_listed];
  MX_SHARED u32 weights[most_listed];
  return {places, weights, 0};
}

// Lists the candidates in [from, to), in no particular order; the count is above most_listed where there are more.
template <class C> MX_DEVICE List list(const C &c, u64 from, u64 to) {
  MX_SHARED u32 count;
  List all = list_room();
  mx_barrier();
  if (mx_thread() == 0) count = 0;
  mx_barrier();
  c.within(from, to, [&](f32 x, u64 place) __attribute__((always_inline)) {
    // Many that find no room would wait for each other.
    if (mx_lds_peek(&count) > (u32)most_listed) return;
    const u32 at = mx_lds_fetch_add(&count, 1u);
    if (at < (u32)most_listed) all.places[at] = place, all.weights[at] = weight_of(x);
  });
  mx_barrier();
  all.count = (i32)count;
  return all;
}

// Sums over listed candidates in front of `place`: how many, and their weight.
MX_DEVICE void in_front(const List &l, u64 place, u32 &count, u64 &weight) {
  count = 0;
  weight = 0;
#if defined(__NVPTX__)
  MX_UNROLL_4
#else
  // Unrolled, `sample` spills on gfx942.
  MX_NO_UNROLL
#endif
  for (i32 j = 0; j < l.count; j++) {
    if (l.places[j] < place) count++, weight += l.weights[j];
  }
}

// The end of a prefix in a list: with the one of the listed candidates that makes it `target` candidates, or their weight.
MX_DEVICE u64 end_listed(const List &l, bool counting, u64 base, u64 target) {
  const bool mine = mx_thread() < l.count;
  const u64 place = mine ? l.places[mx_thread()] : 0;
  u32 count = 0;
  u64 weight = 0;
  if (mine) in_front(l, place, count, weight);
  const u64 before = base + (counting ? count : weight), own_sum = mine ? counting ? 1u : l.weights[mx_thread()] : 0u;
  return broadcast(before < target && before + own_sum >= target, place + 1);
}

// The least weight of a prefix that has this part of all: never nothing.
MX_DEVICE u64 nucleus(u64 all, f32 top_p) {
  const u64 target = fraction(all, top_p);
  return target > 0 ? target : 1;
}

// Where the end of a prefix is looked for: of [from, to), `base` lies in front, and the end is inside. shift: places of a bin; below 0: bins
// of equal widths in x, and the whole is still to be summed up.
struct Search {
  u64 from, to, target, base;
  i32 shift;

  // At most 1024 bins.
  MX_DEVICE void divide() {
    const i32 bits = 64 - __builtin_clzll(to - from - 1);
    shift = bits > 10 ? bits - 10 : 0;
  }
};

// The end of the shortest prefix of [0, s.to) that has s.target candidates, or, if not counting, that share top_p of the weight.
template <class C> MX_DEVICE u64 prefix_end(const C &c, Search s, bool counting, f32 top_p) {
  MX_SHARED u32 low[threads], high[threads];
  MX_NO_UNROLL
  for (;;) {
    mx_barrier();
    low[mx_thread()] = high[mx_thread()] = 0;
    mx_barrier();
    c.within(s.from, s.to, [&](f32 x, u64 place) __attribute__((always_inline)) {
      const i32 bin = s.shift < 0 ? bin_of(x) : (i32)((place - s.from) >> s.shift);
      const u32 w = counting ? 1u : weight_of(x), sum = w + mx_lds_fetch_add(&low[bin], w);
      if (sum < w) mx_lds_add(&high[bin], 1u);
    });
    mx_barrier();
    const u64 own = (u64)high[mx_thread()] << 32 | low[mx_thread()];
    u64 total;
    const u64 sum = s.base + block_scan(own, total);
    if (s.shift < 0) {
      if (!counting) s.target = nucleus(total, top_p);
      if (total < s.target) return s.to;
    }
    const bool here = sum >= s.target && sum - own < s.target;
    const i32 bin = (i32)broadcast(here, (u64)mx_thread());
    s.base = broadcast(here, sum - own);
    const u64 first = s.from, last = s.to;
    if (s.shift < 0) {
      if (bin > 0) s.from = end_of_bin(c, bin - 1);
      s.to = end_of_bin(c, bin);
    } else {
      s.from = first + ((u64)bin << s.shift);
      s.to = s.from + (1ull << s.shift);
    }
    if (s.to > last) s.to = last;
    const List l = list(c, s.from, s.to);
    if (l.count <= most_listed) return end_listed(l, counting, s.base, s.target);
    s.divide();
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
