/**
 * vLLM's `structured_outputs`, by which outlines 1.3.3 (`from_vllm`) holds answers to types: its requests were taken
 * off the wire.
 */
import { CHAT } from "../../src/serve/endpoints/chat.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { scripted } from "./scripted.ts";
import { openServing } from "./serving.ts";

const PATH = "/v1/chat/completions";
const messages = [{ role: "user", content: "x" }];
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
  const server = scripted([CHAT]),
    one = "structured_outputs: expected one of json, json_object, choice and regex, got ";
  const cases: readonly [structured_outputs: unknown, param: string, message: string, more?: unknown][] = [
    [{}, "structured_outputs", `${one}none`],
    [{ json_object: false }, "structured_outputs", `${one}none`],
    [{ regex: "a", choice: ["a"] }, "structured_outputs", `${one}choice and regex`],
    [{ grammar: 'root ::= "a"' }, "structured_outputs.grammar", "is not supported"],
    [{ json: "{" }, "structured_outputs.json", "is no JSON"],
    [{ choice: [] }, "structured_outputs.choice", "expected a list of at least 1"],
    [{ regex: "a" }, "structured_outputs", "no response_format", { response_format: { type: "json_object" } }],
    [{ whatever: 1 }, "structured_outputs.whatever", "unknown field"],
  ];
  for (const [structured_outputs, param, message, more] of cases) {
    const { status, json } = await server.post(PATH, { messages, structured_outputs, ...more as object });
    assertEquals([status, json.error.param], [400, param], JSON.stringify(json));
    assertStringIncludes(json.error.message, message);
  }
  // Mistakes within are the grammar's to tell, before anything is computed.
  for (const regex of ["(", "a)|(b", "(?<=a)b", "([a-z]{1,400}){1,400}"]) {
    const { status, json } = await server.post(PATH, { messages, structured_outputs: { regex } });
    assertEquals(status, 400, JSON.stringify(json));
    assertStringIncludes(json.error.message, "structured_outputs.regex: ");
  }
});
