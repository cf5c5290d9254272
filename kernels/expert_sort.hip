// Slot rows ordered by expert, and the list of row tiles of the expert GEMMs. One block.
#include "common/routing.h"

// Choices that a thread asks for at a time.
constexpr i32 together = 8;

MX_TRAITS(expert_sort, 1024, 0, 0, 0, 0)
MX_ENTRY(expert_sort, 1024)(const i32 *ids, i32 slot_rows, i32 first, i32 count, i32 tile_rows, i32 *sorted, i32 *offsets, i32 *tiles,
                            i32 *tile_count) {
  mx_follow();
  MX_SHARED u32 counts[mx_most_experts];
  MX_SHARED i32 starts[mx_most_experts + 1], tile_starts[mx_most_experts + 1];
  const i32 tid = mx_thread();
  for (i32 e = tid; e < count; e += 1024) counts[e] = 0;
  mx_barrier();
  for (i32 r = tid; r < slot_rows; r += 1024) {
    const i32 e = mx_global<i32>(ids)[r] - first;
    if (e >= 0 && e < count) mx_lds_add(&counts[e], 1u);
  }
  mx_barrier();
  if (tid == 0) {
    i32 rows = 0, used = 0;
    for (i32 e = 0; e < count; e++) {
      starts[e] = rows, tile_starts[e] = used;
      rows += (i32)counts[e], used += ((i32)counts[e] + tile_rows - 1) / tile_rows;
    }
    starts[count] = rows, tile_starts[count] = used;
    mx_global<i32>(tile_count)[0] = used;
  }
  mx_barrier();
  for (i32 e = tid; e <= count; e += 1024) {
    mx_global<i32>(offsets)[e] = starts[e];
    if (e == count) break;
    for (i32 i = tile_starts[e]; i < tile_starts[e + 1]; i++) {
      mx_global<i32>(tiles)[2 * i] = e;
      mx_global<i32>(tiles)[2 * i + 1] = starts[e] + (i - tile_starts[e]) * tile_rows;
    }
  }
  // A group an expert: reads all choices in order, keeps its own.
  for (i32 e = mx_group(); e < count; e += 32) {
    i32 to = starts[e];
    for (i32 r0 = 0; r0 < slot_rows; r0 += 32 * together) {
      i32 chosen[together];
      MX_UNROLL
      for (i32 i = 0; i < together; i++) {
        const i32 r = r0 + 32 * i + mx_lane();
        chosen[i] = r < slot_rows ? mx_global<i32>(ids)[r] - first : -1;
      }
      MX_UNROLL
      for (i32 i = 0; i < together; i++) {
        const bool own = chosen[i] == e;
        const u32 mask = mx_ballot(own);
        if (own) mx_global<i32>(sorted)[to + __builtin_popcount(mask & ((1u << mx_lane()) - 1u))] = r0 + 32 * i + mx_lane();
        to += __builtin_popcount(mask);
      }
    }
  }
}
MX_EXPORT(expert_sort)
