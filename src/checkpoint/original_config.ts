/** config.json of OpenAI's own layout, `original/`. */
import type * as z from "zod";
import { type Keys, schemaOf } from "./keys.ts";
import type { ModelConfig } from "./model_config.ts";
import { mergeTokens, type TokenValues } from "./token_ids.ts";
import { QUANTIZATION_KEYS, SIZE_KEYS } from "./common_keys.ts";
import { count, MAX, positive, scaleFactor, theta } from "../validate.ts";

/**
 * The keys, all of which OpenAI's file has; its code takes gpt-oss-120b's numbers for missing ones, which are refused
 * here.
 */
export const ORIGINAL_KEYS = {
  read: {
    ...SIZE_KEYS,
    num_experts: count(MAX.experts),
    experts_per_token: count(MAX.experts),
    sliding_window: count(MAX.positions),
    swiglu_limit: positive.nullish(),
    rope_theta: theta,
    rope_scaling_factor: scaleFactor,
    rope_ntk_alpha: positive,
    rope_ntk_beta: positive,
    initial_context_length: count(MAX.positions),
    ...QUANTIZATION_KEYS,
  },
  checked: {},
  irrelevant: {},
} satisfies Keys<z.ZodRawShape>;

/** Its schema. */
export const OriginalConfig = schemaOf(ORIGINAL_KEYS);

/** A validated config. */
export type OriginalValues = z.infer<typeof OriginalConfig>;

/**
 * The model that a config describes. Layers alternate, and rotary embedding is never truncated: OpenAI's code has no
 * keys for these.
 */
export function fromOriginal(values: OriginalValues, generation: TokenValues): ModelConfig {
  const { rope_scaling_factor: factor, initial_context_length: original } = values;
  // Ids of o200k_harmony, whose tokenizer the original layout comes with: end of reply, end of text; padding;
  // beginning.
  const harmony = values.vocab_size > 200_012
    ? { eos_token_id: [200_002, 199_999], pad_token_id: 199_999, bos_token_id: 199_998 }
    : {};
  return {
    layers: values.num_hidden_layers,
    hidden: values.hidden_size,
    intermediate: values.intermediate_size,
    experts: values.num_experts,
    topK: values.experts_per_token,
    heads: values.num_attention_heads,
    kvHeads: values.num_key_value_heads,
    headDim: values.head_dim,
    vocab: values.vocab_size,
    rmsNormEps: 1e-5,
    slidingWindow: values.sliding_window,
    sliding: Array.from({ length: values.num_hidden_layers }, (_, layer) => layer % 2 === 0),
    swigluAlpha: 1.702,
    swigluLimit: values.swiglu_limit ?? 7,
    rope: {
      theta: values.rope_theta,
      yarn: factor === 1 ? null : {
        factor,
        betaFast: values.rope_ntk_beta,
        betaSlow: values.rope_ntk_alpha,
        originalMaxPositions: original,
        truncate: false,
      },
    },
    maxPositions: Math.floor(original * factor),
    ...mergeTokens(harmony, generation),
  };
}
