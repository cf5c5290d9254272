// Copies of many bytes from memory to LDS that one thread asks for (NVIDIA, sm_90 and later), and marks in LDS by which warps tell each other
// that something has happened so and so often. In host mode a copy is there at once, and who waits lets others run.
#pragma once
#include "copies.h"

#if defined(MX_HOST)
#include "host_marks.h"
#else
MX_DEVICE u32 mx_bulk_address(const void *p) { return (u32)(u64)(const __attribute__((address_space(3))) u8 *)p; }

// A mark that has happened once so many threads have set it. Its first user waits for mx_marks_visible and a barrier.
MX_DEVICE void mx_mark_begin(u64 *mark, i32 count) {
  __asm__ volatile("mbarrier.init.shared.b64 [%0], %1;" : : "r"(mx_bulk_address(mark)), "r"(count) : "memory");
}
MX_DEVICE void mx_marks_visible() { __asm__ volatile("fence.mbarrier_init.release.cluster;\n\tfence.proxy.async.shared::cta;" : : : "memory"); }
MX_DEVICE void mx_mark_set(u64 *mark) { __asm__ volatile("mbarrier.arrive.shared.b64 _, [%0];" : : "r"(mx_bulk_address(mark)) : "memory"); }
// Sets it, for when so many bytes will have come too.
MX_DEVICE void mx_mark_expect(u64 *mark, u32 bytes) {
  __asm__ volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" : : "r"(mx_bulk_address(mark)), "r"(bytes) : "memory");
}
// Waits until it has happened once more than `turn` times.
MX_DEVICE void mx_mark_await(u64 *mark, i32 turn) {
  __asm__ volatile("{.reg .pred p;\n\tWAIT%=:\n\tmbarrier.try_wait.parity.shared.b64 p, [%0], %1;\n\t@!p bra WAIT%=;}"
                   :
                   : "r"(mx_bulk_address(mark)), "r"(turn & 1)
                   : "memory");
}
// Addresses and the number of bytes are multiples of 16.
MX_DEVICE void mx_bulk_copy(void *to, const MX_GLOBAL u8 *from, u32 bytes, u64 *mark) {
  __asm__ volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
                   :
                   : "r"(mx_bulk_address(to)), "l"(from), "r"(bytes), "r"(mx_bulk_address(mark))
                   : "memory");
}
// The same of what nobody reads again: it leaves L2 before all else.
MX_DEVICE void mx_bulk_copy_once(void *to, const MX_GLOBAL u8 *from, u32 bytes, u64 *mark) {
  __asm__ volatile("{.reg .b64 p;\n\tcreatepolicy.fractional.L2::evict_first.b64 p, 1.0;\n\t"
                   "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, [%3], p;}"
                   :
                   : "r"(mx_bulk_address(to)), "l"(from), "r"(bytes), "r"(mx_bulk_address(mark))
                   : "memory");
}
// Asks for it in L2.
MX_DEVICE void mx_bulk_prefetch(const MX_GLOBAL u8 *from, u32 bytes) {
  __asm__ volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" : : "l"(from), "r"(bytes) : "memory");
}
// A barrier of so many of a block's threads, which have it for themselves.
template <i32 Id, i32 Threads> MX_DEVICE void mx_part_barrier() { __asm__ volatile("bar.sync %0, %1;" : : "n"(Id), "n"(Threads) : "memory"); }
#endif

// Dynamic LDS from its first whole line on: copies to elsewhere take longer. `mx_line_bytes` more are asked for than are used.
constexpr u32 mx_line_bytes = 128;
MX_DEVICE u32x4 *mx_lds_lines() {
  u8 *const lds = MX_LDS(u8);
  return (u32x4 *)(lds + (-mx_bulk_address(lds) & (mx_line_bytes - 1)));
}
