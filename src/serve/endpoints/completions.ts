/** `/v1/completions`: texts or token ids continued as they stand. */
import type { Outcome } from "../engine/job.ts";
import type { ServedModel } from "../engine/service.ts";
import { type Call, endpoint, type ServerEvent } from "../http/endpoint.ts";
import { LogProbWriter } from "../text/logprobs.ts";
import { type Piece, piecesOf, type Reply, startReplies } from "./completion_replies.ts";
import { type Choice, CompletionAnswer, CompletionRequest } from "./completions_schema.ts";
import { merge } from "./merge.ts";
import { answerId } from "./sampling_fields.ts";
import { SentIds } from "./sent_ids.ts";
import { logFields, usage, usageOf } from "./usage.ts";

/** What all pieces of an answer begin with. */
type Head = Pick<CompletionAnswer, "id" | "object" | "created" | "model">;

export const COMPLETIONS = endpoint<CompletionRequest>({
  method: "POST",
  path: "/v1/completions",
  summary: "continues texts or token ids as they stand",
  body: CompletionRequest,
  response: CompletionAnswer,
  streams: true,
  handle: async (call) => {
    const { body, service } = call, model = service.model(body.model), created = Date.now() / 1000;
    call.note({ model: model.name });
    const replies = await startReplies(call, model);
    const head: Head = {
      id: `cmpl-${answerId(call)}`,
      object: "text_completion",
      created: Math.floor(created),
      model: model.name,
    };
    if (body.stream !== true) return await whole(call, model, replies, head);
    return { events: stream(call, model, replies, head), done: true };
  },
});

async function whole(call: Call<CompletionRequest>, model: ServedModel, replies: readonly Reply[], head: Head) {
  const { body } = call, outcomes: Outcome[] = [];
  const choices = await Promise.all(replies.map(async (reply): Promise<Choice> => {
    const pieces = await Array.fromAsync(piecesOf(reply, body, model, (outcome) => outcomes[reply.index] = outcome));
    const tokens = pieces.flatMap((piece) => piece.tokens), lengths = pieces.flatMap((piece) => piece.lengths);
    return {
      index: reply.index,
      text: pieces.map(({ text }) => text).join(""),
      logprobs: body.logprobs == null ? null : writerFor(model, body).write(tokens, lengths),
      ...finishOf(outcomes[reply.index]!, reply, tokens.at(-1)?.id, body),
      ...(body.return_token_ids === true ? { token_ids: idsOf(pieces), prompt_token_ids: [...reply.prompt] } : {}),
    };
  }));
  call.note(logFields(outcomes, body.n ?? 1));
  const answer: CompletionAnswer = { ...head, choices, usage: usageOf(outcomes, body.n ?? 1) };
  return { json: answer };
}

async function* stream(
  call: Call<CompletionRequest>,
  model: ServedModel,
  replies: readonly Reply[],
  head: Head,
): AsyncGenerator<ServerEvent, void, void> {
  const { body } = call, outcomes: Outcome[] = [], counts = new TokenCounts(replies, body.n ?? 1);
  const { include_usage, continuous_usage_stats } = body.stream_options ?? {};
  const event = (choices: Choice[], used: CompletionAnswer["usage"]): ServerEvent => {
    const data: CompletionAnswer = { ...head, choices, ...(include_usage === true ? { usage: used } : {}) };
    return { data };
  };
  const writers = replies.map(() => writerFor(model, body)), lasts: (number | undefined)[] = [];
  const sent = new SentIds(body.return_token_ids === true);
  const open = (reply: Reply) => piecesOf(reply, body, model, (outcome) => outcomes[reply.index] = outcome);
  for await (const [reply, { of, text, tokens, lengths }] of merge(replies, open)) {
    const { index } = reply;
    if (of === "reply") counts.add(), sent.push(index, tokens[0]!.id);
    lasts[index] = tokens.at(-1)?.id ?? lasts[index];
    const logprobs = body.logprobs == null ? null : writers[index]!.write(tokens, lengths);
    // Text that is held back is sent later; log probabilities of its tokens are not held back.
    if (of !== "end" && text === "" && logprobs === null) continue;
    const end = of === "end"
      ? finishOf(outcomes[index]!, reply, lasts[index], body)
      : { finish_reason: null, stop_reason: null };
    const ids = { ...sent.take(index), ...sent.prompt(reply.prompt, index) };
    yield event([{ index, text, logprobs, ...end, ...ids }], continuous_usage_stats === true ? counts.usage() : null);
  }
  call.note(logFields(outcomes, body.n ?? 1));
  if (include_usage === true) yield event([], usageOf(outcomes, body.n ?? 1));
}

/** The ids of a reply. */
function idsOf(pieces: readonly Piece[]): number[] {
  return pieces.flatMap(({ of, tokens }) => of === "reply" ? tokens.map(({ id }) => id) : []);
}

function writerFor({ tokenizer }: ServedModel, body: CompletionRequest): LogProbWriter {
  return new LogProbWriter(tokenizer, body.return_tokens_as_token_ids ?? false);
}

/** Tokens of a stream so far. */
class TokenCounts {
  readonly #prompts: number;
  #replies = 0;

  /** @param n Replies to each prompt, whose tokens count once. */
  constructor(replies: readonly Reply[], n: number) {
    this.#prompts = replies.reduce((sum, { index, prompt }) => index % n === 0 ? sum + prompt.length : sum, 0);
  }

  add(): void {
    this.#replies++;
  }

  usage(): CompletionAnswer["usage"] {
    return usage(this.#prompts, this.#replies, 0);
  }
}

/** Why a reply ended; the stop string or id that was asked for beside it, as vLLM reports it. */
function finishOf(
  { reason }: Outcome,
  { text }: Reply,
  last: number | undefined,
  { stop_token_ids }: CompletionRequest,
) {
  const asked = last !== undefined && stop_token_ids?.includes(last) === true ? last : null;
  return {
    finish_reason: reason === "stop" ? "stop" as const : "length" as const,
    stop_reason: reason === "stop" ? text.stopString ?? asked : null,
  };
}
