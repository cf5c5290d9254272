/**
 * What programs that call tools by themselves ask of `/v1/responses` and `/v1/chat/completions` in the second step of a
 * run. The requests were taken off the wire: Codex 0.171.0 (`codex exec`), `@ai-sdk/openai` 3.0.141 (`generateText`
 * with tools), `@openai/agents` 0.20.0 (a run that goes on from the history of another).
 */
import { CHAT } from "../../src/serve/endpoints/chat.ts";
import { responseEndpoints } from "../../src/serve/endpoints/responses.ts";
import { ResponseAnswer } from "../../src/serve/endpoints/responses_schema.ts";
import { assert, assertEquals, assertStringIncludes } from "../assert.ts";
import { type Json, scripted } from "./scripted.ts";

const PATH = "/v1/responses";
const server = scripted([CHAT, ...responseEndpoints()], undefined, ["one", "two"]);
const ask = (body: Json, key = "one") => server.post(PATH, { model: "scripted", ...body }, key);
const THOUGHT = "<|channel|>analysis<|message|>Let me see.<|end|><|start|>assistant";
const ANSWER = "<|channel|>final<|message|>It is sunny!<|return|>";
const CALL = '<|channel|>commentary to=functions.weather json<|message|>{"city":"Paris"}<|call|>';
const user = { role: "user", content: [{ type: "input_text", text: "Weather in Paris?" }] };
const parameters = {
  $schema: "http://json-schema.org/draft-07/schema#",
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
const tools = [{ type: "function", name: "weather", description: "Weather.", parameters }];

Deno.test("responses: an item that is kept is referred to by its id, as Vercel's AI SDK does", async () => {
  server.script(THOUGHT + CALL, THOUGHT + ANSWER, THOUGHT + ANSWER);
  const first = (await ask({ input: [user], max_output_tokens: 200, tools, tool_choice: "auto" })).json;
  const [reasoning, call] = first.output;
  const { call_id, name, arguments: text } = call;
  const answered = [
    { type: "function_call", call_id, name, arguments: text },
    { type: "function_call_output", call_id, output: "sunny in Paris" },
  ];
  const referring = [user, { type: "item_reference", id: reasoning.id }, ...answered];
  const { status, json } = await ask({ input: referring, max_output_tokens: 200, tools, tool_choice: "auto" });
  assertEquals(status, 200, JSON.stringify(json));
  // It makes the prompt that the item itself makes, and is kept as it.
  await ask({ input: [user, reasoning, ...answered], max_output_tokens: 200, tools, tool_choice: "auto" });
  assertEquals(server.prompts.at(-2), server.prompts.at(-1));
  assertStringIncludes(server.prompts.at(-2)!, "Let me see.");
  const { data } = (await server.call("GET", `${PATH}/${json.id}/input_items?order=asc`, "one")).json;
  assertEquals(data.map(({ type }: Json) => type), ["message", "reasoning", "function_call", "function_call_output"]);
  assertEquals(data[1], reasoning);
  // An item of an input is one as well, and one of the response before the last.
  server.script(ANSWER);
  const both = [{ type: "item_reference", id: data[0].id }, { type: "item_reference", id: json.output[1].id }];
  assertEquals((await ask({ input: [...both, { role: "user", content: "And now?" }] })).status, 200);
  const said = server.prompts.at(-1)!;
  for (const words of ["Weather in Paris?", "It is sunny!", "And now?"]) assertStringIncludes(said, words);
});

Deno.test("responses: a reference to what is not kept, or is another's, is refused by 404", async () => {
  server.script(ANSWER, ANSWER);
  const kept = (await ask({ input: "Hi" })).json.output[0].id;
  const lost = (await ask({ input: "Hi", store: false })).json.output[0].id;
  for (const [id, key] of [[lost, "one"], [kept, "two"], ["rs_1", "one"]] as const) {
    const { status, json } = await ask({ input: [user, { type: "item_reference", id }] }, key);
    assertEquals([status, json.error.param, json.error.code], [404, "input.1.id", "item_not_found"]);
    assertStringIncludes(json.error.message, id);
  }
});

Deno.test("responses: functions of a namespace are called by both names, as Codex has them", async () => {
  const close = {
    type: "function",
    name: "close_agent",
    description: "Close an agent.",
    strict: false,
    parameters: {
      type: "object",
      properties: { target: { type: "string" } },
      required: ["target"],
      additionalProperties: false,
    },
  };
  const list = { type: "function", name: "list_agents", strict: false, parameters: { type: "object", properties: {} } };
  const body = {
    stream: true,
    tools: [
      { ...close, description: "Another.", strict: false },
      { type: "namespace", name: "multi_agent_v1", description: "Tools for sub-agents.", tools: [close, list] },
    ],
    tool_choice: "auto",
    parallel_tool_calls: true,
    reasoning: { summary: "auto" },
    store: false,
    include: ["reasoning.encrypted_content"],
    prompt_cache_key: "01a21af6",
    client_metadata: { "x-codex-turn-metadata": "{}" },
  };
  const open = scripted(responseEndpoints());
  const call = (to: string) => `<|channel|>commentary to=${to} json<|message|>{"target":"x"}<|call|>`;
  // The model may leave the namespace of all functions away.
  for (const to of ["functions.multi_agent_v1.close_agent", "multi_agent_v1.close_agent"]) {
    open.script(THOUGHT + call(to));
    const events = await open.stream(PATH, { ...body, input: [user] });
    const { response } = events.at(-1)!.data;
    ResponseAnswer.parse(response);
    const item = response.output[1];
    assertEquals([item.name, item.namespace, item.arguments], ["close_agent", "multi_agent_v1", '{"target":"x"}']);
    const done = events.filter(({ event }) => event === "response.output_item.done").at(-1)!.data.item;
    assertEquals(done, item);
    open.script(ANSWER);
    const answered = { type: "function_call_output", id: "fco_1", call_id: item.call_id, output: "invalid agent id x" };
    await open.stream(PATH, { ...body, input: [user, ...response.output, answered] });
    const said = open.prompts.at(-1)!;
    assertStringIncludes(said, "Tools for sub-agents.\n// Close an agent.\ntype multi_agent_v1.close_agent = (_: {");
    assertStringIncludes(said, "type multi_agent_v1.list_agents = ");
    assertStringIncludes(said, "// Another.\ntype close_agent = (_: {");
    assertStringIncludes(said, "to=functions.multi_agent_v1.close_agent");
  }
  open.script(call("functions.close_agent"));
  const plain = (await open.stream(PATH, { ...body, input: [user] })).at(-1)!.data.response.output[0];
  assertEquals([plain.name, "namespace" in plain], ["close_agent", false]);
  // By constraint too: one function by its name.
  open.script(call("functions.multi_agent_v1.list_agents"));
  const tool_choice = { type: "function", name: "multi_agent_v1.list_agents" };
  const chosen = (await open.stream(PATH, { ...body, tool_choice, input: [user] })).at(-1)!.data.response.output[0];
  assertEquals([chosen.name, chosen.namespace], ["list_agents", "multi_agent_v1"]);
});

Deno.test("responses: tools that the server would have to run are refused, and so are items of them", async () => {
  const search = { type: "web_search", external_web_access: false };
  const { status, json } = await ask({ input: [user], tools: [...tools, search] });
  assertEquals([status, json.error.param], [400, "tools.1.type"]);
  assertEquals(json.error.message, 'tools.1.type: expected "function" or "custom" or "namespace", got "web_search"');
  const item = (await ask({ input: [{ type: "web_search_call", id: "ws_1", status: "completed" }] })).json.error;
  assertEquals(item.param, "input.0.type");
  for (const type of ["message", "function_call", "item_reference"]) assertStringIncludes(item.message, `"${type}"`);
});

Deno.test("chat: what @openai/agents makes of an answer goes back to the server", async () => {
  server.script(ANSWER);
  const text = "The answer is four.", reasoning = "Hm. Let me see.";
  const part = { type: "text", text, role: "assistant", refusal: null, reasoning_content: reasoning, reasoning };
  const { status, json } = await server.post("/v1/chat/completions", {
    model: "scripted",
    messages: [
      { content: "Be brief.", role: "system" },
      { role: "user", content: "2 + 2?" },
      { role: "assistant", content: [part], reasoning },
      { role: "user", content: "And now?" },
    ],
    tools: [{ type: "function", function: { name: "weather", description: "Weather.", parameters, strict: true } }],
    stream: false,
  }, "one");
  assertEquals(status, 200, JSON.stringify(json));
  assertStringIncludes(server.prompts.at(-1)!, text);
  // A part with no text at all is refused still.
  const empty = { messages: [{ role: "user", content: [{ type: "text", text: null, refusal: null }] }] };
  const refused = await server.post("/v1/chat/completions", empty, "one");
  assertEquals([refused.status, refused.json.error.param], [400, "messages.0.content.0"]);
  assert(refused.json.error.message.includes("is no text"));
});
