// A stand-in for the kernels with matrix instructions: gemm_bf16_mma of kernels/ABI.md, written out. With -DWRONG it has the kind of
// mistake that a wrong register layout makes: two output rows change places.
#include "hip_host.h"

struct Linear {
  const void *weight, *scale, *bias;
  int64_t row_stride, scale_stride;
  int rows, cols;
  float tensor_scale;
  int bias_format, flags, reserved;
};
struct Group {
  Linear linear[4];
  float *out[4];
  int out_stride[4];
  int count, reserved[3];
};

static float bf16(uint16_t bits) {
  uint32_t word = (uint32_t)bits << 16;
  float value;
  memcpy(&value, &word, 4);
  return value;
}
static float rounded(float value) {
  uint32_t word;
  memcpy(&word, &value, 4);
  return bf16((uint16_t)((word + 0x7fff + (word >> 16 & 1)) >> 16));
}
static float at(const void *base, int format, int i) {
  return format == 1 ? ((const float *)base)[i] : bf16(((const uint16_t *)base)[i]);
}

template <class T> static T argument(void *const *args, int i) { return *(const T *)args[i]; }

static void gemm(void *const *args) {
  const Group &g = *(const Group *)args[0];
  const uint16_t *x = argument<const uint16_t *>(args, 1);
  const int stride = argument<int>(args, 2), round = argument<int>(args, 4), accumulate = argument<int>(args, 5), n = argument<int>(args, 6);
  for (int l = 0; l < g.count; l++) {
    const Linear &w = g.linear[l];
    for (int t = 0; t < n; t++)
      for (int r = 0; r < w.rows; r++) {
        const uint16_t *row = (const uint16_t *)((const char *)w.weight + r * w.row_stride);
        float sum = 0;
        for (int c = 0; c < w.cols; c++) sum += bf16(x[(int64_t)t * stride + c]) * bf16(row[c]);
        if (w.bias) sum += at(w.bias, w.bias_format, r);
#ifdef WRONG
        const int to = (r ^ 1) < w.rows ? r ^ 1 : r;
#else
        const int to = r;
#endif
        float &out = g.out[l][(int64_t)t * g.out_stride[l] + to];
        if (round) sum = rounded(sum);
        if (accumulate) sum = round ? rounded(out + sum) : out + sum;
        out = sum;
      }
  }
}
static const unsigned sizes[] = {sizeof(Group), 8, 4, 8, 4, 4, 4};
static const MxHostKernel kernel = {"gemm_bf16_mma", gemm, nullptr, 7, sizes};

extern "C" const MxHostKernel *mx_host_kernel(const char *name) { return strcmp(name, kernel.name) ? nullptr : &kernel; }
// The whole product is one block's work.
extern "C" void mx_host_launch(const MxHostKernel *k, const unsigned *, const unsigned *, unsigned, void *const *args) { k->run(args); }
