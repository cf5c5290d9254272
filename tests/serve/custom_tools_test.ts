/** Tools whose input is a text, over scripted replies: as functions to the model, and as custom tools to clients. */
import OpenAI from "openai";
import { InputReader } from "../../src/serve/chat/custom_tools.ts";
import { CHAT } from "../../src/serve/endpoints/chat.ts";
import { responseEndpoints } from "../../src/serve/endpoints/responses.ts";
import { assert, assertEquals, assertStringIncludes } from "../assert.ts";
import { dice } from "../grammar/random_schema.ts";
import { assemble, messages, THOUGHT, weather } from "./chats.ts";
import { type Json, scripted } from "./scripted.ts";

const server = scripted([CHAT, ...responseEndpoints()]);
const client = new OpenAI({
  apiKey: "any",
  baseURL: "http://localhost/v1",
  maxRetries: 0,
  fetch: (input: string | URL | Request, init?: RequestInit) => server.app.fetch(new Request(input, init)),
});
const CHATS = "/v1/chat/completions", RESPONSES = "/v1/responses", model = "scripted";
const shell = { name: "shell", description: "Runs a command." };
const chatTools = [{ type: "custom" as const, custom: shell }], tools = [{ type: "custom" as const, ...shell }];
const INPUT = 'echo "é\n\u{1f600}\\" >\t/tmp';
/** A call with an input, spelled in a way. */
const call = (spelled: string, name = "shell") =>
  ` to=functions.${name}<|channel|>commentary <|constrain|>json<|message|>${spelled}<|call|>`;
const SPELLED = [
  JSON.stringify({ input: INPUT }),
  '{\n  "input": "echo \\"\\u00e9\\u000a\\ud83d\\uDE00\\\\\\" >\\u0009\\/tmp"\n}',
];

Deno.test("custom tools: the model is told of a function, a client gets the input, whole and in pieces", async () => {
  for (const spelled of SPELLED) {
    server.script(THOUGHT + call(spelled), THOUGHT + call(spelled));
    const { choices: [choice] } = await client.chat.completions.create({
      model,
      messages: [...asked],
      tools: chatTools,
    });
    const [made] = choice!.message.tool_calls!;
    assert(made?.type === "custom");
    assertEquals([made.custom, choice!.finish_reason], [{ name: "shell", input: INPUT }, "tool_calls"]);
    assertStringIncludes(server.prompts.at(-1)!, "// Runs a command.\ntype shell = (_: {\ninput: string,\n}) => any;");
    const events = await server.stream(CHATS, { messages, tools: chatTools, stream: true });
    const pieces: Json[] = events.slice(0, -1).flatMap(({ data }) => data.choices[0].delta.tool_calls ?? []);
    const { id, ...first } = pieces[0];
    assert(id.startsWith("call_") && pieces.length > 5, JSON.stringify(pieces));
    assertEquals(first, { index: 0, type: "custom", custom: { name: "shell", input: "" } });
    assertEquals(pieces.map(({ custom }) => custom.input).join(""), INPUT);
  }
});
const asked = messages.map(({ content }) => ({ role: "user" as const, content }));

Deno.test("custom tools: responses have items and events of their own, which go back as they came", async () => {
  server.script(THOUGHT + call(SPELLED[1]!), THOUGHT + call(SPELLED[0]!), THOUGHT + call(SPELLED[0]!));
  const events = await server.stream(RESPONSES, { input: "Go", tools, stream: true });
  const named = (type: string) => events.filter(({ event }) => event === `response.custom_tool_call_input.${type}`);
  assertEquals(named("delta").map(({ data }) => data.delta).join(""), INPUT);
  assert(named("delta").length > 5);
  const { data: done } = named("done")[0]!;
  const { response } = events.at(-1)!.data, item = response.output.at(-1), { id, call_id, ...rest } = item;
  assertEquals([done.input, done.item_id, done.output_index], [INPUT, id, 1]);
  assertEquals(rest, { type: "custom_tool_call", status: "completed", name: "shell", input: INPUT });
  assert(id.startsWith("ctc_"), id);
  const output = { type: "custom_tool_call_output", call_id, output: "done" };
  const next = { tools, previous_response_id: response.id, input: [output] };
  const { json: second } = await server.post(RESPONSES, next);
  assertEquals(second.output.at(-1).input, INPUT);
  const said = server.prompts.at(-1)!;
  assertStringIncludes(said, `{"input": ${JSON.stringify(INPUT)}}<|call|>`);
  assertStringIncludes(said, 'functions.shell to=assistant<|channel|>commentary<|message|>"done"<|end|>');
  const { json: { data } } = await server.call("GET", `${RESPONSES}/${second.id}/input_items?order=asc`);
  assertEquals(data.map(({ type }: Json) => type), ["message", "reasoning", "custom_tool_call", output.type]);
  // The same conversation, given item by item.
  const { json: third } = await server.post(RESPONSES, { tools, input: data });
  assertEquals([server.prompts.at(-1), third.output.at(-1).input], [said, INPUT]);
});

Deno.test("custom tools: a call in a chat goes back as the model made it", async () => {
  server.script(THOUGHT + call(SPELLED[0]!));
  const made = { id: "c1", type: "custom", custom: { name: "shell", input: INPUT } };
  const { status, json } = await server.post(CHATS, {
    messages: [...messages, { role: "assistant", tool_calls: [made] }, {
      role: "tool",
      tool_call_id: "c1",
      content: "ok",
    }],
    tools: [...chatTools, weather],
    tool_choice: { type: "custom", custom: { name: "shell" } },
  });
  assertEquals([status, json.choices[0].message.tool_calls[0].custom.input], [200, INPUT]);
  assertStringIncludes(server.prompts.at(-1)!, `{"input": ${JSON.stringify(INPUT)}}<|call|>`);
});

Deno.test("custom tools: nothing but an input can be written, by its regular expression where it has one", async () => {
  const grammar = { type: "grammar", syntax: "regex", definition: "a|b+" };
  const regular = [{ type: "custom", ...shell, format: grammar }];
  const inputOf = async (tools: Json[], spelled: string): Promise<Json> => {
    server.script(call(spelled));
    const { status, json } = await server.post(RESPONSES, { input: "Go", tools });
    return status === 200 ? json.output[0].input : json.error.message;
  };
  assertEquals(await inputOf(regular, '{"input":"bb"}'), "bb");
  for (const spelled of ['{"input":"ab"}', '{"input":"c"}', '{"input":""}']) {
    assertStringIncludes(await inputOf(regular, spelled), "the mask forbids", spelled);
  }
  for (const spelled of ['{"other":""}', "{}", '"bb"', "ls", '{"input":"","x":1}']) {
    assertStringIncludes(await inputOf(tools, spelled), "the mask forbids", spelled);
  }
});

Deno.test("custom tools: what cannot be done is refused by name", async () => {
  const grammar = (syntax: string, definition: string) => ({ type: "grammar", syntax, definition });
  const own = (format: Json) => ({ messages, tools: [{ type: "custom", custom: { ...shell, format } }] });
  const cases: [Json, string][] = [
    [
      own({ type: "grammar", grammar: { syntax: "lark", definition: "start: A" } }),
      "tools.0.custom.format.grammar.syntax",
    ],
    [own({ type: "grammar", grammar: { syntax: "regex", definition: "a)(b" } }), "tools.0.custom.format.grammar.def"],
    [own({ type: "json" }), "tools.0.custom.format.type"],
    [
      { messages, tools: [...chatTools, { type: "function", function: { name: "shell" } }] },
      "tools: expected each name",
    ],
    [{ messages, tools: chatTools, ignore_eos: true }, "ignore_eos: expected no constraint"],
    [{ messages, tools: [{ type: "custom", custom: { ...shell, strict: true } }] }, "tools.0.custom.strict: unknown"],
  ];
  for (const [body, message] of cases) {
    const { status, json } = await server.post(CHATS, body);
    assertEquals(status, 400, JSON.stringify(json));
    assertStringIncludes(json.error.message, message);
    assertEquals(json.error.message.split(": ")[0], json.error.param);
  }
  const { json } = await server.post(RESPONSES, {
    input: "Go",
    tools: [{ type: "custom", ...shell, format: grammar("lark", "start: A") }],
  });
  assertStringIncludes(
    json.error.message,
    "tools.0.format.syntax: lark is not supported; expected regex, or the format",
  );
  assertEquals(json.error.param, "tools.0.format.syntax");
});

Deno.test("custom tools: a call that is cut gives the input as far as it goes", async () => {
  const reply = call(SPELLED[1]!);
  server.script(reply);
  const { json: { usage: { output_tokens } } } = await server.post(RESPONSES, { input: "Go", tools });
  for (let max_output_tokens = 1; max_output_tokens < output_tokens; max_output_tokens++) {
    server.script(reply);
    const { status, json } = await server.post(RESPONSES, { input: "Go", tools, max_output_tokens });
    assertEquals([status, json.status], [200, "incomplete"], JSON.stringify(json));
    const [item] = json.output;
    if (item === undefined) continue;
    assertEquals([item.type, item.name, item.status], ["custom_tool_call", "shell", "incomplete"]);
    assert(INPUT.startsWith(item.input) && item.input.isWellFormed(), item.input);
  }
});

Deno.test("InputReader gives the same for every cut of a text, however characters are spelled", () => {
  const roll = dice(11), letters = ["a", '"', "\\", "\n", "\u{1f600}", "é", "/", "\u2028", "\0", "}", "u"];
  for (let round = 0; round < 500; round++) {
    const input = Array.from({ length: roll(12) }, () => letters[roll(letters.length)]!).join("");
    const escape = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
    let string = JSON.stringify(input);
    // Some characters as JSON may spell any.
    if (roll(2) === 0) string = `"${[...input].map((c) => c.split("").map(escape).join("")).join("")}"`;
    const blank = () => ["", " ", "\n  ", "\t"][roll(4)]!;
    const text = `${blank()}{${blank()}"input"${blank()}:${blank()}${string}${blank()}}`;
    const reader = new InputReader(), pieces: string[] = [];
    for (let at = 0; at < text.length;) {
      const end = at + 1 + roll(6);
      pieces.push(reader.push(text.slice(at, end)));
      at = end;
    }
    assertEquals(pieces.join(""), input, text);
    // A client that writes pieces as UTF-8 would lose halves of characters.
    if (!/[^\0-\x7f]/.test(text)) assert(pieces.every((piece) => piece.isWellFormed()), JSON.stringify(pieces));
  }
});

Deno.test("custom tools beside functions: both are called by their own names", async () => {
  const args = '{"city": "Paris"}';
  server.script(
    `${call(SPELLED[0]!).replace("<|call|>", "<|end|>")}<|start|>assistant${call(args, "get_weather")}`,
  );
  const events = await server.stream(CHATS, { messages, tools: [...chatTools, weather], stream: true });
  const functions = assemble(events.map(({ event, data }) => ({
    event,
    // Clients that know functions only pass over the others.
    data: data === "[DONE]" ? data : {
      ...data,
      choices: data.choices.map((choice: Json) => ({
        ...choice,
        delta: {
          ...choice.delta,
          tool_calls: (choice.delta.tool_calls ?? []).filter((one: Json) => one.function !== undefined),
        },
      })),
    },
  })));
  assertEquals(functions.calls[1], { id: functions.calls[1].id, name: "get_weather", arguments: args });
  assertEquals(functions.finish_reason, "tool_calls");
});
