// What blocks of a launch give one another through memory (NVIDIA, and the host, where they run one after the other).
#pragma once
#include "platform.h"

// What another block has written in this launch.
MX_DEVICE f32 mx_load_shared_by_blocks(const MX_GLOBAL f32 *p) {
#if defined(__NVPTX__)
  f32 v;
  __asm__ volatile("ld.global.cg.f32 %0, [%1];" : "=f"(v) : "l"(p) : "memory");
  return v;
#else
  return *p;
#endif
}
MX_DEVICE u32 mx_load_shared_by_blocks(const MX_GLOBAL u32 *p) { return mx_bits(mx_load_shared_by_blocks((const MX_GLOBAL f32 *)p)); }
MX_DEVICE f32x4 mx_load_shared_by_blocks(const MX_GLOBAL f32x4 *p) {
#if defined(__NVPTX__)
  f32x4 v;
  __asm__ volatile("ld.global.cg.v4.f32 {%0,%1,%2,%3}, [%4];" : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w) : "l"(p) : "memory");
  return v;
#else
  return *p;
#endif
}

// Whether all of `blocks` blocks that count by this counter but this one have come; what they wrote before can be read then. Leaves the
// counter at 0. All threads of the block must call.
MX_DEVICE bool mx_comes_last(i32 *counters, i32 i, i32 blocks) {
  MX_SHARED i32 last;
  mx_barrier();
  if (mx_thread() == 0) {
    MX_GLOBAL i32 *const counter = mx_global<i32>(counters) + i;
    i32 before;
#if defined(__NVPTX__)
    __asm__ volatile("atom.acq_rel.gpu.global.add.s32 %0, [%1], 1;" : "=r"(before) : "l"(counter) : "memory");
#else
    before = (*counter)++;
#endif
    last = before == blocks - 1;
    if (last) *counter = 0;
  }
  mx_barrier();
  return last;
}
