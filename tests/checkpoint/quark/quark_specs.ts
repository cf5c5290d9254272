/** Pieces of AMD Quark's quantization_config, for tests. */

type Json = Record<string, unknown>;

const COMMON = { round_method: "half_even", scale_type: "float", is_scale_quant: false, symmetric: null };

/** Spec of MX blocks. */
export const mxSpec = (dtype: string, dynamic: boolean, more: Json = {}): Json => ({
  ...COMMON,
  dtype,
  is_dynamic: dynamic,
  qscheme: "per_group",
  ch_axis: -1,
  group_size: 32,
  scale_format: "e8m0",
  scale_calculation_mode: "even",
  mx_element_dtype: null,
  observer_cls: "PerBlockMXObserver",
  ...more,
});

/** Static FP8 with one scale. */
export const FP8: Json = {
  ...COMMON,
  dtype: "fp8_e4m3",
  is_dynamic: false,
  qscheme: "per_tensor",
  ch_axis: null,
  group_size: null,
  scale_format: null,
  scale_calculation_mode: null,
  observer_cls: "PerTensorMinMaxObserver",
};

/** FP8 with a scale per output channel (weights) or per token (inputs). */
export const ptpc = (dynamic: boolean): Json => ({
  ...FP8,
  qscheme: "per_channel",
  ch_axis: dynamic ? 1 : 0,
  is_dynamic: dynamic,
  observer_cls: "PerChannelMinMaxObserver",
});

export const FP4_WEIGHT = mxSpec("fp4", false);
export const FP4_INPUT = mxSpec("fp4", true);

/** One entry: what linears have. */
export const entry = (weight: unknown, input: unknown, output: unknown = null): Json => ({
  weight,
  input_tensors: input,
  output_tensors: output,
  bias: null,
  target_device: null,
});

/** A whole config. */
export const quark = (global: unknown, more: Json = {}): Json => ({
  quant_method: "quark",
  quant_mode: "eager_mode",
  version: "0.11",
  global_quant_config: global,
  layer_quant_config: {},
  layer_type_quant_config: {},
  exclude: ["lm_head", "*router*", "*self_attn*"],
  kv_cache_quant_config: {},
  kv_cache_post_rope: false,
  softmax_quant_spec: null,
  algo_config: null,
  export: {
    kv_cache_group: [],
    min_kv_scale: 0,
    pack_method: "reorder",
    weight_format: "real_quantized",
    weight_merge_groups: null,
  },
  ...more,
});
