/** What programs of others ask, recorded off the wire, is answered as it was then (tests/goldens/clients/README.md). */
import { CHAT } from "../../src/serve/endpoints/chat.ts";
import { COMPLETIONS } from "../../src/serve/endpoints/completions.ts";
import { MODELS } from "../../src/serve/endpoints/models.ts";
import { responseEndpoints } from "../../src/serve/endpoints/responses.ts";
import { stateEndpoints } from "../../src/serve/endpoints/state.ts";
import { TOKENS } from "../../src/serve/endpoints/tokens.ts";
import { assert, assertEquals } from "../assert.ts";
import { type Json, scripted } from "./scripted.ts";

interface Recorded {
  readonly client: string;
  readonly method: string;
  readonly path: string;
  readonly body: Json;
  readonly status: number;
}

const recorded: Recorded[] = Deno.readTextFileSync(new URL("../goldens/clients/requests.jsonl", import.meta.url))
  .trim().split("\n").map((line) => JSON.parse(line));
const ANALYSIS = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant";
const FREE = `${ANALYSIS}<|channel|>final<|message|>Four.<|return|>`;
const COUNT = `${ANALYSIS}<|channel|>final<|message|>{"n":4}<|return|>`;
const CALL = '<|channel|>commentary to=functions.count json<|message|>{"n":4}<|call|>';

/** A reply that a request can have. */
function replyTo({ tool_choice, response_format, text }: Json): string {
  if (typeof tool_choice === "object" && tool_choice !== null) return CALL;
  return (response_format ?? text?.format) === undefined ? FREE : COUNT;
}

Deno.test("every recorded request of other programs is answered as it was", async () => {
  const server = scripted([
    ...MODELS,
    COMPLETIONS,
    CHAT,
    ...responseEndpoints(),
    ...TOKENS,
    ...stateEndpoints("0.0.0"),
  ]);
  for (const { client, method, path, body, status } of recorded) {
    const said = `${client}: ${method} ${path} ${JSON.stringify(body)}`;
    assertEquals(status, 200, said);
    if (body === null) {
      assertEquals((await server.call(method, path)).status, 200, said);
      continue;
    }
    const replies = (body.n ?? 1) * (Array.isArray(body.prompt) ? body.prompt.length : 1);
    server.script(...Array(replies).fill(replyTo(body)));
    if (body.stream !== true) {
      const { status, json } = await server.post(path, body);
      assertEquals(status, 200, `${said}: ${JSON.stringify(json)}`);
      continue;
    }
    const { event, data } = (await server.stream(path, body)).at(-1)!;
    // Who ignores the model's own end is cut.
    const ends = path === "/v1/responses" ? ["response.incomplete", "response.completed"] : ["[DONE]"];
    assert(ends.includes(event ?? data), `${said}: ${event ?? data}`);
  }
});

Deno.test("the recording has the programs that docs/server.md names", () => {
  const clients = new Set(recorded.map(({ client }) => client.split(" ").slice(0, -1).join(" ")));
  for (
    const name of [
      "guidellm",
      "Open WebUI",
      "lm-eval",
      "evalscope",
      "litellm",
      "langchain-openai",
      "llm",
      "vllm bench serve",
    ]
  ) {
    assert(clients.has(name), name);
  }
  const paths = new Set(recorded.filter(({ body }) => body !== null).map(({ path }) => path));
  for (const path of ["/v1/chat/completions", "/v1/completions", "/v1/responses"]) assert(paths.has(path), path);
});
