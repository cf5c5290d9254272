// A small set of kernels for the tests of ffi/, with the interface of the kernels' host build and without their
// sources.
#include "hip_host.h"

struct Pair {
  float scale;
  int count;
  const float *from;
};

// out[i] = pair.scale * pair.from[i] + add, one block an element
static float *out_of(void *const *args) { return *(float *const *)args[0]; }
static unsigned block_x;
static void scale(void *const *args) {
  Pair pair = *(const Pair *)args[1];
  float add = *(const float *)args[2];
  if ((int)block_x < pair.count) out_of(args)[block_x] = pair.scale * pair.from[block_x] + add;
}
static const unsigned scale_sizes[] = {sizeof(float *), sizeof(Pair), sizeof(float)};

// *counter += step
static void bump(void *const *args) { **(long long *const *)args[0] += *(const long long *)args[1]; }
static const unsigned bump_sizes[] = {sizeof(long long *), sizeof(long long)};

static const MxHostKernel bump_kernel = {"bump", bump, nullptr, 2, bump_sizes};
static const MxHostKernel scale_kernel = {"scale", scale, &bump_kernel, 3, scale_sizes};

extern "C" const MxHostKernel *mx_host_kernel(const char *name) {
  for (const MxHostKernel *k = &scale_kernel; k; k = k->next)
    if (!strcmp(k->name, name)) return k;
  return nullptr;
}
extern "C" void mx_host_launch(const MxHostKernel *kernel, const unsigned *grid, const unsigned *, unsigned,
                               void *const *args) {
  for (block_x = 0; block_x < grid[0]; block_x++) kernel->run(args);
}
