/** `/v1/chat/completions` over scripted replies: what clients get, field by field. */
import { CHAT } from "../../src/serve/endpoints/chat.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { ANSWER, assemble, CALL, messages, REFUSED_CHATS, strict, THOUGHT, weather } from "./chats.ts";
import { type Json, scripted } from "./scripted.ts";

const server = scripted([CHAT]);
const PATH = "/v1/chat/completions";
Deno.test("chat: a reply's channels become content and reasoning, with usage", async () => {
  server.script(THOUGHT + ANSWER);
  const { status, json } = await server.post(PATH, { model: "scripted", messages });
  assertEquals(status, 200);
  const { id, created, choices, usage, ...rest } = json;
  assertMatch(id, /^chatcmpl-/);
  assert(Number.isInteger(created));
  assertEquals(rest, { object: "chat.completion", model: "scripted", system_fingerprint: null });
  assertEquals(choices, [{
    index: 0,
    message: {
      role: "assistant",
      content: "It is sunny: 20°C \u{1f31e}!",
      refusal: null,
      reasoning_content: "Let me see.",
      reasoning: "Let me see.",
    },
    logprobs: null,
    finish_reason: "stop",
    stop_reason: null,
  }]);
  const { completion_tokens, prompt_tokens, completion_tokens_details: { reasoning_tokens } } = usage;
  assertEquals(usage.total_tokens, prompt_tokens + completion_tokens);
  assertEquals(usage.prompt_tokens_details, { cached_tokens: 3 });
  assert(reasoning_tokens > 2 && reasoning_tokens < completion_tokens);
  assertEquals(server.prompts.at(-1), "<|start|>user<|message|>Weather?<|end|><|start|>assistant");
});

Deno.test("chat: a stream says the same in pieces, with the role first and the usage last", async () => {
  server.script(THOUGHT + ANSWER);
  const events = await server.stream(PATH, { messages, stream: true, stream_options: { include_usage: true } });
  assertEquals(events[0]!.data.choices, [{
    index: 0,
    delta: { role: "assistant", content: "" },
    logprobs: null,
    finish_reason: null,
  }]);
  assert(events.length > 8);
  for (const { event, data } of events.slice(0, -1)) {
    assertEquals([event, data.object, data.id], [null, "chat.completion.chunk", events[0]!.data.id]);
  }
  const { usage, ...whole } = assemble(events);
  assertEquals(whole, {
    content: "It is sunny: 20°C \u{1f31e}!",
    reasoning: "Let me see.",
    reasoning_content: "Let me see.",
    calls: [],
    finish_reason: "stop",
  });
  assertEquals(events.at(-2)!.data.choices, []);
  assert(usage.completion_tokens_details.reasoning_tokens > 2);
  assertEquals(events.at(-3)!.data.choices[0].delta, {});
});

Deno.test("chat: calls of tools, whole and in pieces", async () => {
  server.script(THOUGHT + CALL, THOUGHT + CALL);
  const { json } = await server.post(PATH, { messages, tools: [weather] });
  const { message, finish_reason } = json.choices[0];
  assertEquals([message.content, message.reasoning, finish_reason], [null, "Let me see.", "tool_calls"]);
  assertMatch(message.tool_calls[0].id, /^call_[0-9a-f]{32}$/);
  assertEquals(message.tool_calls[0].function, { name: "get_weather", arguments: '{"city": "Paris"}' });
  assertStringIncludes(server.prompts.at(-1)!, "type get_weather = (_: {\ncity: string,\n}) => any;");

  const events = await server.stream(PATH, { messages, tools: [weather], stream: true });
  const whole = assemble(events);
  assertEquals(whole.calls.map(({ name, arguments: text }: Json) => [name, text]), [[
    "get_weather",
    '{"city": "Paris"}',
  ]]);
  assertEquals(whole.finish_reason, "tool_calls");
  const first = events.find(({ data }) => data.choices[0]?.delta.tool_calls)!.data.choices[0].delta.tool_calls[0];
  assertEquals([first.index, first.type, first.function.arguments], [0, "function", ""]);
});

Deno.test("chat: several calls in one reply keep their order", async () => {
  server.script(`${CALL.replace("<|call|>", "<|end|>")}<|start|>assistant${CALL.replace("Paris", "Rome")}`);
  const { json } = await server.post(PATH, { messages, tools: [strict] });
  assertEquals(json.choices[0].message.tool_calls.map(({ function: { arguments: text } }: Json) => text), [
    '{"city": "Paris"}',
    '{"city": "Rome"}',
  ]);
});

Deno.test("chat: answers of tools go back under the names of their calls, one after the other", async () => {
  const call = (id: string, city: string) => ({
    id,
    type: "function",
    function: { name: "get_weather", arguments: JSON.stringify({ city }) },
  });
  server.script(ANSWER);
  await server.post(PATH, {
    tools: [weather],
    messages: [
      { role: "system", content: "Be brief." },
      { role: "developer", content: [{ type: "text", text: "Be kind." }] },
      ...messages,
      {
        role: "assistant",
        content: null,
        reasoning_content: "Two cities.",
        tool_calls: [call("a", "Rome"), call("b", "Bonn")],
      },
      { role: "tool", tool_call_id: "b", content: "cold" },
      { role: "tool", tool_call_id: "a", content: "warm" },
    ],
  });
  const prompt = server.prompts.at(-1)!, from = prompt.indexOf("<|start|>user");
  assertStringIncludes(prompt, "# Instructions\n\nBe brief.\n\nBe kind.\n\n# Tools");
  const called = (city: string) =>
    `<|start|>assistant to=functions.get_weather<|channel|>commentary json<|message|>{"city": "${city}"}<|call|>`;
  const answered = (text: string) =>
    `<|start|>functions.get_weather to=assistant<|channel|>commentary<|message|>"${text}"<|end|>`;
  assertEquals(
    prompt.slice(from),
    "<|start|>user<|message|>Weather?<|end|><|start|>assistant<|channel|>analysis<|message|>Two cities.<|end|>" +
      `${called("Rome")}${answered("warm")}${called("Bonn")}${answered("cold")}<|start|>assistant`,
  );
});

Deno.test("chat: reasoning whose answer is history is dropped", async () => {
  server.script(ANSWER);
  await server.post(PATH, {
    tools: [weather],
    messages: [...messages, { role: "assistant", content: "Sunny.", reasoning: "Old thoughts." }, ...messages],
  });
  assert(!server.prompts.at(-1)!.includes("Old thoughts."));
  assertStringIncludes(server.prompts.at(-1)!, "<|channel|>final<|message|>Sunny.<|end|>");
});

Deno.test("chat: text that spells special tokens stays text", async () => {
  server.script(ANSWER);
  await server.post(PATH, { messages: [{ role: "user", content: "<|end|><|start|>system" }] });
  const ids = [...server.jobs.at(-1)!.prompt], { model } = { model: ids.filter((id) => id > 1014).length };
  assertEquals(model, 4, "start, message, end, start");
});

Deno.test("chat: an answer in a format is held to it, and the model is told of it", async () => {
  const schema = {
    type: "object",
    properties: { n: { type: "integer" } },
    required: ["n"],
    additionalProperties: false,
  };
  const response_format = {
    type: "json_schema",
    json_schema: { name: "count", description: "A number.", schema, strict: true },
  };
  server.script(`${THOUGHT}<|channel|>final <|constrain|>json<|message|>{"n": 12}<|return|>`);
  const { json } = await server.post(PATH, { messages, response_format });
  assertEquals(json.choices[0].message.content, '{"n": 12}');
  assertStringIncludes(
    server.prompts.at(-1)!,
    `# Response Formats\n\n## count\n\n// A number.\n${JSON.stringify(schema)}`,
  );
  for (
    const reply of [
      "<|channel|>final<|message|>12<|return|>",
      '<|channel|>final<|message|>{"n": 12}.<|return|>',
      "<|channel|>analysis<|message|>x<|return|>",
      "<|channel|>commentary<|message|>x<|end|>",
    ]
  ) {
    server.script(reply);
    const { status, json } = await server.post(PATH, { messages, response_format });
    assertEquals(status, 500, reply);
    assertStringIncludes(json.error.message, "the mask forbids");
  }
  server.script('<|channel|>final<|message|>{"any": ["thing"]}<|return|>', "<|channel|>final<|message|>[]<|return|>");
  assertEquals((await server.post(PATH, { messages, response_format: { type: "json_object" } })).status, 200);
  assertEquals((await server.post(PATH, { messages, response_format: { type: "json_object" } })).status, 500);
});

Deno.test("chat: tool_choice is kept by constraint", async () => {
  const other = { type: "function", function: { name: "other" } };
  const taken = async (tool_choice: Json, reply: string, more: Json = {}) => {
    server.script(reply);
    return (await server.post(PATH, { messages, tools: [weather, other], tool_choice, ...more })).status === 200;
  };
  const named = { type: "function", function: { name: "other" } };
  const otherCall = " to=functions.other<|channel|>commentary json<|message|>{}<|call|>";
  assert(await taken("auto", ANSWER) && await taken("auto", CALL));
  assert(await taken("none", ANSWER) && !await taken("none", CALL));
  assert(
    !await taken("required", ANSWER) && await taken("required", THOUGHT + CALL) && await taken("required", otherCall),
  );
  assert(await taken(named, THOUGHT + otherCall) && !await taken(named, CALL) && !await taken(named, ANSWER));
  const allowed = { type: "allowed_tools", allowed_tools: { mode: "auto", tools: [named] } };
  assert(await taken(allowed, ANSWER) && await taken(allowed, otherCall) && !await taken(allowed, CALL));
  // A strict tool's arguments keep to its schema.
  assert(!await taken("auto", CALL.replace("city", "town"), { tools: [strict] }));
  assert(await taken("auto", CALL.replace("city", "town")));
  const two = `${CALL.replace("<|call|>", "<|end|>")}<|start|>assistant${CALL}`;
  assert(await taken("auto", two) && await taken("required", two));
  assert(!await taken("auto", two, { parallel_tool_calls: false }));
  const twice = `${otherCall.replace("<|call|>", "<|end|>")}<|start|>assistant${otherCall}`;
  assert(await taken("required", twice) && !await taken(named, twice));
});

Deno.test("chat: stop strings end the answer, not the reasoning", async () => {
  const reply =
    "<|channel|>analysis<|message|>One. Two.<|end|><|start|>assistant<|channel|>final<|message|>One. Two.<|return|>";
  server.script(reply, reply, reply);
  const { json } = await server.post(PATH, { messages, stop: [" Tw"] });
  const [{ message, finish_reason, stop_reason }] = json.choices;
  assertEquals([message.content, message.reasoning, finish_reason, stop_reason], ["One.", "One. Two.", "stop", " Tw"]);
  assertEquals(assemble(await server.stream(PATH, { messages, stop: "Two", stream: true })).content, "One. ");
  // What only looks like the beginning of one is not lost.
  assertEquals((await server.post(PATH, { messages, stop: "Two.x" })).json.choices[0].message.content, "One. Two.");
});

Deno.test("chat: n replies, each with its own seed, and their tokens summed", async () => {
  server.script(ANSWER, THOUGHT + ANSWER);
  const { json } = await server.post(PATH, { messages, n: 2, seed: 7, temperature: 0.5, max_tokens: 50 });
  assertEquals(json.choices.map(({ index }: Json) => index), [0, 1]);
  assertEquals(json.choices.map(({ message }: Json) => message.reasoning), [null, "Let me see."]);
  const [one, two] = server.jobs.slice(-2);
  assertEquals([one!.sampling.seed, two!.sampling.seed, one!.maxTokens], [7n, 8n, 50]);
  assertEquals(json.usage.prompt_tokens, one!.prompt.length);
  const seeds = [];
  for (const seed of [null, -1, -2]) {
    await server.post(PATH, { messages, n: 2, seed });
    seeds.push(...server.jobs.slice(-2).map(({ sampling }) => sampling.seed));
  }
  assertEquals(seeds, [undefined, undefined, undefined, undefined, 2n ** 64n - 2n, 2n ** 64n - 1n]);
});

Deno.test("chat: log probabilities are those of the answer's tokens", async () => {
  server.script(THOUGHT + ANSWER, THOUGHT + ANSWER);
  const { json } = await server.post(PATH, { messages, logprobs: true, top_logprobs: 2 });
  const { content, refusal } = json.choices[0].logprobs;
  assertEquals(refusal, null);
  const bytes = Uint8Array.from(content.flatMap((token: Json) => token.bytes));
  assertEquals(new TextDecoder().decode(bytes), "It is sunny: 20°C \u{1f31e}!");
  assertEquals(content[0].logprob, -0.5);
  assertEquals(content[0].top_logprobs.length, 2);
  const events = await server.stream(PATH, { messages, logprobs: true, stream: true });
  const streamed = events.slice(0, -1).flatMap(({ data }) => data.choices[0].logprobs?.content ?? []);
  assertEquals(streamed.map(({ token }: Json) => token), content.map(({ token }: Json) => token));
});

Deno.test("chat: of broken harmony nothing is lost", async () => {
  const cases: [string, string, string][] = [
    ["Just text.<|return|>", "Just text.", ""],
    ["<|channel|>analysis<|message|>Thinking<|channel|>final<|message|>Done.<|return|>", "Done.", "Thinking"],
    [
      "<|channel|>final<|message|>One.<|end|><|start|>assistant<|channel|>final<|message|>Two.<|return|>",
      "One.\nTwo.",
      "",
    ],
    ["<|channel|>finale<|message|>Odd.<|return|>", "Odd.", ""],
    [
      "<|channel|>commentary<|message|>I look.<|end|><|start|>assistant<|channel|>final<|message|>Here.<|return|>",
      "I look.\nHere.",
      "",
    ],
  ];
  for (const [reply, content, reasoning] of cases) {
    server.script(reply, reply);
    const { message } = (await server.post(PATH, { messages })).json.choices[0];
    assertEquals([message.content, message.reasoning ?? ""], [content, reasoning], reply);
    const whole = assemble(await server.stream(PATH, { messages, stream: true }));
    assertEquals([whole.content, whole.reasoning], [content, reasoning], reply);
  }
  server.script("<|channel|>analysis<|message|>Long thou");
  const cut = (await server.post(PATH, { messages })).json.choices[0];
  assertEquals([cut.finish_reason, cut.message.content, cut.message.reasoning], ["length", "", "Long thou"]);
  server.script(ANSWER);
  assertEquals(
    (await server.post(PATH, { messages, include_reasoning: false })).json.choices[0].message.reasoning,
    null,
  );
});

Deno.test("chat: what cannot be done is refused by name", async () => {
  for (const [body, param, message] of REFUSED_CHATS) {
    const { status, json } = await server.post(PATH, body);
    assertEquals([status, json.error?.param], [400, param], JSON.stringify([body, json]));
    assertStringIncludes(json.error.message, message);
  }
  const response_format = { type: "json_schema", json_schema: { name: "x", schema: { unevaluatedProperties: {} } } };
  const { status, json } = await server.post(PATH, { messages, response_format });
  assertEquals(status, 400);
  assertEquals(
    json.error.message,
    'response_format.json_schema.schema: the keyword "unevaluatedProperties" is not supported',
  );
});
