// Launches that do nothing but read the weights of the experts that a launch ahead of them has chosen, in many ways (NVIDIA, sm_90 and
// later): what bench/gpu/floor.ts measures, which compiles this file. What is read is only looked at as far as nobody can leave it out.
#include "../../kernels/common/bulk.h"

constexpr i32 most_places = 32;

// What a launch reads: of the first `count` chosen experts all bytes of weights and scales, each block an equal share of each expert.
struct Read {
  const u8 *weights, *scales;
  i64 weight_bytes, scale_bytes;
  const u32 *ids;
  // Four experts in bytes and a bit beside them: there as soon as they are chosen, before that launch has ended.
  u64 *word;
  u32 *sink;
  i32 count, mode, chunk, places;
};
enum {
  // Who waits begins to read when the launch ahead has ended, as gate_up does; who does not, before that, as down does.
  WAITS = 1,
  // Looks for the word instead.
  POLLS = 2,
  // Takes the word away for the next step.
  CLEARS = 4,
  // Blocks take every so many-th chunk instead of neighbouring ones (bulk copies).
  STRIDES = 8,
};

MX_DEVICE u64 peek(const u64 *p) {
  u64 v;
  __asm__ volatile("ld.acquire.gpu.global.u64 %0, [%1];" : "=l"(v) : "l"(p) : "memory");
  return v;
}
MX_DEVICE u32 load_id(const u32 *p) {
  u32 v;
  __asm__ volatile("ld.global.cg.u32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
  return v;
}

// Chooses four of 32 experts, others each time.
MX_ENTRY(floor_choose, 32)(u32 *state, u32 *ids, u64 *word) {
  mx_follow();
  if (mx_thread() != 0) return;
  const u32 n = load_id(state) * 2654435761u + 12345u, first = n >> 27, step = (n >> 20 & 30u) | 1u;
  state[0] = n;
  u64 all = 1ull << 63;
  MX_UNROLL
  for (u32 k = 0; k < 4; k++) {
    const u32 e = (first + k * step) & 31u;
    ids[k] = e, all |= (u64)e << (8 * k);
  }
  __asm__ volatile("st.release.gpu.global.u64 [%0], %1;" : : "l"(word), "l"(all) : "memory");
}

// The experts, for all threads.
struct Chosen {
  u64 word = 0;
  const u32 *ids;
  MX_DEVICE Chosen(const Read &r) : ids(r.ids) {
    if (r.mode & POLLS) {
      MX_SHARED u64 seen;
      if (mx_thread() == 0) {
        do seen = peek(r.word);
        while (seen == 0);
      }
      mx_barrier();
      word = seen;
    } else if (r.mode & WAITS) {
      mx_await_launch();
    }
    // The next launch may rely on the choice.
    mx_lead();
    if (word == 0 && r.count <= 4) {
      u32 e[4];
      MX_UNROLL
      for (i32 k = 0; k < 4; k++) e[k] = load_id(ids + k);
      MX_UNROLL
      for (i32 k = 0; k < 4; k++) word |= (u64)e[k] << (8 * k);
    }
  }
  MX_DEVICE i64 of(i32 j, i32 count) const { return count <= 4 ? (i64)(word >> (8 * j) & 255u) : (i64)load_id(ids + j); }
};
MX_DEVICE void end(const Read &r) {
  // Nobody may think that this launch has ended before the one ahead has.
  if (!(r.mode & WAITS) || (r.mode & POLLS)) mx_await_launch();
  if ((r.mode & CLEARS) && mx_block_x() == 0 && mx_thread() == 0) *r.word = 0;
}

// A block's share of so many pieces of 16 bytes.
struct Share {
  u32 begin, count;
  MX_DEVICE Share(i64 bytes) {
    const u64 pieces = (u64)bytes / 16;
    begin = (u32)(pieces * (u32)mx_block_x() / (u32)mx_grid_x());
    count = (u32)(pieces * (u32)(mx_block_x() + 1) / (u32)mx_grid_x()) - begin;
  }
};

// Pieces of 16 bytes into registers, `Loads` of a thread under way: all together, or each asked for as the one before it is read.
template <i32 Threads, i32 Loads, bool Rolling> MX_DEVICE void by_registers(const Read &r) {
  const Chosen chosen(r);
  const Share w(r.weight_bytes), s(r.scale_bytes);
  const u32 each = w.count + s.count;
  u32 found = 0;
  u32x4 v[Loads];
  MX_NO_UNROLL
  for (i32 j0 = 0; j0 < r.count; j0 += 4) {
    const MX_GLOBAL u32x4 *from[4], *more[4];
    MX_UNROLL
    for (i32 k = 0; k < 4; k++) {
      const i64 e = chosen.of(j0 + k, r.count);
      from[k] = (const MX_GLOBAL u32x4 *)mx_global<u8>(r.weights + e * r.weight_bytes) + w.begin;
      more[k] = (const MX_GLOBAL u32x4 *)mx_global<u8>(r.scales + e * r.scale_bytes) + s.begin - w.count;
    }
    const u32 all = 4 * each;
    const auto load = [&](u32 i) __attribute__((always_inline)) {
      if (i >= all) return u32x4{0, 0, 0, 0};
      const i32 k = (i >= each) + (i >= 2 * each) + (i >= 3 * each);
      const u32 at = i - (u32)k * each;
      const bool scale = at >= w.count;
      const MX_GLOBAL u32x4 *p = scale ? more[0] : from[0];
      MX_UNROLL
      for (i32 n = 1; n < 4; n++) p = k == n ? (scale ? more[n] : from[n]) : p;
      return mx_load_stream(p + at);
    };
    u32 i = (u32)mx_thread();
    if (Rolling) {
      MX_UNROLL
      for (i32 n = 0; n < Loads; n++) v[n] = load(i + (u32)(n * Threads));
      MX_NO_UNROLL
      for (; i < all; i += Threads * Loads) {
        MX_UNROLL
        for (i32 n = 0; n < Loads; n++) {
          found |= v[n].x ^ v[n].y ^ v[n].z ^ v[n].w;
          v[n] = load(i + (u32)((n + Loads) * Threads));
        }
      }
    } else {
      MX_NO_UNROLL
      for (; i < all; i += Threads * Loads) {
        MX_UNROLL
        for (i32 n = 0; n < Loads; n++) v[n] = load(i + (u32)(n * Threads));
        MX_UNROLL
        for (i32 n = 0; n < Loads; n++) found |= v[n].x ^ v[n].y ^ v[n].z ^ v[n].w;
      }
    }
  }
  end(r);
  if (found == 0xfedcba98u) *r.sink = found;
}
#define REGISTERS(threads, blocks, loads, name, rolling) \
  MX_ENTRY_RESIDENT(floor_##name##_##threads##_##loads, threads, blocks)(Read r) { by_registers<threads, loads, rolling>(r); }
REGISTERS(256, 4, 2, all, false)
REGISTERS(256, 4, 4, all, false)
REGISTERS(256, 4, 8, all, false)
REGISTERS(256, 2, 12, all, false)
REGISTERS(512, 2, 2, all, false)
REGISTERS(512, 2, 4, all, false)
REGISTERS(512, 2, 8, all, false)
REGISTERS(512, 1, 12, all, false)
REGISTERS(1024, 1, 2, all, false)
REGISTERS(1024, 1, 4, all, false)
REGISTERS(1024, 1, 8, all, false)
REGISTERS(256, 4, 4, each, true)
REGISTERS(512, 2, 4, each, true)
REGISTERS(512, 1, 8, each, true)
REGISTERS(1024, 1, 4, each, true)

// Pieces of 16 bytes into LDS (`cp.async`), `Steps` of a thread under way.
template <i32 Threads, i32 Steps> MX_DEVICE void by_copies(const Read &r) {
  const Chosen chosen(r);
  u32x4 *const lds = MX_LDS(u32x4);
  i32 step = 0;
  const auto copies = [&](const MX_GLOBAL u32x4 *from, u32 count) __attribute__((always_inline)) {
    MX_NO_UNROLL
    for (u32 i = (u32)mx_thread(); i < count + Threads - 1; i += Threads) {
      const u32 to = mx_bulk_address(lds + step * Threads + mx_thread());
      if (i < count) __asm__ volatile("cp.async.cg.shared.global [%0], [%1], 16;" : : "r"(to), "l"(from + i) : "memory");
      __asm__ volatile("cp.async.commit_group;\n\tcp.async.wait_group %0;" : : "n"(Steps - 1) : "memory");
      step = step == Steps - 1 ? 0 : step + 1;
    }
  };
  const Share w(r.weight_bytes), s(r.scale_bytes);
  MX_NO_UNROLL
  for (i32 j = 0; j < r.count; j++) {
    const i64 e = chosen.of(j, r.count);
    copies((const MX_GLOBAL u32x4 *)mx_global<u8>(r.weights + e * r.weight_bytes) + w.begin, w.count);
    copies((const MX_GLOBAL u32x4 *)mx_global<u8>(r.scales + e * r.scale_bytes) + s.begin, s.count);
  }
  mx_wait_copies();
  end(r);
}
#define COPIES(threads, blocks, steps) \
  MX_ENTRY_RESIDENT(floor_copy_##threads##_##steps, threads, blocks)(Read r) { by_copies<threads, steps>(r); }
COPIES(256, 2, 8)
COPIES(512, 2, 4)
COPIES(512, 2, 6)
COPIES(512, 1, 12)
COPIES(1024, 1, 4)
COPIES(1024, 1, 6)

// Whole chunks into LDS (`cp.async.bulk`), which one thread asks for; `places` of them are under way.
MX_ENTRY_RESIDENT(floor_bulk, 32, 1)(Read r) {
  MX_SHARED u64 marks[most_places];
  if (mx_thread() < r.places) {
    mx_mark_begin(&marks[mx_thread()], 1);
    mx_marks_visible();
  }
  mx_group_barrier();
  const Chosen chosen(r);
  if (mx_thread() == 0) {
    u8 *const lds = MX_LDS(u8);
    i32 place = 0, turn = 0;
    const auto copy = [&](const MX_GLOBAL u8 *from, u32 bytes) __attribute__((always_inline)) {
      if (turn > 0) mx_mark_await(&marks[place], turn - 1);
      mx_mark_expect(&marks[place], bytes);
      mx_bulk_copy(lds + place * r.chunk, from, bytes, &marks[place]);
      if (++place == r.places) place = 0, turn++;
    };
    const auto copies = [&](const u8 *from, i64 bytes) __attribute__((always_inline)) {
      const Share own(bytes);
      i64 at = (i64)own.begin * 16, stop = at + (i64)own.count * 16, step = r.chunk;
      if (r.mode & STRIDES) at = (i64)mx_block_x() * r.chunk, stop = bytes, step = (i64)mx_grid_x() * r.chunk;
      MX_NO_UNROLL
      for (; at < stop; at += step) copy(mx_global<u8>(from) + at, (u32)(stop - at < r.chunk ? stop - at : r.chunk));
    };
    MX_NO_UNROLL
    for (i32 j = 0; j < r.count; j++) {
      const i64 e = chosen.of(j, r.count);
      copies(r.weights + e * r.weight_bytes, r.weight_bytes);
      copies(r.scales + e * r.scale_bytes, r.scale_bytes);
    }
    // What is still under way: each place's last copy.
    for (i32 i = 0; i < r.places; i++) {
      const i32 times = turn + (i < place);
      if (times > 0) mx_mark_await(&marks[i], times - 1);
    }
  }
  mx_group_barrier();
  end(r);
}
