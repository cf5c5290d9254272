/** config.json as Hugging Face's transformers writes it. */
import * as z from "zod";
import { InputError } from "../errors.ts";
import { show } from "../describe.ts";
import { CONVERSIONS, CONVERSIONS_KEY } from "./conversions.ts";
import { readRope, ROPE_KEYS } from "./hf_rope.ts";
import type { ModelConfig } from "./model_config.ts";
import { mergeTokens, TOKEN_KEYS, type TokenValues } from "./token_ids.ts";
import { QUANTIZATION_KEYS, SIZE_KEYS } from "./common_keys.ts";
import { OTHER_HF_KEYS } from "./hf_keys.ts";
import { type Keys, schemaOf } from "./keys.ts";
import { count, epsilon, MAX, positive } from "../validate.ts";

const LAYER_TYPE = { error: "sliding_attention or full_attention" };

/**
 * Hugging Face's config.json.
 *
 * Nothing that changes what the model computes is guessed in silence. A missing key gets a default only where every
 * published config that lacks the key means that value.
 */
export const HF_KEYS = {
  read: {
    ...SIZE_KEYS,
    num_local_experts: count(MAX.experts),
    num_experts_per_tok: count(MAX.experts).nullish(),
    experts_per_token: count(MAX.experts).nullish(),
    rms_norm_eps: epsilon.nullish(),
    sliding_window: count(MAX.positions).nullish(),
    layer_types: z.array(z.enum(["sliding_attention", "full_attention"], LAYER_TYPE), {
      error: "a list of layer types",
    })
      .nullish(),
    swiglu_alpha: positive.nullish(),
    swiglu_limit: positive.nullish(),
    ...ROPE_KEYS,
    // To transformers another name of num_local_experts.
    num_experts: count(MAX.experts).nullish(),
    ...TOKEN_KEYS,
    ...QUANTIZATION_KEYS,
    [CONVERSIONS_KEY]: CONVERSIONS.nullish(),
  },
  ...OTHER_HF_KEYS,
} satisfies Keys<z.ZodRawShape>;

/** Its schema. */
export const HfConfig = schemaOf(HF_KEYS);

/** A validated config.json. */
export type HfValues = z.infer<typeof HfConfig>;

/**
 * The model that a config describes.
 *
 * @param path What messages begin with.
 * @param warnings Gets a line for each oddity that does not change the model.
 * @throws {InputError} naming the key that is missing or contradicts another one.
 */
export function fromHf(values: HfValues, generation: TokenValues, path: string, warnings: string[]): ModelConfig {
  const layers = values.num_hidden_layers;
  const sliding = slidingLayers(values, path);
  const topK = expertsPerToken(values, path, warnings);
  const { num_local_experts: experts, num_experts: alias } = values;
  if (alias && alias !== experts) {
    throw InputError.of("wrong_value", { file: path, key: "num_experts" }, `num_local_experts, ${experts}`, alias);
  }
  if (sliding.includes(true) && !values.sliding_window) {
    throw InputError.of(
      "wrong_value",
      { file: path, key: "sliding_window" },
      "a positive integer",
      show(values.sliding_window),
    );
  }
  const { rope, maxPositions } = readRope(values, path, warnings);
  return {
    layers,
    hidden: values.hidden_size,
    intermediate: values.intermediate_size,
    experts,
    topK,
    heads: values.num_attention_heads,
    kvHeads: values.num_key_value_heads,
    headDim: values.head_dim,
    vocab: values.vocab_size,
    rmsNormEps: values.rms_norm_eps ?? 1e-5,
    slidingWindow: values.sliding_window ?? maxPositions,
    sliding,
    // Only newer files have these two; every GPT-OSS model has these values.
    swigluAlpha: values.swiglu_alpha ?? 1.702,
    swigluLimit: values.swiglu_limit ?? 7,
    rope,
    maxPositions,
    ...mergeTokens(values, generation),
  };
}

/** What transformers takes where num_experts_per_tok is missing; it does not know the synonym. */
const DEFAULT_EXPERTS_PER_TOKEN = 4;

function expertsPerToken(values: HfValues, path: string, warnings: string[]): number {
  const { num_experts_per_tok: topK, experts_per_token: synonym } = values;
  if (topK) {
    if (synonym && topK !== synonym) {
      warnings.push(`num_experts_per_tok is ${topK} and experts_per_token ${synonym}; the former counts`);
    }
    return topK;
  }
  if (synonym === DEFAULT_EXPERTS_PER_TOKEN) return synonym;
  const others = synonym
    ? `, which transformers reads as ${DEFAULT_EXPERTS_PER_TOKEN}, where experts_per_token is ${synonym}`
    : "";
  throw InputError.of("missing", { file: path, key: "num_experts_per_tok" }, "a positive integer", `nothing${others}`);
}

function slidingLayers({ layer_types: types, num_hidden_layers: layers }: HfValues, path: string): boolean[] {
  if (!types) return Array.from({ length: layers }, (_, layer) => layer % 2 === 0);
  if (types.length !== layers) {
    throw InputError.of(
      "wrong_value",
      { file: path, key: "layer_types" },
      `${layers} of them (num_hidden_layers)`,
      types.length,
    );
  }
  return types.map((type) => type === "sliding_attention");
}
