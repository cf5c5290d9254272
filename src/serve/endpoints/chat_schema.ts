/** What `/v1/chat/completions` takes and gives. */
import { z } from "zod";
import { Content } from "../chat/content.ts";
import { ignored, only, unsupported } from "../http/fields.ts";
import { MAX_LOGPROBS, StreamOptions } from "./completions_schema.ts";
import { AnyObject, CustomFields, FORMAT_FIELDS, Name } from "./format_fields.ts";
import { ANSWER_FIELDS, SAMPLING_FIELDS } from "./sampling_fields.ts";
import { Usage } from "./usage.ts";

/** Messages of one conversation, and tools. */
const MAX_MESSAGES = 4096, MAX_TOOLS = 256;
/** Replies to one conversation. */
const MAX_REPLIES = 128;

const ToolCall = z.union([
  z.strictObject({
    id: z.string(),
    type: z.literal("function").nullish(),
    function: z.strictObject({ name: z.string(), arguments: z.string(), ...ignored("parsed_arguments") }),
    ...ignored("index"),
  }),
  z.strictObject({
    id: z.string(),
    type: z.literal("custom"),
    custom: z.strictObject({ name: z.string(), input: z.string() }),
    ...ignored("index"),
  }),
]);

const Message = z.discriminatedUnion("role", [
  // lm-eval marks messages by a type.
  z.strictObject({ role: z.literal(["system", "developer", "user"]), content: Content, ...ignored("name", "type") }),
  z.strictObject({
    role: z.literal("assistant"),
    content: Content.nullish(),
    /** Earlier reasoning: kept where it led to calls after which there is no answer to the user yet. */
    reasoning_content: z.string().nullish(),
    reasoning: z.string().nullish(),
    tool_calls: z.array(ToolCall).nullish(),
    function_call: unsupported(),
    audio: unsupported(),
    // What clients make of an answer, and send back with it.
    ...ignored(
      "name",
      "refusal",
      "annotations",
      "id",
      "parsed",
      "reasoning_details",
      "provider_specific_fields",
      "type",
    ),
  }),
  z.strictObject({ role: z.literal("tool"), content: Content, tool_call_id: z.string(), ...ignored("name", "type") }),
]);
/** A message. */
export type Message = z.infer<typeof Message>;

/** A function that the model may call. */
export const FunctionFields = z.strictObject({
  name: Name,
  description: z.string().nullish(),
  parameters: AnyObject.nullish(),
  strict: z.boolean().nullish(),
});
/** A function that the model may call. */
export type FunctionFields = z.infer<typeof FunctionFields>;

const Tool = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("function"), function: FunctionFields }),
  /** A tool whose input is a text. */
  z.strictObject({
    type: z.literal("custom"),
    custom: CustomFields.extend({
      format: z.discriminatedUnion("type", [
        z.strictObject({ type: z.literal("text") }),
        z.strictObject({
          type: z.literal("grammar"),
          grammar: z.strictObject({ syntax: z.enum(["lark", "regex"]), definition: z.string().min(1) }),
        }),
      ]).nullish(),
    }),
  }),
]);
/** A tool that the model may call. */
export type GivenTool = z.infer<typeof Tool>;
const Named = z.strictObject({ name: z.string() });
const NamedTool = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("function"), function: Named }),
  z.strictObject({ type: z.literal("custom"), custom: Named }),
]);
/** A tool by its name. */
export type NamedTool = z.infer<typeof NamedTool>;

const ToolChoice = z.union([
  z.enum(["none", "auto", "required"]),
  NamedTool,
  z.strictObject({
    type: z.literal("allowed_tools"),
    allowed_tools: z.strictObject({ mode: z.enum(["auto", "required"]), tools: z.array(NamedTool).min(1) }),
  }),
]);
/** Which tools may or must be called. */
export type ToolChoice = z.infer<typeof ToolChoice>;

/** How long the model is asked to reason. */
export const Effort = z.enum(["low", "medium", "high"]);

/** Whether a model reasons before it answers; gpt-oss does, whatever is asked for. */
const thinking = only(true);
/** As vLLM and llama.cpp have it; of what they hand to templates those of gpt-oss know the effort. */
export const TemplateArguments = z.strictObject({
  reasoning_effort: Effort.nullish(),
  enable_thinking: thinking,
  thinking,
});

/** The body of a request. */
export const ChatRequest = z.strictObject({
  model: z.string().nullish(),
  messages: z.array(Message).min(1).max(MAX_MESSAGES),
  max_tokens: z.int().min(1).nullish(),
  max_completion_tokens: z.int().min(1).nullish(),
  n: z.int().min(1).max(MAX_REPLIES).nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().min(0).max(MAX_LOGPROBS).nullish(),
  /** Whether tokens are called `token_id:ID` in logprobs. */
  return_tokens_as_token_ids: z.boolean().nullish(),
  stream: z.boolean().nullish(),
  stream_options: StreamOptions.nullish(),
  tools: z.array(Tool).max(MAX_TOOLS).nullish(),
  tool_choice: ToolChoice.nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  reasoning_effort: Effort.nullish(),
  chat_template_kwargs: TemplateArguments.nullish(),
  enable_thinking: thinking,
  /** Ollama's. */
  think: thinking,
  /** SGLang's, as the next: reasoning has a field of its own. */
  separate_reasoning: only(true),
  stream_reasoning: only(true),
  /** Whether reasoning is part of the answer. */
  include_reasoning: z.boolean().nullish(),
  /** vLLM's: whether the answer has the text of the prompt. */
  return_prompt_text: z.boolean().nullish(),
  functions: unsupported(),
  function_call: unsupported(),
  audio: unsupported(),
  web_search_options: unsupported(),
  documents: unsupported(),
  chat_template: unsupported(),
  prompt_logprobs: unsupported(),
  truncate_prompt_tokens: unsupported(),
  allowed_token_ids: unsupported(),
  logits_processors: unsupported(),
  length_penalty: only(1),
  verbosity: only("medium"),
  echo: only(false),
  add_generation_prompt: only(true),
  continue_final_message: only(false),
  include_stop_str_in_output: only(false),
  modalities: z.array(z.literal("text")).nullish(),
  media_io_kwargs: unsupported(),
  mm_processor_kwargs: unsupported(),
  ...ignored("prediction", "spaces_between_special_tokens", "add_special_tokens", "prompt_cache_retention"),
  ...FORMAT_FIELDS,
  ...SAMPLING_FIELDS,
  ...ANSWER_FIELDS,
  /** Special tokens are structure, which the answer says in fields. */
  skip_special_tokens: only(true),
});
/** The body of a request. */
export type ChatRequest = z.infer<typeof ChatRequest>;

const Scored = { token: z.string(), logprob: z.number(), bytes: z.array(z.int()).nullable() };
/** Log probabilities of the tokens of the message's text. */
export const ChatLogProbs = z.strictObject({
  content: z.array(z.strictObject({ ...Scored, top_logprobs: z.array(z.strictObject(Scored)) })),
  refusal: z.null(),
});
/** Log probabilities of the tokens of the message's text. */
export type ChatLogProbs = z.infer<typeof ChatLogProbs>;

/** Tokens of a request, with those of reasoning. */
export const ChatUsage = Usage.extend({ completion_tokens_details: z.strictObject({ reasoning_tokens: z.int() }) });
/** Tokens of a request, with those of reasoning. */
export type ChatUsage = z.infer<typeof ChatUsage>;

const FinishReason = z.enum(["stop", "length", "tool_calls"]);
/** Why a reply ended. */
export type FinishReason = z.infer<typeof FinishReason>;

const AnswerCall = z.discriminatedUnion("type", [
  z.strictObject({
    id: z.string(),
    type: z.literal("function"),
    function: z.strictObject({ name: z.string(), arguments: z.string() }),
  }),
  z.strictObject({
    id: z.string(),
    type: z.literal("custom"),
    custom: z.strictObject({ name: z.string(), input: z.string() }),
  }),
]);
/** A call that the model makes. */
export type AnswerCall = z.infer<typeof AnswerCall>;

const HEAD = { id: z.string(), created: z.int(), model: z.string(), system_fingerprint: z.null() };

/** An answer. */
export const ChatAnswer = z.strictObject({
  ...HEAD,
  object: z.literal("chat.completion"),
  choices: z.array(z.strictObject({
    index: z.int(),
    message: z.strictObject({
      role: z.literal("assistant"),
      content: z.string().nullable(),
      refusal: z.null(),
      /** The same twice: under vLLM's older name, and its newer one. */
      reasoning_content: z.string().nullable(),
      reasoning: z.string().nullable(),
      tool_calls: z.array(AnswerCall).optional(),
    }),
    logprobs: ChatLogProbs.nullable(),
    finish_reason: FinishReason,
    stop_reason: z.union([z.string(), z.int()]).nullable(),
    /** All tokens of the reply, with those of headers and its end. */
    token_ids: z.array(z.int()).optional(),
  })),
  usage: ChatUsage,
  prompt_token_ids: z.array(z.int()).optional(),
  /** What the model is given, special tokens by name. */
  prompt_text: z.string().optional(),
});
/** An answer. */
export type ChatAnswer = z.infer<typeof ChatAnswer>;

/** A piece of an answer in a stream. */
export interface ChatChunk {
  readonly id: string;
  readonly object: "chat.completion.chunk";
  readonly created: number;
  readonly model: string;
  readonly system_fingerprint: null;
  readonly choices: readonly {
    readonly index: number;
    readonly delta: ChatDelta;
    readonly logprobs: ChatLogProbs | null;
    readonly finish_reason: FinishReason | null;
    readonly stop_reason?: string | number | null;
    /** Tokens of the reply up to this piece that no earlier one has. */
    readonly token_ids?: readonly number[];
  }[];
  readonly usage?: ChatUsage | null;
  /** In the first piece, as the next. */
  readonly prompt_token_ids?: readonly number[];
  readonly prompt_text?: string;
}

/** What a piece adds to a message. */
export interface ChatDelta {
  readonly role?: "assistant";
  readonly content?: string;
  readonly reasoning_content?: string;
  readonly reasoning?: string;
  readonly tool_calls?: readonly {
    readonly index: number;
    readonly id?: string;
    readonly type?: "function" | "custom";
    readonly function?: { readonly name?: string; readonly arguments: string };
    readonly custom?: { readonly name?: string; readonly input: string };
  }[];
}
