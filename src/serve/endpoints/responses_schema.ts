/** What `/v1/responses` takes and gives. */
import { z } from "zod";
import { Content } from "../chat/content.ts";
import { ignored, only, unsupported } from "../http/fields.ts";
import { ChatLogProbs, Effort, FunctionFields, TemplateArguments } from "./chat_schema.ts";
import { MAX_LOGPROBS } from "./completions_schema.ts";
import { AnyObject, CustomFields, Name } from "./format_fields.ts";
import { SAMPLING_FIELDS } from "./sampling_fields.ts";

/** Items of one input, and tools. */
const MAX_ITEMS = 4096, MAX_TOOLS = 256;

const Text = z.looseObject({ text: z.string() });
const Marks = ignored("id", "status", "phase");

/** An item of the input; the outputs of earlier responses are some. */
export const InputItem = z.union([
  z.strictObject({
    type: z.literal("message").optional(),
    role: z.enum(["user", "assistant", "system", "developer"]),
    content: Content,
    ...Marks,
  }),
  z.discriminatedUnion("type", [
    z.strictObject({
      type: z.literal("function_call"),
      call_id: z.string(),
      name: z.string(),
      arguments: z.string(),
      /** Of the function, where it has one. */
      namespace: z.string().nullish(),
      ...Marks,
      ...ignored("parsed_arguments"),
    }),
    z.strictObject({ type: z.literal("function_call_output"), call_id: z.string(), output: Content, ...Marks }),
    z.strictObject({
      type: z.literal("custom_tool_call"),
      call_id: z.string(),
      name: z.string(),
      input: z.string(),
      ...Marks,
    }),
    z.strictObject({ type: z.literal("custom_tool_call_output"), call_id: z.string(), output: Content, ...Marks }),
    z.strictObject({
      type: z.literal("reasoning"),
      summary: z.array(Text).nullish(),
      content: z.array(Text).nullish(),
      ...Marks,
      encrypted_content: unsupported(),
    }),
    /** An item of a response that is kept, in its place. */
    z.strictObject({ type: z.literal("item_reference"), id: z.string() }),
  ]),
]);
/** An item of the input, or a reference to one. */
export type GivenItem = z.infer<typeof InputItem>;
/** An item of the input. */
export type InputItem = Exclude<GivenItem, { readonly type: "item_reference" }>;

const FunctionTool = z.strictObject({ type: z.literal("function"), ...FunctionFields.shape });
const Tool = z.discriminatedUnion("type", [
  FunctionTool,
  /** A tool whose input is a text. */
  z.strictObject({ type: z.literal("custom"), ...CustomFields.shape }),
  /** Functions under one name; Codex has some. */
  z.strictObject({
    type: z.literal("namespace"),
    name: Name,
    description: z.string().nullish(),
    tools: z.array(FunctionTool).min(1).max(MAX_TOOLS),
  }),
]);
/** A function that the model may call, or several under one name. */
export type ResponseTool = z.infer<typeof Tool>;
const NamedTool = z.strictObject({ type: z.enum(["function", "custom"]), name: z.string() });
const ToolChoice = z.union([
  z.enum(["none", "auto", "required"]),
  NamedTool,
  z.strictObject({
    type: z.literal("allowed_tools"),
    mode: z.enum(["auto", "required"]),
    tools: z.array(NamedTool).min(1),
  }),
]);
/** Which tools may or must be called. */
export type ResponseToolChoice = z.infer<typeof ToolChoice>;

const Format = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("text") }),
  z.strictObject({ type: z.literal("json_object") }),
  z.strictObject({
    type: z.literal("json_schema"),
    name: Name,
    description: z.string().nullish(),
    schema: AnyObject,
    strict: z.boolean().nullish(),
  }),
]);

/** The body of a request. */
export const ResponseRequest = z.strictObject({
  model: z.string().nullish(),
  input: z.union([z.string(), z.array(InputItem).min(1).max(MAX_ITEMS)]),
  /** Comes first, and is not part of what later responses continue. */
  instructions: z.string().nullish(),
  previous_response_id: z.string().nullish(),
  max_output_tokens: z.int().min(1).nullish(),
  stream: z.boolean().nullish(),
  tools: z.array(Tool).max(MAX_TOOLS).nullish(),
  tool_choice: ToolChoice.nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  reasoning: z.strictObject({ effort: Effort.nullish(), ...ignored("summary", "generate_summary") }).nullish(),
  text: z.strictObject({ format: Format.nullish(), verbosity: only("medium") }).nullish(),
  top_logprobs: z.int().min(0).max(MAX_LOGPROBS).nullish(),
  /** Reasoning is never encrypted here: its text goes back as it came. */
  include: z.array(z.enum(["message.output_text.logprobs", "reasoning.encrypted_content"])).nullish(),
  background: only(false),
  /** `auto` leaves out the beginning of a conversation that is too long, which is refused here. */
  truncation: z.enum(["auto", "disabled"]).nullish(),
  conversation: unsupported(),
  context_management: unsupported(),
  prompt: unsupported(),
  request_id: unsupported("is not supported: responses are kept by ids of the server's own"),
  return_token_ids: only(false),
  /** vLLM's, as the next. */
  include_reasoning: only(true),
  include_stop_str_in_output: only(false),
  enable_response_messages: only(false),
  previous_input_messages: unsupported(),
  structured_outputs: unsupported("is not supported; text.format is"),
  chat_template_kwargs: TemplateArguments.nullish(),
  media_io_kwargs: unsupported(),
  mm_processor_kwargs: unsupported(),
  ...SAMPLING_FIELDS,
  skip_special_tokens: only(true),
  /** Whether later requests may name it; true by default. */
  store: z.boolean().nullish(),
  metadata: z.record(z.string(), z.string()).nullish(),
  ...ignored(
    "stream_options",
    "max_tool_calls",
    "prompt_cache_retention",
    "client_metadata",
    "spaces_between_special_tokens",
  ),
});
/** The body of a request. */
export type ResponseRequest = z.infer<typeof ResponseRequest>;

const Status = z.enum(["in_progress", "completed", "incomplete"]);
const ItemStatus = z.enum(["in_progress", "completed", "incomplete"]);

/** A part of a message. */
const OutputText = z.strictObject({
  type: z.literal("output_text"),
  text: z.string(),
  annotations: z.tuple([]),
  logprobs: ChatLogProbs.shape.content,
});
/** A part of reasoning. */
const ReasoningText = z.strictObject({ type: z.literal("reasoning_text"), text: z.string() });

/** An item of the output. */
export const OutputItem = z.discriminatedUnion("type", [
  z.strictObject({
    id: z.string(),
    type: z.literal("reasoning"),
    status: ItemStatus,
    summary: z.tuple([]),
    content: z.array(ReasoningText),
  }),
  z.strictObject({
    id: z.string(),
    type: z.literal("message"),
    status: ItemStatus,
    role: z.literal("assistant"),
    content: z.array(OutputText),
  }),
  z.strictObject({
    id: z.string(),
    type: z.literal("function_call"),
    status: ItemStatus,
    call_id: z.string(),
    name: z.string(),
    /** Of the function, where it has one. */
    namespace: z.string().optional(),
    arguments: z.string(),
  }),
  z.strictObject({
    id: z.string(),
    type: z.literal("custom_tool_call"),
    status: ItemStatus,
    call_id: z.string(),
    name: z.string(),
    input: z.string(),
  }),
]);
/** An item of the output. */
export type OutputItem = z.infer<typeof OutputItem>;

/** A response. */
export const ResponseAnswer = z.strictObject({
  id: z.string(),
  object: z.literal("response"),
  created_at: z.int(),
  status: Status,
  background: z.literal(false),
  error: z.null(),
  incomplete_details: z.strictObject({ reason: z.literal("max_output_tokens") }).nullable(),
  instructions: z.string().nullable(),
  max_output_tokens: z.int().nullable(),
  model: z.string(),
  output: z.array(OutputItem),
  parallel_tool_calls: z.boolean(),
  previous_response_id: z.string().nullable(),
  reasoning: z.strictObject({ effort: Effort.nullable(), summary: z.null() }),
  store: z.boolean(),
  temperature: z.number(),
  text: z.strictObject({ format: Format, verbosity: z.literal("medium") }),
  tool_choice: ToolChoice,
  tools: z.array(Tool),
  top_logprobs: z.int(),
  top_p: z.number(),
  truncation: z.enum(["auto", "disabled"]),
  usage: z.strictObject({
    input_tokens: z.int(),
    input_tokens_details: z.strictObject({ cached_tokens: z.int(), cache_write_tokens: z.int() }),
    output_tokens: z.int(),
    output_tokens_details: z.strictObject({ reasoning_tokens: z.int() }),
    total_tokens: z.int(),
  }).nullable(),
  metadata: z.record(z.string(), z.string()),
});
/** A response. */
export type ResponseAnswer = z.infer<typeof ResponseAnswer>;
