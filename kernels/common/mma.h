// The product of matrix instructions (NVIDIA) of sixteen rows by eight columns of sixteen bf16 numbers, by a group.
#pragma once
#include "numerics.h"

// Lane 4g + t has numbers 2t, 2t + 1 and 2t + 8, 2t + 9 of rows g (a0, a2) and g + 8 (a1, a3) and of column g (b0, b1), and sums of
// columns 2t and 2t + 1 in rows g and g + 8.
MX_DEVICE void mx_product(f32 (&c)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
#if defined(MX_HOST)
  const u32 own[6] = {a0, a1, a2, a3, b0, b1};
  u32 all[6][32];
  const i32 lane = mx_lane(), g = lane >> 2, t = lane & 3;
  for (i32 i = 0; i < 6; i++) {
    u32 *const words = mx_host_exchange();
    words[lane] = own[i];
    mx_host_group_barrier();
    for (i32 j = 0; j < 32; j++) all[i][j] = words[j];
  }
  for (i32 i = 0; i < 4; i++) {
    const i32 row = i >> 1, column = 2 * t + (i & 1);
    for (i32 j = 0; j < 8; j++) {
      const u32 a = all[row + 2 * (j >> 2)][4 * g + (j & 3)], b = all[4 + (j >> 2)][4 * column + (j & 3)];
      c[i] += mx_low(a) * mx_low(b) + mx_high(a) * mx_high(b);
    }
  }
#else
  __asm__("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
          : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
          : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
#endif
}
