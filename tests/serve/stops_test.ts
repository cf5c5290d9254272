/** Stop strings at the edges of a reply: scores of their tokens, and those that end what was held back. */
import { CHAT } from "../../src/serve/endpoints/chat.ts";
import { COMPLETIONS } from "../../src/serve/endpoints/completions.ts";
import { responseEndpoints } from "../../src/serve/endpoints/responses.ts";
import { assert, assertEquals } from "../assert.ts";
import { messages, THOUGHT } from "./chats.ts";
import { type Json, scripted } from "./scripted.ts";

const server = scripted([CHAT, COMPLETIONS, ...responseEndpoints()]);
const CHATS = "/v1/chat/completions", RESPONSES = "/v1/responses";
const FINAL = "<|channel|>final<|message|>";

Deno.test("responses: the tokens of a stop string are scored as chats score them, streamed and not", async () => {
  const reply = `${THOUGHT}${FINAL}It is sunny. And warm.<|return|>`, scored = { stop: "y. A", store: false };
  const input = { ...scored, input: "Hi", include: ["message.output_text.logprobs"], top_logprobs: 1 };
  server.script(reply, reply, reply);
  const chat = (await server.post(CHATS, { ...scored, messages, logprobs: true, top_logprobs: 1 })).json.choices[0];
  const response = (await server.post(RESPONSES, input)).json, [part] = response.output[1].content;
  assertEquals([chat.message.content, chat.finish_reason, part.text], ["It is sunn", "stop", "It is sunn"]);
  const tokens = chat.logprobs.content.map(({ token }: Json) => token).join("");
  assert(tokens.startsWith("It is sunny. A"), tokens);
  assertEquals(part.logprobs, chat.logprobs.content);
  const events = await server.stream(RESPONSES, { ...input, stream: true });
  const deltas = events.filter(({ event }) => event === "response.output_text.delta").map(({ data }) => data);
  assertEquals(deltas.flatMap(({ logprobs }) => logprobs), part.logprobs);
  assertEquals(deltas.map(({ delta }) => delta).join(""), part.text);
});

Deno.test("chats and responses: half a character at the end may be a stop string that ends the text", async () => {
  const reply = `${FINAL}ok 語`, asked = { stop: "\ufffd" }, tokens = 10;
  server.script(reply, reply, reply);
  const { choices: [chat], usage } = (await server.post(CHATS, { ...asked, messages, max_tokens: tokens })).json;
  assertEquals(usage.completion_tokens, tokens);
  assertEquals([chat.message.content, chat.finish_reason, chat.stop_reason], ["ok ", "stop", "\ufffd"]);
  const streamed = await server.stream(CHATS, { ...asked, messages, max_tokens: tokens, stream: true });
  assertEquals(streamed.at(-2)!.data.choices[0].finish_reason, "stop");
  const { json } = await server.post(RESPONSES, { ...asked, max_output_tokens: tokens, input: "Hi" });
  const [{ status, content: [{ text }] }] = json.output;
  assertEquals([json.status, json.incomplete_details, status, text], ["completed", null, "completed", "ok "]);
});

Deno.test("completions: half a character at the end may be a stop string, but not before min_tokens", async () => {
  const reply = "ok 語",
    cases: [least: number, wanted: [string, string, string | null]][] = [
      [0, ["ok ", "stop", "\ufffd"]],
      [5, ["ok \ufffd", "length", null]],
    ];
  for (const [min_tokens, wanted] of cases) {
    server.script(reply, reply);
    const asked = { prompt: "Hi", max_tokens: 5, stop: "\ufffd", min_tokens };
    const { choices: [{ text, finish_reason, stop_reason }] } = (await server.post("/v1/completions", asked)).json;
    assertEquals([text, finish_reason, stop_reason], wanted);
    const events = await server.stream("/v1/completions", { ...asked, stream: true });
    const pieces = events.slice(0, -1).map(({ data }) => data.choices[0]);
    assertEquals([pieces.map(({ text }) => text).join(""), pieces.at(-1).finish_reason], wanted.slice(0, 2));
  }
});

Deno.test("completions: the name of a special token as a stop ends a reply whose text leaves them out", async () => {
  const reply = "It is<|end|><|start|>assistant<|channel|>final<|message|>More.<|return|>";
  const whole = "It isassistantfinalMore.";
  const cases: [asked: Json, wanted: [text: string, reason: string | null]][] = [
    [{}, [whole, null]],
    [{ stop: "<|end|>" }, ["It is", "<|end|>"]],
    [{ stop: ["nowhere", "<|message|>"] }, ["It isassistantfinal", "<|message|>"]],
    [{ stop: ["<|end|>", "is"] }, ["It ", "is"]],
    [{ stop: "<|end|>", skip_special_tokens: false }, ["It is", "<|end|>"]],
    [{ stop: "<|end|>", min_tokens: 12 }, [whole, null]],
    // Nor is what the model ends by itself, which is no stop that was asked for.
    [{ stop: "<|return|>" }, [whole, null]],
    [{ stop: "<|return|>", ignore_eos: true }, [whole, "<|return|>"]],
    [{ stop: "<|" }, [whole, null]],
  ];
  for (const [asked, wanted] of cases) {
    server.script(reply, reply);
    const body = { prompt: "Hi", max_tokens: 100, logprobs: 0, ...asked };
    const { choices: [{ text, finish_reason, stop_reason, logprobs }], usage } =
      (await server.post("/v1/completions", body)).json;
    assertEquals([text, stop_reason, finish_reason], [...wanted, "stop"], JSON.stringify(asked));
    assertEquals(logprobs.tokens.length, usage.completion_tokens);
    const events = await server.stream("/v1/completions", { ...body, stream: true });
    const pieces = events.slice(0, -1).map(({ data }) => data.choices[0]);
    assertEquals([pieces.map(({ text }) => text).join(""), pieces.at(-1).stop_reason], wanted, JSON.stringify(asked));
  }
});
