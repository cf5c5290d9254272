/**
 * vLLM's `structured_outputs`, by which outlines 1.3.3 (`from_vllm`) holds answers to types: its requests were taken
 * off the wire.
 */
import { CHAT } from "../../src/serve/endpoints/chat.ts";
import { COMPLETIONS } from "../../src/serve/endpoints/completions.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { scripted } from "./scripted.ts";
import { openServing } from "./serving.ts";

const PATH = "/v1/chat/completions";
const messages = [{ role: "user", content: "x" }];
const PATHS = [[PATH, { messages }], ["/v1/completions", { prompt: "x" }]] as const;
const person = {
  properties: { name: { title: "Name", type: "string" }, age: { title: "Age", type: "integer" } },
  required: ["name", "age"],
  title: "P",
  type: "object",
};
const THOUGHT = "<|channel|>analysis<|message|>Let me see.<|end|><|start|>assistant";
const final = (text: string) => `${THOUGHT}<|channel|>final<|message|>${text}<|return|>`;
const formatted = (text: string) => `${THOUGHT}<|channel|>final json<|message|>${text}<|return|>`;

const CASES: readonly [structured_outputs: unknown, good: string, bad: string][] = [
  [{ json: person }, formatted('{"name":"Ada","age":36}'), formatted('{"name":"Ada"}')],
  [{ json: JSON.stringify(person) }, formatted('{"name":"Ada","age":36}'), formatted("[]")],
  [{ json_object: true }, formatted('{"n":4}'), formatted("4")],
  [{ choice: ["yes", "no", "no \u{1f642}"] }, final("no \u{1f642}"), final("maybe")],
  [{ regex: "(a|b)" }, final("b"), final("ab")],
  // What takes a thread to prepare.
  [{ regex: "\\p{L}{1,20}" }, final("Äpfel"), final("a1")],
  [{ regex: '"([0-9]{3})"\\n', json: null }, final('"123"\n'), final('"1234"\n')],
];

Deno.test("structured_outputs hold the answer, and the model is not told of them", async () => {
  const server = scripted([CHAT]);
  for (const [structured_outputs, good, bad] of CASES) {
    const body = { model: "scripted", messages, structured_outputs };
    server.script(good);
    const { status, json } = await server.post(PATH, body);
    assertEquals(status, 200, JSON.stringify([structured_outputs, json]));
    const [, text] = /final(?: json)?<\|message\|>([^]*)<\|return\|>/.exec(good)!;
    assertEquals(json.choices[0].message.content, text);
    assertEquals(server.prompts.at(-1)!.includes("Response Formats"), false);
    server.script(bad);
    const refused = await server.post(PATH, body);
    assertStringIncludes(refused.json.error.message, "the mask forbids");
  }
});

Deno.test("the embedded model's answer is one of a choice, or what a pattern takes, the same each time", async () => {
  await using server = await openServing();
  const ask = async (structured_outputs: unknown) => {
    const body = { messages, seed: 3, max_tokens: 200, structured_outputs };
    const { choices: [{ message, finish_reason }] } = await (await server.post(PATH, body)).json();
    assertEquals(finish_reason, "stop");
    return message.content as string;
  };
  const number = await ask({ regex: "[0-9]{3}" });
  assertMatch(number, /^[0-9]{3}$/);
  assertEquals(await ask({ regex: "[0-9]{3}" }), number);
  assert(["apples", "pears"].includes(await ask({ choice: ["apples", "pears"] })));
});

Deno.test("structured_outputs that say nothing, too much or what is not done are refused by name", async () => {
  const server = scripted([CHAT, COMPLETIONS]),
    one = "structured_outputs: expected one of json, json_object, choice and regex, got ";
  const cases: readonly [structured_outputs: unknown, param: string, message: string, more?: unknown][] = [
    [{}, "structured_outputs", `${one}none`],
    [{ json_object: false }, "structured_outputs", `${one}none`],
    [{ regex: "a", choice: ["a"] }, "structured_outputs", `${one}choice and regex`],
    [{ grammar: 'root ::= "a"' }, "structured_outputs.grammar", "is not supported"],
    [{ json: "{" }, "structured_outputs.json", "is no JSON"],
    [{ choice: [] }, "structured_outputs.choice", "expected a list of at least 1"],
    [{ choice: ["a", "\ud83d"] }, "structured_outputs.choice.1", "expected a text of whole characters"],
    [{ regex: "[\ud83d]" }, "structured_outputs.regex", "expected a text of whole characters"],
    [{ json: '{"const": "a\\ud83d"}' }, "structured_outputs.json.const", "expected a text of whole characters"],
    [{ regex: "a" }, "ignore_eos", "no constraint of the reply", { ignore_eos: true }],
    [{ regex: "a" }, "structured_outputs", "no response_format", { response_format: { type: "json_object" } }],
    [{ whatever: 1 }, "structured_outputs.whatever", "unknown field"],
  ];
  for (const [structured_outputs, param, message, more] of cases) {
    for (const [path, asked] of PATHS) {
      const { status, json } = await server.post(path, { ...asked, structured_outputs, ...more as object });
      assertEquals([status, json.error.param], [400, param], JSON.stringify(json));
      assertStringIncludes(json.error.message, message);
    }
  }
  // Mistakes within are the grammar's to tell, before anything is computed.
  const wrong: readonly (readonly [field: string, value: unknown])[] = [
    ...["(", "a)|(b", "(?<=a)b", "([a-z]{1,400}){1,400}"].map((regex) => ["regex", regex] as const),
    ["json", { type: "integer", minimum: 3, maximum: 2 }],
    ["json", { type: "array", uniqueItems: true }],
  ];
  for (const [field, value] of wrong) {
    for (const [path, asked] of PATHS) {
      const { status, json } = await server.post(path, { ...asked, structured_outputs: { [field]: value } });
      assertEquals(status, 400, JSON.stringify(json));
      assertMatch(json.error.message, new RegExp(`^structured_outputs\\.${field}[:.]`));
      assertEquals(json.error.param, `structured_outputs.${field}`);
    }
  }
});

Deno.test("completions: the whole reply is held, and ends by a token that ends replies", async () => {
  const server = scripted([COMPLETIONS]), prompt = "x: ";
  for (const [structured_outputs, good, bad] of CASES) {
    const [text, wrong] = [good, bad].map((reply) => /final(?: json)?<\|message\|>([^]*)<\|return\|>/.exec(reply)![1]!);
    const body = { prompt, structured_outputs, max_tokens: 100 };
    server.script(`${text}<|return|>`);
    const { status, json } = await server.post("/v1/completions", body);
    assertEquals([status, json.choices?.[0]?.text, json.choices?.[0]?.finish_reason], [200, text, "stop"], text);
    assertEquals(server.prompts.at(-1), prompt);
    // Neither another text, nor harmony before it, nor anything after it.
    for (const reply of [`${wrong}<|return|>`, final(text!), `${text}<|end|>`, `${text} x`]) {
      server.script(reply);
      assertStringIncludes((await server.post("/v1/completions", body)).json.error.message, "the mask forbids", reply);
    }
  }
  const json_schema = { name: "person", schema: person };
  for (const response_format of [{ type: "json_schema", json_schema }, { type: "json_object" }]) {
    server.script('{"name":"Ada","age":36}<|return|>', "[]<|return|>");
    const body = { prompt, response_format, max_tokens: 100 };
    assertEquals((await server.post("/v1/completions", body)).json.choices[0].text, '{"name":"Ada","age":36}');
    assertStringIncludes((await server.post("/v1/completions", body)).json.error.message, "the mask forbids");
  }
  server.script("free");
  assertEquals((await server.post("/v1/completions", { prompt, response_format: { type: "text" } })).status, 200);
});

Deno.test("completions of the embedded model keep formats, many, streamed, scored and echoed", async () => {
  await using server = await openServing({ slots: 3 });
  const prompt = "Tom has 3 apples.\nHow many? ", regex = "[0-9]{3}";
  const body = { prompt, seed: 3, max_tokens: 20, n: 3, structured_outputs: { regex }, logprobs: 1 };
  const ask = async (more: unknown = {}) =>
    await (await server.post("/v1/completions", { ...body, ...more as object })).json();
  const { choices } = await ask();
  for (const { text, finish_reason, logprobs } of choices) {
    assertMatch(text, /^[0-9]{3}$/);
    // The end of the reply is one of its tokens.
    assertEquals([finish_reason, logprobs.tokens.join("").startsWith(text)], ["stop", true]);
  }
  assertEquals((await ask()).choices, choices);
  const echoed = await ask({ echo: true });
  assertEquals(
    echoed.choices.map(({ text }: { text: string }) => text),
    choices.map(({ text }: { text: string }) => prompt + text),
  );
  const scored = await ask({ echo: true, max_tokens: 0 });
  assertEquals(scored.choices[0].text, prompt);
  const streamed = await (await server.post("/v1/completions", { ...body, stream: true })).text(), texts = ["", "", ""];
  for (const [, data] of streamed.matchAll(/^data: (\{.*)$/gm)) {
    for (const { index, text } of JSON.parse(data!).choices) texts[index] += text;
  }
  assertEquals(texts, choices.map(({ text }: { text: string }) => text));
});
