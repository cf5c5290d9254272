/** OpenAI's own client for JavaScript, in this process, over scripted replies. */
import OpenAI from "openai";
import { zodFunction, zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import { CHAT } from "../../src/serve/endpoints/chat.ts";
import { MODELS } from "../../src/serve/endpoints/models.ts";
import { responseEndpoints } from "../../src/serve/endpoints/responses.ts";
import { assert, assertEquals, assertRejects } from "../assert.ts";
import { scripted } from "./scripted.ts";

const server = scripted([...MODELS, CHAT, ...responseEndpoints()]);
const client = new OpenAI({
  apiKey: "any",
  baseURL: "http://localhost/v1",
  maxRetries: 0,
  fetch: (input: string | URL | Request, init?: RequestInit) => server.app.fetch(new Request(input, init)),
});
const model = "scripted";
const messages = [{ role: "user" as const, content: "Weather?" }];
const THOUGHT = "<|channel|>analysis<|message|>Let me see.<|end|><|start|>assistant";
const ANSWER = "<|channel|>final<|message|>It is sunny!<|return|>";
const CALL = ' to=functions.get_weather<|channel|>commentary <|constrain|>json<|message|>{"city": "Paris"}<|call|>';
const City = z.object({ city: z.string() });
const Count = z.object({ n: z.number().int(), unit: z.enum(["cm", "m"]).nullable() });
const COUNT = '<|channel|>final<|message|>{"n": 3, "unit": null}<|return|>';

Deno.test("openai: models, chat, streams and errors", async () => {
  assertEquals((await client.models.list()).data.map(({ id }) => id), ["scripted"]);
  server.script(THOUGHT + ANSWER, THOUGHT + ANSWER);
  const { choices, usage } = await client.chat.completions.create({ model, messages });
  assertEquals(choices[0]!.message.content, "It is sunny!");
  assert(usage!.completion_tokens_details!.reasoning_tokens! > 0);
  const stream = await client.chat.completions.create({
    model,
    messages,
    stream: true,
    stream_options: { include_usage: true },
  });
  let text = "", total = 0;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? "";
    total += chunk.usage?.total_tokens ?? 0;
  }
  assertEquals([text, total > 0], ["It is sunny!", true]);
  const refused = await assertRejects(
    () => client.chat.completions.create({ model, messages, presence_penalty: 3 }),
    OpenAI.BadRequestError,
  ) as InstanceType<typeof OpenAI.BadRequestError>;
  assertEquals([refused.status, refused.param], [400, "presence_penalty"]);
});

Deno.test("openai: tools in a stream, and what the client parses by zod", async () => {
  server.script(THOUGHT + CALL, CALL);
  const tools = [zodFunction({ name: "get_weather", parameters: City })];
  const message = await client.chat.completions.stream({ model, messages, tools }).finalMessage();
  const call = message.tool_calls![0]!;
  assert(call.type === "function");
  assertEquals([call.function.name, call.function.arguments], ["get_weather", '{"city": "Paris"}']);
  const parsed = await client.chat.completions.parse({ model, messages, tools, tool_choice: "required" });
  const again = parsed.choices[0]!.message.tool_calls![0]!;
  assert(again.type === "function");
  assertEquals(again.function.parsed_arguments, { city: "Paris" });
  server.script(ANSWER);
  // The client's own fields go back with the message.
  const answered = { role: "tool" as const, tool_call_id: again.id, content: "sunny" };
  await client.chat.completions.create({
    model,
    messages: [...messages, parsed.choices[0]!.message, answered],
    tools,
  });
  server.script(THOUGHT + COUNT);
  const counted = await client.chat.completions.parse({
    model,
    messages,
    response_format: zodResponseFormat(Count, "count"),
  });
  assertEquals(counted.choices[0]!.message.parsed, { n: 3, unit: null });
});

Deno.test("openai: responses, whole, streamed and continued", async () => {
  server.script(THOUGHT + ANSWER, THOUGHT + ANSWER, COUNT, CALL);
  const first = await client.responses.create({ model, input: "Weather?" });
  assertEquals(first.output_text, "It is sunny!");
  const types: string[] = [];
  const stream = client.responses.stream({ model, input: "And now?", previous_response_id: first.id });
  for await (const { type } of stream) types.push(type);
  assert(types.includes("response.reasoning_text.delta") && types.includes("response.output_text.delta"));
  const last = await stream.finalResponse();
  assertEquals([last.output_text, last.status], ["It is sunny!", "completed"]);
  const reasoning = last.output[0]!;
  assert(reasoning.type === "reasoning");
  assertEquals(reasoning.content, [{ type: "reasoning_text", text: "Let me see." }]);
  const counted = await client.responses.parse({ model, input: "?", text: { format: zodTextFormat(Count, "count") } });
  assertEquals(counted.output_parsed, { n: 3, unit: null });
  const called = await client.responses.create({
    model,
    input: [{ role: "user", content: "Weather?" }],
    tools: [{ type: "function", name: "get_weather", parameters: z.toJSONSchema(City), strict: true }],
  });
  const [call] = called.output;
  assert(call?.type === "function_call");
  assertEquals([call.name, call.arguments], ["get_weather", '{"city": "Paris"}']);
  assertEquals((await client.responses.retrieve(called.id)).output, called.output);
  await client.responses.delete(called.id);
  await assertRejects(() => client.responses.retrieve(called.id), OpenAI.NotFoundError);
});

Deno.test("OpenAI's client counts the input of a response before it asks for it", async () => {
  const asked = { model, input: "Weather?", instructions: "Be brief." };
  const counted = await client.responses.inputTokens.count(asked);
  server.script("<|channel|>final<|message|>Sunny.<|return|>");
  const { usage } = await client.responses.create(asked);
  assertEquals([counted.object, counted.input_tokens], ["response.input_tokens", usage!.input_tokens]);
});
