/** Names of tools' parameters that are numbers, which JavaScript puts first: prompts have them where clients do. */
import { chatAsk } from "../../src/serve/chat/chat_ask.ts";
import { renderWith } from "../../src/serve/chat/conversation.ts";
import { ResponseStore } from "../../src/serve/chat/response_store.ts";
import { responseAsk } from "../../src/serve/chat/response_turns.ts";
import { ChatRequest } from "../../src/serve/endpoints/chat_schema.ts";
import { ResponseRequest } from "../../src/serve/endpoints/responses_schema.ts";
import { parseBody } from "../../src/serve/http/parse_body.ts";
import { ChatRenderer } from "../../src/text/chat.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { assertStringIncludes } from "../assert.ts";
import { path, TINY } from "../text/goldens.ts";

const tokenizer = await Tokenizer.fromDirectory(TINY);
const template = await ChatRenderer.fromDirectory(path("tests/goldens/text/chat"), tokenizer);
const harmony = ChatRenderer.builtIn(tokenizer);

Deno.test("chat and responses: names of tools' parameters that are numbers stay where they are written", async () => {
  const properties =
    '{"b": {"type": "string"}, "10": {"type": "integer"}, "a": {"type": "string"}, "2": {"type": "string"}}';
  const fields = `"name": "f", "strict": true, "parameters": {"type": "object", "properties": ${properties}}`;
  const chat =
    `{"messages": [{"role": "user", "content": "Hi"}], "tools": [{"type": "function", "function": {${fields}}}]}`;
  const response = `{"input": "Hi", "tools": [{"type": "function", ${fields}}]}`;
  const asks = [
    chatAsk(parseBody(ChatRequest, chat)),
    responseAsk(parseBody(ResponseRequest, response), new ResponseStore(), "").ask,
  ];
  for (const { messages, tools, reasoning, told } of asks) {
    const render = async (by: ChatRenderer) =>
      (await renderWith(by, { messages, tools, reasoning, format: told }, "messages")).text;
    assertStringIncludes(await render(harmony), "b?: string,\n10?: number,\na?: string,\n2?: string,\n");
    assertStringIncludes(await render(template), "(b?: string, 10?: integer, a?: string, 2?: string)");
  }
});
