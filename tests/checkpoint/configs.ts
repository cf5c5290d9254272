/** The embedded model's config.json, changed, and the published one of OpenAI's own layout. */

const TINY = new URL("../../models/tiny-gpt-oss/", import.meta.url);

/** A JSON object. */
export type Json = Record<string, unknown>;
/** A file of the embedded model. */
export const read = (name: string): Json => JSON.parse(Deno.readTextFileSync(new URL(name, TINY)));

/** The tiny model's config.json with changes; undefined removes a key. */
export function tiny(changes: Json = {}): Json {
  const config = { ...read("config.json"), ...changes };
  for (const key of Object.keys(config)) if (config[key] === undefined) delete config[key];
  return config;
}

/** The embedded model's YaRN. */
export const ROPE = tiny()["rope_scaling"] as Json;

/** gpt-oss-20b's config.json of OpenAI's own layout. */
export const ORIGINAL: Json = {
  ...{ num_hidden_layers: 24, num_experts: 32, experts_per_token: 4, vocab_size: 201088, hidden_size: 2880 },
  ...{ intermediate_size: 2880, swiglu_limit: 7.0, head_dim: 64, num_attention_heads: 64, num_key_value_heads: 8 },
  ...{ sliding_window: 128, initial_context_length: 4096, rope_theta: 150000, rope_scaling_factor: 32.0 },
  ...{ rope_ntk_alpha: 1, rope_ntk_beta: 32 },
};

const NO_ORIGINAL = { original_max_position_embeddings: null, rope_theta: 150000 };

/** Changes of the embedded model's config, and what is said of them. */
export const BROKEN: [changes: Json, line: string][] = [
  [{ num_hidden_layers: 5000 }, "num_hidden_layers: expected an integer up to 4096, got 5000"],
  [
    { num_experts_per_tok: undefined, experts_per_token: undefined },
    "num_experts_per_tok: expected a positive integer, got nothing",
  ],
  [{ num_experts_per_tok: 17 }, "num_experts_per_tok: expected at most num_local_experts, 16, got 17"],
  [{ num_key_value_heads: 3 }, "num_attention_heads: expected a multiple of num_key_value_heads, 3, got 8"],
  [{ head_dim: 63 }, "head_dim: expected an even integer, got 63"],
  [{ rms_norm_eps: 0 }, "rms_norm_eps: expected a positive number, got 0"],
  [{ rms_norm_eps: 1e308 }, "rms_norm_eps: expected a number below 1, got 1e+308"],
  [{ swiglu_limit: -7 }, "swiglu_limit: expected a positive number, got -7"],
  [{ sliding_window: undefined }, "sliding_window: expected a positive integer, got nothing"],
  [{ layer_types: ["full_attention"] }, "layer_types: expected 4 of them (num_hidden_layers), got 1"],
  [{ layer_types: ["a", "b", "c", "d"] }, 'layer_types.0: expected sliding_attention or full_attention, got "a"'],
  [{ layer_types: "full_attention" }, 'layer_types: expected a list of layer types, got "full_attention"'],
  [
    { rope_scaling: undefined, initial_context_length: 8192, rope_parameters: { ...ROPE, ...NO_ORIGINAL } },
    "rope_parameters.original_max_position_embeddings: expected a positive integer, got nothing, which transformers " +
    "reads as max_position_embeddings, 131072, where initial_context_length is 8192",
  ],
  [
    { rope_scaling: null },
    "rope_scaling: expected an object, got null, which transformers 5 reads as YaRN by 32 and transformers 4 as " +
    "plain rotary embedding",
  ],
  [
    { num_experts_per_tok: undefined, experts_per_token: 3 },
    "num_experts_per_tok: expected a positive integer, got nothing, which transformers reads as 4, where " +
    "experts_per_token is 3",
  ],
  [{ num_experts: 8 }, "num_experts: expected num_local_experts, 16, got 8"],
  [
    { per_layer_config: { 0: { sliding_window: 64 } } },
    "per_layer_config.0: expected no settings of single layers, got an object",
  ],
  [{ partial_rotary_factor: 0.5 }, "partial_rotary_factor: expected 1, got 0.5"],
  [
    { original_max_position_embeddings: 2048 },
    "original_max_position_embeddings: expected rope_scaling.original_max_position_embeddings, 4096, got 2048",
  ],
  [
    { rope_scaling: { ...ROPE, type: "default" } },
    'rope_scaling.type: expected rope_scaling.rope_type, "yarn", got "default"',
  ],
  [{ rope_scaling: { ...ROPE, attn_factor: 2 } }, "rope_scaling.attn_factor: expected 1, got 2"],
  [
    { rope_scaling: { ...ROPE, full_attention: ROPE } },
    "rope_scaling.full_attention: expected none in GPT-OSS, got an object",
  ],
  [
    { rope_scaling: { ...ROPE, factor: 16 }, max_position_embeddings: undefined },
    "max_position_embeddings: expected a positive integer, got nothing, which transformers reads as 131072, where " +
    "YaRN's keys make 65536",
  ],
  [{ rope_scaling: "yarn" }, 'rope_scaling: expected an object, got "yarn"'],
  [
    { rope_scaling: { ...ROPE, rope_type: "llama3" } },
    'rope_scaling.rope_type: expected "yarn" or "default", got "llama3"',
  ],
  [
    { rope_scaling: { ...ROPE, rope_type: undefined } },
    'rope_scaling.rope_type: expected "yarn" or "default", got nothing',
  ],
  [
    { rope_scaling: { ...ROPE, factor: undefined } },
    "rope_scaling.factor: expected a number from 1 to 1000000, got nothing",
  ],
  [{ rope_scaling: { ...ROPE, factor: 0.5 } }, "rope_scaling.factor: expected a number from 1 to 1000000, got 0.5"],
  [{ rope_scaling: { ...ROPE, beta_fast: 1 } }, "beta_fast (rope_ntk_beta): expected more than beta_slow, 1, got 1"],
  [{ rope_scaling: { ...ROPE, truncate: "no" } }, 'rope_scaling.truncate: expected true or false, got "no"'],
  [{ rope_scaling: { ...ROPE, mscale: 1 } }, "rope_scaling.mscale: expected none in GPT-OSS, got 1"],
  [
    { rope_scaling: { ...ROPE, attention_factor: 1 } },
    "rope_scaling.attention_factor: expected 1.3465735902799727 (0.1 ln factor + 1) or none, got 1",
  ],
  [
    {
      rope_scaling: { rope_type: "yarn", factor: 32 },
      initial_context_length: undefined,
      max_position_embeddings: undefined,
    },
    "rope_scaling.original_max_position_embeddings: expected a positive integer, got nothing",
  ],
  [{ rope_theta: undefined }, "rope_theta: expected a number above 1, got nothing"],
  [{ rope_theta: 1 }, "rope_theta: expected a number above 1, got 1"],
  [
    { rope_parameters: { ...ROPE, rope_theta: 10000 } },
    "rope_theta: expected rope_parameters.rope_theta, 10000, got 150000",
  ],
  [{ rope_parameters: { ...ROPE, factor: 16 } }, "rope_scaling.factor: expected rope_parameters.factor, 16, got 32"],
  [
    { rope_parameters: { ...ROPE, truncate: true } },
    "rope_scaling.truncate: expected rope_parameters.truncate, true, got false",
  ],
  [
    { rope_parameters: { ...ROPE, truncate: undefined } },
    "rope_scaling.truncate: expected rope_parameters.truncate, true, got false",
  ],
  [
    { rope_parameters: { ...ROPE, beta_slow: 2 } },
    "rope_scaling.beta_slow: expected rope_parameters.beta_slow, 2, got 1",
  ],
  [
    { rope_parameters: { ...ROPE, rope_theta: 10000 }, rope_theta: undefined },
    "rope_scaling.rope_theta: expected rope_parameters.rope_theta, 10000, got 150000",
  ],
  [
    { rope_scaling: { rope_type: "default" }, max_position_embeddings: undefined },
    "max_position_embeddings: expected a positive integer, got nothing",
  ],
  [{ hidden_act: "gelu" }, 'hidden_act: expected "silu", got "gelu"'],
  [{ attention_bias: false }, "attention_bias: expected true, got false"],
  [{ is_causal: false }, "is_causal: expected true, got false"],
  [{ is_causal: null }, "is_causal: expected true, got null"],
  [{ tie_word_embeddings: true }, "tie_word_embeddings: expected false, got true"],
  [{ eos_token_id: "2" }, 'eos_token_id: expected a token id or a list of token ids, got "2"'],
  [{ eos_token_id: [1, -1] }, "eos_token_id.1: expected a token id, got -1"],
  [{ pad_token_id: -1 }, "pad_token_id: expected a token id, got -1"],
  [{ pad_token_id: 1024 }, "expected token ids below vocab_size, 1024, got 1024"],
  [{ quantization_config: [] }, "quantization_config: expected an object, got an array of 0"],
  [
    { architectures: ["LlamaForCausalLM"], model_type: "llama" },
    'architectures: expected "GptOssForCausalLM", got "LlamaForCausalLM"',
  ],
  [
    { architectures: "GptOssForCausalLM" },
    'architectures: expected a list with "GptOssForCausalLM", got "GptOssForCausalLM"',
  ],
  [{ architectures: [] }, 'architectures: expected "GptOssForCausalLM", got an array of 0'],
  [{ model_type: "llama" }, 'model_type: expected "gpt_oss", got "llama"'],
  [{ model_type: undefined, architectures: undefined }, 'model_type: expected "gpt_oss", got nothing'],
];
