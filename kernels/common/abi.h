// By-value structs of the binary interface; kernels/ABI.md says what the fields mean.
#pragma once
#include "platform.h"

struct MxLinear {
  const void *weight;
  const void *scale;
  const void *bias;
  i64 row_stride;
  i64 scale_stride;
  i32 rows, cols;
  f32 tensor_scale;
  i32 bias_format;
  i32 flags;
  i32 reserved;
};
struct MxGroup {
  MxLinear linear[4];
  f32 *out[4];
  i32 out_stride[4];
  i32 count;
  i32 reserved[3];
};
struct MxInput {
  const f32 *x;
  const i32 *x_rows;
  const void *norm;
  i32 x_stride;
  i32 norm_format;
  f32 eps;
  i32 kind;
  i32 rule;
  f32 scale;
  i32 round;
  i32 reserved;
};
struct MxCache {
  void *k, *v;
  const i32 *pages;
  i64 head_stride;
  i32 format;
  i32 table_stride;
  i32 heads, kv_heads, head_dim;
  i32 window;
  f32 k_scale, v_scale;
  f32 softmax_scale;
  i32 reserved;
};
static_assert(sizeof(MxLinear) == 64 && sizeof(MxGroup) == 320 && sizeof(MxInput) == 56 && sizeof(MxCache) == 72, "kernels/ABI.md");
