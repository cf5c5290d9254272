/**
 * The chat requests of programs that people have: bodies as their sources compose them, all of which are taken as they
 * are. Open WebUI 0.12.4 (`routers/openai.py`, `routers/tasks.py`), evalscope 1.14.1 (`perf/plugin/api/openai_api.py`,
 * `models/utils/openai.py`), lm-eval 0.4.13 (`models/openai_completions.py`), guidellm 0.8.1
 * (`backends/openai/request_handlers.py`).
 */
import { CHAT } from "../../src/serve/endpoints/chat.ts";
import { COMPLETIONS } from "../../src/serve/endpoints/completions.ts";
import { responseEndpoints } from "../../src/serve/endpoints/responses.ts";
import { assert, assertEquals } from "../assert.ts";
import { type Json, scripted } from "./scripted.ts";

const ANSWER = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Four.<|return|>";
const model = "scripted";
const system = { role: "system", content: "Be brief." }, user = { role: "user", content: "2 + 2?" };
const parameters = {
  type: "object",
  properties: { city: { type: "string", description: "Where." } },
  required: ["city"],
};
const fn = { name: "get_weather", description: "Weather.", parameters };
const call = {
  id: "call_1",
  index: 0,
  type: "function",
  function: { name: "get_weather", arguments: '{"city":"Paris"}' },
};

const CHATS: readonly [client: string, body: Json][] = [
  ["Open WebUI", { stream: true, model, messages: [user], stream_options: { include_usage: true } }],
  ["Open WebUI, with parameters", {
    stream: true,
    model,
    messages: [system, user],
    temperature: 0.8,
    top_p: 0.9,
    seed: 42,
    stop: ["\n\n\n"],
    min_p: 0,
    frequency_penalty: 0,
    presence_penalty: 0,
    max_tokens: 256,
    reasoning_effort: "low",
  }],
  ["Open WebUI, after a tool", {
    stream: true,
    model,
    messages: [
      system,
      user,
      { role: "assistant", content: "", tool_calls: [call] },
      { role: "tool", tool_call_id: "call_1", content: "sunny" },
    ],
    tools: [{ type: "function", function: fn }],
  }],
  ["Open WebUI, parts and a continued answer", {
    stream: true,
    model,
    messages: [{ role: "user", content: [{ type: "text", text: "2 + 2?" }] }, { role: "assistant", content: "Fo" }],
  }],
  ["Open WebUI, title", { model, messages: [user], stream: false, max_tokens: 1000 }],
  ["Open WebUI, emoji", { model, messages: [user], stream: false, max_completion_tokens: 40 }],
  ["evalscope perf", {
    messages: [user],
    model,
    max_tokens: 200,
    min_tokens: 0,
    frequency_penalty: 0,
    repetition_penalty: 1,
    logprobs: true,
    n: 1,
    seed: 0,
    stop: ["###"],
    stream: true,
    stream_options: { include_usage: true },
    stop_token_ids: [7],
    temperature: 0,
    top_p: 1,
    top_k: 1,
  }],
  ["evalscope", {
    model,
    messages: [system, { role: "assistant", content: "Hi.", reasoning_content: " " }, user],
    stream: true,
    stream_options: { include_usage: true },
    max_tokens: 300,
    seed: 42,
    temperature: 0,
    n: 1,
    top_logprobs: 2,
    logprobs: true,
    tools: [{ type: "function", function: fn }],
    tool_choice: "auto",
    parallel_tool_calls: true,
    reasoning_effort: "high",
  }],
  ["lm-eval", {
    messages: [{ ...user, type: "text" }],
    model,
    max_tokens: 256,
    temperature: 0,
    stop: ["Question:", "</s>", "<|im_end|>"],
    seed: 1234,
  }],
  ["guidellm", {
    model,
    messages: [{ role: "user", content: [{ type: "text", text: "2 + 2?" }] }],
    stream: true,
    stream_options: { include_usage: true, continuous_usage_stats: true },
    max_completion_tokens: 64,
    stop: null,
    ignore_eos: true,
  }],
];

const RESPONSES: readonly [client: string, body: Json][] = [
  ["Open WebUI", {
    stream: true,
    model,
    input: [
      { type: "message", role: "user", content: [{ type: "input_text", text: "2 + 2?" }] },
      { type: "message", role: "assistant", content: [{ type: "output_text", text: "Four." }] },
      { type: "function_call", call_id: "call_1", name: "get_weather", arguments: "{}" },
      { type: "function_call_output", call_id: "call_1", output: "sunny" },
    ],
    instructions: "Be brief.",
    max_output_tokens: 256,
    tools: [{ type: "function", ...fn, strict: false }],
  }],
  ["guidellm", {
    model,
    stream: true,
    max_output_tokens: 64,
    stop: null,
    ignore_eos: true,
    input: [{ role: "user", content: [{ type: "input_text", text: "2 + 2?" }] }],
  }],
];

Deno.test("chat requests of other programs are taken as they are", async () => {
  const server = scripted([CHAT, ...responseEndpoints()]);
  for (const [path, requests] of [["/v1/chat/completions", CHATS], ["/v1/responses", RESPONSES]] as const) {
    for (const [client, body] of requests) {
      server.script(ANSWER);
      if (body.stream === true) {
        const { event, data } = (await server.stream(path, body)).at(-1)!;
        // Who ignores the model's own end is cut.
        const end = body.ignore_eos === true ? "response.incomplete" : "response.completed";
        assertEquals(event ?? data, path === "/v1/responses" ? end : "[DONE]", client);
      } else {
        const { status, json } = await server.post(path, body);
        assertEquals([status, json.error ?? null], [200, null], client);
        assertEquals(json.choices[0].message.content, "Four.", client);
      }
    }
  }
});

// As openai 3.57.0 for Python and pydantic's model_dump() write fields that have no value.
const NULLS: readonly [path: string, body: Json, holder: (body: Json) => Json, field: string][] = [
  ["/v1/completions", { prompt: "a" }, (body) => body, "moderation"],
  ["/v1/chat/completions", { messages: [user] }, (body) => body, "moderation"],
  ["/v1/chat/completions", { messages: [system, user] }, (body) => body.messages[1], "messages.1.weight"],
  ["/v1/chat/completions", { messages: [user], tools: [{ type: "function", function: fn }] }, (body) => {
    return body.tools[0].function;
  }, "tools.0.function.output_schema"],
  [
    "/v1/chat/completions",
    {
      messages: [user, { role: "assistant", tool_calls: [call] }, {
        role: "tool",
        tool_call_id: "call_1",
        content: "",
      }],
    },
    (body) => body.messages[1].tool_calls[0],
    "messages.1.tool_calls.0.custom",
  ],
  ["/v1/responses", { input: "a" }, (body) => body, "background_options"],
  ["/v1/responses", { input: [user] }, (body) => body.input[0], "input.0.agent"],
];

Deno.test("fields that nobody knows are taken without a value, and refused with one", async () => {
  const server = scripted([COMPLETIONS, CHAT, ...responseEndpoints()]);
  for (const [path, body, holder, field] of NULLS) {
    const [name] = field.match(/[^.]+$/)!,
      withValue = (value: unknown) => {
        const whole = structuredClone(body);
        holder(whole)[name] = value;
        return whole;
      };
    server.script(ANSWER);
    assertEquals((await server.post(path, withValue(null))).status, 200, field);
    const { status, json } = await server.post(path, withValue({ type: "x" }));
    assertEquals([status, json.error.param, json.error.message], [400, field, `${field}: unknown field`]);
  }
  // Beside what is wrong they change no refusal; what may hold null is left as it is.
  const { json } = await server.post("/v1/completions", { prompt: "a", moderation: null, temperature: "hot" });
  assertEquals(json.error.message, 'temperature: expected a number, got "hot"');
  const schema = { type: ["object", "null"], properties: { n: { enum: [null], default: null } }, default: null };
  server.script(`<|channel|>final<|message|>null<|return|>`);
  const format = { type: "json_schema", json_schema: { name: "n", schema, strict: null } };
  await server.post("/v1/chat/completions", { messages: [user], moderation: null, response_format: format });
  assert(server.prompts.at(-1)!.includes(JSON.stringify(schema)), server.prompts.at(-1));
});

Deno.test("logprobs of chats call tokens by ids where that is asked for", async () => {
  const server = scripted([CHAT]);
  server.script(ANSWER, ANSWER, ANSWER);
  const asked = { messages: [user], logprobs: true, top_logprobs: 1 }, ids = { return_tokens_as_token_ids: true };
  const scores = async (body: Json) =>
    (await server.post("/v1/chat/completions", body)).json.choices[0].logprobs.content;
  const named = await scores(asked), called = await scores({ ...asked, ...ids });
  assertEquals(named.map(({ token }: Json) => token).join(""), "Four.");
  for (const [i, { token, bytes, top_logprobs: [top] }] of called.entries()) {
    assertEquals([token, bytes], [/^token_id:\d+$/.exec(token)![0], named[i].bytes]);
    assertEquals(top.token, token);
  }
  const events = await server.stream("/v1/chat/completions", { ...asked, ...ids, stream: true });
  const pieces = events.slice(0, -1).flatMap(({ data }) => data.choices[0].logprobs?.content ?? []);
  assertEquals(pieces, called);
});
