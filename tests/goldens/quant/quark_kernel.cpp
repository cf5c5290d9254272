// Runs Quark's default MXFP4 kernel (the one for GPUs) on the CPU: its source is included from the installed package, and the few
// intrinsics that it needs are supplied here. Usage: quark_kernel < bf16 words > bf16 words; the number of words is a multiple of 32.
//
// A warp's butterfly of shuffles gives every lane the warp's maximum, so the shuffle returns that maximum, folded before with the
// kernel's own hmax.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#define USE_CUDA
#define USE_ROCM
#define __HIP_PLATFORM_AMD__
#define __device__
#define __global__
using std::max;
using std::min;

struct __nv_bfloat16 {
  uint16_t bits;
};
struct __half {
  uint16_t bits;
};
struct Index {
  int x;
};
static Index blockIdx{0}, blockDim{1}, threadIdx{0};

static float value(__nv_bfloat16 x) {
  uint32_t word = static_cast<uint32_t>(x.bits) << 16;
  float f;
  std::memcpy(&f, &word, 4);
  return f;
}
static __nv_bfloat16 nearest(float f) {
  uint32_t word;
  std::memcpy(&word, &f, 4);
  if (f != f) return {static_cast<uint16_t>((word >> 16) | 0x40)};
  return {static_cast<uint16_t>((word + 0x7FFF + ((word >> 16) & 1)) >> 16)};
}

static __nv_bfloat16 __habs(__nv_bfloat16 x) { return {static_cast<uint16_t>(x.bits & 0x7FFF)}; }
// The documented behaviour of both vendors: of a NaN and a number, the number.
static __nv_bfloat16 __hmax(__nv_bfloat16 a, __nv_bfloat16 b) { return nearest(std::fmax(value(a), value(b))); }
static __nv_bfloat16 __hmul(__nv_bfloat16 a, __nv_bfloat16 b) { return nearest(value(a) * value(b)); }
static __nv_bfloat16 __hdiv(__nv_bfloat16 a, __nv_bfloat16 b) { return nearest(value(a) / value(b)); }
static __nv_bfloat16 hlog2(__nv_bfloat16 a) { return nearest(std::log2(value(a))); }
static __nv_bfloat16 hfloor(__nv_bfloat16 a) { return nearest(std::floor(value(a))); }
static __nv_bfloat16 __float2bfloat16(float f) { return nearest(f); }
static float __bfloat162float(__nv_bfloat16 x) { return value(x); }
// Saturates; NaN gives 0. The smallest result is one that the kernel can subtract from.
static int __float2int_rn(float f) {
  if (f != f) return 0;
  if (f >= 2147483648.0f) return INT32_MAX;
  return f < -2147483000.0f ? INT32_MIN + 2 : static_cast<int>(std::nearbyint(f));
}
static uint16_t __bfloat16_as_ushort(__nv_bfloat16 x) { return x.bits; }
static __nv_bfloat16 __ushort_as_bfloat16(uint16_t bits) { return {bits}; }
static uint16_t warp_maximum;
static uint16_t __shfl_xor(uint16_t, int) { return warp_maximum; }

// The twin for fp16 is not instantiated, but its overloads must exist.
static __half __habs(__half x) { return x; }
static __half __hmax(__half a, __half) { return a; }
static __half __hmul(__half a, __half) { return a; }
static __half __hdiv(__half a, __half) { return a; }
static __half hlog2(__half a) { return a; }
static __half hfloor(__half a) { return a; }
static __half __float2half(float) { return {0}; }
static float __half2float(__half) { return 0; }
static int __half2int_rn(__half) { return 0; }
static __half __shfl_xor(__half x, int) { return x; }

#include "mxfp4/fake_kernels.cuh"

int main() {
  std::vector<__nv_bfloat16> words(32), out(32);
  while (std::fread(words.data(), 2, 32, stdin) == 32) {
    __nv_bfloat16 maximum = __habs(words[0]);
    for (auto word : words) maximum = __hmax(maximum, __habs(word));
    warp_maximum = maximum.bits;
    for (int i = 0; i < 32; i++) {
      threadIdx.x = i;
      blockIdx.x = 0;
      qdq_mxfp4_kernel<__nv_bfloat16, BFLOAT16_EXP_BITS, BFLOAT16_MANTISSA_BITS, BFLOAT16_EXP_BIAS, BFLOAT16_VAL_TO_ADD,
                       BFLOAT16_SIGN_EXPONENT_MASK>(words.data(), out.data());
    }
    std::fwrite(out.data(), 2, 32, stdout);
  }
}
