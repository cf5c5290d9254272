// Marks and copies of bulk.h in host mode.
#pragma once
#include "platform.h"

// In the room of one mark: how many threads set it, how many of them are still to come, and bytes; how often it has happened, of which the last
// bit counts.
struct MxHostMark {
  u32 count : 16, pending : 15, phase : 1;
  i32 bytes;
};
static_assert(sizeof(MxHostMark) == sizeof(u64));

inline void mx_host_come(u64 *mark, i32 threads, i32 bytes) {
  MxHostMark *const m = (MxHostMark *)mark;
  // More than were to come: on a device nobody can tell what happens then.
  if ((i32)m->pending < threads) __builtin_trap();
  m->pending -= (u32)threads, m->bytes += bytes;
  if (m->pending == 0 && m->bytes == 0) m->phase ^= 1u, m->pending = m->count;
}
MX_DEVICE void mx_mark_begin(u64 *mark, i32 count) { *(MxHostMark *)mark = MxHostMark{(u32)count, (u32)count, 0, 0}; }
MX_DEVICE void mx_marks_visible() {}
MX_DEVICE void mx_mark_set(u64 *mark) { mx_host_come(mark, 1, 0); }
MX_DEVICE void mx_mark_expect(u64 *mark, u32 bytes) { mx_host_come(mark, 1, (i32)bytes); }
MX_DEVICE void mx_mark_await(u64 *mark, i32 turn) {
  while (((volatile MxHostMark *)mark)->phase == (u32)(turn & 1)) mx_host_yield();
}
MX_DEVICE void mx_bulk_copy(void *to, const u8 *from, u32 bytes, u64 *mark) {
  if ((((u64)to | (u64)from | bytes) & 15) != 0) __builtin_trap();
  __builtin_memcpy(to, from, bytes);
  mx_host_come(mark, 0, -(i32)bytes);
}
MX_DEVICE void mx_bulk_copy_once(void *to, const u8 *from, u32 bytes, u64 *mark) { mx_bulk_copy(to, from, bytes, mark); }
// Reads the first and the last byte, which must be there.
MX_DEVICE void mx_bulk_prefetch(const u8 *from, u32 bytes) {
  if ((((u64)from | bytes) & 15) != 0 || bytes == 0) __builtin_trap();
  (void)*(const volatile u8 *)from, (void)*(const volatile u8 *)(from + bytes - 1);
}
MX_DEVICE u32 mx_bulk_address(const void *p) { return (u32)(u64)p; }
template <i32 Id, i32 Threads> inline void mx_part_barrier() {
  static volatile i32 come, turn;
  const i32 own = turn, now = come + 1;
  come = now % Threads;
  if (now == Threads) turn = own + 1;
  while (turn == own) mx_host_yield();
}
