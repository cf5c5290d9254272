/**
 * Keys of generation_config.json besides token ids: how others draw tokens of the same logits. What options say here is
 * theirs to say; what would change replies besides is not applied, and that is said.
 */
import { firstOf, printable, show } from "../describe.ts";

/** Keys for which there are options, or that say nothing of which tokens are drawn. */
const SAID_ELSEWHERE = new Set([
  ...["eos_token_id", "pad_token_id", "bos_token_id"],
  ...["do_sample", "temperature", "top_k", "top_p", "min_p", "max_length", "max_new_tokens", "stop_strings"],
  ...["_from_model_config", "transformers_version", "trust_remote_code", "chat_format"],
  ...["use_cache", "cache_config", "max_cache_len", "compile_config", "disable_compile", "continuous_batching_config"],
  ...["prefill_chunk_size", "low_memory", "max_time", "return_dict_in_generate", "num_return_sequences"],
  ...["output_attentions", "output_hidden_states", "output_scores", "output_logits"],
  // Drafts, which are checked against the model's own logits.
  ...["use_mtp", "is_assistant", "num_assistant_tokens", "num_assistant_tokens_schedule", "prompt_lookup_num_tokens"],
  ...["assistant_confidence_threshold", "assistant_early_exit", "assistant_lookbehind", "target_lookbehind"],
  ...["assistant_ensemble_weight", "speculation_type", "max_matching_ngram_size"],
  // Of encoders.
  ...["decoder_start_token_id", "encoder_no_repeat_ngram_size", "encoder_repetition_penalty"],
  // Of beams, which num_beams asks for.
  ...["early_stopping", "length_penalty", "num_beam_groups", "diversity_penalty"],
]);

/** Values of other keys that ask for nothing. */
const NEUTRAL: Readonly<Record<string, readonly unknown[]>> = {
  ...{ num_beams: [1], repetition_penalty: [1], no_repeat_ngram_size: [0], typical_p: [1], guidance_scale: [1] },
  ...{ epsilon_cutoff: [0], eta_cutoff: [0], penalty_alpha: [0], min_length: [0], min_new_tokens: [0] },
  ...{ remove_invalid_values: [false], renormalize_logits: [false], token_healing: [false] },
  cache_implementation: ["dynamic", "static", "hybrid", "sliding_window", "offloaded", "offloaded_static"],
};
const isNothing = (value: unknown): boolean => value === null || Array.isArray(value) && value.length === 0;

/** Keys that one line names. */
const NAMED = 3;

/** What is not applied, in one line; null: nothing. */
export function notApplied(json: Readonly<Record<string, unknown>>): string | null {
  const asked = Object.entries(json).filter(([key, value]) =>
    !SAID_ELSEWHERE.has(key) && !isNothing(value) && !(Object.hasOwn(NEUTRAL, key) && NEUTRAL[key]!.includes(value))
  );
  if (asked.length === 0) return null;
  const said = asked.map(([key, value]) => `${printable(key)} ${show(value)}`);
  return `not applied when tokens are drawn: ${firstOf(said, NAMED)}`;
}
