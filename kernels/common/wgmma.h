// Products by warpgroups (NVIDIA, sm_90a alone): four neighbouring warps multiply 64 rows, whose numbers they hold in registers or which lie
// in LDS, by up to 160 others in LDS, sixteen columns at a time, while they go on. Sums float32, operands bf16.
//
// Operands in LDS are rows of 64 columns, 128 bytes, of which the piece of 16 bytes with number p of row r lies at p ^ (r & 7).
#pragma once
#include "platform.h"

constexpr i32 mx_wgmma_step = 64, mx_wgmma_row = 128;

// Where a piece of a row lies, in bytes.
MX_DEVICE i32 mx_wgmma_place(i32 row, i32 piece) { return row * mx_wgmma_row + ((piece ^ (row & 7)) << 4); }

MX_DEVICE u32 mx_lds_address(const void *p) { return (u32)(u64)(const __attribute__((address_space(3))) u8 *)p; }

// What the instruction is told about rows that begin at a multiple of 1,024 bytes: eight rows, 1,024 bytes, lie together. Sixteen columns
// further on are 32 bytes, 2 in it.
MX_DEVICE u64 mx_wgmma_rows(u32 lds) { return (u64)((lds & 0x3ffffu) >> 4) | (u64)1 << 16 | (u64)(1024 >> 4) << 32 | (u64)1 << 62; }

// Before the first product, and whenever registers of one were written otherwise.
MX_DEVICE void mx_wgmma_fence() { __asm__ volatile("wgmma.fence.sync.aligned;" : : : "memory"); }
MX_DEVICE void mx_wgmma_commit() { __asm__ volatile("wgmma.commit_group.sync.aligned;" : : : "memory"); }
// Waits until at most so many of the last groups are under way.
template <i32 Left> MX_DEVICE void mx_wgmma_wait() { __asm__ volatile("wgmma.wait_group.sync.aligned %0;" : : "n"(Left) : "memory"); }
// Makes what this thread has written to LDS visible to products; a barrier follows.
MX_DEVICE void mx_wgmma_publish() { __asm__ volatile("fence.proxy.async.shared::cta;" : : : "memory"); }

// c[4j + i] of lane 4g + t: row g of the warp's sixteen (i < 2) or g + 8, number 8j + 2t + (i & 1) of the others.
template <i32 N> struct MxWgmma;
#define MX_C4(i) "+f"(c[i]), "+f"(c[i + 1]), "+f"(c[i + 2]), "+f"(c[i + 3])
#define MX_C16(i) MX_C4(i), MX_C4(i + 4), MX_C4(i + 8), MX_C4(i + 12)
#define MX_C32(i) MX_C16(i), MX_C16(i + 16)
#define MX_C48(i) MX_C32(i), MX_C16(i + 32)
#define MX_C64(i) MX_C32(i), MX_C32(i + 32)
#define MX_C80(i) MX_C64(i), MX_C16(i + 64)
#define MX_WGMMA(n, count, sums)                                                                                                       \
  template <> struct MxWgmma<n> {                                                                                                      \
    static MX_DEVICE void products(f32 (&c)[count], const u32 (&a)[4], u64 b) {                                                        \
      __asm__ volatile("{.reg .pred p;\n\tsetp.ne.b32 p, %[one], 0;\n\twgmma.mma_async.sync.aligned.m64n" #n                            \
                       "k16.f32.bf16.bf16 {" sums "}, {%[a0],%[a1],%[a2],%[a3]}, %[b], p, 1, 1, 0;}"                                    \
                       : MX_C##count(0)                                                                                                \
                       : [a0] "r"(a[0]), [a1] "r"(a[1]), [a2] "r"(a[2]), [a3] "r"(a[3]), [b] "l"(b), [one] "r"(1));                     \
    }                                                                                                                                  \
    static MX_DEVICE void products(f32 (&c)[count], u64 a, u64 b) {                                                                    \
      __asm__ volatile("{.reg .pred p;\n\tsetp.ne.b32 p, %[one], 0;\n\twgmma.mma_async.sync.aligned.m64n" #n                            \
                       "k16.f32.bf16.bf16 {" sums "}, %[a], %[b], p, 1, 1, 0, 0;}"                                                     \
                       : MX_C##count(0)                                                                                                \
                       : [a] "l"(a), [b] "l"(b), [one] "r"(1));                                                                        \
    }                                                                                                                                  \
    /* Sums are not read before this. */                                                                                               \
    static MX_DEVICE void finish(f32 (&c)[count]) {                                                                                    \
      __asm__ volatile("wgmma.wait_group.sync.aligned 0;" : MX_C##count(0) : : "memory");                                              \
    }                                                                                                                                  \
  };
MX_WGMMA(32, 16,
         "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15")
MX_WGMMA(64, 32,
         "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"
         "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31")
MX_WGMMA(96, 48,
         "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"
         "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,"
         "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47")
MX_WGMMA(128, 64,
         "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"
         "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,"
         "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,"
         "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63")
MX_WGMMA(160, 80,
         "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"
         "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,"
         "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,"
         "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63,"
         "%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79")
