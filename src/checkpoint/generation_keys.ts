/**
 * Keys of generation_config.json besides token ids: how others draw tokens of the same logits. What options say here is
 * theirs to say; what would change replies besides is not applied, and that is said. So are those of config.json, which
 * transformers draws by where there is no generation_config.json.
 */
import * as z from "zod";
import { firstOf, printable, show } from "../describe.ts";
import { InputError } from "../errors.ts";
import { TOKEN_KEYS } from "./token_ids.ts";

// What these expect is what their errors say.
const flag = z.boolean({ error: "true or false" });
const number = z.number({ error: "a number" });
const text = z.string({ error: "a text" });
const object = z.record(z.string(), z.unknown(), { error: "an object" });
const list = z.array(z.unknown(), { error: "a list" });
const texts = z.union([text, z.array(text)], { error: "a text or a list of texts" });
const atLeast = (least: number) => {
  const error = { error: `a number from ${least}` };
  return z.number(error).min(least, error);
};
const share = z.number({ error: "a number from 0 to 1" }).min(0, { error: "a number from 0 to 1" }).max(1, {
  error: "a number from 0 to 1",
});
const whole = (least: number) => {
  const error = { error: `an integer from ${least}` };
  // Where there is no bound, some write 1e30.
  return z.number(error).min(least, error).refine(Number.isInteger, error);
};
const each = <T>(schema: T, ...keys: string[]): Record<string, T> =>
  Object.fromEntries(keys.map((key) => [key, schema]));

/** Keys for which there are options, or that say nothing of which tokens are drawn. */
const SAID_ELSEWHERE: Readonly<Record<string, z.ZodType>> = {
  ...TOKEN_KEYS,
  ...each(flag, "do_sample", "_from_model_config", "trust_remote_code", "use_cache", "disable_compile", "low_memory"),
  ...each(flag, "return_dict_in_generate", "output_attentions", "output_hidden_states", "output_scores"),
  ...each(flag, "output_logits", "return_legacy_cache"),
  ...each(atLeast(0), "temperature", "max_time"),
  // To others -1 means as many as there are.
  ...each(whole(-1), "top_k"),
  ...each(share, "top_p", "min_p"),
  ...each(whole(1), "max_new_tokens", "max_length", "max_cache_len", "prefill_chunk_size", "num_return_sequences"),
  ...each(texts, "stop_strings"),
  ...each(text, "_commit_hash", "transformers_version", "chat_format"),
  ...each(object, "cache_config", "compile_config", "continuous_batching_config"),
  // Drafts, which are checked against the model's own logits.
  ...each(flag, "use_mtp", "is_assistant"),
  ...each(whole(0), "num_assistant_tokens", "prompt_lookup_num_tokens", "assistant_early_exit"),
  ...each(whole(0), "assistant_lookbehind", "target_lookbehind", "max_matching_ngram_size"),
  ...each(number, "assistant_confidence_threshold", "assistant_ensemble_weight"),
  ...each(text, "num_assistant_tokens_schedule", "speculation_type"),
  // Of encoders.
  decoder_start_token_id: TOKEN_KEYS.eos_token_id,
  ...each(whole(0), "encoder_no_repeat_ngram_size"),
  ...each(number, "encoder_repetition_penalty"),
  // Of beams, which num_beams asks for.
  early_stopping: z.union([flag, z.literal("never")], { error: 'true, false or "never"' }),
  ...each(number, "length_penalty", "diversity_penalty"),
  ...each(whole(1), "num_beam_groups"),
};

/** Values of other keys that ask for nothing. */
const NEUTRAL: Readonly<Record<string, readonly unknown[]>> = {
  ...{ num_beams: [1], repetition_penalty: [1], no_repeat_ngram_size: [0], typical_p: [1], guidance_scale: [1] },
  ...{ epsilon_cutoff: [0], eta_cutoff: [0], penalty_alpha: [0], min_length: [0], min_new_tokens: [0] },
  ...{ remove_invalid_values: [false], renormalize_logits: [false], token_healing: [false] },
  cache_implementation: ["dynamic", "static", "hybrid", "sliding_window", "offloaded", "offloaded_static"],
};
/** What else they and further keys may say. All of these change which tokens are drawn, and that is not applied. */
const NOT_APPLIED: Readonly<Record<string, z.ZodType>> = {
  ...each(whole(1), "num_beams"),
  ...each(whole(0), "no_repeat_ngram_size", "min_length", "min_new_tokens"),
  ...each(atLeast(0), "repetition_penalty", "penalty_alpha"),
  ...each(share, "typical_p", "epsilon_cutoff", "eta_cutoff", "top_h"),
  ...each(number, "guidance_scale"),
  ...each(flag, "remove_invalid_values", "renormalize_logits", "token_healing"),
  ...each(text, "cache_implementation"),
  ...each(list, "bad_words_ids", "force_words_ids", "constraints", "suppress_tokens", "begin_suppress_tokens"),
  ...each(list, "forced_decoder_ids", "exponential_decay_length_penalty"),
  ...each(TOKEN_KEYS.eos_token_id, "forced_bos_token_id", "forced_eos_token_id"),
  sequence_bias: z.union([list, object], { error: "a list or an object" }),
  dola_layers: z.union([text, list], { error: "a text or a list" }),
  ...each(object, "watermarking_config", "generation_kwargs"),
};
/** What config.json says besides, for whole tasks. */
const OF_TASKS = new Set(["prefix", "task_specific_params"]);

const nullish = (schemas: Readonly<Record<string, z.ZodType>>) =>
  Object.fromEntries(Object.entries(schemas).map(([key, schema]) => [key, schema.nullish()]));

/** generation_config.json. Of what it says only token ids are used, but a value of the wrong kind is a damaged file. */
export const GenerationConfig = z.looseObject(
  { ...nullish(SAID_ELSEWHERE), ...nullish(NOT_APPLIED), ...TOKEN_KEYS },
  { error: "an object" },
);

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
  Object.hasOwn(SAID_ELSEWHERE, key) || Object.hasOwn(NOT_APPLIED, key) || OF_TASKS.has(key);

/**
 * What is not applied, in one line; null: nothing. Other keys than those of generation_config.json say nothing of it.
 */
export function notApplied(json: Readonly<Record<string, unknown>>): string | null {
  const asked = Object.entries(json).filter(([key, value]) =>
    isKnown(key) && !Object.hasOwn(SAID_ELSEWHERE, key) && !isNothing(value) &&
    !(Object.hasOwn(NEUTRAL, key) && NEUTRAL[key]!.includes(value))
  );
  if (asked.length === 0) return null;
  const said = asked.map(([key, value]) => `${printable(key)} ${show(value)}`);
  return `not applied when tokens are drawn: ${firstOf(said, NAMED)}`;
}
