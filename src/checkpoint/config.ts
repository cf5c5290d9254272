/**
 * config.json and generation_config.json, validated: unknown, missing and contradictory keys are refused by name.
 */
import { InputError } from "../errors.ts";
import { show } from "../describe.ts";
import { isObject, type JsonObject } from "../json_object.ts";
import { type Conversion, CONVERSIONS_KEY, quantizedBefore } from "./conversions.ts";
import { GenerationConfig, notApplied, refuseUnknownGeneration } from "./generation_keys.ts";
import { fromHf, HF_KEYS, HfConfig } from "./hf_config.ts";
import { hasDraftHeads } from "./hf_keys.ts";
import { ROPE_DICTIONARY } from "./hf_rope.ts";
import { refuseUnknown } from "./keys.ts";
import type { ModelConfig } from "./model_config.ts";
import { fromOriginal, ORIGINAL_KEYS, OriginalConfig } from "./original_config.ts";
import { checkTokens } from "./token_ids.ts";
import { loadDtype } from "./rounded.ts";
import { printableLine } from "../printable.ts";
import { MAX_EXPERTS_IN_ALL, validate } from "../validate.ts";

/** A validated config. */
export interface ReadConfig {
  readonly model: ModelConfig;
  /** `quantization_config` as it stands in config.json; null where there is none. */
  readonly quantization: Readonly<Record<string, unknown>> | null;
  /** What `mxoss quantize` has made of its weights; the first one first. */
  readonly conversions: readonly Conversion[];
  /** Whether config.json says that the model has heads that draft tokens. */
  readonly hasDrafts: boolean;
  /** The dtype in which config.json has others load plain tensors; null: none. */
  readonly loadDtype: string | null;
  /** One line for each oddity that does not change the model. */
  readonly warnings: readonly string[];
}

/** A parsed JSON file and the path that messages name. */
export interface ConfigFile {
  readonly path: string;
  readonly json: unknown;
}

/**
 * Validates a checkpoint's config.
 *
 * @param config config.json, of Hugging Face's or OpenAI's kind.
 * @param generation generation_config.json, if there is one.
 * @throws {InputError} naming the first key that is missing, wrong or contradicts another one, or another architecture.
 */
export function readConfig(config: ConfigFile, generation: ConfigFile | null): ReadConfig {
  const { path, json } = config;
  const tokens = generation === null ? {} : validate(GenerationConfig, generation.json, generation.path);
  if (generation !== null) refuseUnknownGeneration(generation.json as Record<string, unknown>, generation.path);
  const drawing = generation ?? config, other = isObject(drawing.json) ? notApplied(drawing.json) : null;
  const oddities = other === null ? [] : [`${drawing.path}: ${other}`];
  const files = generation === null ? path : `${path} and ${generation.path}`;
  if (isOriginal(json)) {
    const values = validate(OriginalConfig, json, path);
    refuseUnknown(ORIGINAL_KEYS, json, { file: path });
    const model = fromOriginal(values, tokens);
    checkShape(model, path, { topK: "experts_per_token", experts: "num_experts" });
    checkTokens(model, files);
    const quantization = values.quantization_config ?? null;
    return { model, quantization, conversions: [], hasDrafts: false, loadDtype: null, warnings: oddities };
  }
  checkArchitecture(json, path);
  const values = validate(HfConfig, json, path);
  refuseUnknown(HF_KEYS, json, { file: path });
  for (const key of ["rope_parameters", "rope_scaling"] as const) {
    refuseUnknown(ROPE_DICTIONARY, values[key] ?? {}, { file: path, key });
  }
  const warnings: string[] = [];
  const model = fromHf(values, tokens, path, warnings);
  const conversions = values[CONVERSIONS_KEY] ?? [], before = quantizedBefore(conversions);
  if (before.length > 0) {
    warnings.push(`weights were quantized more than once: to ${printableLine(before.join(" and "))} before`);
  }
  checkShape(model, path, { topK: "num_experts_per_tok", experts: "num_local_experts" });
  checkTokens(model, files);
  return {
    model,
    quantization: values.quantization_config ?? null,
    conversions,
    hasDrafts: hasDraftHeads(json),
    loadDtype: loadDtype(json),
    warnings: [...warnings.map((line) => `${path}: ${line}`), ...oddities],
  };
}

/** OpenAI's own config has no model type, and another name for the number of experts. */
function isOriginal(json: unknown): json is JsonObject {
  return isObject(json) && Object.hasOwn(json, "num_experts") &&
    !["model_type", "architectures", "num_local_experts"].some((key) => Object.hasOwn(json, key));
}

function checkArchitecture(json: unknown, path: string): asserts json is JsonObject {
  if (!isObject(json)) throw InputError.of("wrong_value", { file: path }, "an object", show(json));
  const { architectures, model_type: type } = json;
  const names = Array.isArray(architectures) ? architectures : [];
  if (architectures !== undefined && architectures !== null && !names.includes("GptOssForCausalLM")) {
    const got = typeof names[0] === "string" ? names[0] : architectures, list = Array.isArray(architectures);
    const expected = `${list ? "" : "a list with "}"GptOssForCausalLM"`;
    throw InputError.of("wrong_value", { file: path, key: "architectures" }, expected, show(got));
  }
  if (type !== "gpt_oss" && (type !== undefined || names.length === 0)) {
    throw InputError.of("wrong_value", { file: path, key: "model_type" }, '"gpt_oss"', show(type));
  }
}

/** Checks what no tensor's shape would contradict. */
function checkShape(
  { layers, heads, kvHeads, headDim, topK, experts, rope }: ModelConfig,
  path: string,
  keys: { topK: string; experts: string },
): void {
  if (heads % kvHeads !== 0) {
    throw InputError.of(
      "wrong_value",
      { file: path, key: "num_attention_heads" },
      `a multiple of num_key_value_heads, ${kvHeads}`,
      heads,
    );
  }
  if (headDim % 2 !== 0) {
    throw InputError.of("wrong_value", { file: path, key: "head_dim" }, "an even integer", headDim);
  }
  if (topK > experts) {
    throw InputError.of("too_large", { file: path, key: keys.topK }, `at most ${keys.experts}, ${experts}`, topK);
  }
  if (layers * experts > MAX_EXPERTS_IN_ALL) {
    throw InputError.of(
      "too_large",
      { file: path, key: keys.experts },
      `at most ${MAX_EXPERTS_IN_ALL} experts in all layers together`,
      `${layers} times ${experts}`,
    );
  }
  if (rope.yarn && rope.yarn.betaFast <= rope.yarn.betaSlow) {
    const { betaFast, betaSlow } = rope.yarn;
    throw InputError.of(
      "wrong_value",
      { file: path, name: "beta_fast (rope_ntk_beta)" },
      `more than beta_slow, ${betaSlow}`,
      betaFast,
    );
  }
}
