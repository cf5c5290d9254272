// Slot rows ordered by expert, and the list of row tiles of the expert GEMMs: of each window of experts those with most rows first, so that
// what a launch does last is short. An expert's tiles follow one another, as they read the same weights. One block, each of whose groups has
// a stretch of the rows.
#include "common/routing.h"

// Experts that are counted at a time; choices that a thread asks for at a time.
constexpr i32 window = 128, groups = 32, together = 4;

// Of 32 neighbouring values 0 .. window - 1, the lanes that have this one's.
MX_DEVICE u32 lanes_like(i32 value, bool valid) {
  u32 mask = mx_ballot(valid);
  MX_UNROLL
  for (i32 bit = 1; bit < window; bit <<= 1) {
    const u32 set = mx_ballot(value & bit);
    mask &= value & bit ? set : ~set;
  }
  return mask;
}

MX_TRAITS(expert_sort, 1024, 0, 0, 0, 0)
MX_ENTRY(expert_sort, 1024)(const i32 *ids, i32 slot_rows, i32 first, i32 count, i32 tile_rows, i32 *sorted, i32 *offsets, i32 *tiles,
                            i32 *tile_count) {
  mx_follow();
  // Of each group's rows, by expert; then how many are placed, those of the groups before included.
  MX_SHARED u32 counts[groups][window];
  MX_SHARED i32 totals[window], starts[window], tile_counts[window], ends[2];
  const i32 tid = mx_thread(), lane = mx_lane();
  const i32 share = (slot_rows + 32 * groups - 1) / (32 * groups) * 32, begin = mx_group() * share, end = mx_min(begin + share, slot_rows);
  i32 rows = 0, used = 0;
  for (i32 base = 0; base < count; base += window) {
    const i32 size = mx_min(window, count - base);
    u32 *const own = counts[mx_group()];
    const auto expert = [&](i32 r) { return r < end ? mx_global<i32>(ids)[r] - first - base : -1; };
    for (i32 e = lane; e < size; e += 32) own[e] = 0;
    mx_group_barrier();
    for (i32 r0 = begin; r0 < end; r0 += 32 * together) {
      i32 chosen[together];
      MX_UNROLL
      for (i32 i = 0; i < together; i++) chosen[i] = expert(r0 + 32 * i + lane);
      MX_UNROLL
      for (i32 i = 0; i < together; i++) {
        if (chosen[i] >= 0 && chosen[i] < size) mx_lds_add(&own[chosen[i]], 1u);
      }
    }
    mx_barrier();
    if (tid < size) {
      u32 before = 0;
      MX_UNROLL
      for (i32 g = 0; g < groups; g++) {
        const u32 here = counts[g][tid];
        counts[g][tid] = before;
        before += here;
      }
      totals[tid] = (i32)before;
    }
    mx_barrier();
    if (mx_group() == 0) {
      constexpr i32 each = window / 32;
      i32 row_sum = 0, tile_sum = 0;
      MX_UNROLL
      for (i32 i = 0; i < each; i++) {
        const i32 e = lane * each + i, total = e < size ? totals[e] : 0;
        const i32 needed = (total + tile_rows - 1) / tile_rows;
        if (e < size) tile_counts[e] = needed;
        row_sum += total, tile_sum += needed;
      }
      i32 row = row_sum, tile = tile_sum;
      MX_UNROLL
      for (i32 step = 1; step < 32; step <<= 1) {
        const i32 from = mx_max(lane - step, 0), before = (i32)mx_shuffle((u32)row, from), tiles_before = (i32)mx_shuffle((u32)tile, from);
        if (lane >= step) row += before, tile += tiles_before;
      }
      if (lane == 31) ends[0] = rows + row, ends[1] = used + tile;
      row += rows - row_sum;
      MX_UNROLL
      for (i32 i = 0; i < each; i++) {
        const i32 e = lane * each + i, total = e < size ? totals[e] : 0;
        if (e < size) starts[e] = row;
        row += total;
      }
    }
    mx_barrier();
    if (tid < size) {
      mx_global<i32>(offsets)[base + tid] = starts[tid];
      const i32 total = totals[tid];
      i32 at = used;
      for (i32 e = 0; e < size; e++) {
        if (totals[e] > total || (totals[e] == total && e < tid)) at += tile_counts[e];
      }
      for (i32 i = 0; i < tile_counts[tid]; i++) {
        mx_global<i32>(tiles)[2 * (at + i)] = base + tid;
        mx_global<i32>(tiles)[2 * (at + i) + 1] = starts[tid] + i * tile_rows;
      }
    }
    rows = ends[0], used = ends[1];
    for (i32 r0 = begin; r0 < end; r0 += 32 * together) {
      i32 chosen[together];
      MX_UNROLL
      for (i32 i = 0; i < together; i++) chosen[i] = expert(r0 + 32 * i + lane);
      MX_UNROLL
      for (i32 i = 0; i < together; i++) {
        const bool valid = chosen[i] >= 0 && chosen[i] < size;
        const i32 e = valid ? chosen[i] : 0;
        const u32 like = lanes_like(e, valid);
        const i32 ahead = __builtin_popcount(like & ((1u << lane) - 1u));
        const i32 placed = (i32)own[e];
        if (valid) mx_global<i32>(sorted)[starts[e] + placed + ahead] = r0 + 32 * i + lane;
        mx_group_barrier();
        if (valid && ahead == 0) own[e] = (u32)(placed + __builtin_popcount(like));
        mx_group_barrier();
      }
    }
    // Everybody is done with this window's counts.
    mx_barrier();
  }
  if (tid == 0) {
    mx_global<i32>(offsets)[count] = rows;
    mx_global<i32>(tile_count)[0] = used;
  }
}
MX_EXPORT(expert_sort)
