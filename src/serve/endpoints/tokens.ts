/** `/tokenize`, `/detokenize`, `/tokenizer_info`: a model's tokenizer from afar, as lm-eval asks for it. */
import { z } from "zod";
import { decode } from "../../text/stream_decoder.ts";
import { ChatRenderer } from "../../text/chat.ts";
import { isObject } from "../../text/tokenizer_file.ts";
import { wrongField } from "../api_error.ts";
import type { ServedModel } from "../engine/service.ts";
import { endpoint } from "../http/endpoint.ts";
import { ignored, only, unsupported } from "../http/fields.ts";
import { chatAsk } from "../chat/chat_ask.ts";
import { renderConversation } from "../chat/conversation.ts";
import { namesOf } from "../chat/plan.ts";
import { ChatRequest } from "./chat_schema.ts";
import { refuseLongText } from "../text/prompt_length.ts";
import { tokenText } from "../text/token_text.ts";

/** Fields of a chat that decide its prompt. */
const PROMPT_FIELDS = ChatRequest.pick({
  tools: true,
  response_format: true,
  reasoning_effort: true,
  chat_template_kwargs: true,
}).shape;

const TokenizeRequest = z.strictObject({
  model: z.string().nullish(),
  /** A text, or messages. */
  prompt: z.string().nullish(),
  messages: ChatRequest.shape.messages.nullish(),
  ...PROMPT_FIELDS,
  /** Whether the model is to answer the messages; default true. */
  add_generation_prompt: z.boolean().nullish(),
  /** Whether the texts of the tokens are wanted as well. */
  return_token_strs: z.boolean().nullish(),
  continue_final_message: only(false),
  chat_template: unsupported(),
  media_io_kwargs: unsupported(),
  mm_processor_kwargs: unsupported(),
  // No tokens are added to prompts of gpt-oss.
  ...ignored("add_special_tokens"),
});
/** The body of a request. */
type TokenizeRequest = z.infer<typeof TokenizeRequest>;
const DetokenizeRequest = z.strictObject({ model: z.string().nullish(), tokens: z.array(z.int().min(0)) });

const TOKENIZE = endpoint<TokenizeRequest>({
  method: "POST",
  path: "/tokenize",
  summary: "token ids of a text, in which special tokens count as such, or of a chat's prompt",
  body: TokenizeRequest,
  response: z.strictObject({
    count: z.int(),
    max_model_len: z.int(),
    tokens: z.array(z.int()),
    token_strs: z.array(z.string()).nullable(),
  }),
  handle: async ({ body, service }) => {
    const model = service.model(body.model), { tokenizer, limits } = model, tokens = [...await idsOf(body, model)];
    const token_strs = body.return_token_strs === true ? tokens.map((id) => tokenText(tokenizer, id)) : null;
    return { json: { count: tokens.length, max_model_len: limits.context, tokens, token_strs } };
  },
});

/**
 * The tokens of a text or of messages.
 *
 * @throws {ApiError} where there are both or neither, and as chats are refused.
 */
async function idsOf(body: TokenizeRequest, model: ServedModel): Promise<Int32Array> {
  const { prompt, messages, add_generation_prompt, ...fields } = body;
  if (messages != null) {
    if (prompt != null) throw wrongField("messages", "expected no prompt beside them");
    const { tools, told, ...ask } = chatAsk({ ...fields, messages });
    namesOf(tools);
    const asked = { messages: ask.messages, tools, reasoning: ask.reasoning, format: told };
    const { ids } = await renderConversation(
      model,
      { ...asked, prompt: add_generation_prompt !== false, fits: false },
      ask.field,
    );
    return ids;
  }
  if (prompt == null) throw wrongField("prompt", "expected a text, or messages, got neither");
  const stray = (Object.keys(PROMPT_FIELDS) as (keyof typeof PROMPT_FIELDS)[]).find((name) => fields[name] != null);
  if (stray !== undefined) throw wrongField(stray, "expected messages beside it");
  refuseLongText(prompt.length, "prompt");
  return await model.tokenizer.encodeByTurns(prompt, { allowSpecial: true });
}

const DETOKENIZE = endpoint<z.infer<typeof DetokenizeRequest>>({
  method: "POST",
  path: "/detokenize",
  summary: "the text of token ids, special tokens by name",
  body: DetokenizeRequest,
  response: z.strictObject({ prompt: z.string() }),
  handle: ({ body, service }) => {
    const { tokenizer, config } = service.model(body.model);
    const stray = body.tokens.find((id) => id >= config.vocab);
    if (stray !== undefined) throw wrongField("tokens", `expected ids from 0 to ${config.vocab - 1}, got ${stray}`);
    return { json: { prompt: decode(tokenizer, body.tokens, "keep") } };
  },
});

const TOKENIZER_INFO = endpoint({
  method: "GET",
  path: "/tokenizer_info",
  summary: "the tokenizer's config with its chat template; ?model=NAME for another than the default model",
  body: null,
  response: z.record(z.string(), z.unknown()),
  handle: async ({ query, service }) => ({ json: await tokenizerInfo(service.model(query.get("model"))) }),
});

/** The config with special tokens as texts; clients look for `bos_token`, `eos_token` and `pad_token`. */
async function tokenizerInfo({ tokenizer, textDirectory, stopIds }: ServedModel) {
  const textOf = (value: unknown) => isObject(value) ? value["content"] : value;
  const config = Object.fromEntries(
    Object.entries(tokenizer.config).map(([key, value]) =>
      key.endsWith("_token") ? [key, textOf(value)] : [key, value]
    ),
  );
  const { template } = await ChatRenderer.fromDirectory(textDirectory, tokenizer), [end] = stopIds;
  return {
    tokenizer_class: "PreTrainedTokenizerFast",
    bos_token: null,
    eos_token: end === undefined ? null : tokenizer.specialName(end),
    pad_token: null,
    ...config,
    chat_template: template?.source ?? null,
  };
}

export const TOKENS = [TOKENIZE, DETOKENIZE, TOKENIZER_INFO];
