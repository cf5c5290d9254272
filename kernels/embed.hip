// out[t] = table[ids[t] - first_id]; zeros for ids outside this rank's part of the vocabulary.
#include "common/numerics.h"

MX_TRAITS(embed, 256, 0, 1, 0, 0)
MX_ENTRY(embed, 256)(f32 *out, i32 out_stride, const void *table, i64 row_stride, i32 format, const i32 *ids, i32 width, i32 first_id,
                     i32 id_count, i32 round, i32 n) {
  mx_follow();
  const i32 t = mx_block_x();
  if (t >= n) return;
  const i32 id = mx_global<i32>(ids)[t] - first_id;
  const bool here = id >= 0 && id < id_count;
  const u8 *row = (const u8 *)table + (here ? id : 0) * row_stride;
  MX_GLOBAL f32 *y = mx_global<f32>(out) + (i64)t * out_stride;
  for (i32 c = mx_thread(); c < width; c += 256) y[c] = here ? mx_round_if(mx_element(row, format, c), round) : 0.0f;
}
MX_EXPORT(embed)
