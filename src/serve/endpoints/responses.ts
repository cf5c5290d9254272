/** `/v1/responses`: conversations that the server remembers, answered in items. */
import { z } from "zod";
import { show } from "../../describe.ts";
import { ApiError, wrongField } from "../api_error.ts";
import { namespacesOf } from "../chat/namespaces.ts";
import { endsOf, planReply, roomFor } from "../chat/plan.ts";
import { newId, type Reply, startReplies, stepsOf, tokensOf } from "../chat/replies.ts";
import { type KeptItem, ResponseStore, type StoredResponse } from "../chat/response_store.ts";
import { responseAsk } from "../chat/response_turns.ts";
import { type ResponseEvent, ResponseWriter } from "../chat/response_writer.ts";
import { scoresOf } from "../chat/scores.ts";
import type { Outcome } from "../engine/job.ts";
import type { ServedModel } from "../engine/service.ts";
import { type Call, type Endpoint, endpoint, type EventAnswer, type ServerEvent } from "../http/endpoint.ts";
import type { ReasoningEffort } from "../../text/harmony_render.ts";
import { badWordsOf } from "../text/bad_words.ts";
import type { FunctionFields } from "./chat_schema.ts";
import { inputTokens } from "./input_tokens.ts";
import { ResponseAnswer, ResponseRequest, type ResponseTool } from "./responses_schema.ts";
import { minTokensOf, samplingOf, stopIdsOf, stopsOf } from "./sampling_fields.ts";
import { logFields } from "./usage.ts";

/** A response on its way. */
interface Started {
  readonly call: Call<ResponseRequest>;
  readonly model: ServedModel;
  readonly reply: Reply;
  readonly answer: ResponseAnswer;
  /** The conversation that it answers. */
  readonly items: readonly KeptItem[];
  readonly scores: boolean;
}

const Deleted = z.strictObject({ id: z.string(), object: z.literal("response"), deleted: z.literal(true) });

const InputItems = z.strictObject({
  object: z.literal("list"),
  data: z.array(z.looseObject({ id: z.string(), type: z.string() })),
  first_id: z.string().nullable(),
  last_id: z.string().nullable(),
  has_more: z.boolean(),
});

/** Items of a page, unless a request says it, and at most. */
const PAGE = 20, LONGEST_PAGE = 100;

/** A page of some items, by `order`, `limit` and `after`. */
function pageOf(items: readonly KeptItem[], query: URLSearchParams) {
  const order = query.get("order") ?? "desc", limit = Number(query.get("limit") ?? PAGE), after = query.get("after");
  if (order !== "asc" && order !== "desc") throw wrongField("order", `expected asc or desc, got ${show(order)}`);
  if (!Number.isInteger(limit) || limit < 1 || limit > LONGEST_PAGE) {
    throw wrongField("limit", `expected a count from 1 to ${LONGEST_PAGE}, got ${show(query.get("limit"))}`);
  }
  const ordered = order === "asc" ? items : items.toReversed();
  const at = after === null ? 0 : ordered.findIndex(({ id }) => id === after) + 1;
  if (after !== null && at === 0) throw wrongField("after", `expected the id of an item, got ${show(after)}`);
  const data = ordered.slice(at, at + limit);
  return {
    object: "list",
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: at + limit < ordered.length,
  };
}

/** The endpoints of one server, over one store. */
export function responseEndpoints(store: ResponseStore = new ResponseStore()): Endpoint[] {
  const stored = ({ params: { id }, owner }: Pick<Call<unknown>, "params" | "owner">): StoredResponse => {
    const found = store.get(id ?? "", owner);
    if (found !== undefined) return found;
    throw new ApiError(404, `no response ${id} is kept`, { param: "response_id", code: "response_not_found" });
  };
  return [
    endpoint<ResponseRequest>({
      method: "POST",
      path: "/v1/responses",
      summary: "answers a conversation that the server remembers",
      body: ResponseRequest,
      response: ResponseAnswer,
      streams: true,
      handle: async (call) => {
        const started = await start(call, store).catch((thrown) => Promise.reject(notCut(call.body, thrown)));
        if (call.body.stream === true) return numbered(eventsOf(started, store));
        let last: ResponseEvent | undefined;
        for await (const event of eventsOf(started, store)) last = event;
        return { json: last!["response"] };
      },
    }),
    inputTokens(store),
    endpoint({
      method: "GET",
      path: "/v1/responses/:id",
      summary: "a response that is kept",
      body: null,
      response: ResponseAnswer,
      handle: (call) => {
        if (call.query.get("stream") === "true") {
          throw new ApiError(400, "stream: is not supported here", { param: "stream" });
        }
        return { json: stored(call).answer };
      },
    }),
    endpoint({
      method: "GET",
      path: "/v1/responses/:id/input_items",
      summary: "what a response answers, in pages: ?order=asc|desc (default), ?limit=20, ?after=ID",
      body: null,
      response: InputItems,
      handle: (call) => ({ json: pageOf(stored(call).items, call.query) }),
    }),
    endpoint({
      method: "DELETE",
      path: "/v1/responses/:id",
      summary: "forgets a response",
      body: null,
      response: Deleted,
      handle: (call) => {
        const { answer: { id }, owner } = stored(call);
        store.delete(id, owner);
        return { json: { id, object: "response", deleted: true } };
      },
    }),
    endpoint({
      method: "POST",
      path: "/v1/responses/:id/cancel",
      summary: "is refused: only responses in the background can be cancelled, and there are none",
      body: null,
      response: ResponseAnswer,
      handle: (call) => {
        const { answer: { id } } = stored(call);
        throw new ApiError(400, `${id} does not run in the background; close the connection to cancel a request`);
      },
    }),
  ];
}

async function start(call: Call<ResponseRequest>, store: ResponseStore): Promise<Started> {
  const { body, service } = call, model = service.model(body.model);
  call.note({ model: model.name });
  const { ask, items } = responseAsk(body, store, call.owner), plan = await planReply(model, ask);
  if (ask.reasoning !== undefined && !plan.takesReasoning) call.note({ reasoning_effort: "no effect" });
  const scores = body.include?.includes("message.output_text.logprobs") === true;
  const fields = { ...body, store: body.store, metadata: body.metadata };
  const [reply] = startReplies(call, model, plan, {
    count: 1,
    sampling: (index) => samplingOf(fields, index, model.config.vocab),
    stops: stopsOf(fields),
    stopIds: stopIdsOf(fields, endsOf(model)),
    maxTokens: roomFor(model, plan.prompt, body.max_output_tokens ?? undefined, {
      prompt: "input",
      maxTokens: "max_output_tokens",
    }),
    minTokens: (maxTokens) => minTokensOf(fields, maxTokens),
    logprobs: scores ? body.top_logprobs ?? 0 : null,
    badWords: await badWordsOf(body.bad_words, model.tokenizer, true),
    salt: body.cache_salt ?? undefined,
  });
  return { call, model, reply: reply!, answer: emptyAnswer(body, model, ask.reasoning), items, scores };
}

/** What is said of a conversation that is too long where the request lets its beginning be left out. */
function notCut({ truncation }: ResponseRequest, thrown: unknown): unknown {
  if (truncation !== "auto" || !(thrown instanceof ApiError)) return thrown;
  const { code, param, message } = thrown;
  if (code !== "context_length_exceeded" || param !== "input") return thrown;
  return wrongField("truncation", `auto is not supported where something would be left out: ${message}`, code);
}

/** A response before its first token. */
function emptyAnswer(
  body: ResponseRequest,
  model: ServedModel,
  effort: ReasoningEffort | undefined,
): ResponseAnswer {
  return {
    id: newId("resp"),
    object: "response",
    created_at: Math.floor(Date.now() / 1000),
    status: "in_progress",
    background: false,
    error: null,
    incomplete_details: null,
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    model: model.name,
    output: [],
    parallel_tool_calls: body.parallel_tool_calls ?? true,
    previous_response_id: body.previous_response_id ?? null,
    reasoning: { effort: effort ?? null, summary: null },
    store: body.store ?? true,
    temperature: body.temperature ?? 1,
    text: { format: body.text?.format ?? { type: "text" }, verbosity: "medium" },
    tool_choice: body.tool_choice ?? "auto",
    tools: (body.tools ?? []).map(shownTool),
    top_logprobs: body.top_logprobs ?? 0,
    top_p: body.top_p ?? 1,
    truncation: body.truncation ?? "disabled",
    usage: null,
    metadata: body.metadata ?? {},
  };
}

/** A tool with what it means where it says nothing: typed clients know no tool without. */
function shownTool(tool: ResponseTool): ResponseTool {
  if (tool.type === "custom") return { ...tool, format: tool.format ?? { type: "text" } };
  const shown = (one: FunctionFields) => ({ ...one, parameters: one.parameters ?? null, strict: one.strict ?? false });
  if (tool.type === "function") return { ...tool, ...shown(tool) };
  return { ...tool, tools: tool.tools.map((one) => ({ ...one, ...shown(one) })) };
}

/** The events of a response; the last has all of it. */
async function* eventsOf(
  { call, model, reply, answer, items, scores }: Started,
  store: ResponseStore,
): AsyncGenerator<ResponseEvent, void, void> {
  yield { type: "response.created", response: answer };
  yield { type: "response.in_progress", response: answer };
  const writer = new ResponseWriter(namespacesOf(call.body.tools ?? []));
  let reasoningTokens = 0, outcome: Outcome | null = null;
  for await (const step of stepsOf(reply)) {
    reasoningTokens += tokensOf(step, "reasoning").length;
    if (scores) writer.score(scoresOf(model.tokenizer, tokensOf(step, "message")));
    for (const event of step.events) yield* writer.write(event);
    outcome = step.outcome;
  }
  yield* writer.end();
  const whole = finished(answer, writer, outcome!, reasoningTokens);
  call.note(logFields([outcome!], 1));
  if (whole.store) store.put({ owner: call.owner, answer: whole, items });
  yield { type: `response.${whole.status}`, response: whole };
}

function finished(
  answer: ResponseAnswer,
  { output }: ResponseWriter,
  { reason, promptTokens, cachedTokens, generatedTokens }: Outcome,
  reasoning_tokens: number,
): ResponseAnswer {
  return {
    ...answer,
    status: reason === "stop" ? "completed" : "incomplete",
    incomplete_details: reason === "length" ? { reason: "max_output_tokens" } : null,
    output,
    usage: {
      input_tokens: promptTokens,
      // Nothing is written to a cache that a client asks or pays for; OpenAI's clients read the field.
      input_tokens_details: { cached_tokens: cachedTokens, cache_write_tokens: 0 },
      output_tokens: generatedTokens,
      output_tokens_details: { reasoning_tokens },
      total_tokens: promptTokens + generatedTokens,
    },
  };
}

/** The events of a stream by name and number. A failure is one too, and has what chats say of it as well. */
function numbered(events: AsyncIterable<ResponseEvent>): EventAnswer {
  let sequence_number = 0;
  const event = ({ type, ...more }: ResponseEvent): ServerEvent => ({
    event: type,
    data: { type, ...more, sequence_number: sequence_number++ },
  });
  const failed = ({ message, code, param, body }: ApiError) => event({ type: "error", code, message, param, ...body });
  return { events: mapped(events, event), done: false, failed };
}

async function* mapped<T, U>(values: AsyncIterable<T>, each: (value: T) => U): AsyncGenerator<U, void, void> {
  for await (const value of values) yield each(value);
}
