/** What OpenAI's config and Hugging Face's have under the same keys. */
import * as z from "zod";
import { count, MAX } from "../validate.ts";

/** The sizes. */
export const SIZE_KEYS = {
  num_hidden_layers: count(MAX.layers),
  hidden_size: count(MAX.width),
  intermediate_size: count(MAX.width),
  head_dim: count(MAX.width),
  num_attention_heads: count(MAX.width),
  num_key_value_heads: count(MAX.width),
  vocab_size: count(MAX.width),
};

/** How weights and inputs are quantized; OpenAI's own file has no such key, but one that was made of it may. */
export const QUANTIZATION_KEYS = {
  quantization_config: z.record(z.string(), z.unknown(), { error: "an object" }).nullish(),
  // What vLLM reads of old exports of compressed-tensors.
  compression_config: z.null({ error: "none: quantization_config alone is read" }).optional(),
};
