/**
 * config.json and generation_config.json of a GGUF file's model. What GGUF has no key for is what every GPT-OSS model
 * has: windows in every second layer from the first on, YaRN without rounded bounds, SwiGLU's limit of 7.
 */
import { readConfig } from "../../checkpoint/config.ts";
import type { ModelConfig } from "../../checkpoint/model_config.ts";
import { firstOf, printable } from "../../describe.ts";
import { InputError } from "../../errors.ts";
import type { Metadata } from "./metadata.ts";

const ARCHITECTURE = "gpt-oss";

/** `quantization_config` where the experts are MXFP4; others have none. */
export const MXFP4_CONFIG = {
  quant_method: "mxfp4",
  modules_to_not_convert: ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"],
} as const;

/** Refuses another model's file, before anything that only models of GPT-OSS have. */
export function refuseOtherModel(metadata: Metadata): void {
  if (metadata.text("general.architecture") !== ARCHITECTURE) metadata.refuse("general.architecture", ARCHITECTURE);
}

/** A model's configuration as it is written. */
export interface GgufConfig {
  readonly config: Readonly<Record<string, unknown>>;
  readonly generation: Readonly<Record<string, unknown>>;
  /** As the written config.json is read. */
  readonly model: ModelConfig;
}

/**
 * Reads the metadata of a model.
 *
 * @param vocab Rows of the embedding.
 * @param special Ids of special tokens.
 * @throws {InputError} naming the key that is missing, says what GPT-OSS has not, or is not known.
 */
export function ggufConfig(
  metadata: Metadata,
  vocab: number,
  special: { readonly eos: readonly number[]; readonly pad: number | null; readonly bos: number | null },
): GgufConfig {
  const key = (name: string) => `${ARCHITECTURE}.${name}`;
  const integer = (name: string) => metadata.required(key(name), metadata.integer(key(name)), "a positive integer");
  const real = (name: string) => metadata.required(key(name), metadata.real(key(name)), "a positive number");
  const layers = integer("block_count");
  const headDim = integer("attention.key_length"), intermediate = integer("expert_feed_forward_length");
  same(metadata, key("attention.value_length"), headDim);
  same(metadata, key("feed_forward_length"), intermediate);
  same(metadata, key("rope.dimension_count"), headDim);
  same(metadata, key("vocab_size"), vocab);
  same(metadata, key("attention.sliding_window_pattern"), 2);
  const config = {
    architectures: ["GptOssForCausalLM"],
    model_type: "gpt_oss",
    attention_bias: true,
    hidden_act: "silu",
    hidden_size: integer("embedding_length"),
    intermediate_size: intermediate,
    num_hidden_layers: layers,
    num_attention_heads: integer("attention.head_count"),
    num_key_value_heads: integer("attention.head_count_kv"),
    head_dim: headDim,
    num_local_experts: integer("expert_count"),
    num_experts_per_tok: integer("expert_used_count"),
    rms_norm_eps: real("attention.layer_norm_rms_epsilon"),
    sliding_window: integer("attention.sliding_window"),
    layer_types: Array.from({ length: layers }, (_, i) => i % 2 === 0 ? "sliding_attention" : "full_attention"),
    swiglu_limit: 7,
    ...positions(metadata, key),
    tie_word_embeddings: false,
    vocab_size: vocab,
    ...(special.eos.length === 0 ? {} : { eos_token_id: special.eos[0] }),
    ...(special.pad === null ? {} : { pad_token_id: special.pad }),
  };
  const unknown = metadata.unread(`${ARCHITECTURE}.`);
  if (unknown.length > 0) {
    const got = firstOf(unknown.map(printable));
    throw InputError.of("unsupported", { file: metadata.path }, `keys of ${ARCHITECTURE} that are known`, got);
  }
  const generation = {
    ...(special.bos === null ? {} : { bos_token_id: special.bos }),
    ...(special.eos.length === 0 ? {} : { eos_token_id: special.eos }),
    ...(special.pad === null ? {} : { pad_token_id: special.pad }),
    do_sample: true,
  };
  const file = (json: unknown) => ({ path: metadata.path, json });
  return { config, generation, model: readConfig(file(config), file(generation)).model };
}

/** Refuses a key that is there and says another number. */
function same(metadata: Metadata, key: string, expected: number): void {
  const value = metadata.integer(key);
  if (value !== null && value !== expected) metadata.refuse(key, String(expected));
}

function positions(metadata: Metadata, key: (name: string) => string) {
  const real = (name: string) => metadata.real(key(name));
  const theta = metadata.required(key("rope.freq_base"), real("rope.freq_base"), "a positive number");
  const most = metadata.required(key("context_length"), metadata.integer(key("context_length")), "a positive integer");
  const swa = real("rope.freq_base_swa");
  if (swa !== null && swa !== theta) metadata.refuse(key("rope.freq_base_swa"), String(theta));
  const type = metadata.text(key("rope.scaling.type"));
  if (type !== "yarn") metadata.refuse(key("rope.scaling.type"), "yarn");
  const extrapolation = real("rope.scaling.yarn_ext_factor");
  if (extrapolation !== null && extrapolation !== 1) metadata.refuse(key("rope.scaling.yarn_ext_factor"), "1");
  const original = metadata.integer(key("rope.scaling.original_context_length"));
  return {
    initial_context_length: original,
    max_position_embeddings: most,
    rope_theta: theta,
    rope_scaling: {
      rope_type: "yarn",
      factor: metadata.required(key("rope.scaling.factor"), real("rope.scaling.factor"), "a positive number"),
      // llama.cpp's own where a file has none.
      beta_fast: real("rope.scaling.yarn_beta_fast") ?? 32,
      beta_slow: real("rope.scaling.yarn_beta_slow") ?? 1,
      original_max_position_embeddings: metadata.required(
        key("rope.scaling.original_context_length"),
        original,
        "a positive integer",
      ),
      truncate: false,
    },
  };
}
