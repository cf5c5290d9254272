/** Fields that all endpoints with replies have in common: how tokens are chosen, and when a reply ends. */
import { z } from "zod";
import type { SamplerOptions } from "../../session/sampler.ts";
import { isWrittenNumber, type WrittenNumber } from "../../json_numbers.ts";
import { wrongField } from "../api_error.ts";
import type { Call } from "../http/endpoint.ts";
import { ignored, only, unsupported } from "../http/fields.ts";

/** Texts that end a reply, and ids that do. */
const MAX_STOPS = 64;
/** Texts that a reply does not say, and their length in UTF-16 units. */
const MAX_BAD_WORDS = 1024, MAX_BAD_WORD = 256;
/** UTF-16 units of an id that a client gives, and of a salt, as vLLM has it. */
const MAX_ID = 256, MAX_SALT = 1024;

/** A seed beyond what JavaScript has integers for, as it is written; 64 bits with a sign are what vLLM takes. */
const LARGE_SEED = z.custom<WrittenNumber>((value) => {
  if (!isWrittenNumber(value) || !/^-?\d{1,19}$/.test(value.rawJSON)) return false;
  const seed = BigInt(value.rawJSON);
  return BigInt.asIntN(64, seed) === seed;
}).meta({ type: "integer" });

/** llama.cpp's ways to choose tokens, which its clients send where they are off as well, and what it says beside. */
const LLAMA_FIELDS = {
  /** Looks at the last tokens only; Open WebUI hands it on. */
  repeat_penalty: only(1),
  typical_p: only(1),
  typ_p: only(1),
  mirostat: only(0),
  dry_multiplier: only(0),
  xtc_probability: only(0),
  dynatemp_range: only(0),
  top_n_sigma: only(-1),
  n_probs: only(0),
  /** What a prompt begins with as another does is not computed again; a `cache_salt` keeps requests apart. */
  cache_prompt: only(true),
  ...ignored(
    // Without what they belong to they say nothing.
    "mirostat_tau",
    "mirostat_eta",
    "dry_base",
    "dry_allowed_length",
    "dry_penalty_last_n",
    "dry_sequence_breakers",
    "xtc_threshold",
    "dynatemp_exponent",
    // How long it took, and how far it is.
    "timings_per_token",
    "return_progress",
    // Ollama's: how long a model stays loaded.
    "keep_alive",
  ),
};

/** How tokens are chosen. Null is as good as absent, as clients send it. */
export const SAMPLING_FIELDS = {
  temperature: z.number().min(0).max(100).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  /** As vLLM has it: 0 or -1 for all tokens. */
  top_k: z.int().min(-1).nullish(),
  /** Absent, or -1 as vLLM and llama.cpp have it: other tokens each time. */
  seed: z.union([z.int(), LARGE_SEED], { error: "an integer of up to 64 bits" }).nullish(),
  /** An empty text is none, as forms send it where nothing was filled in; in a list it is a mistake, as vLLM has it. */
  stop: z.union([z.string(), z.array(z.string().min(1)).max(MAX_STOPS)]).nullish(),
  stop_token_ids: z.array(z.int().min(0)).max(MAX_STOPS).nullish(),
  /** Whether the model's own end of a reply is no end. */
  ignore_eos: z.boolean().nullish(),
  /** Whether special tokens are left out of texts. */
  skip_special_tokens: z.boolean().nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  /** vLLM's, as the next. */
  repetition_penalty: z.number().gt(0).max(100).nullish(),
  min_p: z.number().min(0).max(1).nullish(),
  /** By token id: what is added to the logit. */
  logit_bias: z.record(
    z.string().regex(/^(?:0|[1-9]\d{0,8})$/, "a token id as the name"),
    z.number().min(-100).max(100),
  )
    .nullish(),
  /** vLLM's: tokens of a reply before its end. */
  min_tokens: z.int().min(0).nullish(),
  /** vLLM's: texts that a reply does not say. */
  bad_words: z.array(z.string().min(1).max(MAX_BAD_WORD)).max(MAX_BAD_WORDS).nullish(),
  /** vLLM's: what was computed for a request is used by those with the same salt alone. */
  cache_salt: z.string().min(1).max(MAX_SALT).nullish(),
  ...LLAMA_FIELDS,
  /** vLLM's, as the next: tokens of a piece of a stream; each goes out as it is chosen. */
  stream_interval: only(1),
  /** No bound. By which tokens reasoning is ended, vLLM's server is told; harmony has several ways. */
  thinking_token_budget: only(-1),
  logprob_token_ids: unsupported(),
  repetition_detection: unsupported(),
  kv_transfer_params: unsupported(),
  ec_transfer_params: unsupported(),
  /** Choosing tokens so that a reply can be told from what people write. */
  watermarking: only(false),
  /** For extensions of vLLM's. */
  vllm_xargs: unsupported(),
  use_beam_search: only(false),
  /** Of transformers; tasks of lm-eval have it. */
  num_beams: only(1),
  ...ignored(
    "user",
    "metadata",
    "store",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_options",
    "priority",
    // vLLM's: whose requests belong together, and what is said to those alone who ask for a prompt and no reply.
    "session_id",
    "mm_payload",
    "return_mm_kwargs",
  ),
};

/** vLLM's fields about an answer that is made at once, and not kept. */
export const ANSWER_FIELDS = {
  /** What follows the first word of the answer's id. */
  request_id: z.string().min(1).max(MAX_ID).nullish(),
  /** Whether the answer has the token ids of the prompt and of replies. */
  return_token_ids: z.boolean().nullish(),
  /** Which weights said which tokens, and which experts: vLLM answers with these where its server is told to. */
  return_weight_versions: only(false),
  routed_experts_prompt_start: only(0),
  // The side counts where a prompt is cut, offsets where a prompt alone is asked for.
  ...ignored("truncation_side", "return_token_offsets"),
};

const Sampling = z.object(SAMPLING_FIELDS);
/** Fields of {@linkcode SAMPLING_FIELDS}. */
export type SamplingFields = z.infer<typeof Sampling>;

const wholeOf = (seed: number | WrittenNumber): bigint => BigInt(isWrittenNumber(seed) ? seed.rawJSON : seed);

/**
 * The sampler's options that a request asks for; OpenAI's default is a temperature of 1.
 *
 * @param nth Which of the replies to its prompt it is, from 0: what else a request asks for changes no reply.
 * @param vocab Tokens of the model.
 * @throws {ApiError} 400 where a bias is for a token that there is not.
 */
export function samplingOf(fields: SamplingFields, nth: number, vocab: number): SamplerOptions {
  const { temperature, top_p, top_k, min_p, seed } = fields;
  const logitBias = new Map(Object.entries(fields.logit_bias ?? {}).map(([id, bias]) => [Number(id), bias]));
  const stray = logitBias.keys().find((id) => id >= vocab);
  if (stray !== undefined) throw wrongField("logit_bias", `expected ids from 0 to ${vocab - 1}, got ${stray}`);
  return {
    temperature: temperature ?? 1,
    topP: top_p ?? 1,
    topK: Math.max(0, top_k ?? 0),
    minP: min_p ?? 0,
    logitBias,
    repetitionPenalty: fields.repetition_penalty ?? 1,
    frequencyPenalty: fields.frequency_penalty ?? 0,
    presencePenalty: fields.presence_penalty ?? 0,
    // Of several replies to one prompt each has a seed of its own; other negative ones are as good as any.
    seed: seed == null || seed === -1 ? undefined : BigInt.asUintN(64, wholeOf(seed) + BigInt(nth)),
  };
}

/**
 * Tokens before which a reply does not end.
 *
 * @throws {ApiError} 400 where it ends before.
 */
export function minTokensOf({ min_tokens }: SamplingFields, maxTokens: number): number {
  const least = min_tokens ?? 0;
  if (least > maxTokens) {
    throw wrongField("min_tokens", `expected at most ${maxTokens}, the tokens of a reply, got ${least}`);
  }
  return least;
}

/** What the id of an answer ends with: the client's word for it, which the log has too, or the request's own id. */
export function answerId(
  { body: { request_id }, requestId, note }: Pick<
    Call<{ readonly request_id?: string | null | undefined }>,
    "body" | "requestId" | "note"
  >,
): string {
  if (request_id != null) note({ request_id });
  return request_id ?? requestId;
}

/** The stop strings of a request. */
export function stopsOf({ stop }: SamplingFields): readonly string[] {
  return stop == null || stop === "" ? [] : typeof stop === "string" ? [stop] : stop;
}

/** The ids that end a reply. */
export function stopIdsOf({ ignore_eos, stop_token_ids }: SamplingFields, own: ReadonlySet<number>): Set<number> {
  return new Set([...(ignore_eos === true ? [] : own), ...stop_token_ids ?? []]);
}
