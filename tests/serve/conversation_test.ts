/** Conversations of both APIs by both roads to a prompt: a chat template like that of gpt-oss, and harmony. */
import { chatAsk } from "../../src/serve/chat/chat_ask.ts";
import { lostInstruction, refuseLong, renderWith, withInstructions } from "../../src/serve/chat/conversation.ts";
import type { Ask } from "../../src/serve/chat/plan.ts";
import { ResponseStore } from "../../src/serve/chat/response_store.ts";
import { responseAsk } from "../../src/serve/chat/response_turns.ts";
import { ChatRequest } from "../../src/serve/endpoints/chat_schema.ts";
import { ResponseRequest } from "../../src/serve/endpoints/responses_schema.ts";
import { ApiError } from "../../src/serve/api_error.ts";
import { replyGrammar } from "../../src/serve/chat/reply_grammar.ts";
import { parseBody } from "../../src/serve/http/parse_body.ts";
import { ANY_OBJECT } from "../../src/grammar/json.ts";
import { ChatRenderer } from "../../src/text/chat.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { assert, assertEquals, assertNotEquals, assertRejects, assertStringIncludes, assertThrows } from "../assert.ts";
import { assertCpuTime, threadTime } from "../quickly.ts";
import { path, TINY } from "../text/goldens.ts";

const tokenizer = await Tokenizer.fromDirectory(TINY);
const template = await ChatRenderer.fromDirectory(path("tests/goldens/text/chat"), tokenizer);
const harmony = ChatRenderer.builtIn(tokenizer);

/** A template like that of gpt-oss in this too: it knows instructions in front, and no others. */
const leading = await (async () => {
  const own = await Deno.readTextFile(path("tests/goldens/text/chat/chat_template.jinja"));
  const dir = await Deno.makeTempDir(),
    dropping = own.replace("    {%- else %}", '    {%- elif message.role == "user" %}');
  assertNotEquals(dropping, own);
  await Deno.writeTextFile(`${dir}/chat_template.jinja`, dropping);
  const renderer = await ChatRenderer.fromDirectory(dir, tokenizer);
  await Deno.remove(dir, { recursive: true });
  return renderer;
})();

/** A prompt, without the time of the day that the test's template writes: two are made a moment apart. */
const render = async (renderer: ChatRenderer, { messages, tools, reasoning, told }: Ask) => {
  const { text } = await renderWith(renderer, { messages, tools, reasoning, format: told }, "messages");
  return text.replace(/ \d\d:\d\d:\d\d \d\d [AP]M/, "");
};

const user = (content: string) => ({ role: "user", content });
const tool = (name: string) => ({
  type: "function",
  function: { name, description: "Looks.", parameters: { type: "object" } },
});
const called = (id: string, name: string, args: string) => ({
  id,
  type: "function",
  function: { name, arguments: args },
});
const schema = { type: "object", properties: { a: { type: "string", description: "an <|end|>" } }, required: ["a"] };

const CHATS: readonly object[] = [
  { messages: [user("Hi")] },
  { messages: [{ role: "system", content: "Be brief." }, user("Hi")], reasoning_effort: "high" },
  {
    messages: [{ role: "developer", content: "A." }, { role: "system", content: "B." }, user("Hi")],
    reasoning_effort: "low",
  },
  { messages: [user("Hi"), { role: "assistant", content: "Hello.", reasoning_content: "Greet." }, user("<|start|>x")] },
  {
    messages: [user([{ type: "text", text: "One" }, { type: "text", text: "two" }] as unknown as string)],
    tools: [tool("f")],
  },
  {
    messages: [
      { role: "system", content: "Be brief." },
      user("Go"),
      {
        role: "assistant",
        content: "I look.",
        reasoning: "Need f.",
        tool_calls: [called("1", "f", '{"x": [1, "a"]}')],
      },
      { role: "tool", tool_call_id: "1", content: 'a\n"b"' },
    ],
    tools: [tool("f"), tool("g")],
  },
  {
    messages: [
      user("Go"),
      { role: "assistant", tool_calls: [called("1", "f", "{}"), called("2", "g", '{"y":2}')] },
      { role: "tool", tool_call_id: "2", content: "two" },
      { role: "tool", tool_call_id: "1", content: "one" },
      { role: "assistant", content: "Done." },
      user("Again"),
      { role: "assistant", reasoning: "Again f.", tool_calls: [called("3", "f", "{}")] },
      { role: "tool", tool_call_id: "3", content: "three" },
    ],
    tools: [tool("f"), tool("g")],
  },
  {
    messages: [user("Hi")],
    response_format: { type: "json_schema", json_schema: { name: "n", description: "D\nE", schema } },
  },
  {
    messages: [{ role: "system", content: "S" }, user("Hi")],
    tools: [tool("f")],
    response_format: { type: "json_schema", json_schema: { name: "n", schema } },
  },
];

Deno.test("chat: the template and harmony make the same prompt of a conversation", async () => {
  for (const chat of CHATS) {
    const ask = chatAsk(ChatRequest.parse(chat));
    // Before the first question the test's template has other words.
    const texts = await Promise.all([template, harmony].map((renderer) => render(renderer, ask)));
    const [one, other] = texts.map((text) => text.split("<|start|>user"));
    assertEquals(one!.slice(1), other!.slice(1), JSON.stringify(chat));
    assert(one!.length > 1);
    const { content = "" } = withInstructions(ask.messages, ask.told)[0]!;
    for (const [head] of [one!, other!]) assertStringIncludes(head!, ask.messages[0]!.role === "user" ? "" : content);
  }
});

Deno.test("responses: items make the prompt that chat messages make", async () => {
  const items = [
    { role: "user", content: "Go" },
    { type: "reasoning", summary: [], content: [{ type: "reasoning_text", text: "Need both." }] },
    { type: "message", role: "assistant", content: [{ type: "output_text", text: "I look." }] },
    { type: "function_call", call_id: "1", name: "f", arguments: "{}" },
    { type: "function_call", call_id: "2", name: "g", arguments: "{}" },
    { type: "function_call_output", call_id: "1", output: "one" },
    { type: "function_call_output", call_id: "2", output: [{ type: "input_text", text: "two" }] },
  ];
  const functions = ["f", "g"].map((name) => ({ type: "function", ...tool(name).function }));
  const { ask } = responseAsk(
    ResponseRequest.parse({ input: items, instructions: "Be brief.", tools: functions, reasoning: { effort: "low" } }),
    new ResponseStore(),
    "",
  );
  const chat = chatAsk(ChatRequest.parse({
    messages: [
      { role: "system", content: "Be brief." },
      user("Go"),
      {
        role: "assistant",
        content: "I look.",
        reasoning: "Need both.",
        tool_calls: [called("1", "f", "{}"), called("2", "g", "{}")],
      },
      { role: "tool", tool_call_id: "1", content: "one" },
      { role: "tool", tool_call_id: "2", content: "two" },
    ],
    tools: [tool("f"), tool("g")],
    reasoning_effort: "low",
  }));
  for (const renderer of [template, harmony]) assertEquals(await render(renderer, ask), await render(renderer, chat));
  // Reasoning after which a reply was cut belongs to no later one.
  const [go, ...rest] = items, cut = [go!, { ...items[1]!, content: [{ type: "reasoning_text", text: "Cut." }] }];
  const [cutAsk, plainAsk] = [cut, [go!]].map((before) =>
    responseAsk(
      ResponseRequest.parse({ input: [...before, user("On"), ...rest], tools: functions }),
      new ResponseStore(),
      "",
    )
  );
  assertEquals(await render(harmony, cutAsk!.ask), await render(harmony, plainAsk!.ask));
});

Deno.test("responses: instructions between turns, as Codex has them, stand where they were given", async () => {
  const developer = (text: string) => ({ type: "message", role: "developer", content: [{ type: "input_text", text }] });
  const functions = [{ type: "function", ...tool("f").function, strict: false }];
  const { ask } = responseAsk(
    ResponseRequest.parse({
      input: [
        developer("You are a coding agent."),
        user("Go"),
        { type: "function_call", call_id: "1", name: "f", arguments: "{}" },
        { type: "function_call_output", call_id: "1", output: "one" },
        { type: "message", role: "assistant", content: [{ type: "output_text", text: "Done." }] },
        developer("<permissions>Now you may write.</permissions>"),
        user("On"),
      ],
      tools: functions,
    }),
    new ResponseStore(),
    "",
  );
  const text = await render(leading, ask), at = (words: string) => text.indexOf(words);
  assertStringIncludes(
    text,
    "<|start|>developer<|message|># Instructions\n\n<permissions>Now you may write.</permissions>",
  );
  assert(at("You are a coding agent.") < at("Go<|end|>") && at("Done.") < at("<permissions>"));
  assert(at("<permissions>") < at("On<|end|>") && text.endsWith("<|start|>assistant"));
  assertEquals(text, await render(harmony, ask));
});

Deno.test("chat: what a template leaves out is refused, and tools that it does not know are in harmony", async () => {
  const later = chatAsk(
    ChatRequest.parse({ messages: [user("Hi"), { role: "system", content: "Now be rude." }, user("?")] }),
  );
  const dir = await Deno.makeTempDir();
  await Deno.writeTextFile(
    `${dir}/chat_template.jinja`,
    "{% for m in messages if m.role == 'user' %}" +
      "<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>{% endfor %}",
  );
  const dropping = await ChatRenderer.fromDirectory(dir, tokenizer);
  await Deno.remove(dir, { recursive: true });
  await assertRejects(
    () => render(dropping, later),
    ApiError,
    "messages: this model's chat template leaves out a message",
  );
  assertStringIncludes(await render(harmony, later), "Now be rude.");
  // What gpt-oss's own writes is harmony, which has a place for it.
  assertEquals(await render(leading, later), await render(harmony, later));
  const tiny = await ChatRenderer.fromDirectory(TINY, tokenizer);
  assertStringIncludes(await render(tiny, later), "<|start|>system<|message|>Now be rude.<|end|>");
  const tools = chatAsk(ChatRequest.parse({ messages: [user("Hi")], tools: [tool("f")] }));
  assertEquals(await render(tiny, tools), await render(harmony, tools));
  assertNotEquals(await render(tiny, { ...tools, tools: [] }), await render(harmony, { ...tools, tools: [] }));
});

Deno.test("a conversation that is longer than any prompt is refused before it is rendered", () => {
  const limits = { context: 131_072, promptTokens: 131_072, maxTokens: 131_072 }, text = "y".repeat(2 ** 19);
  const conversation = { tools: [], reasoning: undefined, format: null };
  const said = [{ role: "assistant" as const, thinking: text }, { role: "tool" as const, content: text }];
  const model = { tokenizer, limits }, most = "messages: expected a text of at most 1048576 characters, got 1048582";
  const long = (fits: boolean) => () => refuseLong(model, { ...conversation, messages: said, fits }, "messages");
  // With OpenAI's own words, by which litellm knows that a shorter conversation may do; any may be counted.
  const words = "; this model's maximum context length is 131072 tokens";
  assertEquals([true, false].map((fits) => assertThrows(long(fits), ApiError).message), [most + words, most]);
  const asked = [{ role: "user" as const, content: text }];
  assertThrows(
    () =>
      refuseLong(
        { tokenizer, limits: { ...limits, promptTokens: 100 } },
        { ...conversation, messages: asked },
        "input",
      ),
    ApiError,
    "input: expected at most 100 tokens, got at least",
  );
  // Reasoning and blanks may be left out by a template.
  const blank = [{ role: "assistant" as const, thinking: "y".repeat(9000) }, {
    role: "user" as const,
    content: " ".repeat(9000),
  }];
  refuseLong({ tokenizer, limits: { ...limits, promptTokens: 100 } }, { ...conversation, messages: blank }, "input");
});

Deno.test("chat and responses: numbers of tools' schemas are shown as they are written, by both roads", async () => {
  const parameters = '{"type": "object", "properties": {"x": {"type": "number", "default": 1.0, "minimum": 0.50}}}';
  const fields = `"name": "f", "description": "Looks.", "strict": true, "parameters": ${parameters}`;
  const chat = `{"messages": [{"role": "user", "content": "Hi"}], "temperature": 1.0, "tools": [
    {"type": "function", "function": {${fields}}}]}`;
  const response = (tools: string) => `{"input": "Hi", "temperature": 1.0, "tools": [${tools}]}`;
  const plain = `{"type": "function", ${fields}}`;
  const space = `{"type": "namespace", "name": "n", "tools": [${plain}]}`;
  const asks = [
    chatAsk(parseBody(ChatRequest, chat)),
    ...[plain, space].map((tool) =>
      responseAsk(parseBody(ResponseRequest, response(tool)), new ResponseStore(), "").ask
    ),
  ];
  for (const ask of asks) {
    assertStringIncludes(await render(harmony, ask), "x?: number, // default: 1.0\n");
    assertStringIncludes(await render(template, ask), "x?: number = 1.0");
    // A grammar is made of numbers.
    const made: unknown[] = [];
    await replyGrammar({ format: { type: "text" }, tools: ask.tools, mustCall: true, manyCalls: false }, (asked) => {
      made.push(asked);
      return Promise.resolve(ANY_OBJECT);
    });
    assertEquals(made, [{ schema: JSON.parse(parameters), objects: true }]);
  }
  // What is no object is refused as before.
  for (const wrong of ["1.0", "[1.0]", '"x"']) {
    const body = chat.replace(parameters, wrong);
    assertThrows(() => parseBody(ChatRequest, body), ApiError, "tools.0.function.parameters: expected an object, got ");
  }
  assertThrows(() => parseBody(ChatRequest, chat.replace(/\[\s*\{"type": "function".*/s, "1.0}")), ApiError, "tools: ");
});

Deno.test("a format's description stands in one line, which takes no longer than reading it", () => {
  const blanks = " ".repeat(100_000), started = threadTime();
  const described = (description: string) => {
    const { content = "" } = withInstructions([], { name: "n", description, schema: {} })[0]!;
    return content.split("\n").find((line) => line.startsWith("//"));
  };
  assertEquals(described("a \n\t\n b  c\r\nd"), "// a b  c d");
  assertEquals(described(`a${blanks}b${blanks}\n${blanks}c`), `// a${blanks}b c`);
  assertCpuTime(threadTime() - started, 2000, "a description of 300,000 blanks");
});

Deno.test("instructions are found in a prompt in any order, and thousands of them in a time that grows with it", () => {
  const say = (content: string) => ({ role: "system" as const, content });
  assertEquals(lostInstruction([say("b"), say(" a "), say("b")], "a b"), undefined);
  assertEquals(lostInstruction([say("a"), say("c"), say("d")], "a b"), say("c"));
  assertEquals(lostInstruction([{ role: "user", content: "c" }], "a b"), undefined);
  const many = Array.from({ length: 8192 }, (_, i) => say(`${i} ${"x".repeat(120)}`));
  const prompt = many.map(({ content }) => content).join("\n"), started = threadTime();
  assertEquals(lostInstruction(many, prompt), undefined);
  assertCpuTime(threadTime() - started, 300, "8,192 instructions");
});
