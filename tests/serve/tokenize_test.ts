/** `/tokenize` of messages: the prompt that chat completions make of them. */
import { TOKENS } from "../../src/serve/endpoints/tokens.ts";
import { assert, assertEquals } from "../assert.ts";
import { type Json, scripted } from "./scripted.ts";
import { openServing } from "./serving.ts";

const user = { role: "user", content: "Tom has 3 apples. How many?" };
const parameters = { type: "object", properties: { n: { type: "number", default: 1.0 } }, required: ["n"] };
const tools = [{ type: "function", function: { name: "count", description: "Counts.", parameters } }];
const call = { id: "c1", type: "function", function: { name: "count", arguments: '{"n":3}' } };

/** Fields of chats that decide their prompt. */
const BODIES: readonly Json[] = [
  { messages: [user] },
  {
    messages: [
      { role: "system", content: "Be brief. <|end|> Ünï\u{1f600}" },
      user,
      { role: "assistant", content: "3" },
      user,
    ],
  },
  { messages: [user], tools },
  { messages: [user], tools: [{ type: "custom", custom: { name: "say", format: { type: "text" } } }] },
  {
    messages: [user, { role: "assistant", reasoning: "I count.", tool_calls: [call] }, {
      role: "tool",
      tool_call_id: "c1",
      content: [{ type: "text", text: "3" }],
    }],
    tools,
  },
  { messages: [user], response_format: { type: "json_schema", json_schema: { name: "n", schema: parameters } } },
  { messages: [user], reasoning_effort: "high", tools },
  { messages: [user], chat_template_kwargs: { reasoning_effort: "low" }, tools },
];

Deno.test("/tokenize of messages counts the tokens of the prompt of a chat, and gives them", async () => {
  await using serving = await openServing({ context: 1200 });
  for (const body of BODIES) {
    const said = JSON.stringify(body);
    const { count, tokens, token_strs, max_model_len } = await (await serving.post("/tokenize", body)).json();
    const chat = { ...body, max_tokens: 1, return_token_ids: true };
    const { usage, prompt_token_ids } = await (await serving.post("/v1/chat/completions", chat)).json();
    assertEquals([count, tokens, token_strs], [usage.prompt_tokens, prompt_token_ids, null], said);
    assertEquals(max_model_len, 1200);
    const bare = { ...body, add_generation_prompt: false, return_token_strs: true };
    const without = await (await serving.post("/tokenize", bare)).json();
    const { prompt } = await (await serving.post("/detokenize", { tokens })).json();
    const { prompt: complete } = await (await serving.post("/detokenize", { tokens: without.tokens })).json();
    assertEquals(prompt, `${complete}<|start|>assistant`, said);
    assertEquals(without.token_strs.length, without.count);
  }
});

Deno.test("/tokenize counts conversations that no chat has room for", async () => {
  await using serving = await openServing({ context: 64 });
  const messages = [{ role: "user", content: "word ".repeat(3000) }];
  const { count, max_model_len } = await (await serving.post("/tokenize", { messages })).json();
  assert(count > 3000 && max_model_len === 64, `${count}`);
});

Deno.test("/tokenize refuses what is no text and no conversation, by name", async () => {
  const server = scripted(TOKENS);
  const cases: readonly [body: Json, param: string, message: string][] = [
    [{}, "prompt", "prompt: expected a text, or messages, got neither"],
    [{ prompt: "a", messages: [user] }, "messages", "messages: expected no prompt beside them"],
    [{ prompt: "a", tools }, "tools", "tools: expected messages beside it"],
    [{ messages: [] }, "messages", "messages: expected a list of at least 1, got an array of 0"],
    [{ messages: [user], tools: [...tools, ...tools] }, "tools", 'tools: expected each name once, got "count" twice'],
    [{ messages: [user], chat_template: "x" }, "chat_template", "chat_template: is not supported"],
    [
      { messages: [user], continue_final_message: true },
      "continue_final_message",
      "continue_final_message: is not supported; expected false, or none",
    ],
    [{ messages: [user], temperature: 1 }, "temperature", "temperature: unknown field"],
    [
      { messages: [{ role: "tool", tool_call_id: "x", content: "" }] },
      "messages.0.tool_call_id",
      'messages.0.tool_call_id: expected the id of a call in an earlier message, got "x"',
    ],
  ];
  for (const [body, param, message] of cases) {
    const { status, json } = await server.post("/tokenize", body);
    assertEquals([status, json.error?.param, json.error?.message], [400, param, message]);
  }
});
