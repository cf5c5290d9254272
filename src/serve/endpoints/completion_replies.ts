/** The replies of a completion request: their jobs, and the pieces that they come in. */
import { Breath } from "../../breath.ts";
import { StreamDecoder } from "../../text/stream_decoder.ts";
import { ApiError, wrongField } from "../api_error.ts";
import { constraintSource } from "../chat/constraints.ts";
import { formatOf } from "../chat/structured_outputs.ts";
import { endedBy, type Generation, type Outcome, type ScoredToken, type TokenMask } from "../engine/job.ts";
import type { ServedModel } from "../engine/service.ts";
import type { Call } from "../http/endpoint.ts";
import { refuseLongPrompt, refuseManyTokens } from "../text/prompt_length.ts";
import { badWordsOf, maskOf } from "../text/bad_words.ts";
import { charactersOf, ReplyText } from "../text/reply_text.ts";
import type { CompletionRequest } from "./completions_schema.ts";
import { minTokensOf, samplingOf, stopIdsOf, stopsOf } from "./sampling_fields.ts";

/** OpenAI's default. */
const DEFAULT_MAX_TOKENS = 16;
/** Replies of one request. */
const MAX_REPLIES = 4096;

/** One reply that is being made. */
export interface Reply {
  readonly index: number;
  readonly prompt: Int32Array;
  readonly text: ReplyText;
  readonly generation: Generation;
}

/** A piece of a reply. */
export interface Piece {
  readonly of: "prompt" | "reply" | "end";
  readonly text: string;
  readonly tokens: readonly ScoredToken[];
  /** Characters (code points) that each token adds to the text. */
  readonly lengths: readonly number[];
}

/**
 * Submits a job for each reply.
 *
 * @throws {ApiError} where fields contradict each other, or as `Service.submit`.
 */
export async function startReplies(call: Call<CompletionRequest>, model: ServedModel): Promise<Reply[]> {
  const { body, service, client, requestId, signal } = call, { tokenizer, limits } = model, n = body.n ?? 1;
  if (body.best_of != null && body.best_of !== n) throw wrongField("best_of", `expected n, which is ${n}, or none`);
  if (body.stream_options != null && body.stream !== true) throw wrongField("stream_options", "expected with stream");
  const echo = body.echo ?? false;
  if (body.max_tokens === 0 && !echo) throw wrongField("max_tokens", "expected at least 1, or echo");
  const stopIds = stopIdsOf(body, model.stopIds),
    mask = await formatMask(body, model),
    badWords = await badWordsOf(body.bad_words, tokenizer, false),
    prompts = await promptsOf(body.prompt, model);
  if (prompts.length * n > MAX_REPLIES) {
    throw wrongField("n", `expected at most ${MAX_REPLIES} replies, got ${prompts.length * n}`);
  }
  return prompts.flatMap((prompt) => Array.from({ length: n }, () => prompt)).map((prompt, index) => {
    const special = body.skip_special_tokens === false ? "keep" : "skip";
    const maxTokens = body.max_tokens ??
      Math.max(1, Math.min(DEFAULT_MAX_TOKENS, limits.maxTokens, limits.context - prompt.length));
    const minTokens = minTokensOf(body, maxTokens);
    const text = new ReplyText(tokenizer, { stops: stopsOf(body), special, stopIds, minTokens });
    const generation = service.submit(model, {
      prompt,
      maxTokens,
      minTokens,
      stopIds,
      sampling: samplingOf(body, index % n, model.config.vocab),
      logprobs: body.logprobs ?? null,
      echo: echo && body.logprobs != null,
      mask: maskOf(mask, badWords),
      salt: body.cache_salt ?? undefined,
      watch: text.watch,
      client,
      requestId,
      signal,
    });
    return { index, prompt, text, generation };
  });
}

/** Makes what holds a reply to the format that is asked for; null: replies are free. */
async function formatMask(
  body: CompletionRequest,
  { tokenizer, stopIds }: ServedModel,
): Promise<(() => TokenMask) | null> {
  const format = formatOf(body);
  if (format.type === "text") return null;
  if (body.ignore_eos === true) throw wrongField("ignore_eos", "expected no constraint of the reply beside it");
  const ends = Array.from(stopIds, (id) => tokenizer.specialName(id)).filter((name) => name !== null);
  if (ends.length === 0) throw wrongField("model", "expected one of which a special token ends replies");
  return await constraintSource(tokenizer, { format, ends });
}

async function promptsOf(prompt: CompletionRequest["prompt"], model: ServedModel): Promise<Int32Array[]> {
  const list = typeof prompt === "string" || typeof prompt[0] === "number" ? [prompt] : prompt;
  const breath = new Breath(), prompts: Int32Array[] = [];
  for (const one of list as readonly (string | readonly number[])[]) {
    if (typeof one === "string") refuseLongPrompt(model, one.length, "prompt");
    const ids = typeof one === "string"
      ? await model.tokenizer.encodeByTurns(one, { allowSpecial: true })
      : Int32Array.from(one);
    refuseManyTokens(model.limits, ids.length, "prompt");
    prompts.push(ids);
    // Thousands of prompts together may be long.
    if (breath.due) await breath.take();
  }
  return prompts;
}

/**
 * The pieces of a reply: its prompt where that is echoed, each token, and what was held back of the text.
 *
 * @param onOutcome Called before the last piece.
 */
export async function* piecesOf(
  { generation, text, prompt }: Reply,
  { echo }: CompletionRequest,
  { tokenizer }: ServedModel,
  onOutcome: (outcome: Outcome) => void,
): AsyncGenerator<Piece, void, void> {
  if (echo === true) {
    const tokens = await generation.prompt, decoder = new StreamDecoder(tokenizer, "keep");
    const texts = Array.from(prompt, (id) => decoder.push(id));
    texts[texts.length - 1] += decoder.flush();
    const lengths = tokens.map((_, i) => charactersOf(texts[i]!));
    yield { of: "prompt", text: texts.join(""), tokens, lengths };
  }
  for await (const token of generation) {
    const { shown, length } = text.take();
    yield { of: "reply", text: shown, tokens: [token], lengths: [length] };
  }
  const outcome = await generation.outcome;
  if (outcome.reason === "cancelled") throw new ApiError(499, "the request was cancelled", { code: "cancelled" });
  const rest = text.flush();
  onOutcome(endedBy(text.stopString, outcome));
  yield { of: "end", text: rest, tokens: [], lengths: [] };
}
