/** What a client made up and a refusal repeats: it is not given back, or kept in a log, as long as it came. */
import { CHAT } from "../../src/serve/endpoints/chat.ts";
import { COMPLETIONS } from "../../src/serve/endpoints/completions.ts";
import { MODELS } from "../../src/serve/endpoints/models.ts";
import { responseEndpoints } from "../../src/serve/endpoints/responses.ts";
import { assert } from "../assert.ts";
import { messages, weather } from "./chats.ts";
import { type Json, scripted } from "./scripted.ts";

const server = scripted([...MODELS, CHAT, COMPLETIONS, ...responseEndpoints()]);

Deno.test("refusals are short, however long the texts are that they repeat", async () => {
  const long = "x".repeat(200_000), blanks = "a ".repeat(100_000), marks = "\u202e".repeat(50_000);
  let seen = 0;
  for (const text of [long, blanks, marks]) {
    const chat = (more: Json): [string, Json] => ["/v1/chat/completions", { messages, ...more }];
    const asked: [path: string, body: Json][] = [
      chat({ [text]: 1 }),
      chat({ tools: [weather], tool_choice: { type: "function", function: { name: text } } }),
      chat({ messages: [{ role: "tool", content: "", tool_call_id: text }] }),
      chat({ messages: [{ role: text, content: "" }] }),
      chat({ tools: [{ type: text }] }),
      chat({ reasoning_effort: text }),
      chat({ response_format: { type: "json_schema", json_schema: { name: "a", schema: { [text]: 3 } } } }),
      chat({
        response_format: { type: "json_schema", json_schema: { name: "a", schema: { properties: { [text]: 3 } } } },
      }),
      ["/v1/completions", { prompt: "a", logit_bias: { [text]: 1 } }],
      ["/v1/completions", { prompt: "a", structured_outputs: { regex: `(${text}` } }],
      ["/v1/responses", { input: "a", previous_response_id: text }],
      ["/v1/responses", { input: [{ type: "item_reference", id: text }] }],
      ["/v1/responses", { input: [{ type: text }] }],
    ];
    for (const [path, body] of asked) {
      const { status, json } = await server.post(path, body), said = JSON.stringify(json);
      assert(status >= 400 && status < 500, said.slice(0, 500));
      assert(said.length < 3_000, `${said.length}: ${said.slice(0, 500)}`);
      seen++;
    }
  }
  assert(seen === 39, `${seen}`);
});
