// The sum over ranks of one row by as many threads as it has numbers, whichever blocks they belong to: a number and its mark are one note.
#pragma once
#include "exchange.h"

// Most numbers of such a row.
enum { MX_ROW_NOTES = 4096 };

// Where ranks leave such notes: of rank `of` [2][ranks][MX_ROW_NOTES], by the parity of the launch, as a rank may be one ahead.
struct RowNotes {
  const MX_GLOBAL u64 *inboxes;
  i32 rank, ranks;
  u32 turn;
  i32 row;
  MX_DEVICE MX_GLOBAL u64 *at(i32 of, i32 from) const {
    return (MX_GLOBAL u64 *)inboxes[of] + ((i64)((i32)(turn & 1) * ranks + from) * MX_ROW_NOTES + row);
  }
};

// In the order of ranks; nonsense where launches are told to stop.
MX_DEVICE f32 sum_over_ranks(f32 mine, const RowNotes &notes, const i32 *stop) {
  for (i32 r = 1; r < notes.ranks; r++) {
    const i32 to = notes.rank + r < notes.ranks ? notes.rank + r : notes.rank + r - notes.ranks;
    mx_note_store(notes.at(to, notes.rank), (u64)notes.turn << 32 | mx_bits(mine));
  }
  f32 sum = 0.0f;
  for (i32 r = 0; r < notes.ranks; r++) {
    f32 v = mine;
    if (r != notes.rank) {
      u64 note;
      for (i32 looks = 1;; looks++) {
        note = mx_note_load(notes.at(notes.rank, r));
        if ((u32)(note >> 32) == notes.turn || !mx_keep_waiting()) break;
        if ((looks & 1023) == 0 && mx_system_load(mx_global<i32>(stop)) != 0) break;
      }
      v = mx_float((u32)note);
    }
    sum = r == 0 ? v : sum + v;
  }
  return sum;
}
