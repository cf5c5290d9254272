// Stand-ins for kernels with matrix instructions, written out: gemm_bf16_mma, gemm_bf16_wgmma, and the experts'
// GEMMs on FP4 codes with inputs as FP4 or FP8 codes. With -DWRONG they have the kind of mistake that a wrong register
// layout makes: two output rows change places.
#include "hip_host.h"
#include <cmath>

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

static int swapped(int r, int rows) {
#ifdef WRONG
  return (r ^ 1) < rows ? r ^ 1 : r;
#else
  (void)rows;
  return r;
#endif
}

static void gemm(void *const *args) {
  const Group &g = *(const Group *)args[0];
  const uint16_t *x = argument<const uint16_t *>(args, 1);
  const int stride = argument<int>(args, 2), round = argument<int>(args, 4);
  const int accumulate = argument<int>(args, 5), n = argument<int>(args, 6);
  for (int l = 0; l < g.count; l++) {
    const Linear &w = g.linear[l];
    for (int t = 0; t < n; t++)
      for (int r = 0; r < w.rows; r++) {
        const uint16_t *row = (const uint16_t *)((const char *)w.weight + r * w.row_stride);
        float sum = 0;
        for (int c = 0; c < w.cols; c++) sum += bf16(x[(int64_t)t * stride + c]) * bf16(row[c]);
        if (w.bias) sum += at(w.bias, w.bias_format, r);
        float &out = g.out[l][(int64_t)t * g.out_stride[l] + swapped(r, w.rows)];
        if (round) sum = rounded(sum);
        if (accumulate) sum = round ? rounded(out + sum) : out + sum;
        out = sum;
      }
  }
}
static const float fp4_values[8] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
static float fp4(const uint8_t *row, int c) {
  const int code = row[c / 2] >> (c % 2 * 4) & 15;
  return code & 8 ? -fp4_values[code & 7] : fp4_values[code & 7];
}
static float fp8(uint8_t code) {
  const int e = code >> 3 & 15, m = code & 7;
  const float magnitude = e ? std::ldexp(1 + m / 8.0f, e - 7) : std::ldexp(m / 8.0f, -6);
  return code & 128 ? -magnitude : magnitude;
}
static float e8m0(uint8_t byte) { return std::ldexp(1.0f, byte - 127); }

constexpr int tile_tokens = 128;

// experts, x, x_stride, x_blocks, x_block_stride, x_scales, divisor, sorted, offsets, tiles, tile_count, out,
// out_stride, round, swiglu, alpha, limit, rows, cols
template <bool is_fp4> static void scaled(void *const *args) {
  const Linear *experts = argument<const Linear *>(args, 0);
  const uint8_t *x = argument<const uint8_t *>(args, 1), *x_blocks = argument<const uint8_t *>(args, 3);
  const int x_stride = argument<int>(args, 2), x_block_stride = argument<int>(args, 4);
  const int divisor = argument<int>(args, 6);
  const float *x_scales = argument<const float *>(args, 5);
  const int *sorted = argument<const int *>(args, 7), *offsets = argument<const int *>(args, 8);
  const int *tiles = argument<const int *>(args, 9);
  float *out = argument<float *>(args, 11);
  const int out_stride = argument<int>(args, 12), round = argument<int>(args, 13), swiglu = argument<int>(args, 14);
  const float alpha = argument<float>(args, 15), limit = argument<float>(args, 16);
  std::vector<float> z;
  for (int tile = 0; tile < *argument<const int *>(args, 10); tile++) {
    const int e = tiles[2 * tile], first = tiles[2 * tile + 1];
    const int end = first + tile_tokens < offsets[e + 1] ? first + tile_tokens : offsets[e + 1];
    const Linear &w = experts[e];
    for (int i = first; i < end; i++) {
      const int slot = sorted[i], from = slot / divisor;
      const uint8_t *codes = x + (int64_t)from * x_stride;
      z.assign(w.rows, 0);
      for (int r = 0; r < w.rows; r++) {
        const uint8_t *row = (const uint8_t *)w.weight + r * w.row_stride;
        const uint8_t *scales = (const uint8_t *)w.scale + r * w.scale_stride;
        float sum = 0;
        for (int c = 0; c < w.cols; c++) {
          const float input =
              is_fp4 ? fp4(codes, c) * e8m0(x_blocks[(int64_t)from * x_block_stride + c / 32]) : fp8(codes[c]);
          sum += fp4(row, c) * e8m0(scales[c / 32]) * input;
        }
        if (x_scales) sum *= x_scales[from];
        if (w.bias) sum += at(w.bias, w.bias_format, r);
        z[swapped(r, w.rows)] = round ? rounded(sum) : sum;
      }
      for (int r = 0; r < w.rows; r += swiglu ? 2 : 1) {
        float value = z[r];
        if (swiglu) {
          const float gate = z[r] < limit ? z[r] : limit;
          const float up = z[r + 1] < -limit ? -limit : z[r + 1] > limit ? limit : z[r + 1];
          value = (up + 1) * gate / (1 + std::exp(-alpha * gate));
          if (round) value = rounded(value);
        }
        out[(int64_t)slot * out_stride + (swiglu ? r / 2 : r)] = value;
      }
    }
  }
}

static const unsigned gemm_sizes[] = {sizeof(Group), 8, 4, 8, 4, 4, 4};
static const unsigned scaled_sizes[] = {8, 8, 4, 8, 4, 8, 4, 8, 8, 8, 8, 8, 4, 4, 4, 4, 4, 4, 4};
static const MxHostKernel kernels[] = {
    {"gemm_bf16_mma", gemm, nullptr, 7, gemm_sizes},
    {"gemm_bf16_wgmma", gemm, nullptr, 7, gemm_sizes},
    {"expert_gemm_mxfp4_e2m1_mma", scaled<true>, nullptr, 19, scaled_sizes},
    {"expert_gemm_mxfp4_fp8_mma", scaled<false>, nullptr, 19, scaled_sizes},
};

extern "C" const MxHostKernel *mx_host_kernel(const char *name) {
  for (const MxHostKernel &kernel : kernels)
    if (!strcmp(name, kernel.name)) return &kernel;
  return nullptr;
}
// The whole product is one block's work.
extern "C" void mx_host_launch(const MxHostKernel *k, const unsigned *, const unsigned *, unsigned, void *const *args) {
  k->run(args);
}
