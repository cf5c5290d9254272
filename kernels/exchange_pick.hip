// The token with the largest logit where each rank has the logits of some: each finds its own, which is all that ranks tell one another.
#include "common/exchange.h"
#include "common/logits.h"

MX_TRAITS(exchange_argmax, 1024, 0, 1, 0, 0)
MX_ENTRY(exchange_argmax, 1024)(const f32 *logits, i64 stride, const void *inboxes, i32 *stop, i32 rank, i32 ranks, i32 *turns, i32 columns,
                                i32 first, i32 *picked, i32 rows, i32 phase) {
  mx_follow();
  const i32 row = mx_block_x();
  if (row >= rows) return;
  const MX_GLOBAL f32 *const own = mx_global<f32>(logits) + row * stride;
  f32 largest;
  const i32 best = block_best(own, columns, largest);
  if (mx_thread() != 0) return;
  // A logit that is no number comes before all others, the first one of them; a rank may have none at all.
  u32 key = best < 0 ? ~0u : best == no_id ? 0u : key_of(own[best]);
  i32 id = first + (best < 0 ? ~best : best);
  const MX_GLOBAL u64 *boxes = mx_global<u64>(inboxes);
  MX_GLOBAL u32 *const own_turn = mx_global<u32>(turns) + row;
  const u32 turn = mx_next_turn(*own_turn);
  for (i32 r = 0; r < ranks && (phase & MX_GIVE); r++) {
    if (r != rank) mx_note_store(mx_notes(boxes, row, r, (i32)(turn & 1), ranks, rank), u32x4{key, turn, (u32)id, turn});
  }
  if (!(phase & MX_TAKE)) return;
  for (i32 r = 0; r < ranks; r++) {
    if (r == rank) continue;
    const u32x4 note = mx_await(mx_notes(boxes, row, rank, (i32)(turn & 1), ranks, r), turn, stop);
    if (note.x > key || (note.x == key && (i32)note.z < id)) key = note.x, id = (i32)note.z;
  }
  mx_global<i32>(picked)[row] = key == ~0u ? ~id : id;
  *own_turn = turn;
}
MX_EXPORT_EXCHANGE(exchange_argmax)
