/** Replies of `/v1/chat/completions` that are cut off by `max_tokens`, at every token. */
import { CHAT } from "../../src/serve/endpoints/chat.ts";
import { assert, assertEquals } from "../assert.ts";
import { ANSWER, assemble, messages, THOUGHT, weather } from "./chats.ts";
import { scripted } from "./scripted.ts";

const server = scripted([CHAT]);
const PATH = "/v1/chat/completions";

Deno.test("chat: a reply that is cut anywhere calls no function by half a name, and shows no header", async () => {
  const calls = [
    ' to=functions.get_weather<|channel|>commentary <|constrain|>json<|message|>{"city": "Paris"}<|call|>',
    '<|channel|>commentary to=functions.get_weather json<|message|>{"city": "Paris"}<|call|>',
    '<|channel|>analysis to=functions.get_weather code<|message|>{"city": "Paris"}<|call|>',
  ];
  const tools = [weather];
  for (const reply of [...calls, ANSWER, `<|channel|>commentary<|message|>Soon.<|end|><|start|>assistant${ANSWER}`]) {
    server.script(THOUGHT + reply);
    const { json: whole } = await server.post(PATH, { messages, tools });
    const { message } = whole.choices[0], count = whole.usage.completion_tokens;
    assert(count > 15);
    for (let max_tokens = 1; max_tokens < count; max_tokens++) {
      server.script(THOUGHT + reply, THOUGHT + reply);
      const { json } = await server.post(PATH, { messages, tools, max_tokens });
      const { message: cut, finish_reason } = json.choices[0], at = `${reply}: ${max_tokens} tokens`;
      assertEquals(finish_reason, "length", at);
      assert((message.content ?? "").startsWith(cut.content?.replace(/\ufffd$/, "") ?? ""), `${at}: ${cut.content}`);
      assert(message.reasoning.startsWith(cut.reasoning ?? ""), at);
      for (const { function: called } of cut.tool_calls ?? []) {
        const own = message.tool_calls[0].function;
        assertEquals(called.name, own.name, at);
        assert(own.arguments.startsWith(called.arguments), `${at}: ${called.arguments}`);
      }
      const { content, calls } = assemble(await server.stream(PATH, { messages, tools, max_tokens, stream: true }));
      assertEquals([content, calls.length], [cut.content ?? "", cut.tool_calls?.length ?? 0], at);
    }
  }
});

Deno.test("chat: an answer without any format is shown where it is cut, too", async () => {
  for (const text of ["Paris", "t", "assistant", "<|channel|>final Four."]) {
    server.script(text);
    const { json } = await server.post(PATH, { messages });
    assertEquals(json.choices[0].message.content, text === "t" ? "" : text.replace("<|channel|>final ", ""), text);
  }
});
