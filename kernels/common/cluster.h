// Blocks that run at the same time and write into one another's shared memory: clusters (NVIDIA from sm_90). The blocks of one are those
// along the grid's x.
#pragma once
#include "platform.h"

// Says that this block has begun; before anything else. All threads must call, as of everything here.
MX_DEVICE void mx_cluster_begin() { __asm__ volatile("barrier.cluster.arrive.relaxed.aligned;" : : : "memory"); }
// Until all have begun: before that nobody may write into another's shared memory.
MX_DEVICE void mx_cluster_meet() { __asm__ volatile("barrier.cluster.wait.aligned;" : : : "memory"); }
// Says that this block has written what the first one waits for.
MX_DEVICE void mx_cluster_give() { __asm__ volatile("barrier.cluster.arrive.release.aligned;" : : : "memory"); }
// Until all have.
MX_DEVICE void mx_cluster_take() { __asm__ volatile("barrier.cluster.wait.acquire.aligned;" : : : "memory"); }
// Writes where the first block has what lies at p here.
MX_DEVICE void mx_cluster_put(f32 *p, f32 v) {
  u32 to;
  __asm__ volatile("mapa.shared::cluster.u32 %0, %1, 0;" : "=r"(to) : "r"((u32)(u64)(__attribute__((address_space(3))) f32 *)p));
  __asm__ volatile("st.shared::cluster.f32 [%0], %1;" : : "r"(to), "f"(v) : "memory");
}
