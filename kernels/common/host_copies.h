// Copies of copies.h in host mode: what a thread has asked for comes when it waits for it, and not before; what it never waits for never comes.
#pragma once
#include "platform.h"

struct MxHostCopy {
  void *to;
  const void *from;
  u32 bytes, of;  // the rest is zeros
  i32 group;
};
struct MxHostCopies {
  static constexpr i32 most = 256;
  MxHostCopy pending[most];
  i32 count, group;
  void begin() { count = group = 0; }
  void add(void *to, const void *from, u32 bytes, u32 of) {
    if ((((u64)to | (u64)from) & (of - 1)) != 0 || count == most) __builtin_trap();
    pending[count++] = MxHostCopy{to, from, bytes, of, group};
  }
  // Those of groups before this one.
  void wait(i32 before) {
    i32 kept = 0;
    for (i32 i = 0; i < count; i++) {
      const MxHostCopy &c = pending[i];
      if (c.group >= before) {
        pending[kept++] = c;
        continue;
      }
      __builtin_memset(c.to, 0, c.of);
      __builtin_memcpy(c.to, c.from, c.bytes);
    }
    count = kept;
  }
};
inline MxHostCopies mx_host_copies[1024];

inline void mx_copy16(u32x4 *to, const u16 *from, bool valid) { mx_host_copies[mx_thread()].add(to, from, valid ? 16 : 0, 16); }
inline void mx_copy32(u16 *to, const u8 *from, i32 offset) {
  for (i32 i = 0; i < 2; i++) mx_host_copies[mx_thread()].add(to + 8 * i, from + offset + 16 * i, 16, 16);
}
inline void mx_end_copies() { mx_host_copies[mx_thread()].group++; }
template <i32 Left> inline void mx_wait_groups() {
  MxHostCopies &own = mx_host_copies[mx_thread()];
  own.wait(own.group - Left);
}
inline void mx_copy4(void *to, const u8 *from) { mx_host_copies[mx_thread()].add(to, from, 4, 4); }
inline void mx_wait_copies() {
  MxHostCopies &own = mx_host_copies[mx_thread()];
  own.wait(own.group + 1);
}
// Reads the byte, which must be there.
inline void mx_prefetch(const u8 *from) { (void)*(const volatile u8 *)from; }
