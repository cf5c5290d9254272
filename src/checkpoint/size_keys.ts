import { count, MAX } from "../validate.ts";

/** The sizes that OpenAI's config and Hugging Face's have under the same keys. */
export const SIZE_KEYS = {
  num_hidden_layers: count(MAX.layers),
  hidden_size: count(MAX.width),
  intermediate_size: count(MAX.width),
  head_dim: count(MAX.width),
  num_attention_heads: count(MAX.width),
  num_key_value_heads: count(MAX.width),
  vocab_size: count(MAX.width),
};
