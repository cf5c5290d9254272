/** config.json of random checkpoints, in every layout that the program reads. */
import type { Format, Layout, QuarkOptions, Shape } from "./layouts.ts";

/** config.json of a checkpoint. */
export function randomConfig(shape: Shape, layout: Layout, quark: QuarkOptions = {}): Record<string, unknown> {
  const common = {
    num_hidden_layers: shape.layers,
    experts_per_token: shape.topK,
    vocab_size: shape.vocab,
    hidden_size: shape.hidden,
    intermediate_size: shape.intermediate,
    swiglu_limit: 7.0,
    head_dim: shape.headDim,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.kvHeads,
    sliding_window: shape.window,
    initial_context_length: 4096,
    rope_theta: 150000,
  };
  if (layout === "original") {
    return { ...common, num_experts: shape.experts, rope_scaling_factor: 32.0, rope_ntk_alpha: 1, rope_ntk_beta: 32 };
  }
  return {
    architectures: ["GptOssForCausalLM"],
    model_type: "gpt_oss",
    ...common,
    num_local_experts: shape.experts,
    num_experts_per_tok: shape.topK,
    layer_types: Array.from(
      { length: shape.layers },
      (_, layer) => layer % 2 === 0 ? "sliding_attention" : "full_attention",
    ),
    attention_bias: true,
    hidden_act: "silu",
    rms_norm_eps: 1e-5,
    rope_scaling: {
      ...{ rope_type: "yarn", factor: 32.0, beta_fast: 32.0, beta_slow: 1.0 },
      ...{ original_max_position_embeddings: 4096, truncate: false },
    },
    max_position_embeddings: 131072,
    tie_word_embeddings: false,
    eos_token_id: shape.vocab > 200_012 ? 200_002 : shape.vocab - 1,
    torch_dtype: "bfloat16",
    ...quantization(layout, quark),
  };
}

function quantization(layout: Layout, quark: QuarkOptions): Record<string, unknown> {
  if (layout === "hf_mxfp4") {
    const modules_to_not_convert = [
      "model.layers.*.self_attn",
      "model.layers.*.mlp.router",
      "model.embed_tokens",
      "lm_head",
    ];
    return { quantization_config: { quant_method: "mxfp4", modules_to_not_convert } };
  }
  if (layout !== "quark") return {};
  const { weights = "mxfp4", attention = "bf16", inputScales = false, kvScales } = quark;
  const common = { symmetric: null, round_method: "half_even", scale_type: "float", mx_element_dtype: null };
  const fp8 = {
    ...{ dtype: "fp8_e4m3", is_dynamic: false, qscheme: "per_tensor", ch_axis: null, group_size: null, ...common },
    ...{ scale_format: null, scale_calculation_mode: null, observer_cls: "PerTensorMinMaxObserver" },
    is_scale_quant: false,
  };
  const spec = (format: Format): Record<string, unknown> | null => {
    if (format === "bf16") return null;
    if (format === "fp8") return fp8;
    if (format === "fp8_channel") {
      return { ...fp8, qscheme: "per_channel", ch_axis: 0, observer_cls: "PerChannelMinMaxObserver" };
    }
    const mx = {
      is_dynamic: false,
      qscheme: "per_group",
      ch_axis: -1,
      group_size: 32,
      ...common,
      scale_format: "e8m0",
    };
    return {
      ...{ dtype: format.replace(/^mxfp4$/, "fp4").replace(/^mx/, ""), ...mx, scale_calculation_mode: "even" },
      ...{ observer_cls: "PerBlockMXObserver", is_scale_quant: false },
    };
  };
  const linear = (format: Format, output = false) => ({
    weight: spec(format),
    input_tensors: inputScales && format !== "bf16" ? fp8 : null,
    output_tensors: output ? fp8 : null,
    bias: null,
    target_device: null,
  });
  const kv = kvScales !== undefined;
  return {
    quantization_config: {
      quant_method: "quark",
      quant_mode: "eager_mode",
      version: "0.11",
      global_quant_config: linear(weights),
      layer_quant_config: {
        "*k_proj": linear(attention, kv),
        "*v_proj": linear(attention, kv),
        ...(attention === "bf16" ? {} : { "*q_proj": linear(attention), "*o_proj": linear(attention) }),
      },
      layer_type_quant_config: {},
      exclude: ["lm_head", "*router*", ...(attention === "bf16" ? ["*q_proj", "*o_proj"] : [])],
      kv_cache_quant_config: {},
      kv_cache_post_rope: false,
      softmax_quant_spec: null,
      algo_config: null,
      export: {
        kv_cache_group: kv ? ["*k_proj", "*v_proj"] : [],
        ...{ min_kv_scale: 0.0, pack_method: "reorder", weight_format: "real_quantized", weight_merge_groups: null },
      },
    },
  };
}
