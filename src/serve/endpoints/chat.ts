/** `/v1/chat/completions`: conversations, answered in channels, with tools and in formats. */
import { collect, DeltaWriter } from "../chat/deltas.ts";
import { chatAsk } from "../chat/chat_ask.ts";
import { endsOf, planReply, roomFor } from "../chat/plan.ts";
import { type Reply, startReplies, stepsOf, tokensOf } from "../chat/replies.ts";
import { scoresOf } from "../chat/scores.ts";
import type { Outcome, ScoredToken } from "../engine/job.ts";
import type { ServedModel } from "../engine/service.ts";
import { type Call, endpoint, type ServerEvent } from "../http/endpoint.ts";
import {
  ChatAnswer,
  type ChatChunk,
  type ChatDelta,
  type ChatLogProbs,
  ChatRequest,
  type ChatUsage,
  type FinishReason,
} from "./chat_schema.ts";
import { decode } from "../../text/stream_decoder.ts";
import { merge } from "./merge.ts";
import { badWordsOf } from "../text/bad_words.ts";
import { wrongField } from "../api_error.ts";
import { SentIds } from "./sent_ids.ts";
import { answerId, minTokensOf, samplingOf, stopIdsOf, stopsOf } from "./sampling_fields.ts";
import { logFields, type Usage, usage, usageOf } from "./usage.ts";

/** A request whose replies are on their way. */
interface Started {
  readonly call: Call<ChatRequest>;
  readonly model: ServedModel;
  readonly replies: readonly Reply[];
  readonly stopIds: ReadonlySet<number>;
  readonly id: string;
  readonly created: number;
  readonly prompt: Int32Array;
}

/** `/v1/chat/completions`. */
export const CHAT = endpoint<ChatRequest>({
  method: "POST",
  path: "/v1/chat/completions",
  summary: "answers a conversation",
  body: ChatRequest,
  response: ChatAnswer,
  streams: true,
  handle: async (call) => {
    const { body, service } = call, model = service.model(body.model);
    call.note({ model: model.name });
    if (body.return_token_ids === true && body.include_reasoning === false) {
      throw wrongField("return_token_ids", "expected include_reasoning true, as the ids are those of reasoning too");
    }
    const ask = chatAsk(body), plan = await planReply(model, ask), stopIds = stopIdsOf(body, endsOf(model));
    if (ask.reasoning !== undefined && !plan.takesReasoning) call.note({ reasoning_effort: "no effect" });
    const asked = body.max_completion_tokens ?? body.max_tokens ?? undefined;
    const replies = startReplies(call, model, plan, {
      count: body.n ?? 1,
      sampling: (index) => samplingOf(body, index, model.config.vocab),
      stops: stopsOf(body),
      stopIds,
      maxTokens: roomFor(model, plan.prompt, asked, {
        prompt: "messages",
        maxTokens: body.max_completion_tokens == null ? "max_tokens" : "max_completion_tokens",
      }),
      minTokens: (maxTokens) => minTokensOf(body, maxTokens),
      logprobs: body.logprobs === true ? body.top_logprobs ?? 0 : null,
      badWords: await badWordsOf(body.bad_words, model.tokenizer, true),
      salt: body.cache_salt ?? undefined,
    });
    const created = Math.floor(Date.now() / 1000);
    const started: Started = {
      call,
      model,
      replies,
      stopIds,
      id: `chatcmpl-${answerId(call)}`,
      created,
      prompt: plan.prompt,
    };
    return body.stream === true ? { events: stream(started), done: true } : { json: await whole(started) };
  },
});

async function whole(started: Started): Promise<ChatAnswer> {
  const { call, model, replies, stopIds, id, created } = started, { body } = call, outcomes: Outcome[] = [];
  let reasoningTokens = 0;
  const choices = await Promise.all(replies.map(async (reply): Promise<ChatAnswer["choices"][number]> => {
    const writer = new DeltaWriter(body.include_reasoning !== false),
      deltas: ChatDelta[] = [],
      scored: ScoredToken[] = [],
      ids: number[] = [];
    for await (const step of stepsOf(reply)) {
      const { events, token, outcome } = step;
      deltas.push(...events.flatMap((event) => writer.write(event) ?? []));
      reasoningTokens += tokensOf(step, "reasoning").length;
      scored.push(...tokensOf(step, "message"));
      if (token !== null) ids.push(token.id);
      if (outcome !== null) outcomes[reply.index] = outcome;
    }
    const { content, reasoning, calls } = collect(deltas);
    const thoughts = reasoning === "" ? null : reasoning;
    return {
      index: reply.index,
      message: {
        role: "assistant",
        content: content === "" && calls.length > 0 ? null : content,
        refusal: null,
        reasoning_content: thoughts,
        reasoning: thoughts,
        ...(calls.length > 0 ? { tool_calls: calls } : {}),
      },
      logprobs: body.logprobs === true ? logProbsOf(started, scored) : null,
      ...finishOf(outcomes[reply.index]!, reply, ids.at(-1), stopIds, model),
      ...(body.return_token_ids === true ? { token_ids: ids } : {}),
    };
  }));
  call.note(logFields(outcomes, outcomes.length));
  return {
    id,
    object: "chat.completion",
    created,
    model: model.name,
    system_fingerprint: null,
    choices,
    usage: chatUsage(outcomes, reasoningTokens),
    ...promptFields(started),
  };
}

async function* stream(started: Started): AsyncGenerator<ServerEvent, void, void> {
  const { call, model, replies, stopIds, id, created } = started, { body } = call, outcomes: Outcome[] = [];
  const { include_usage, continuous_usage_stats } = body.stream_options ?? {};
  const writers = replies.map(() => new DeltaWriter(body.include_reasoning !== false));
  const lasts: (number | undefined)[] = [], counts = { completion: 0, reasoning: 0 };
  const sent = new SentIds(body.return_token_ids === true);
  let first = promptFields(started);
  const event = (choices: ChatChunk["choices"], used: ChatUsage | null): ServerEvent => {
    const head = { id, object: "chat.completion.chunk" as const, created, model: model.name, system_fingerprint: null };
    const data: ChatChunk = { ...head, choices, ...(include_usage === true ? { usage: used } : {}) };
    const prompt = first;
    first = {};
    return { data: { ...data, ...prompt } };
  };
  const soFar = (): ChatUsage | null =>
    continuous_usage_stats === true
      ? withReasoning(usage(started.prompt.length, counts.completion, 0), counts.reasoning)
      : null;
  for (const { index } of replies) {
    yield event([{ index, delta: { role: "assistant", content: "" }, logprobs: null, finish_reason: null }], soFar());
  }
  for await (const [reply, step] of merge(replies, stepsOf)) {
    const { index } = reply, { events, token, outcome } = step, scored = tokensOf(step, "message");
    if (token !== null) counts.completion++, lasts[index] = token.id, sent.push(index, token.id);
    counts.reasoning += tokensOf(step, "reasoning").length;
    const deltas: ChatDelta[] = events.flatMap((event) => writers[index]!.write(event) ?? []);
    let logprobs = body.logprobs === true && scored.length > 0 ? logProbsOf(started, scored) : null;
    // Text that is held back is sent later; the log probabilities of its token are not held back.
    if (logprobs !== null && deltas.length === 0) deltas.push({ content: "" });
    for (const delta of deltas) {
      yield event([{ index, delta, logprobs, finish_reason: null, ...sent.take(index) }], soFar());
      logprobs = null;
    }
    if (outcome === null) continue;
    outcomes[index] = outcome;
    const end = finishOf(outcome, reply, lasts[index], stopIds, model);
    yield event([{ index, delta: {}, logprobs: null, ...end, ...sent.take(index) }], soFar());
  }
  call.note(logFields(outcomes, outcomes.length));
  if (include_usage === true) yield event([], chatUsage(outcomes, counts.reasoning));
}

/** What a request wants to see of its prompt. */
function promptFields(
  { call: { body }, model, prompt }: Started,
): Pick<ChatAnswer, "prompt_token_ids" | "prompt_text"> {
  return {
    ...(body.return_token_ids === true ? { prompt_token_ids: [...prompt] } : {}),
    ...(body.return_prompt_text === true ? { prompt_text: decode(model.tokenizer, prompt, "keep") } : {}),
  };
}

function logProbsOf({ call: { body }, model }: Started, tokens: readonly ScoredToken[]): ChatLogProbs {
  return { content: scoresOf(model.tokenizer, tokens, body.return_tokens_as_token_ids ?? false), refusal: null };
}

/** Why a reply ended; beside it the stop string or id that a client asked for, as vLLM reports it. */
function finishOf(
  { reason }: Outcome,
  { items }: Reply,
  last: number | undefined,
  stopIds: ReadonlySet<number>,
  model: ServedModel,
): { finish_reason: FinishReason; stop_reason: string | number | null } {
  const asked = last !== undefined && stopIds.has(last) && !endsOf(model).has(last) ? last : null;
  const finish_reason = reason !== "stop"
    ? "length"
    : items.calls > 0 && items.stopString === null
    ? "tool_calls"
    : "stop";
  return { finish_reason, stop_reason: reason === "stop" ? items.stopString ?? asked : null };
}

function chatUsage(outcomes: readonly Outcome[], reasoningTokens: number): ChatUsage {
  return withReasoning(usageOf(outcomes, outcomes.length), reasoningTokens);
}

function withReasoning(used: Usage, reasoning_tokens: number): ChatUsage {
  return { ...used, completion_tokens_details: { reasoning_tokens } };
}
