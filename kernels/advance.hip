// The end of a decode step: picked tokens become the next inputs. Rows at position -1 are nobody's and stay so.
#include "common/platform.h"

MX_TRAITS(advance, 256, 0, 0, 0, 0)
MX_ENTRY(advance, 256)(i32 *ids, i32 *positions, const i32 *picked, i32 *history, i32 *step, i32 history_capacity, i32 n) {
  mx_follow();
  const i32 at = mx_global<i32>(step)[0];
  mx_barrier();
  for (i32 t = mx_thread(); t < n; t += 256) {
    const i32 id = mx_global<i32>(picked)[t];
    mx_global<i32>(ids)[t] = id;
    if (mx_global<i32>(positions)[t] >= 0) mx_global<i32>(positions)[t] += 1;
    mx_global<i32>(history)[(i64)(at % history_capacity) * n + t] = id;
  }
  if (mx_thread() == 0) mx_global<i32>(step)[0] = at + 1;
}
MX_EXPORT(advance)
