// Copies of a thread from memory to LDS that go on while it works (NVIDIA), in groups that it ends and waits for. In host mode nothing is
// there before it has been waited for.
#pragma once
#include "platform.h"

#if defined(MX_HOST)
#include "host_copies.h"
#else
// 16 bytes, or zeros.
MX_DEVICE void mx_copy16(u32x4 *to, const MX_GLOBAL u16 *from, bool valid) {
  const u32 at = (u32)(u64)(__attribute__((address_space(3))) u32x4 *)to, bytes = valid ? 16 : 0;
  __asm__ volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" : : "r"(at), "l"(from), "r"(bytes) : "memory");
}
// 32 bytes, from so many bytes behind `from` on.
MX_DEVICE void mx_copy32(u16 *to, const MX_GLOBAL u8 *from, i32 offset) {
  const u32 at = (u32)(u64)(__attribute__((address_space(3))) u16 *)to;
  __asm__ volatile("cp.async.cg.shared.global [%0], [%1], 16;\n\tcp.async.cg.shared.global [%0+16], [%1+16], 16;"
                   :
                   : "r"(at), "l"(from + offset)
                   : "memory");
}
MX_DEVICE void mx_end_copies() { __asm__ volatile("cp.async.commit_group;" : : : "memory"); }
// Waits until at most so many of the last groups of copies are under way.
template <i32 Left> MX_DEVICE void mx_wait_groups() { __asm__ volatile("cp.async.wait_group %0;" : : "n"(Left) : "memory"); }
// One word, by the thread itself.
MX_DEVICE void mx_copy4(void *to, const MX_GLOBAL u8 *from) {
  const u32 at = (u32)(u64)(const __attribute__((address_space(3))) u8 *)to;
  __asm__ volatile("cp.async.ca.shared.global [%0], [%1], 4;" : : "r"(at), "l"(from) : "memory");
}
MX_DEVICE void mx_wait_copies() { __asm__ volatile("cp.async.wait_all;" : : : "memory"); }
// Asks for a line in L2.
MX_DEVICE void mx_prefetch(const MX_GLOBAL u8 *from) { __asm__ volatile("prefetch.global.L2 [%0];" : : "l"(from)); }
#endif
