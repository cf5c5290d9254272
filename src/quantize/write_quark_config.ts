/** The `quantization_config` that AMD Quark writes, key for key, and the config.json around it. */
import { asFloat, float } from "../json_numbers.ts";
import { type Conversion, CONVERSIONS_KEY } from "../checkpoint/conversions.ts";
import type { ModelConfig } from "../checkpoint/model_config.ts";
import { MX_INPUT_DTYPE } from "../checkpoint/quark/mx_dtypes.ts";
import { isMxFormat, mxElementOf, type WeightFormat, type WeightScale } from "../formats/format.ts";
import type { MxInputElement, WantedInput } from "../formats/input.ts";
import { kindOf } from "../plan/scheme_weights.ts";
import type { LayerTargets, LinearTarget, Targets } from "./targets.ts";

type Json = Readonly<Record<string, unknown>>;

/** Version of Quark whose format is written; the part after the plus sign says who wrote it. */
const QUARK_VERSION = "0.11+mxoss";

const COMMON = { round_method: "half_even", scale_type: "float" };

/** A spec of an MX format. */
const mxSpec = (element: MxInputElement, dynamic: boolean, mode = "even"): Json => ({
  dtype: MX_INPUT_DTYPE[element],
  is_dynamic: dynamic,
  qscheme: "per_group",
  ch_axis: -1,
  group_size: 32,
  symmetric: null,
  ...COMMON,
  scale_format: "e8m0",
  scale_calculation_mode: mode,
  mx_element_dtype: null,
  observer_cls: "PerBlockMXObserver",
  is_scale_quant: false,
});

/** A spec of FP8: one scale for a tensor, or one per channel (of an input: per token). */
const fp8Spec = (axis: number | null, dynamic: boolean): Json => ({
  dtype: "fp8_e4m3",
  is_dynamic: dynamic,
  qscheme: axis === null ? "per_tensor" : "per_channel",
  ch_axis: axis,
  group_size: null,
  symmetric: null,
  ...COMMON,
  scale_format: null,
  scale_calculation_mode: null,
  mx_element_dtype: null,
  observer_cls: axis === null ? "PerTensorMinMaxObserver" : "PerChannelMinMaxObserver",
  is_scale_quant: false,
});

const STATIC_FP8 = fp8Spec(null, false);

function weightSpec(weight: WeightFormat, scale: WeightScale): Json | null {
  if (isMxFormat(weight)) return mxSpec(mxElementOf(weight), false);
  if (scale === "none") return null;
  return scale === "tensor" ? STATIC_FP8 : fp8Spec(0, false);
}

function inputSpec(input: WantedInput): Json | null {
  switch (input.kind) {
    case "none":
      return null;
    case "mx":
      return mxSpec(input.element, true, input.rule);
    case "fp8_static":
      return STATIC_FP8;
    case "fp8_token":
      return fp8Spec(1, true);
    case "q8_0":
      throw new RangeError("Quark's configs have no Q8_0");
  }
}

/** What the config says of a module. */
const entryOf = ({ weight, weightScale, input }: LinearTarget, output: Json | null): Json => ({
  weight: weightSpec(weight, weightScale),
  input_tensors: inputSpec(input),
  output_tensors: output,
  bias: null,
  target_device: null,
});

/** How keys and values are cached. */
export type KvTarget = "fp8" | "as activations";

/**
 * The quantization_config of a checkpoint.
 *
 * Modules that stay as they are stand in `exclude` by their exact names: not every reader knows patterns there.
 */
export function quantizationConfig(targets: Targets, kv: KvTarget): Json {
  const { layers, head } = targets;
  const overall = mostCommon(layers);
  const entries: Record<string, Json> = {}, cached: Record<string, Json> = {}, exclude: string[] = [];
  const isPlain = ({ weightScale }: LinearTarget) => weightScale === "none";
  const others = (target: LinearTarget) => {
    if (isPlain(target)) exclude.push(target.module);
    else if (!same(entryOf(target, null), overall)) entries[target.module] = entryOf(target, null);
  };
  others(head);
  for (const name of ["q", "k", "v", "o"] as const) {
    const all = layers.map((layer) => layer[name]);
    const output = kv === "fp8" && (name === "k" || name === "v") ? STATIC_FP8 : null;
    const specs = all.map((target) => entryOf(target, output));
    exclude.push(...all.filter(isPlain).map(({ module }) => module));
    const own: [name: string, spec: Json][] = specs.every((spec) => same(spec, specs[0]!))
      ? output !== null || !isPlain(all[0]!) ? [[`*${name}_proj`, specs[0]!]] : []
      : all.flatMap((target, i) => output !== null || !isPlain(target) ? [[target.module, specs[i]!]] : []);
    Object.assign(entries, Object.fromEntries(own));
    if (output !== null) Object.assign(cached, Object.fromEntries(own));
  }
  for (const [i, { router, gateUp }] of layers.entries()) {
    others(router);
    // One scheme for both linears of all experts of a layer.
    const experts = entryOf(gateUp[0]!, null);
    if (!same(experts, overall)) entries[`model.layers.${i}.mlp.experts*`] = experts;
  }
  return {
    quant_method: "quark",
    quant_mode: "eager_mode",
    version: QUARK_VERSION,
    global_quant_config: overall,
    layer_quant_config: entries,
    layer_type_quant_config: {},
    exclude,
    // Quark itself looks for the cache here alone: of modules that are excluded it reads no other entry.
    kv_cache_quant_config: cached,
    // Scales of keys are measured after the rotary embedding, where keys are cached.
    kv_cache_post_rope: kv === "fp8",
    softmax_quant_spec: null,
    algo_config: null,
    export: {
      kv_cache_group: kv === "fp8" ? ["*k_proj", "*v_proj"] : [],
      min_kv_scale: float(0),
      pack_method: "reorder",
      weight_format: "real_quantized",
      weight_merge_groups: null,
    },
  };
}

/** What the experts of most layers are. */
function mostCommon(layers: readonly LayerTargets[]): Json {
  const groups = Map.groupBy(layers.map(({ gateUp }) => entryOf(gateUp[0]!, null)), (entry) => JSON.stringify(entry));
  return [...groups.values()].reduce((most, group) => group.length > most.length ? group : most)[0]!;
}

const same = (a: Json, b: Json): boolean => JSON.stringify(a) === JSON.stringify(b);

/**
 * Keys that transformers declares as float, and refuses as anything else: a whole number of theirs needs a point, also
 * where a source that some other program wrote has none.
 */
const FLOAT_KEYS = ["rms_norm_eps", "swiglu_alpha", "swiglu_limit", "router_aux_loss_coef", "initializer_range"];

/** A config with whole numbers written as floats where transformers wants floats. */
export function withFloats(config: Json): Json {
  const floats = FLOAT_KEYS.filter((key) => Object.hasOwn(config, key)).map((key) => [key, asFloat(config[key])]);
  return { ...config, ...Object.fromEntries(floats) };
}

/** What is to be known of a run of which these linears were converted, not copied. */
export function conversionOf(encoded: readonly LinearTarget[]): Conversion {
  const groups = Map.groupBy(encoded, ({ module }) => kindOf(module));
  const distinct = (formats: readonly string[]) => [...new Set(formats)];
  return Object.fromEntries([...groups].map(([kind, linears]) => [kind, {
    from: distinct(linears.map(({ source }) => source.weight.format)),
    to: distinct(linears.map(({ weight }) => weight)),
  }]));
}

/**
 * config.json of the written checkpoint. That weights were converted, and of what, is not to be seen in them:
 * config.json says it, also of earlier conversions, so that nobody takes them for a trained model's own numbers.
 *
 * @param stored config.json of the checkpoint that it was made of, with its numbers as they are written; OpenAI's own
 *   kind is translated.
 * @param conversion What this run has converted; empty: all was copied.
 */
export function writtenConfig(
  stored: Json,
  config: ModelConfig,
  quantization: Json,
  conversion: Conversion = {},
): Json {
  const base = Object.hasOwn(stored, "num_local_experts") ? stored : huggingFaceConfig(config);
  const earlier = (base[CONVERSIONS_KEY] ?? []) as readonly Conversion[];
  const conversions = Object.keys(conversion).length === 0 ? earlier : [...earlier, conversion];
  return {
    ...withFloats(base),
    quantization_config: quantization,
    ...(conversions.length === 0 ? {} : { [CONVERSIONS_KEY]: conversions }),
  };
}

/** A model's config by Hugging Face's keys, floats as {@linkcode float} has them. */
export function huggingFaceConfig(config: ModelConfig): Json {
  const { yarn, theta } = config.rope, { eosTokenIds: eos } = config;
  return {
    architectures: ["GptOssForCausalLM"],
    model_type: "gpt_oss",
    num_hidden_layers: config.layers,
    num_local_experts: config.experts,
    num_experts_per_tok: config.topK,
    experts_per_token: config.topK,
    hidden_size: config.hidden,
    intermediate_size: config.intermediate,
    head_dim: config.headDim,
    num_attention_heads: config.heads,
    num_key_value_heads: config.kvHeads,
    vocab_size: config.vocab,
    attention_bias: true,
    attention_dropout: float(0),
    hidden_act: "silu",
    rms_norm_eps: float(config.rmsNormEps),
    sliding_window: config.slidingWindow,
    layer_types: config.sliding.map((sliding) => sliding ? "sliding_attention" : "full_attention"),
    swiglu_limit: float(config.swigluLimit),
    swiglu_alpha: float(config.swigluAlpha),
    rope_theta: float(theta),
    // null would be YaRN to transformers 5.
    rope_scaling: yarn === null ? { rope_type: "default" } : {
      rope_type: "yarn",
      factor: float(yarn.factor),
      beta_fast: float(yarn.betaFast),
      beta_slow: float(yarn.betaSlow),
      original_max_position_embeddings: yarn.originalMaxPositions,
      truncate: yarn.truncate,
    },
    ...(yarn === null ? {} : { initial_context_length: yarn.originalMaxPositions }),
    max_position_embeddings: config.maxPositions,
    tie_word_embeddings: false,
    eos_token_id: eos.length === 1 ? eos[0] : eos,
    pad_token_id: config.padTokenId,
    bos_token_id: config.bosTokenId,
    torch_dtype: "bfloat16",
    use_cache: true,
  };
}
