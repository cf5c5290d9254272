/** `/v1/responses`: conversations that the server remembers, answered in items. */
import { z } from "zod";
import { ApiError } from "../api_error.ts";
import type { Turn } from "../chat/messages.ts";
import { endsOf, planReply, roomFor } from "../chat/plan.ts";
import { newId, type Reply, startReplies, stepsOf } from "../chat/replies.ts";
import { ResponseStore } from "../chat/response_store.ts";
import { responseAsk, turnsOf } from "../chat/response_turns.ts";
import { type ResponseEvent, ResponseWriter } from "../chat/response_writer.ts";
import { scoresOf } from "../chat/scores.ts";
import type { Outcome } from "../engine/job.ts";
import type { ServedModel } from "../engine/service.ts";
import { type Call, type Endpoint, endpoint, type ServerEvent } from "../http/endpoint.ts";
import { ResponseAnswer, ResponseRequest } from "./responses_schema.ts";
import { samplingOf, stopIdsOf, stopsOf } from "./sampling_fields.ts";
import { logFields } from "./usage.ts";

/** A response on its way. */
interface Started {
  readonly call: Call<ResponseRequest>;
  readonly model: ServedModel;
  readonly reply: Reply;
  readonly answer: ResponseAnswer;
  /** The conversation that it answers. */
  readonly turns: readonly Turn[];
  readonly scores: boolean;
}

const Deleted = z.strictObject({ id: z.string(), object: z.literal("response"), deleted: z.literal(true) });

/** The endpoints of one server, over one store. */
export function responseEndpoints(store: ResponseStore = new ResponseStore()): Endpoint[] {
  const stored = (id: string | undefined): ResponseAnswer => {
    const found = store.get(id ?? "");
    if (found !== undefined) return found.answer;
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
        const started = await start(call, store);
        if (call.body.stream === true) return { events: numbered(eventsOf(started, store)), done: false };
        let last: ResponseEvent | undefined;
        for await (const event of eventsOf(started, store)) last = event;
        return { json: last!["response"] };
      },
    }),
    endpoint({
      method: "GET",
      path: "/v1/responses/:id",
      summary: "a response that is kept",
      body: null,
      response: ResponseAnswer,
      handle: ({ params, query }) => {
        if (query.get("stream") === "true") {
          throw new ApiError(400, "stream: is not supported here", { param: "stream" });
        }
        return { json: stored(params["id"]) };
      },
    }),
    endpoint({
      method: "DELETE",
      path: "/v1/responses/:id",
      summary: "forgets a response",
      body: null,
      response: Deleted,
      handle: ({ params }) => {
        const { id } = stored(params["id"]);
        store.delete(id);
        return { json: { id, object: "response", deleted: true } };
      },
    }),
    endpoint({
      method: "POST",
      path: "/v1/responses/:id/cancel",
      summary: "is refused: only responses in the background can be cancelled, and there are none",
      body: null,
      response: ResponseAnswer,
      handle: ({ params }) => {
        const { id } = stored(params["id"]);
        throw new ApiError(400, `${id} does not run in the background; close the connection to cancel a request`);
      },
    }),
  ];
}

async function start(call: Call<ResponseRequest>, store: ResponseStore): Promise<Started> {
  const { body, service } = call, model = service.model(body.model);
  call.note({ model: model.name });
  const { ask, turns } = responseAsk(body, store), plan = await planReply(model, ask);
  if (ask.reasoning !== undefined && !plan.takesReasoning) call.note({ reasoning_effort: "no effect" });
  const scores = body.include?.includes("message.output_text.logprobs") === true;
  const fields = { ...body, store: body.store, metadata: body.metadata };
  const [reply] = startReplies(call, model, plan, {
    count: 1,
    sampling: (index) => samplingOf(fields, index),
    stops: stopsOf(fields),
    stopIds: stopIdsOf(fields, endsOf(model)),
    maxTokens: roomFor(model, plan.prompt, body.max_output_tokens ?? undefined, {
      prompt: "input",
      maxTokens: "max_output_tokens",
    }),
    logprobs: scores ? body.top_logprobs ?? 0 : null,
  });
  return { call, model, reply: reply!, answer: emptyAnswer(body, model), turns, scores };
}

/** A response before its first token. */
function emptyAnswer(body: ResponseRequest, model: ServedModel): ResponseAnswer {
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
    reasoning: { effort: body.reasoning?.effort ?? null, summary: null },
    store: body.store ?? true,
    temperature: body.temperature ?? 1,
    text: { format: body.text?.format ?? { type: "text" }, verbosity: "medium" },
    tool_choice: body.tool_choice ?? "auto",
    tools: body.tools ?? [],
    top_logprobs: body.top_logprobs ?? 0,
    top_p: body.top_p ?? 1,
    truncation: "disabled",
    usage: null,
    metadata: body.metadata ?? {},
  };
}

/** The events of a response; the last has all of it. */
async function* eventsOf(
  { call, model, reply, answer, turns, scores }: Started,
  store: ResponseStore,
): AsyncGenerator<ResponseEvent, void, void> {
  yield { type: "response.created", response: answer };
  yield { type: "response.in_progress", response: answer };
  const writer = new ResponseWriter();
  let reasoningTokens = 0, outcome: Outcome | null = null;
  for await (const step of stepsOf(reply)) {
    if (step.kind === "reasoning") reasoningTokens++;
    if (scores && step.kind === "message") writer.score(scoresOf(model.tokenizer, [step.token!]));
    for (const event of step.events) yield* writer.write(event);
    outcome = step.outcome;
  }
  yield* writer.end();
  const whole = finished(answer, writer, outcome!, reasoningTokens);
  call.note(logFields([outcome!]));
  if (whole.store) store.put({ answer: whole, turns: [...turns, ...turnsOf(whole.output)] });
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
      input_tokens_details: { cached_tokens: cachedTokens },
      output_tokens: generatedTokens,
      output_tokens_details: { reasoning_tokens },
      total_tokens: promptTokens + generatedTokens,
    },
  };
}

async function* numbered(events: AsyncIterable<ResponseEvent>): AsyncGenerator<ServerEvent, void, void> {
  let sequence_number = 0;
  for await (const event of events) yield { event: event.type, data: { ...event, sequence_number: sequence_number++ } };
}
