// The product of matrix instructions (NVIDIA) of sixteen rows by eight columns of sixteen bf16 numbers, by a group, and how its operands come
// from LDS.
#pragma once
#include "numerics.h"

#if defined(MX_HOST)
// Where all threads of the group have their rows.
inline void mx_host_rows(const u16 *own, const u16 *(&rows)[32]) {
  if (((u64)own & 15) != 0) __builtin_trap();
  u32 halves[2][32];
  for (i32 i = 0; i < 2; i++) {
    u32 *const words = mx_host_exchange();
    words[mx_lane()] = (u32)((u64)own >> (32 * i));
    mx_host_group_barrier();
    for (i32 j = 0; j < 32; j++) halves[i][j] = words[j];
  }
  for (i32 j = 0; j < 32; j++) rows[j] = (const u16 *)((u64)halves[1][j] << 32 | halves[0][j]);
}
#endif

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

// Four matrices of eight rows of eight bf16 numbers: lane 8m + r says where row r of matrix m lies, and word m of lane 4g + t is numbers 2t and
// 2t + 1 of its row g. All at multiples of 16 bytes.
MX_DEVICE u32x4 mx_load_matrices(const u16 *p) {
#if defined(MX_HOST)
  const u16 *rows[32];
  mx_host_rows(p, rows);
  const i32 lane = mx_lane();
  u32x4 r;
  for (i32 m = 0; m < 4; m++) r[m] = *(const u32 *)(rows[8 * m + (lane >> 2)] + 2 * (lane & 3));
  return r;
#else
  const u32 at = (u32)(u64)(const __attribute__((address_space(3))) u16 *)p;
  u32x4 r;
  __asm__ volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r.x), "=r"(r.y), "=r"(r.z), "=r"(r.w) : "r"(at) : "memory");
  return r;
#endif
}
// The same of the matrices transposed.
MX_DEVICE u32x4 mx_load_transposed(const u16 *p) {
#if defined(MX_HOST)
  const u16 *rows[32];
  mx_host_rows(p, rows);
  const i32 lane = mx_lane(), t = lane & 3;
  u32x4 r;
  for (i32 m = 0; m < 4; m++) r[m] = rows[8 * m + 2 * t][lane >> 2] | (u32)rows[8 * m + 2 * t + 1][lane >> 2] << 16;
  return r;
#else
  const u32 at = (u32)(u64)(const __attribute__((address_space(3))) u16 *)p;
  u32x4 r;
  __asm__ volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r.x), "=r"(r.y), "=r"(r.z), "=r"(r.w) : "r"(at) : "memory");
  return r;
#endif
}
