/** `/v1/responses` over scripted replies: items, events by name, and what is remembered. */
import { ResponseStore } from "../../src/serve/chat/response_store.ts";
import { responseEndpoints } from "../../src/serve/endpoints/responses.ts";
import { ResponseAnswer } from "../../src/serve/endpoints/responses_schema.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { type Json, scripted } from "./scripted.ts";

const PATH = "/v1/responses";
const server = scripted(responseEndpoints());
const THOUGHT = "<|channel|>analysis<|message|>Let me see.<|end|><|start|>assistant";
const ANSWER = "<|channel|>final<|message|>It is sunny!<|return|>";
const CALL = '<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city": "Paris"}<|call|>';
const tools = [{
  type: "function",
  name: "get_weather",
  parameters: { type: "object", properties: {} },
  strict: false,
}];

const kinds = (response: Json) => response.output.map(({ type }: Json) => type);

Deno.test("responses: a reply's messages become items", async () => {
  server.script(THOUGHT + ANSWER);
  const { status, json } = await server.post(PATH, { input: "Weather?", metadata: { a: "b" }, temperature: 0.5 });
  assertEquals(status, 200);
  ResponseAnswer.parse(json);
  assertEquals([json.status, json.object, json.model, json.store], ["completed", "response", "scripted", true]);
  assertEquals([json.temperature, json.metadata, json.tool_choice], [0.5, { a: "b" }, "auto"]);
  const [reasoning, message] = json.output;
  assertEquals(reasoning.content, [{ type: "reasoning_text", text: "Let me see." }]);
  assertEquals(message.content, [{ type: "output_text", text: "It is sunny!", annotations: [], logprobs: [] }]);
  assertMatch(message.id, /^msg_/);
  const { input_tokens, output_tokens, total_tokens, output_tokens_details: { reasoning_tokens } } = json.usage;
  assertEquals(json.usage.input_tokens_details, { cached_tokens: 3, cache_write_tokens: 0 });
  assertEquals(input_tokens + output_tokens, total_tokens);
  assert(reasoning_tokens > 2 && reasoning_tokens < output_tokens);
  assertEquals((await server.call("GET", `${PATH}/${json.id}`)).json, json);
});

Deno.test("responses: tools are shown with what they mean where they say nothing", async () => {
  const bare = { type: "function", name: "now" }, inner = { ...bare, name: "then", description: "d", strict: true };
  const given = [bare, ...tools, { type: "custom", name: "run" }, { type: "namespace", name: "times", tools: [inner] }];
  server.script(ANSWER);
  const { json } = await server.post(PATH, { input: "Weather?", tools: given });
  ResponseAnswer.parse(json);
  const unsaid = { parameters: null, strict: false }, [, , run, times] = given;
  assertEquals(json.tools, [
    { ...bare, ...unsaid },
    ...tools,
    { ...run, format: { type: "text" } },
    { ...times, tools: [{ ...inner, parameters: null }] },
  ]);
});

Deno.test("responses: events are named and numbered, and say together what the response says", async () => {
  server.script(THOUGHT + CALL);
  const events = await server.stream(PATH, { input: "Weather?", tools, stream: true });
  assertEquals(events.map(({ data }) => data.sequence_number), events.map((_, i) => i));
  for (const { event, data } of events) assertEquals(event, data.type);
  const names = events.map(({ event }) => event!.replace("response.", ""));
  assertEquals(names.filter((name, i) => name !== names[i - 1]), [
    "created",
    "in_progress",
    "output_item.added",
    "content_part.added",
    "reasoning_text.delta",
    "reasoning_text.done",
    "content_part.done",
    "output_item.done",
    "output_item.added",
    "function_call_arguments.delta",
    "function_call_arguments.done",
    "output_item.done",
    "completed",
  ]);
  const { response } = events.at(-1)!.data, [reasoning, call] = response.output;
  const text = (type: string) => events.filter(({ event }) => event === type).map(({ data }) => data.delta).join("");
  assertEquals(text("response.reasoning_text.delta"), reasoning.content[0].text);
  assertEquals(text("response.function_call_arguments.delta"), call.arguments);
  assertEquals([call.name, call.arguments, call.status], ["get_weather", '{"city": "Paris"}', "completed"]);
  const added = events.filter(({ event }) => event === "response.output_item.added").map(({ data }) => data.item);
  assertEquals(added.map(({ id, status }: Json) => [id, status]), [
    [reasoning.id, "in_progress"],
    [call.id, "in_progress"],
  ]);
  assertEquals(added[1].arguments, "");

  server.script(ANSWER);
  const said = await server.stream(PATH, { input: "Hi", stream: true });
  assertEquals(
    said.filter(({ event }) => event === "response.output_text.delta").map(({ data }) => data.delta).join(""),
    "It is sunny!",
  );
  const done = said.find(({ event }) => event === "response.output_text.done")!.data;
  assertEquals([done.text, done.content_index, done.output_index], ["It is sunny!", 0, 0]);
});

Deno.test("responses: what fails on its way is an event by name and number, with what chats say of it", async () => {
  server.script("<|channel|>commentary to=functions.other <|constrain|>json<|message|>{}<|call|>");
  const events = await server.stream(PATH, { input: "Weather?", tools, tool_choice: "required", stream: true });
  const { event, data: { type, sequence_number, error, ...data } } = events.at(-1)!;
  assertEquals([event, type, sequence_number], ["error", "error", events.length - 1]);
  assertEquals({ ...data, type: "server_error" }, error);
  assertEquals([error.code, error.param], ["internal_error", null]);
  assertStringIncludes(error.message, "the mask forbids");
});

Deno.test("responses: a conversation goes on from the response that is named, without its instructions", async () => {
  server.script(THOUGHT + CALL, ANSWER, ANSWER);
  const first = (await server.post(PATH, { input: "Weather?", instructions: "Be brief.", tools })).json;
  assertStringIncludes(server.prompts.at(-1)!, "Be brief.");
  assertEquals(kinds(first), ["reasoning", "function_call"]);
  const output = { type: "function_call_output", call_id: first.output[1].call_id, output: "sunny" };
  const second = (await server.post(PATH, { input: [output], previous_response_id: first.id, tools })).json;
  const prompt = server.prompts.at(-1)!;
  assert(!prompt.includes("Be brief."));
  assertStringIncludes(
    prompt,
    "<|start|>user<|message|>Weather?<|end|><|start|>assistant<|channel|>analysis<|message|>Let me see.<|end|>" +
      '<|start|>assistant to=functions.get_weather<|channel|>commentary json<|message|>{"city": "Paris"}<|call|>' +
      '<|start|>functions.get_weather to=assistant<|channel|>commentary<|message|>"sunny"<|end|><|start|>assistant',
  );
  assertEquals(second.previous_response_id, first.id);
  // The same by items instead of a name, as clients without a store do.
  await server.post(PATH, {
    input: [{ role: "user", content: "Weather?" }, ...first.output, output],
    tools,
    store: false,
  });
  assertEquals(server.prompts.at(-1), prompt);

  assertEquals((await server.call("DELETE", `${PATH}/${first.id}`)).json, {
    id: first.id,
    object: "response",
    deleted: true,
  });
  assertEquals((await server.call("GET", `${PATH}/${first.id}`)).status, 404);
  const gone = await server.post(PATH, { input: "x", previous_response_id: first.id });
  // As OpenAI's API says it: clients that read this code send the whole conversation instead.
  const { type, param, code } = gone.json.error;
  const said = [400, "invalid_request_error", "previous_response_id", "previous_response_not_found"];
  assertEquals([gone.status, type, param, code], said);
});

Deno.test("responses: what is not to be stored is not, and the store is bounded", async () => {
  server.script(ANSWER);
  const { json } = await server.post(PATH, { input: "Hi", store: false });
  assertEquals((await server.call("GET", `${PATH}/${json.id}`)).status, 404);
  const small = scripted(responseEndpoints(new ResponseStore({ responses: 2, size: 1e6 }))), ids: string[] = [];
  for (let i = 0; i < 3; i++) {
    small.script(ANSWER);
    ids.push((await small.post(PATH, { input: "Hi" })).json.id);
  }
  const statuses = await Promise.all(ids.map(async (id) => (await small.call("GET", `${PATH}/${id}`)).status));
  assertEquals(statuses, [404, 200, 200]);
  const tiny = new ResponseStore({
    responses: 9,
    size: 3 * JSON.stringify({ owner: "", answer: json, items: [] }).length,
  });
  for (let i = 0; i < 9; i++) tiny.put({ owner: "", answer: { ...json, id: `${i}` }, items: [] });
  assertEquals([5, 6, 8].map((i) => tiny.get(`${i}`, "")?.answer.id ?? null), [null, "6", "8"]);
});

Deno.test("responses: an API key that has many pushes out its own, and no other's", () => {
  const put = (store: ResponseStore, owner: string, id: string) =>
    store.put({ owner, answer: { id } as ResponseAnswer, items: [] });
  const size = JSON.stringify({ owner: "a", answer: { id: "a0" }, items: [] }).length;
  for (const limits of [{ responses: 6, size: 1e6 }, { responses: 100, size: 6 * size }]) {
    const store = new ResponseStore(limits);
    const kept = (owner: string, ids: string[]) => ids.filter((id) => store.get(id, owner) !== undefined);
    for (let i = 0; i < 2; i++) put(store, "a", `a${i}`);
    for (let i = 0; i < 9; i++) put(store, "b", `b${i}`);
    assertEquals(kept("a", ["a0", "a1"]), ["a0", "a1"]);
    assertEquals(kept("b", ["b4", "b5", "b6", "b7", "b8"]), ["b5", "b6", "b7", "b8"]);
    // Who comes late has room, too.
    for (let i = 0; i < 2; i++) put(store, "c", `c${i}`);
    assertEquals([kept("a", ["a0", "a1"]).length, kept("c", ["c0", "c1"]).length], [2, 2]);
    assertEquals(kept("b", ["b6", "b7", "b8"]), ["b7", "b8"]);
    assertEquals([store.delete("a0", "b"), store.delete("a0", "a"), store.delete("a0", "a")], [false, true, false]);
  }
});

Deno.test("responses: those of one API key are not there for another", async () => {
  const keyed = scripted(responseEndpoints(), undefined, ["one", "two"]);
  keyed.script(ANSWER, ANSWER, ANSWER);
  const { id } = (await keyed.post(PATH, { input: "My secret" }, "one")).json;
  const statuses = async (key: string) => {
    const asked: [string, string][] = [
      ["GET", ""],
      ["GET", "/input_items"],
      ["POST", "/cancel"],
      ["DELETE", ""],
    ];
    const found: number[] = [(await keyed.post(PATH, { input: "And?", previous_response_id: id }, key)).status];
    for (const [method, path] of asked) found.push((await keyed.call(method, `${PATH}/${id}${path}`, key)).status);
    return found;
  };
  assertEquals(await statuses("two"), [400, 404, 404, 404, 404]);
  assertEquals(await statuses("one"), [200, 200, 200, 400, 200]);
});

Deno.test("responses: what one answers can be read in pages, earlier responses included", async () => {
  server.script(THOUGHT + ANSWER, ANSWER);
  const first = (await server.post(PATH, { input: "Weather?", instructions: "Be brief." })).json;
  const input = [{ role: "assistant", content: "So far." }, { role: "user", content: "And now?", id: "msg_mine" }];
  const { id } = (await server.post(PATH, { input, previous_response_id: first.id })).json;
  const page = async (query: string) => (await server.call("GET", `${PATH}/${id}/input_items${query}`)).json;
  const { data, ...ends } = await page("?order=asc"), [question, reasoning, answer, said, more] = data;
  assertMatch(question.id, /^msg_/);
  const asked = { id: question.id, type: "message", role: "user" };
  assertEquals(question, { ...asked, content: [{ type: "input_text", text: "Weather?" }] });
  assertEquals([reasoning, answer], first.output);
  assertEquals(said.content, [{ type: "output_text", text: "So far." }]);
  assertEquals([more.id, more.content[0].type, data.length], ["msg_mine", "input_text", 5]);
  assertEquals(ends, { object: "list", first_id: question.id, last_id: "msg_mine", has_more: false });
  const newest = await page("?limit=2");
  assertEquals([newest.data, newest.has_more], [[more, said], true]);
  assertEquals((await page(`?limit=2&after=${newest.last_id}`)).data, [answer, reasoning]);
  for (const [query, param] of [["?order=up", "order"], ["?limit=0", "limit"], ["?after=none", "after"]] as const) {
    assertEquals((await page(query)).error.param, param);
  }
});

Deno.test("responses: a format is kept to, and what is cut is incomplete", async () => {
  const schema = {
    type: "object",
    properties: { n: { type: "integer" } },
    required: ["n"],
    additionalProperties: false,
  };
  const text = { format: { type: "json_schema", name: "count", schema, strict: true } };
  server.script('<|channel|>final<|message|>{"n":1}<|return|>', "<|channel|>final<|message|>one<|return|>");
  const { json } = await server.post(PATH, { input: "Count", text });
  assertEquals([json.output[0].content[0].text, json.text.format.name], ['{"n":1}', "count"]);
  assertEquals((await server.post(PATH, { input: "Count", text })).status, 500);

  server.script(THOUGHT + ANSWER, THOUGHT + ANSWER);
  const cut = (await server.post(PATH, { input: "Hi", max_output_tokens: 8 })).json;
  assertEquals([cut.status, cut.incomplete_details], ["incomplete", { reason: "max_output_tokens" }]);
  assertEquals(cut.output.at(-1).status, "incomplete");
  const events = await server.stream(PATH, { input: "Hi", max_output_tokens: 8, stream: true });
  assertEquals(events.slice(-2).map(({ event }) => event), ["response.output_item.done", "response.incomplete"]);
});

Deno.test("responses: log probabilities where they are asked for", async () => {
  server.script(THOUGHT + ANSWER);
  const { json } = await server.post(PATH, { input: "Hi", include: ["message.output_text.logprobs"], top_logprobs: 1 });
  const { logprobs, text } = json.output[1].content[0];
  assertEquals(logprobs.map(({ token }: Json) => token).join(""), text);
  assertEquals(logprobs[0].top_logprobs.length, 1);
});

Deno.test("responses: what cannot be done is refused by name", async () => {
  const cases: [Json, string, string][] = [
    [{}, "input", "input: expected a text or a list"],
    [{ input: "x", background: true }, "background", "background: is not supported; expected false"],
    [{ input: "x", conversation: "c" }, "conversation", "is not supported"],
    [{ input: "x", include: ["file_search_call.results"] }, "include.0", 'expected "message.output_text.logprobs"'],
    [{ input: "x", tools: [{ type: "web_search" }] }, "tools.0.type", 'expected "function" or "custom"'],
    [{ input: [{ type: "function_call" }] }, "input.0.call_id", "expected a text, got nothing"],
    [{ input: "x", tool_choice: { type: "allowed_tools", mode: "x" } }, "tool_choice.mode", 'expected "auto" or "req'],
    [
      { input: [{ type: "function_call_output", call_id: "c", output: "x" }] },
      "input.0.call_id",
      "expected the id of a call",
    ],
    [
      { input: [{ role: "user", content: [{ type: "input_image", image_url: "x" }] }] },
      "input.0.content.0",
      "images, audio and files",
    ],
    [{ input: "x", truncation: "old" }, "truncation", 'expected "auto" or "disabled", got "old"'],
    [{ input: [{ type: "reasoning", summary: [] }] }, "input", "input: expected at least one message"],
    [
      { input: "x", text: { format: { type: "json_schema", name: "a", schema: { unevaluatedProperties: {} } } } },
      "text.format.schema",
      'the keyword "unevaluatedProperties" is not supported',
    ],
  ];
  for (const [body, param, message] of cases) {
    const { status, json } = await server.post(PATH, body);
    assertEquals(status, 400, JSON.stringify(json));
    assertEquals(json.error.param, param, JSON.stringify(json));
    assertStringIncludes(json.error.message, message);
  }
  server.script(ANSWER);
  const { id } = (await server.post(PATH, { input: "Hi" })).json;
  assertEquals((await server.call("POST", `${PATH}/${id}/cancel`)).status, 400);
  assertEquals((await server.call("POST", `${PATH}/none/cancel`)).status, 404);
});
