// Records of experts, of which a block keeps the first ones in LDS.
#pragma once
#include "tile.h"

struct MxRecords {
  static constexpr i32 most = 64;
  const MxLinear *all;
  const u64 *near;
  // By all threads; whoever reads one waits for a barrier first.
  MX_DEVICE MxRecords(const MxLinear *all, u64 *to, i32 count, i32 threads) : all(all), near(to) {
    const MX_GLOBAL u64 *const from = mx_global<u64>(all);
    for (i32 i = mx_thread(); i < mx_min(count, most) * 8; i += threads) to[i] = from[i];
  }
  MX_DEVICE MxLinear of(i32 e) const {
    if (e >= most) return mx_expert_linear(all, e);
    struct Words {
      u64 w[8];
    } raw;
    MX_UNROLL
    for (i32 i = 0; i < 8; i++) raw.w[i] = near[e * 8 + i];
    return __builtin_bit_cast(MxLinear, raw);
  }
};
