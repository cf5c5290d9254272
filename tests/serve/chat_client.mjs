// What the official client for Node makes of chats, tools, formats and responses: `node chat_client.mjs URL`, with
// `openai` and `zod` installed beside it.
import OpenAI from "openai";
import { zodFunction, zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const client = new OpenAI({ baseURL: `${process.argv[2]}/v1`, apiKey: "none", maxRetries: 0 });
const model = "tiny-gpt-oss",
  content = "Sam has 47 marbles. Then Sam gets 25 more from a friend. How many marbles does Sam have now?";
const messages = [{ role: "user", content }], asked = { model, messages, temperature: 0, max_completion_tokens: 400 };
const Count = z.object({ count: z.number().int().min(0).max(500), unit: z.enum(["marbles", "boxes"]) });
const Box = z.object({ size: z.enum(["small", "large"]), marbles: z.number().int().min(1).max(99) });
const tools = [zodFunction({ name: "open_box", description: "Opens a box.", parameters: Box })];

const parsed = await client.chat.completions.parse({ ...asked, response_format: zodResponseFormat(Count, "count") });
const counted = await client.chat.completions.stream({ ...asked, response_format: zodResponseFormat(Count, "count") })
  .finalChatCompletion();
const named = { type: "function", function: { name: "open_box" } };
const { choices: [{ message, finish_reason }] } = await client.chat.completions.parse({
  ...asked,
  tools,
  tool_choice: named,
});
const streamed = await client.chat.completions.stream({ ...asked, tools, tool_choice: named }).finalMessage();
const [call] = message.tool_calls;
const next = await client.chat.completions.create({
  ...asked,
  tools,
  tool_choice: "none",
  max_completion_tokens: 60,
  messages: [...messages, message, { role: "tool", tool_call_id: call.id, content: "72" }],
});
const types = new Set();
const stream = client.responses.stream({ model, input: content, temperature: 0, max_output_tokens: 400 });
for await (const { type } of stream) types.add(type);
const first = await stream.finalResponse();
const second = await client.responses.parse({
  model,
  input: content,
  previous_response_id: first.id,
  temperature: 0,
  max_output_tokens: 400,
  text: { format: zodTextFormat(Count, "count") },
});
await client.responses.delete(first.id);
let gone = null;
try {
  await client.responses.retrieve(first.id);
} catch (error) {
  gone = error.status;
}
console.log(JSON.stringify({
  parsed: parsed.choices[0].message.parsed,
  streamed: counted.choices[0].message.parsed,
  call: [call.function.name, call.function.parsed_arguments, finish_reason],
  streamedCall: streamed.tool_calls[0].function.arguments === call.function.arguments,
  none: next.choices[0].message.tool_calls ?? null,
  response: first.output_text,
  kinds: first.output.map(({ type }) => type),
  types: [...types].sort(),
  second: second.output_parsed,
  gone,
}));
