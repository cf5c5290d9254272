// The slot rows of some sequences ordered by expert, as expert_sort.hip orders those of many, by each block for itself: in LDS.
#pragma once
#include "bulk.h"

constexpr i32 mx_most_slots = 64;

// Slot rows that one expert has, in tiles of at most eight.
struct MxSlotTile {
  i32 expert, first, count;
};

// What a launch ahead has written that nobody waited for: not from L1, which may hold what was there before.
MX_DEVICE u32 mx_load_past_l1(const void *from) {
#if defined(MX_HOST)
  return *mx_global<u32>(from);
#else
  u32 v;
  __asm__ volatile("ld.global.cg.u32 %0, [%1];" : "=r"(v) : "l"(mx_global<u32>(from)) : "memory");
  return v;
#endif
}

struct MxSlots {
  static constexpr i32 none = 0x7fffffff, tile_rows = 8;
  i32 experts[mx_most_slots], sorted[mx_most_slots], order[mx_most_slots], tile_count;
  MxSlotTile tiles[mx_most_slots];

  // By all threads of the block, of which there are at least 64; local experts are `first` to `first + count`.
  MX_DEVICE void sort(const i32 *ids, i32 slots, i32 first, i32 count) {
    const i32 tid = mx_thread(), lane = mx_lane();
    if (tid < mx_most_slots) {
      const i32 e = tid < slots ? (i32)mx_load_past_l1(ids + tid) - first : -1;
      experts[tid] = e >= 0 && e < count ? e : none;
    }
    mx_barrier();
    if (tid < mx_most_slots) {
      const i32 own = experts[tid];
      // After all slot rows, where there is none.
      i32 place = tid < slots ? 0 : tid;
      if (tid < slots) {
        MX_UNROLL_4
        for (i32 i = 0; i < slots; i++) place += experts[i] < own || (experts[i] == own && i < tid);
      }
      order[place] = tid, sorted[place] = own;
    }
    mx_barrier();
    if (mx_group() == 0) {
      u64 begins = 0, leads = 0;
      i32 found = 0, start[2];
      bool leading[2];
      MX_UNROLL
      for (i32 half = 0; half < 2; half++) {
        const i32 at = 32 * half + lane, e = sorted[at];
        begins |= (u64)mx_ballot(e != none && (at == 0 || sorted[mx_max(at - 1, 0)] != e)) << (32 * half);
        found += __builtin_popcount(mx_ballot(e != none));
      }
      MX_UNROLL
      for (i32 half = 0; half < 2; half++) {
        const i32 at = 32 * half + lane;
        const u64 before = begins & ((u64)-1 >> (63 - at));
        start[half] = before ? 63 - __builtin_clzll(before) : 0;
        leading[half] = at < found && (at - start[half]) % tile_rows == 0;
        leads |= (u64)mx_ballot(leading[half]) << (32 * half);
      }
      MX_UNROLL
      for (i32 half = 0; half < 2; half++) {
        const i32 at = 32 * half + lane;
        if (!leading[half]) continue;
        const u64 after = at < 63 ? begins >> (at + 1) : 0;
        const i32 end = after ? at + 1 + __builtin_ctzll(after) : found;
        tiles[__builtin_popcountll(leads & (((u64)1 << at) - 1))] = MxSlotTile{sorted[at], at, mx_min(tile_rows, end - at)};
      }
      if (lane == 0) tile_count = __builtin_popcountll(leads);
    }
    mx_barrier();
  }
};
