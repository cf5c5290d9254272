/** `/tokenize`, `/detokenize`, `/tokenizer_info`: a model's tokenizer from afar, as lm-eval asks for it. */
import { z } from "zod";
import { decode } from "../../text/stream_decoder.ts";
import { ChatRenderer } from "../../text/chat.ts";
import { isObject } from "../../text/tokenizer_file.ts";
import { wrongField } from "../api_error.ts";
import type { ServedModel } from "../engine/service.ts";
import { endpoint } from "../http/endpoint.ts";
import { ignored, unsupported } from "../http/fields.ts";
import { refuseLongText } from "../text/prompt_length.ts";
import { tokenText } from "../text/token_text.ts";

const TokenizeRequest = z.strictObject({
  model: z.string().nullish(),
  prompt: z.string(),
  /** Whether the texts of the tokens are wanted as well. */
  return_token_strs: z.boolean().nullish(),
  messages: unsupported(),
  // No tokens are added to prompts of gpt-oss.
  ...ignored("add_special_tokens"),
});
const DetokenizeRequest = z.strictObject({ model: z.string().nullish(), tokens: z.array(z.int().min(0)) });

const TOKENIZE = endpoint<z.infer<typeof TokenizeRequest>>({
  method: "POST",
  path: "/tokenize",
  summary: "token ids of a text, in which special tokens count as such",
  body: TokenizeRequest,
  response: z.strictObject({
    count: z.int(),
    max_model_len: z.int(),
    tokens: z.array(z.int()),
    token_strs: z.array(z.string()).nullable(),
  }),
  handle: async ({ body, service }) => {
    const { tokenizer, limits } = service.model(body.model);
    refuseLongText(body.prompt.length, "prompt");
    const tokens = [...await tokenizer.encodeByTurns(body.prompt, { allowSpecial: true })];
    const token_strs = body.return_token_strs === true ? tokens.map((id) => tokenText(tokenizer, id)) : null;
    return { json: { count: tokens.length, max_model_len: limits.context, tokens, token_strs } };
  },
});

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
