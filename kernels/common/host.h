// Host mode: kernels as plain C++ functions. The threads of a block are fibers that switch at barriers and group operations, so that
// the same source, with the same barriers, can be run and debugged on a CPU. One launch at a time per process.
#pragma once
#include <cstddef>
#include <type_traits>
#include <utility>

#define MX_DEVICE inline __attribute__((always_inline))
#define MX_GLOBAL
#if defined(__ELF__)
// Of all kernels side by side, so that it can be filled.
#define MX_SHARED static __attribute__((section("mx_shared")))
extern "C" __attribute__((visibility("hidden"))) char __start_mx_shared[], __stop_mx_shared[];
#else
#define MX_SHARED static
#endif
#define MX_UNROLL
#define MX_NO_UNROLL
#define MX_UNROLL_4
#define MX_WAVE 32

/** An entry point; `run` calls it once per fiber with `args[i]` pointing at the i-th argument. */
struct MxHostKernel {
  const char *name;
  void (*run)(void *const *args);
  const MxHostKernel *next;
  int count;             // arguments
  const unsigned *sizes; // bytes of each, for those who must copy them (a recorded graph)
  bool exchanges;        // gives other ranks something and waits for theirs; the last argument says which of both to do
};
extern "C" const MxHostKernel *mx_host_first_kernel();
extern "C" const MxHostKernel *mx_host_kernel(const char *name);
extern "C" void mx_host_launch(const MxHostKernel *kernel, const unsigned grid[3], const unsigned block[3], unsigned lds_bytes,
                               void *const *args);
void mx_host_register(MxHostKernel *kernel);
// Whether LDS is filled with what no result consists of (NaN as float32 and bf16) before each block, all kernels' each time, so that what a kernel
// did not write first shows: for tests of kernels, models would take too long.
inline bool mx_host_fills = false;
extern "C" inline __attribute__((used)) void mx_host_fill(int on) { mx_host_fills = on != 0; }
inline void mx_host_fill_shared() {
#if defined(__ELF__)
  if (mx_host_fills) __builtin_memset(__start_mx_shared, 0xff, (std::size_t)(__stop_mx_shared - __start_mx_shared));
#endif
}

/** What a fiber sees of its place in the launch. */
struct MxHostPlace {
  int thread, block_x, block_y, block_z, grid_x;
};
extern MxHostPlace mx_host_place;
extern char *mx_host_lds;
void mx_host_barrier();
/** Waits for the 32 threads of the group (fewer at the end of a block). */
void mx_host_group_barrier();
int mx_host_group_size();
/** Lets the block's other threads run, for one that waits for something that they do. */
void mx_host_yield();
/** 32 words of the running thread's group, to be written before one barrier and read after it; other ones at the next call. */
unsigned *mx_host_exchange();

namespace mx_host {
template <class... A, std::size_t... I>
void call(void (*kernel)(A...), void *const *args, std::index_sequence<I...>) {
  kernel(*static_cast<std::remove_cv_t<A> *>(args[I])...);
}
template <class... A> void call(void (*kernel)(A...), void *const *args) { call(kernel, args, std::index_sequence_for<A...>{}); }
template <class... A> struct Signature {
  static constexpr int count = sizeof...(A);
  static constexpr unsigned sizes[] = {sizeof(A)...};
};
template <class... A> Signature<A...> signature(void (*)(A...));
struct Registration {
  MxHostKernel kernel;
  template <class S>
  Registration(const char *name, void (*run)(void *const *), S, bool exchanges)
      : kernel{name, run, nullptr, S::count, S::sizes, exchanges} {
    mx_host_register(&kernel);
  }
};
} // namespace mx_host

// Hidden: glibc has an `advance` of its own, which would be called instead where the compiler does not inline.
#define MX_ENTRY(name, threads) extern "C" __attribute__((visibility("hidden"))) void name
#define MX_ENTRY_RESIDENT(name, threads, blocks) MX_ENTRY(name, threads)
#define MX_REGISTER(name, exchanges)                                                                                             \
  static mx_host::Registration name##_registration(#name, [](void *const *args) { mx_host::call(name, args); },                \
                                                   decltype(mx_host::signature(name))(), exchanges);
#define MX_EXPORT(name) MX_REGISTER(name, false)
#define MX_EXPORT_EXCHANGE(name) MX_REGISTER(name, true)
#define MX_LDS(T) ((T *)mx_host_lds)

MX_DEVICE i32 mx_thread() { return mx_host_place.thread; }
MX_DEVICE i32 mx_block_x() { return mx_host_place.block_x; }
MX_DEVICE i32 mx_block_y() { return mx_host_place.block_y; }
MX_DEVICE i32 mx_block_z() { return mx_host_place.block_z; }
MX_DEVICE i32 mx_grid_x() { return mx_host_place.grid_x; }
MX_DEVICE void mx_barrier() { mx_host_barrier(); }
MX_DEVICE void mx_group_barrier() { mx_host_group_barrier(); }
inline u32 mx_host_shuffle(u32 v, i32 lane) {
  u32 *words = mx_host_exchange();
  words[mx_thread() & 31] = v;
  mx_host_group_barrier();
  return words[lane];
}
MX_DEVICE u32 mx_shuffle_xor(u32 v, i32 mask) { return mx_host_shuffle(v, (mx_thread() & 31) ^ mask); }
MX_DEVICE u32 mx_shuffle(u32 v, i32 lane) { return mx_host_shuffle(v, lane); }
MX_DEVICE void mx_schedule_barrier() {}
inline u32 mx_ballot(bool p) {
  u32 *words = mx_host_exchange(), bits = 0;
  words[mx_thread() & 31] = p;
  mx_host_group_barrier();
  for (i32 i = 0; i < mx_host_group_size(); i++) bits |= words[i] << i;
  return bits;
}
template <class T> MX_DEVICE T mx_load_stream(const T *p) { return *p; }
MX_DEVICE void mx_lds_add(u32 *p, u32 v) { *p += v; }
MX_DEVICE u32 mx_lds_peek(u32 *p) { return *p; }
MX_DEVICE u32 mx_lds_fetch_add(u32 *p, u32 v) { return (*p += v) - v; }
