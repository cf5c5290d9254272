/** Bodies of chat completions, replies for the script that answers them, and streams put together. */
import { assertEquals } from "../assert.ts";
import type { Json } from "./scripted.ts";

export const messages = [{ role: "user", content: "Weather?" }];
export const weather = {
  type: "function",
  function: {
    name: "get_weather",
    parameters: {
      type: "object",
      properties: { city: { type: "string" } },
      required: ["city"],
      additionalProperties: false,
    },
  },
};
export const strict = { ...weather, function: { ...weather.function, strict: true } };

export const THOUGHT = "<|channel|>analysis<|message|>Let me see.<|end|><|start|>assistant";
export const ANSWER = "<|channel|>final<|message|>It is sunny: 20°C \u{1f31e}!<|return|>";
export const CALL =
  '<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city": "Paris"}<|call|>';

/** The pieces of a stream put together, as clients do it. */
export function assemble(events: { data: Json }[]): Json {
  const whole: Json = { content: "", reasoning: "", reasoning_content: "", calls: [] };
  for (const { data } of events.slice(0, -1)) {
    for (const { delta, finish_reason } of data.choices) {
      for (const key of ["content", "reasoning", "reasoning_content"]) whole[key] += delta[key] ?? "";
      for (const { index, id, function: called } of delta.tool_calls ?? []) {
        if (id !== undefined) whole.calls[index] = { id, name: called.name, arguments: "" };
        whole.calls[index].arguments += called.arguments;
      }
      if (finish_reason !== null) whole.finish_reason = finish_reason;
    }
    if (data.usage) whole.usage = data.usage;
  }
  assertEquals(events.at(-1)!.data, "[DONE]");
  return whole;
}

/** Bodies that are refused: the parameter, and a part of what is said. */
export const REFUSED_CHATS: readonly [body: Json, param: string, message: string][] = [
  [{ messages: [] }, "messages", "messages: expected a list of at least 1"],
  [{}, "messages", "messages: expected a list, got nothing"],
  [{ messages: [{ role: "wizard", content: "" }] }, "messages.0.role", 'expected "system" or "developer" or "user"'],
  [{ messages, response_format: { type: "xml" } }, "response_format.type", 'or "json_schema", got "xml"'],
  [{ messages, stop: [""] }, "stop.0", 'stop.0: expected a text of at least 1 character, got ""'],
  [{ messages, temperature: "hot" }, "temperature", 'temperature: expected a number, got "hot"'],
  [{ messages, surprise: 1 }, "surprise", "surprise: unknown field"],
  [{ messages, logit_bias: { 99999999: 1 } }, "logit_bias", "logit_bias: expected ids from 0"],
  [{ messages, functions: [{}] }, "functions", "functions: is not supported"],
  [{ messages, reasoning_effort: "extreme" }, "reasoning_effort", 'reasoning_effort: expected "low"'],
  [
    { messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "x" } }] }] },
    "messages.0.content.0",
    "images, audio and files",
  ],
  [
    { messages: [{ role: "tool", tool_call_id: "x", content: "" }] },
    "messages.0.tool_call_id",
    "expected the id of a call",
  ],
  [{ messages, top_logprobs: 2 }, "top_logprobs", "expected with logprobs"],
  [{ messages, stream_options: {} }, "stream_options", "expected with stream"],
  [{ messages, tool_choice: "required" }, "tool_choice", "expected tools beside it"],
  [
    { messages, tools: [weather], tool_choice: { type: "function", function: { name: "no" } } },
    "tool_choice",
    "expected a name of tools",
  ],
  [{ messages, tools: [weather, weather] }, "tools", 'got "get_weather" twice'],
  [{ messages, tools: [{ type: "custom", custom: {} }] }, "tools.0.custom.name", "tools.0.custom.name: expected a"],
  [{ messages, tools: [{ type: "mcp" }] }, "tools.0.type", 'tools.0.type: expected "function" or "custom", got "mcp"'],
  [{ messages, max_tokens: 1999 }, "max_tokens", "what a conversation of"],
  [{ messages, max_completion_tokens: 5000 }, "max_completion_tokens", "what a conversation of"],
  [{ messages, max_tokens: 5000 }, "max_tokens", "got 5000; this model's maximum context length is 2000 tokens"],
  [
    { messages: [{ role: "user", content: "word ".repeat(3000) }] },
    "messages",
    "a conversation of at most 1999 tokens",
  ],
  [
    { messages: [{ role: "user", content: "y".repeat(900_000) }] },
    "messages",
    "messages: expected at most 2000 tokens, got at least",
  ],
  [{ messages, max_tokens: 3, max_completion_tokens: 4 }, "max_tokens", "expected the same as max_completion_tokens"],
  [{ messages, response_format: { type: "json_object" }, ignore_eos: true }, "ignore_eos", "expected no constraint"],
];
