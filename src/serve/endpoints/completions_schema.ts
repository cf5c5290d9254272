/** What `/v1/completions` takes and gives. */
import { z } from "zod";
import { ignored, only, unsupported } from "../http/fields.ts";
import { FORMAT_FIELDS } from "./format_fields.ts";
import { ANSWER_FIELDS, SAMPLING_FIELDS } from "./sampling_fields.ts";
import { Usage } from "./usage.ts";

/** Prompts of one request. */
const MAX_PROMPTS = 4096;
/** Replies to one prompt. */
const MAX_REPLIES = 128;
/** Alternatives at each position. */
export const MAX_LOGPROBS = 20;

const TokenIds = z.array(z.int().min(0)).min(1);

/** When usage is reported in a stream. */
export const StreamOptions = z.strictObject({
  include_usage: z.boolean().nullish(),
  continuous_usage_stats: z.boolean().nullish(),
  ...ignored("include_obfuscation"),
});

/** The body of a request. */
export const CompletionRequest = z.strictObject({
  model: z.string().nullish(),
  /** A text, the ids of one, or a list of either. Special tokens that a text spells out count as such. */
  prompt: z.union([
    z.string(),
    z.array(z.string()).min(1).max(MAX_PROMPTS),
    TokenIds,
    z.array(TokenIds).min(1).max(MAX_PROMPTS),
  ]),
  max_tokens: z.int().min(0).nullish(),
  n: z.int().min(1).max(MAX_REPLIES).nullish(),
  /**
   * Alternatives at each position; 0 for the token's own log probability alone. True is 1 and false none, as vLLM reads
   * them; evalscope sends true.
   */
  logprobs: z.union([z.int().min(0).max(MAX_LOGPROBS), z.boolean().transform((wanted) => wanted ? 1 : null)]).nullish(),
  /** Whether the reply begins with the prompt, and with its log probabilities. */
  echo: z.boolean().nullish(),
  stream: z.boolean().nullish(),
  stream_options: StreamOptions.nullish(),
  /** Whether tokens are called `token_id:ID` in logprobs. */
  return_tokens_as_token_ids: z.boolean().nullish(),
  best_of: z.int().min(1).nullish(),
  suffix: unsupported(),
  prompt_embeds: unsupported(),
  prompt_logprobs: unsupported(),
  truncate_prompt_tokens: unsupported(),
  allowed_token_ids: unsupported(),
  logits_processors: unsupported(),
  length_penalty: only(1),
  include_stop_str_in_output: only(false),
  // No tokens are added to prompts of gpt-oss.
  ...ignored("add_special_tokens", "spaces_between_special_tokens"),
  ...FORMAT_FIELDS,
  ...SAMPLING_FIELDS,
  ...ANSWER_FIELDS,
});
/** The body of a request. */
export type CompletionRequest = z.infer<typeof CompletionRequest>;

/** Log probabilities of the tokens of a text, in order. */
export const LogProbs = z.strictObject({
  tokens: z.array(z.string()),
  /** Null for the first token of a prompt. */
  token_logprobs: z.array(z.number().nullable()),
  /** The likeliest tokens, and the one that is there. */
  top_logprobs: z.array(z.record(z.string(), z.number()).nullable()),
  /** Where each token begins, in characters of the text (code points). */
  text_offset: z.array(z.int()),
});
/** Log probabilities of the tokens of a text. */
export type LogProbs = z.infer<typeof LogProbs>;

/** An answer, or a piece of one in a stream. */
export const CompletionAnswer = z.strictObject({
  id: z.string(),
  object: z.literal("text_completion"),
  created: z.int(),
  model: z.string(),
  choices: z.array(z.strictObject({
    index: z.int(),
    text: z.string(),
    logprobs: LogProbs.nullable(),
    finish_reason: z.enum(["stop", "length"]).nullable(),
    stop_reason: z.union([z.string(), z.int()]).nullable(),
    /** Tokens of the reply; in a stream those that no earlier piece has. */
    token_ids: z.array(z.int()).optional(),
    /** In a stream only in the first piece of the choice. */
    prompt_token_ids: z.array(z.int()).optional(),
  })),
  usage: Usage.nullish(),
});
/** An answer, or a piece of one in a stream. */
export type CompletionAnswer = z.infer<typeof CompletionAnswer>;
/** One reply of it. */
export type Choice = CompletionAnswer["choices"][number];
