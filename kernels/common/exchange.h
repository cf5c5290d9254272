// What kernels of several devices write into one another's memory, and how they wait for it.
#pragma once
#include "numerics.h"

// Most blocks of a launch that wait for one another across devices by counters, and threads of those that do so by notes.
enum { MX_EXCHANGE_BLOCKS = 256, MX_EXCHANGE_THREADS = 256 };
// Parts of a launch: what a rank gives the others, and what it does once it has theirs. On devices they are one launch; the test library,
// which cannot wait inside a kernel, runs one after the other.
enum { MX_GIVE = 1, MX_TAKE = 2 };

#if defined(MX_HOST)
// Everything is there before the second part of a launch begins.
MX_DEVICE void mx_system_store(MX_GLOBAL i32 *p, i32 v) { *p = v; }
MX_DEVICE i32 mx_system_load(const MX_GLOBAL i32 *p) { return *p; }
MX_DEVICE void mx_note_store(MX_GLOBAL u32x4 *p, u32x4 v) { *p = v; }
MX_DEVICE u32x4 mx_note_load(const MX_GLOBAL u32x4 *p) { return *p; }
MX_DEVICE void mx_note_store(MX_GLOBAL u64 *p, u64 v) { *p = v; }
MX_DEVICE u64 mx_note_load(const MX_GLOBAL u64 *p) { return *p; }
MX_DEVICE bool mx_keep_waiting() { return false; }
#else
#if !defined(__NVPTX__)
#error "memory of AMD devices that others write to would have to be allocated otherwise, which nobody here could try"
#endif
// Ordered for all devices: what was written before the store is seen by whoever loads its value.
MX_DEVICE void mx_system_store(MX_GLOBAL i32 *p, i32 v) { __asm__ volatile("st.release.sys.global.s32 [%0], %1;" : : "l"(p), "r"(v) : "memory"); }
MX_DEVICE i32 mx_system_load(const MX_GLOBAL i32 *p) {
  i32 v;
  __asm__ volatile("ld.acquire.sys.global.s32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
  return v;
}
// Each half of the 16 bytes, a number with the mark that says whether it has come, is written and read as one.
MX_DEVICE void mx_note_store(MX_GLOBAL u32x4 *p, u32x4 v) {
  __asm__ volatile("st.volatile.global.v4.u32 [%0], {%1,%2,%3,%4};" : : "l"(p), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w) : "memory");
}
MX_DEVICE u32x4 mx_note_load(const MX_GLOBAL u32x4 *p) {
  u32x4 v;
  __asm__ volatile("ld.volatile.global.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p) : "memory");
  return v;
}
// A number of 32 bits with its mark.
MX_DEVICE void mx_note_store(MX_GLOBAL u64 *p, u64 v) { __asm__ volatile("st.volatile.global.u64 [%0], %1;" : : "l"(p), "l"(v) : "memory"); }
MX_DEVICE u64 mx_note_load(const MX_GLOBAL u64 *p) {
  u64 v;
  __asm__ volatile("ld.volatile.global.u64 %0, [%1];" : "=l"(v) : "l"(p) : "memory");
  return v;
}
MX_DEVICE bool mx_keep_waiting() { return true; }
#endif

// Counters that blocks of different devices wait by: those of a rank are [ranks][MX_EXCHANGE_BLOCKS], how far each rank has come, by
// block; the rank's own row is what it counts by.
struct MxMarks {
  const MX_GLOBAL u64 *all;
  i32 rank, ranks;
  const i32 *stop;
  MX_DEVICE MX_GLOBAL i32 *mine() const { return (MX_GLOBAL i32 *)all[rank] + rank * MX_EXCHANGE_BLOCKS + mx_block_x(); }
  // Says to rank `other` that a block has come so far, with what was written before as far as the thread knows.
  MX_DEVICE void tell(i32 other, i32 block, i32 count) const { mx_system_store((MX_GLOBAL i32 *)all[other] + rank * MX_EXCHANGE_BLOCKS + block, count); }
  // Waits until the like of that block has come so far on rank `other`.
  MX_DEVICE void await(i32 other, i32 block, i32 count) const {
    const MX_GLOBAL i32 *theirs = (MX_GLOBAL i32 *)all[rank] + other * MX_EXCHANGE_BLOCKS + block;
    i32 looks = 0;
    // Counters may wrap around.
    while ((i32)((u32)mx_system_load(theirs) - (u32)count) < 0 && mx_keep_waiting()) {
      if ((++looks & 1023) == 0 && mx_system_load(mx_global<i32>(stop)) != 0) break;
    }
  }
  // By all threads of a block: says that it has come so far, with what its threads wrote before.
  MX_DEVICE void say(i32 count) const {
    mx_barrier();
    if (mx_thread() < ranks && mx_thread() != rank) tell(mx_thread(), mx_block_x(), count);
  }
  // Waits until the like of this block has come so far on every rank.
  MX_DEVICE void wait(i32 count) const {
    if (mx_thread() < ranks && mx_thread() != rank) await(mx_thread(), mx_block_x(), count);
    mx_barrier();
  }
};

// Four bf16 numbers that float32 holds exactly, in 8 bytes, and back.
MX_DEVICE u32x2 mx_pack4(f32x4 v) {
  return u32x2{mx_bits(v[0]) >> 16 | (mx_bits(v[1]) & 0xffff0000u), mx_bits(v[2]) >> 16 | (mx_bits(v[3]) & 0xffff0000u)};
}
MX_DEVICE f32x4 mx_unpack4(u32 a, u32 b) {
  return f32x4{mx_float(a << 16), mx_float(a & 0xffff0000u), mx_float(b << 16), mx_float(b & 0xffff0000u)};
}

// Writes a sum of four, or adds it to `old`, what is there; returns what it wrote. `to` is column `column` of a row.
MX_DEVICE f32x4 mx_put_sum(MX_GLOBAL f32 *to, f32x4 sum, f32x4 old, i32 column, i32 width, i32 round, i32 accumulate) {
  f32x4 v;
  MX_UNROLL
  for (i32 e = 0; e < 4; e++) {
    v[e] = mx_round_if(sum[e], round);
    if (accumulate) v[e] = mx_round_if(old[e] + v[e], round);
  }
  if (column + 4 <= width) *(MX_GLOBAL f32x4 *)to = v;
  else {
    MX_UNROLL
    for (i32 e = 0; e < 3; e++) {
      if (column + e < width) to[e] = v[e];
    }
  }
  return v;
}

// Few numbers come with a mark beside each, which says to which launch they belong. Room for them is by block: pieces of four numbers
// that a thread has at most, and a block.
enum { MX_NOTE_PIECES = 2, MX_BLOCK_PIECES = MX_NOTE_PIECES * MX_EXCHANGE_THREADS };

// How often a block came here, on every rank alike; 0 is what memory that was never written says, and is left out.
MX_DEVICE u32 mx_next_turn(u32 last) { return last + 1 == 0 ? 2 : last + 1; }

// In the memory of rank `of`, what rank `from` wrote for a block, by the parity of the launch, as a rank may be one ahead; twice, as
// float32 numbers take two notes.
MX_DEVICE MX_GLOBAL u32x4 *mx_notes_in(u64 inbox, i32 block, i32 parity, i32 ranks, i32 from) {
  return (MX_GLOBAL u32x4 *)inbox + ((i64)(block * 2 + parity) * ranks + from) * (2 * MX_BLOCK_PIECES);
}
MX_DEVICE MX_GLOBAL u32x4 *mx_notes(const MX_GLOBAL u64 *inboxes, i32 block, i32 of, i32 parity, i32 ranks, i32 from) {
  return mx_notes_in(inboxes[of], block, parity, ranks, from);
}

// Where notes lie, as mx_notes has it: of this rank and of the next one known before the launch ahead has ended, as nobody writes the table.
struct MxInboxes {
  const MX_GLOBAL u64 *all;
  i32 rank, ranks, after;
  u64 own, next;
  MX_DEVICE MxInboxes(const void *inboxes, i32 rank, i32 ranks)
      : all(mx_global<u64>(inboxes)), rank(rank), ranks(ranks), after(rank + 1 < ranks ? rank + 1 : 0), own(all[rank]), next(all[after]) {}
  // What rank `from` leaves for rank `of`.
  MX_DEVICE MX_GLOBAL u32x4 *notes(i32 block, i32 of, i32 parity, i32 from) const {
    return mx_notes_in(of == rank ? own : of == after ? next : all[of], block, parity, ranks, from);
  }
};

MX_DEVICE void mx_leave(MX_GLOBAL u32x4 *note, f32x4 v, u32 turn, i32 round) {
  if (round) {
    const u32x2 four = mx_pack4(v);
    mx_note_store(note, u32x4{four.x, turn, four.y, turn});
  } else {
    mx_note_store(note, u32x4{mx_bits(v[0]), turn, mx_bits(v[1]), turn});
    mx_note_store(note + MX_BLOCK_PIECES, u32x4{mx_bits(v[2]), turn, mx_bits(v[3]), turn});
  }
}

// Waits for a note; what it says is nonsense where launches are told to stop.
MX_DEVICE u32x4 mx_await(const MX_GLOBAL u32x4 *note, u32 turn, const i32 *stop) {
  u32x4 v = mx_note_load(note);
  for (i32 looks = 1; (v.y != turn || v.w != turn) && mx_keep_waiting(); looks++) {
    if ((looks & 1023) == 0 && mx_system_load(mx_global<i32>(stop)) != 0) break;
    v = mx_note_load(note);
  }
  return v;
}

// The numbers of several bf16 notes, which are all asked for before one is waited for; those that are not `wanted` are left as they are.
template <i32 N>
MX_DEVICE void mx_collect_rounded(const MX_GLOBAL u32x4 *const (&notes)[N], const bool (&wanted)[N], const u32 (&turns)[N], const i32 *stop,
                                  f32x4 (&v)[N]) {
  u32x4 got[N];
  for (i32 looks = 1;; looks++) {
    bool missing = false;
    MX_UNROLL
    for (i32 i = 0; i < N; i++) {
      if (wanted[i]) got[i] = mx_note_load(notes[i]);
    }
    MX_UNROLL
    for (i32 i = 0; i < N; i++) missing = missing || (wanted[i] && (got[i].y != turns[i] || got[i].w != turns[i]));
    if (!missing || !mx_keep_waiting()) break;
    if ((looks & 1023) == 0 && mx_system_load(mx_global<i32>(stop)) != 0) break;
  }
  MX_UNROLL
  for (i32 i = 0; i < N; i++) {
    if (wanted[i]) v[i] = mx_unpack4(got[i].x, got[i].z);
  }
}

// What `mx_leave` left.
MX_DEVICE f32x4 mx_collect(const MX_GLOBAL u32x4 *note, u32 turn, i32 round, const i32 *stop) {
  const u32x4 a = mx_await(note, turn, stop);
  if (round) return mx_unpack4(a.x, a.z);
  const u32x4 b = mx_await(note + MX_BLOCK_PIECES, turn, stop);
  return f32x4{mx_float(a.x), mx_float(a.z), mx_float(b.x), mx_float(b.z)};
}
