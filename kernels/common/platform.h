// The one place that knows which machine a kernel is compiled for: AMD (HIP, no SDK headers), NVIDIA (PTX) or the host test library.
//
// Every block is one-dimensional, MX threads wide; MX_ENTRY gives the width. "Group" below means 32 neighbouring threads: a wave on
// RDNA and NVIDIA, half a wave on CDNA. Group operations must be reached by all 32 threads.
#pragma once

#if !defined(__AMDGCN__) && !defined(__NVPTX__) && !defined(MX_HOST)
#error "kernels are compiled for AMDGCN, NVPTX, or with -DMX_HOST"
#endif

typedef unsigned char u8;
typedef unsigned short u16;
typedef int i32;
typedef unsigned int u32;
typedef long long i64;
typedef unsigned long long u64;
typedef float f32;
typedef f32 f32x2 __attribute__((ext_vector_type(2)));
typedef f32 f32x4 __attribute__((ext_vector_type(4)));
typedef u32 u32x2 __attribute__((ext_vector_type(2)));
typedef u32 u32x4 __attribute__((ext_vector_type(4)));

#if defined(MX_HOST)

#include "host.h"

#else

#define MX_DEVICE __attribute__((device)) inline __attribute__((always_inline))
// Pointers that come out of structs or device memory are generic; this address space makes their loads global ones.
#define MX_GLOBAL __attribute__((address_space(1)))
#define MX_SHARED __attribute__((shared))
#define MX_UNROLL _Pragma("unroll")
#define MX_NO_UNROLL _Pragma("nounroll")
#define MX_UNROLL_4 _Pragma("unroll 4")
// A kernel `name` of blocks of `threads`.
#if defined(__AMDGCN__)
#define MX_ENTRY(name, threads) extern "C" __attribute__((global)) __attribute__((amdgpu_flat_work_group_size(threads, threads))) void name
#else
#define MX_ENTRY(name, threads) extern "C" __attribute__((global)) __attribute__((launch_bounds(threads, 1))) void name
#endif
// The same for kernels that gain when the compiler keeps registers few enough for `blocks` blocks on a multiprocessor (NVIDIA).
#if defined(__NVPTX__)
#define MX_ENTRY_RESIDENT(name, threads, blocks) \
  extern "C" __attribute__((global)) __attribute__((launch_bounds(threads, blocks))) void name
#else
#define MX_ENTRY_RESIDENT(name, threads, blocks) MX_ENTRY(name, threads)
#endif
#define MX_EXPORT(name)
#define MX_EXPORT_EXCHANGE(name)
// Dynamic LDS, 16-byte aligned.
extern MX_SHARED f32x4 mx_dynamic_lds[];
#define MX_LDS(T) ((T *)mx_dynamic_lds)

#endif

// Launch traits of an entry point, for build.ts, which finds the string in the preprocessed source: block size, output rows and tokens of one
// block, dynamic LDS bytes per column and fixed. Products of numbers.
#define MX_STRING_(...) #__VA_ARGS__
#define MX_STRING(...) MX_STRING_(__VA_ARGS__)
#define MX_TRAITS(name, threads, rows, tokens, lds_per_column, lds_fixed)                                                              \
  static_assert((threads) > 0 && (rows) >= 0 && (tokens) >= 0, "mx-traits " MX_STRING(name, threads, rows, tokens, lds_per_column, lds_fixed));

#if defined(__AMDGCN__)

#if __GFX9__
#define MX_WAVE 64
#else
#define MX_WAVE 32
#endif
MX_DEVICE i32 mx_thread() { return (i32)__builtin_amdgcn_workitem_id_x(); }
MX_DEVICE i32 mx_block_x() { return (i32)__builtin_amdgcn_workgroup_id_x(); }
MX_DEVICE i32 mx_block_y() { return (i32)__builtin_amdgcn_workgroup_id_y(); }
MX_DEVICE i32 mx_block_z() { return (i32)__builtin_amdgcn_workgroup_id_z(); }
// First word of the implicit arguments (code object 5 and later): number of blocks along x.
MX_DEVICE i32 mx_grid_x() { return ((const __attribute__((address_space(4))) i32 *)__builtin_amdgcn_implicitarg_ptr())[0]; }
// Threads of a block only ever share LDS, hence "local".
MX_DEVICE void mx_barrier() {
  __builtin_amdgcn_fence(__ATOMIC_RELEASE, "workgroup", "local");
  __builtin_amdgcn_s_barrier();
  __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "workgroup", "local");
}
// Orders LDS accesses inside a group.
MX_DEVICE void mx_group_barrier() {
  __builtin_amdgcn_fence(__ATOMIC_RELEASE, "wavefront", "local");
  __builtin_amdgcn_wave_barrier();
  __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "wavefront", "local");
}
MX_DEVICE u32 mx_shuffle_xor(u32 v, i32 mask) {
  return (u32)__builtin_amdgcn_ds_bpermute(((mx_thread() ^ mask) & (MX_WAVE - 1)) << 2, (i32)v);
}
MX_DEVICE u32 mx_shuffle(u32 v, i32 lane) {
  return (u32)__builtin_amdgcn_ds_bpermute((((mx_thread() & ~31) | lane) & (MX_WAVE - 1)) << 2, (i32)v);
}
// Keeps the scheduler from moving anything across: it would trade registers for latency until it spills.
MX_DEVICE void mx_schedule_barrier() { __builtin_amdgcn_sched_barrier(0); }
// Bit i: the predicate of thread i of the group.
MX_DEVICE u32 mx_ballot(bool p) {
#if MX_WAVE == 64
  return (u32)(__builtin_amdgcn_ballot_w64(p) >> (mx_thread() & 32));
#else
  return __builtin_amdgcn_ballot_w32(p);
#endif
}
template <class T> MX_DEVICE T mx_load_stream(const MX_GLOBAL T *p) { return __builtin_nontemporal_load(p); }
MX_DEVICE void mx_lds_add(u32 *p, u32 v) { __hip_atomic_fetch_add(p, v, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_WORKGROUP); }
// What may change meanwhile.
MX_DEVICE u32 mx_lds_peek(u32 *p) { return __hip_atomic_load(p, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_WORKGROUP); }
MX_DEVICE u32 mx_lds_fetch_add(u32 *p, u32 v) { return __hip_atomic_fetch_add(p, v, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_WORKGROUP); }

#elif defined(__NVPTX__)

#define MX_WAVE 32
MX_DEVICE i32 mx_thread() { return __nvvm_read_ptx_sreg_tid_x(); }
MX_DEVICE i32 mx_block_x() { return __nvvm_read_ptx_sreg_ctaid_x(); }
MX_DEVICE i32 mx_block_y() { return __nvvm_read_ptx_sreg_ctaid_y(); }
MX_DEVICE i32 mx_block_z() { return __nvvm_read_ptx_sreg_ctaid_z(); }
MX_DEVICE i32 mx_grid_x() { return __nvvm_read_ptx_sreg_nctaid_x(); }
MX_DEVICE void mx_barrier() { __syncthreads(); }
MX_DEVICE void mx_group_barrier() { __nvvm_bar_warp_sync(~0u); }
MX_DEVICE u32 mx_shuffle_xor(u32 v, i32 mask) { return (u32)__nvvm_shfl_sync_bfly_i32(~0u, (i32)v, mask, 31); }
MX_DEVICE u32 mx_shuffle(u32 v, i32 lane) { return (u32)__nvvm_shfl_sync_idx_i32(~0u, (i32)v, lane, 31); }
MX_DEVICE void mx_schedule_barrier() {}
MX_DEVICE u32 mx_ballot(bool p) { return (u32)__nvvm_vote_ballot_sync(~0u, p); }
// Weights are read once: keep them out of L1, where the activations are.
MX_DEVICE u32x4 mx_load_stream(const MX_GLOBAL u32x4 *p) {
  u32x4 v;
  __asm__("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p));
  return v;
}
MX_DEVICE u32x2 mx_load_stream(const MX_GLOBAL u32x2 *p) {
  u32x2 v;
  __asm__("ld.global.nc.L1::no_allocate.v2.u32 {%0,%1}, [%2];" : "=r"(v.x), "=r"(v.y) : "l"(p));
  return v;
}
MX_DEVICE void mx_lds_add(u32 *p, u32 v) { __nvvm_atom_add_gen_i((i32 *)p, (i32)v); }
MX_DEVICE u32 mx_lds_peek(u32 *p) { return *(volatile u32 *)p; }
MX_DEVICE u32 mx_lds_fetch_add(u32 *p, u32 v) { return (u32)__nvvm_atom_add_gen_i((i32 *)p, (i32)v); }

#endif

// mx_follow comes first in every kernel, but for what may be read before. NVIDIA: the next launch may begin (its blocks find their places and wait here), and this one waits until the one
// before it has ended, where they were launched so (LaunchShape.overlaps of the host); a kernel without it would let the one after the next
// run beside it. mx_lead is the first half alone, for kernels that do much before they wait.
//
// What may be read before: what no launch of the same step writes (weights, tables, a batch's positions and slots, what the caches hold of
// earlier steps). A step's first launch waits for everything ahead of it.
MX_DEVICE void mx_lead() {
#if defined(__NVPTX__)
  __asm__ volatile("griddepcontrol.launch_dependents;" : : : "memory");
#endif
}
// The second half alone.
MX_DEVICE void mx_await_launch() {
#if defined(__NVPTX__)
  __asm__ volatile("griddepcontrol.wait;" : : : "memory");
#endif
}
MX_DEVICE void mx_follow() {
#if defined(__NVPTX__)
  __asm__ volatile("griddepcontrol.launch_dependents;\n\tgriddepcontrol.wait;" : : : "memory");
#endif
}

// ---- what follows is the same everywhere ----

MX_DEVICE i32 mx_lane() { return mx_thread() & 31; }
MX_DEVICE i32 mx_group() { return mx_thread() >> 5; }

MX_DEVICE u32 mx_bits(f32 v) { return __builtin_bit_cast(u32, v); }
MX_DEVICE f32 mx_float(u32 v) { return __builtin_bit_cast(f32, v); }
MX_DEVICE f32 mx_fma(f32 a, f32 b, f32 c) { return __builtin_fmaf(a, b, c); }
MX_DEVICE f32 mx_shuffle_xor(f32 v, i32 mask) { return mx_float(mx_shuffle_xor(mx_bits(v), mask)); }
MX_DEVICE f32 mx_shuffle(f32 v, i32 lane) { return mx_float(mx_shuffle(mx_bits(v), lane)); }
MX_DEVICE i32 mx_min(i32 a, i32 b) { return a < b ? a : b; }
MX_DEVICE i32 mx_max(i32 a, i32 b) { return a > b ? a : b; }
MX_DEVICE u32 mx_max(u32 a, u32 b) { return a > b ? a : b; }
MX_DEVICE f32 mx_max(f32 a, f32 b) { return a > b ? a : b; }
MX_DEVICE f32 mx_min(f32 a, f32 b) { return a < b ? a : b; }

template <class T> MX_DEVICE const MX_GLOBAL T *mx_global(const void *p) { return (const MX_GLOBAL T *)p; }
template <class T> MX_DEVICE MX_GLOBAL T *mx_global(void *p) { return (MX_GLOBAL T *)p; }

// Sum over the 32 threads of a group; every thread gets it, with the same bits (the butterfly adds the same pairs in each).
MX_DEVICE f32 mx_group_sum(f32 v) {
  MX_UNROLL
  for (i32 mask = 16; mask > 0; mask >>= 1) v = v + mx_shuffle_xor(v, mask);
  return v;
}
MX_DEVICE f32 mx_group_max(f32 v) {
  MX_UNROLL
  for (i32 mask = 16; mask > 0; mask >>= 1) v = mx_max(v, mx_shuffle_xor(v, mask));
  return v;
}
MX_DEVICE u32 mx_group_max(u32 v) {
  MX_UNROLL
  for (i32 mask = 16; mask > 0; mask >>= 1) v = mx_max(v, mx_shuffle_xor(v, mask));
  return v;
}
