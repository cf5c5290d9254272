/** config.json as Hugging Face's transformers writes it. */
import * as z from "zod";
import { InputError } from "../errors.ts";
import { show } from "./describe.ts";
import type { ModelConfig, RopeConfig } from "./model_config.ts";
import { mergeTokens, TOKEN_KEYS, type TokenValues } from "./token_ids.ts";
import { count, MAX, oneOf, positive, scaleFactor, theta } from "./validate.ts";

/** Rotary embedding as `rope_scaling` has it, or, with `rope_theta` inside, `rope_parameters`. */
const Rope = z.looseObject({
  rope_type: oneOf("yarn", "default").nullish(),
  /** The key's name in older files. */
  type: oneOf("yarn", "default").nullish(),
  rope_theta: theta.nullish(),
  factor: scaleFactor.nullish(),
  beta_fast: positive.nullish(),
  beta_slow: positive.nullish(),
  original_max_position_embeddings: count(MAX.positions).nullish(),
  truncate: z.boolean({ error: "true or false" }).nullish(),
  attention_factor: positive.nullish(),
  // Keys of other models' YaRN that would change the result; GPT-OSS has none of them.
  mscale: z.null({ error: "none in GPT-OSS" }).optional(),
  mscale_all_dim: z.null({ error: "none in GPT-OSS" }).optional(),
  partial_rotary_factor: z.literal([1], { error: "1" }).nullish(),
}, { error: "an object" });
type RopeValues = z.infer<typeof Rope>;

const LAYER_TYPE = { error: "sliding_attention or full_attention" };

/**
 * Hugging Face's config.json.
 *
 * Nothing that changes what the model computes is guessed in silence. A missing key gets a default only where every published config that
 * lacks the key means that value.
 */
export const HfConfig = z.looseObject({
  num_hidden_layers: count(MAX.layers),
  num_local_experts: count(MAX.experts),
  num_experts_per_tok: count(MAX.experts).nullish(),
  experts_per_token: count(MAX.experts).nullish(),
  hidden_size: count(MAX.width),
  intermediate_size: count(MAX.width),
  head_dim: count(MAX.width),
  num_attention_heads: count(MAX.width),
  num_key_value_heads: count(MAX.width),
  vocab_size: count(MAX.width),
  rms_norm_eps: positive.nullish(),
  sliding_window: count(MAX.positions).nullish(),
  layer_types: z.array(z.enum(["sliding_attention", "full_attention"], LAYER_TYPE), { error: "a list of layer types" })
    .nullish(),
  swiglu_alpha: positive.nullish(),
  swiglu_limit: positive.nullish(),
  rope_theta: theta.nullish(),
  rope_scaling: Rope.nullish(),
  rope_parameters: Rope.nullish(),
  initial_context_length: count(MAX.positions).nullish(),
  max_position_embeddings: count(MAX.positions).nullish(),
  // What these say is built in: a model that says otherwise is another one.
  hidden_act: oneOf("silu").nullish(),
  attention_bias: oneOf(true).nullish(),
  tie_word_embeddings: oneOf(false).nullish(),
  ...TOKEN_KEYS,
  quantization_config: z.record(z.string(), z.unknown(), { error: "an object" }).nullish(),
});

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
  const { num_experts_per_tok: topK, experts_per_token: synonym } = values;
  const chosen = topK ?? synonym;
  if (chosen === undefined || chosen === null) {
    throw new InputError(`${path}: num_experts_per_tok: expected a positive integer, got nothing`);
  }
  if (topK && synonym && topK !== synonym) {
    warnings.push(`num_experts_per_tok is ${topK} and experts_per_token ${synonym}; the former counts`);
  }
  if (sliding.includes(true) && !values.sliding_window) {
    throw new InputError(`${path}: sliding_window: expected a positive integer, got ${show(values.sliding_window)}`);
  }
  const { rope, maxPositions } = readRope(values, path, warnings);
  return {
    layers,
    hidden: values.hidden_size,
    intermediate: values.intermediate_size,
    experts: values.num_local_experts,
    topK: chosen,
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

function slidingLayers({ layer_types: types, num_hidden_layers: layers }: HfValues, path: string): boolean[] {
  if (!types) return Array.from({ length: layers }, (_, layer) => layer % 2 === 0);
  if (types.length !== layers) {
    throw new InputError(`${path}: layer_types: expected ${layers} of them (num_hidden_layers), got ${types.length}`);
  }
  return types.map((type) => type === "sliding_attention");
}

function readRope(
  values: HfValues,
  path: string,
  warnings: string[],
): { rope: RopeConfig; maxPositions: number } {
  const { rope_parameters: parameters, rope_scaling: scaling } = values;
  if (parameters && scaling) refuseContradictions(parameters, scaling, path);
  const key = parameters ? "rope_parameters" : "rope_scaling";
  const rope = parameters ?? scaling;
  // Hugging Face takes YaRN by 32 for a missing key and plain rotary embedding for null: too far apart to guess.
  if (rope === undefined) throw new InputError(`${path}: rope_scaling: expected an object, got nothing`);
  const theta = values.rope_theta ?? rope?.rope_theta;
  if (!theta) throw new InputError(`${path}: rope_theta: expected a number above 1, got ${show(theta)}`);
  if (rope?.rope_theta && rope.rope_theta !== theta) {
    throw new InputError(`${path}: rope_theta: expected ${key}.rope_theta, ${rope.rope_theta}, got ${theta}`);
  }
  const yarn = rope && readYarn(rope, values, `${path}: ${key}`, warnings);
  const maxPositions = values.max_position_embeddings ?? (yarn && Math.floor(yarn.factor * yarn.originalMaxPositions));
  if (!maxPositions) throw new InputError(`${path}: max_position_embeddings: expected a positive integer, got nothing`);
  return { rope: { theta, yarn }, maxPositions };
}

function readYarn(rope: RopeValues, values: HfValues, key: string, warnings: string[]): RopeConfig["yarn"] {
  const type = rope.rope_type ?? rope.type;
  if (!type) throw new InputError(`${key}.rope_type: expected "yarn" or "default", got nothing`);
  if (type === "default") return null;
  const { factor, truncate, attention_factor: attention } = rope;
  if (!factor) throw new InputError(`${key}.factor: expected a number from 1 to 1000000, got nothing`);
  const initial = values.initial_context_length;
  const original = rope.original_max_position_embeddings ?? initial;
  if (!original) {
    throw new InputError(`${key}.original_max_position_embeddings: expected a positive integer, got nothing`);
  }
  if (initial && initial !== original) {
    warnings.push(
      `initial_context_length is ${initial} and original_max_position_embeddings ${original}; the latter counts`,
    );
  }
  // The graph computes the concentration from the factor, as GPT-OSS does.
  const concentration = 0.1 * Math.log(factor) + 1;
  if (attention && Math.abs(attention - concentration) > 1e-6 * concentration) {
    throw new InputError(
      `${key}.attention_factor: expected ${concentration} (0.1 ln factor + 1) or none, got ${attention}`,
    );
  }
  const betaFast = rope.beta_fast ?? 32, betaSlow = rope.beta_slow ?? 1;
  return { factor, betaFast, betaSlow, originalMaxPositions: original, truncate: truncate ?? false };
}

/** Both spellings may stand in one file, if they say the same. */
function refuseContradictions(parameters: RopeValues, scaling: RopeValues, path: string): void {
  const pairs = [
    ["rope_type", parameters.rope_type ?? parameters.type, scaling.rope_type ?? scaling.type],
    ["truncate", parameters.truncate ?? false, scaling.truncate ?? false],
    ...(["factor", "beta_fast", "beta_slow", "original_max_position_embeddings"] as const)
      .map((key) => [key, parameters[key], scaling[key]] as const),
  ] as const;
  for (const [key, expected, got] of pairs) {
    if (expected !== got) {
      throw new InputError(
        `${path}: rope_scaling.${key}: expected rope_parameters.${key}, ${show(expected)}, got ${show(got)}`,
      );
    }
  }
}
