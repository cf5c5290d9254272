// What blocks of a launch give one another through memory (on the host they run one after the other).
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
MX_DEVICE u64 mx_load_shared_by_blocks(const MX_GLOBAL u64 *p) {
#if defined(__NVPTX__)
  u64 v;
  __asm__ volatile("ld.global.cg.u64 %0, [%1];" : "=l"(v) : "l"(p) : "memory");
  return v;
#else
  return *p;
#endif
}

// Additions to what other blocks add to as well; the first gives what was there.
MX_DEVICE u32 mx_fetch_add_among_blocks(MX_GLOBAL u32 *p, u32 v) {
#if defined(__NVPTX__)
  u32 before;
  __asm__ volatile("atom.relaxed.gpu.global.add.u32 %0, [%1], %2;" : "=r"(before) : "l"(p), "r"(v) : "memory");
  return before;
#elif defined(__AMDGCN__)
  return __hip_atomic_fetch_add(p, v, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);
#else
  return (*p += v) - v;
#endif
}
MX_DEVICE void mx_add_among_blocks(MX_GLOBAL u32 *p, u32 v) {
#if defined(__NVPTX__)
  __asm__ volatile("red.relaxed.gpu.global.add.u32 [%0], %1;" : : "l"(p), "r"(v) : "memory");
#elif defined(__AMDGCN__)
  __hip_atomic_fetch_add(p, v, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);
#else
  *p += v;
#endif
}
MX_DEVICE void mx_add_among_blocks(MX_GLOBAL u64 *p, u64 v) {
#if defined(__NVPTX__)
  __asm__ volatile("red.relaxed.gpu.global.add.u64 [%0], %1;" : : "l"(p), "l"(v) : "memory");
#elif defined(__AMDGCN__)
  __hip_atomic_fetch_add(p, v, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);
#else
  *p += v;
#endif
}

// Whether all of `blocks` blocks that count by this counter but this one have come; what they wrote before can be read then. Leaves the
// counter at 0. All threads of the block must call.
MX_DEVICE bool mx_comes_last(i32 *counters, i32 i, i32 blocks) {
  MX_SHARED i32 last;
#if defined(__AMDGCN__)
  __builtin_amdgcn_fence(__ATOMIC_RELEASE, "agent");
#endif
  mx_barrier();
  if (mx_thread() == 0) {
    MX_GLOBAL i32 *const counter = mx_global<i32>(counters) + i;
    i32 before;
#if defined(__NVPTX__)
    __asm__ volatile("atom.acq_rel.gpu.global.add.s32 %0, [%1], 1;" : "=r"(before) : "l"(counter) : "memory");
#elif defined(__AMDGCN__)
    before = __hip_atomic_fetch_add(counter, 1, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);
#else
    before = (*counter)++;
#endif
    last = before == blocks - 1;
    if (last) *counter = 0;
  }
  mx_barrier();
#if defined(__AMDGCN__)
  __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "agent");
#endif
  return last;
}
