/**
 * Keys of generation_config.json besides token ids: how others draw tokens of the same logits. What options say here is
 * theirs to say; what would change replies besides is not applied, and that is said. So are those of config.json, which
 * transformers draws by where there is no generation_config.json.
 */
import { firstOf, printable, show } from "../describe.ts";
import { InputError } from "../errors.ts";

/** Keys for which there are options, or that say nothing of which tokens are drawn. */
const SAID_ELSEWHERE = new Set([
  ...["eos_token_id", "pad_token_id", "bos_token_id"],
  ...["do_sample", "temperature", "top_k", "top_p", "min_p", "max_length", "max_new_tokens", "stop_strings"],
  ...["_from_model_config", "_commit_hash", "transformers_version", "trust_remote_code", "chat_format"],
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
/** Further keys that change which tokens are drawn: whatever they say is not applied. */
const NOT_APPLIED = new Set([
  ...["bad_words_ids", "force_words_ids", "constraints", "sequence_bias", "suppress_tokens", "begin_suppress_tokens"],
  ...["forced_bos_token_id", "forced_eos_token_id", "forced_decoder_ids", "exponential_decay_length_penalty"],
  ...["top_h", "dola_layers", "watermarking_config", "generation_kwargs"],
  // Of config.json, for whole tasks.
  ...["prefix", "task_specific_params"],
]);
const isNothing = (value: unknown): boolean =>
  value === null || value === "" || typeof value === "object" && Object.keys(value).length === 0;

/** Keys that one line names. */
const NAMED = 3;

/**
 * Refuses keys of generation_config.json that are not known; without a value they say nothing.
 *
 * @throws {InputError} naming the first one.
 */
export function refuseUnknownGeneration(json: Readonly<Record<string, unknown>>, file: string): void {
  const unknown = Object.entries(json).find(([key, value]) => value !== null && !isKnown(key));
  if (unknown === undefined) return;
  const expected = "no key of that name: what it says of replies is not known";
  throw InputError.of("unsupported", { file, key: printable(unknown[0]) }, expected, show(unknown[1]));
}

/** Whether a key is one of generation_config.json's. */
const isKnown = (key: string): boolean =>
  SAID_ELSEWHERE.has(key) || Object.hasOwn(NEUTRAL, key) || NOT_APPLIED.has(key);

/**
 * What is not applied, in one line; null: nothing. Other keys than those of generation_config.json say nothing of it.
 */
export function notApplied(json: Readonly<Record<string, unknown>>): string | null {
  const asked = Object.entries(json).filter(([key, value]) =>
    isKnown(key) && !SAID_ELSEWHERE.has(key) && !isNothing(value) &&
    !(Object.hasOwn(NEUTRAL, key) && NEUTRAL[key]!.includes(value))
  );
  if (asked.length === 0) return null;
  const said = asked.map(([key, value]) => `${printable(key)} ${show(value)}`);
  return `not applied when tokens are drawn: ${firstOf(said, NAMED)}`;
}
