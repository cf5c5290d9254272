// All kernels as one host library, and the launcher that runs a block's threads as fibers. For tests on machines without a GPU.
//
//     clang-22 -x c++ -std=c++20 -O1 -ffp-contract=off -march=x86-64-v3 -fPIC -shared -DMX_HOST kernels/host.cpp -o libmxhost.so
//
// -DMX_HALF=1 and -DMX_HALF=2 leave out the other half, so that two processors compile it.
#if !defined(MX_HOST)
#error "compile with -DMX_HOST"
#endif
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "common/platform.h"

#include "common/blocks.h"
#include "common/cache.h"
#include "common/ends.h"
#include "common/exchange.h"
#include "common/few_slots.h"
#include "common/halves.h"
#include "common/matrix.h"
#include "common/one_records.h"
#include "common/pieces.h"
#include "common/experts.h"
#include "common/router_row.h"
#include "common/route_ranks.h"
#include "common/row_notes.h"
#include "common/routing.h"
#include "common/tile.h"
#include "common/transposed.h"
#include "common/vector.h"

#if MX_HALF != 2
#define MX_FORMAT bf16
#include "common/host_plain.inc"
// These name constants at file scope.
namespace mx_attention {
#include "attention.hip"
}
namespace mx_attention_split {
#include "attention_split.hip"
}
namespace mx_attention_tile {
#include "attention_tile.hip"
}
namespace mx_pick {
#include "pick.hip"
#include "exchange_pick.hip"
#include "sample_split.hip"
}
#include "common/host_batches.inc"
#include "common/host_one.inc"
namespace mx_norm_route_bf16 {
#include "norm_route.hip"
}
#include "common/host_format.inc"
#define MX_TRANSPOSED
#include "common/host_format.inc"
#undef MX_TRANSPOSED
#undef MX_FORMAT
#define MX_FORMAT f32
namespace mx_norm_route_f32 {
#include "norm_route.hip"
}
#include "common/host_format.inc"
#define MX_TRANSPOSED
#include "common/host_format.inc"
#undef MX_TRANSPOSED
#undef MX_FORMAT
#endif // MX_HALF != 2
#if MX_HALF != 1
#define MX_FORMAT f16
#include "common/host_format.inc"
#define MX_TRANSPOSED
#include "common/host_format.inc"
#undef MX_TRANSPOSED
#undef MX_FORMAT
#define MX_FORMAT mxfp4
#include "common/host_format.inc"
#undef MX_FORMAT
#define MX_FORMAT mxfp6_e3m2
#include "common/host_format.inc"
#undef MX_FORMAT
#define MX_FORMAT mxfp6_e2m3
#include "common/host_format.inc"
#undef MX_FORMAT
#define MX_FORMAT fp8
#include "common/host_format.inc"
#undef MX_FORMAT
#include "common/host_matrices.inc"
#endif // MX_HALF != 1

#if MX_HALF != 2
// ---- launcher ----

MxHostPlace mx_host_place;
char *mx_host_lds;

namespace {

constexpr int most_threads = 1024, stack_bytes = 64 * 1024;
// Tops of stacks at equal offsets would share a few lines of the processor's caches, and every switch would miss: they are staggered.
constexpr int stagger_lines = 64, line_bytes = 64;
constexpr unsigned most_lds = 256 * 1024;
// Of a block: who yields more often waits for ever.
constexpr long most_yields = 100000000;

#include "common/host_switch.inc"

enum State : char { runnable, at_barrier, at_group_barrier, done };

struct Fibers {
  char *stacks = nullptr;
  void *sp[most_threads];
  State state[most_threads];
  int threads = 0, running = 0, live = 0, waiting = 0;
  long yields = 0;
  int group_live[most_threads / 32], group_waiting[most_threads / 32];
  // Two each, used by turns: nobody writes to one again before all have come to the barrier of the other, thus have read it.
  unsigned exchange[most_threads / 32][2][32];
  char turn[most_threads];
  void *main = nullptr;
  const MxHostKernel *kernel = nullptr;
  void *const *args = nullptr;
} fibers;
MxHostKernel *first_kernel;

bool run_first(int from, int begin, int end) {
  Fibers &f = fibers;
  for (int next = begin; next < end; next++) {
    if (f.state[next] != runnable) continue;
    f.running = next;
    mx_host_place.thread = next;
    mx_host_switch(&f.sp[from], f.sp[next]);
    return true;
  }
  return false;
}

// Runs another runnable thread, of the same group if there is one: the stacks of a group stay in the processor's first
// cache, those of a block do not fit. Back to the launcher when none is left.
void run_next() {
  Fibers &f = fibers;
  const int from = f.running, first = from / 32 * 32, last = first + 32 < f.threads ? first + 32 : f.threads;
  if (run_first(from, from + 1, last) || run_first(from, first, from)) return;
  if (run_first(from, last, f.threads) || run_first(from, 0, first)) return;
  if (f.live == 0) mx_host_switch(&f.sp[from], f.main);
  std::fprintf(stderr, "%s: threads wait at different barriers\n", f.kernel->name);
  std::abort();
}

void release(State what, int from, int to) {
  for (int i = from; i < to; i++) {
    if (fibers.state[i] == what) fibers.state[i] = runnable;
  }
}

void group_arrived(int group) {
  Fibers &f = fibers;
  if (f.group_waiting[group] == 0 || f.group_waiting[group] < f.group_live[group]) return;
  f.group_waiting[group] = 0;
  release(at_group_barrier, group * 32, group * 32 + 32 < f.threads ? group * 32 + 32 : f.threads);
}
void block_arrived() {
  Fibers &f = fibers;
  if (f.waiting == 0 || f.waiting < f.live) return;
  f.waiting = 0;
  release(at_barrier, 0, f.threads);
}

void thread_main() {
  Fibers &f = fibers;
  f.kernel->run(f.args);
  const int own = f.running;
  f.state[own] = done;
  f.live--;
  f.group_live[own / 32]--;
  group_arrived(own / 32);
  block_arrived();
  run_next();
  std::abort();
}

} // namespace

void mx_host_barrier() {
  Fibers &f = fibers;
  f.state[f.running] = at_barrier;
  f.waiting++;
  block_arrived();
  if (f.state[f.running] != runnable) run_next();
}
void mx_host_group_barrier() {
  Fibers &f = fibers;
  f.state[f.running] = at_group_barrier;
  f.group_waiting[f.running / 32]++;
  group_arrived(f.running / 32);
  // Whoever comes last goes on.
  if (f.state[f.running] != runnable) run_next();
}
void mx_host_yield() {
  Fibers &f = fibers;
  const int from = f.running;
  if (++f.yields < most_yields && (run_first(from, from + 1, f.threads) || run_first(from, 0, from))) return;
  std::fprintf(stderr, "%s: threads wait for what nobody does\n", f.kernel->name);
  std::abort();
}
unsigned *mx_host_exchange() {
  Fibers &f = fibers;
  return f.exchange[f.running / 32][f.turn[f.running] ^= 1];
}
int mx_host_group_size() {
  const int first = fibers.running / 32 * 32;
  return fibers.threads - first < 32 ? fibers.threads - first : 32;
}

void mx_host_register(MxHostKernel *kernel) {
  kernel->next = first_kernel;
  first_kernel = kernel;
}

extern "C" const MxHostKernel *mx_host_first_kernel() { return first_kernel; }
extern "C" const MxHostKernel *mx_host_kernel(const char *name) {
  for (const MxHostKernel *k = first_kernel; k; k = k->next) {
    if (std::strcmp(k->name, name) == 0) return k;
  }
  return nullptr;
}

extern "C" void mx_host_launch(const MxHostKernel *kernel, const unsigned grid[3], const unsigned block[3], unsigned lds_bytes, void *const *args) {
  Fibers &f = fibers;
  const int threads = (int)block[0];
  if (threads < 1 || threads > most_threads || block[1] != 1 || block[2] != 1 || lds_bytes > most_lds) {
    std::fprintf(stderr, "%s: blocks of %u x %u x %u threads with %u bytes of LDS are not supported\n", kernel->name, block[0], block[1], block[2], lds_bytes);
    std::abort();
  }
  if (!f.stacks) {
    f.stacks = static_cast<char *>(std::aligned_alloc(4096, (std::size_t)most_threads * stack_bytes));
    mx_host_lds = static_cast<char *>(std::aligned_alloc(64, most_lds));
  }
  f.kernel = kernel;
  f.args = args;
  f.threads = threads;
  mx_host_place.grid_x = (int)grid[0];
  for (unsigned z = 0; z < grid[2]; z++) {
    for (unsigned y = 0; y < grid[1]; y++) {
      for (unsigned x = 0; x < grid[0]; x++) {
        mx_host_place.block_x = (int)x;
        mx_host_place.block_y = (int)y;
        mx_host_place.block_z = (int)z;
        // What a kernel does not write first must not look like zeros.
        std::memset(mx_host_lds, 0xff, lds_bytes);
        mx_host_fill_shared();
        for (int i = 0; i < threads; i++) {
          void **top = reinterpret_cast<void **>(f.stacks + (std::size_t)(i + 1) * stack_bytes - i % stagger_lines * line_bytes);
          // The address above the entry point keeps the stack as a call would leave it.
          void **frame = top - frame_words;
          std::memset(static_cast<void *>(frame), 0, frame_words * sizeof(void *));
          frame[entry_word] = reinterpret_cast<void *>(&thread_main);
          f.sp[i] = frame;
          f.state[i] = runnable;
          f.turn[i] = 0;
          mx_host_copies[i].begin();
        }
        f.live = threads;
        f.waiting = 0;
        f.yields = 0;
        for (int g = 0; g * 32 < threads; g++) {
          f.group_live[g] = threads - g * 32 < 32 ? threads - g * 32 : 32;
          f.group_waiting[g] = 0;
        }
        f.running = 0;
        mx_host_place.thread = 0;
        mx_host_switch(&f.main, f.sp[0]);
      }
    }
  }
}

// Gives back what launches took. Not a destructor: a process may end while one of its threads runs a kernel.
extern "C" void mx_host_end() {
  std::free(fibers.stacks);
  std::free(mx_host_lds);
  fibers.stacks = mx_host_lds = nullptr;
}
#endif // MX_HALF != 2
