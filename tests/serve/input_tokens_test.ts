/** `/v1/responses/input_tokens`: what responses count as their input. */
import { assert, assertEquals } from "../assert.ts";
import { responseEndpoints } from "../../src/serve/endpoints/responses.ts";
import { type Json, scripted } from "./scripted.ts";
import { openServing } from "./serving.ts";

const input = "Tom has 3 apples. How many?";
const schema = { type: "object", properties: { n: { type: "number" } }, required: ["n"], additionalProperties: false };
const tools = [{ type: "function", name: "count", description: "Counts.", parameters: schema, strict: false }];
const PATH = "/v1/responses/input_tokens";

Deno.test("input_tokens counts what a response of the same fields has as its input", async () => {
  await using serving = await openServing({ context: 1200 });
  const post = async (path: string, body: Json) => await (await serving.post(path, body)).json();
  const { id } = await post("/v1/responses", { input, max_output_tokens: 2 });
  const bodies: readonly Json[] = [
    { input },
    { input, instructions: "Be brief. Ünï\u{1f600}" },
    { input, tools },
    { input, tools, tool_choice: "required", parallel_tool_calls: false },
    { input, reasoning: { effort: "high" }, tools },
    { input, chat_template_kwargs: { reasoning_effort: "low" }, truncation: "auto" },
    { input, text: { format: { type: "json_schema", name: "n", schema } } },
    { input, previous_response_id: id },
    {
      input: [
        { role: "user", content: input },
        { type: "function_call", call_id: "c", name: "count", arguments: '{"n":3}' },
        { type: "function_call_output", call_id: "c", output: "3" },
      ],
      tools,
    },
  ];
  const counts = new Set<number>();
  for (const body of bodies) {
    const counted = await post(PATH, body), { usage } = await post("/v1/responses", { ...body, max_output_tokens: 1 });
    assertEquals(counted, { object: "response.input_tokens", input_tokens: usage.input_tokens }, JSON.stringify(body));
    counts.add(usage.input_tokens);
  }
  assert(counts.size > 4, "the bodies have the same prompts");
});

Deno.test("input_tokens counts what no response has room for, and refuses what is no conversation", async () => {
  await using serving = await openServing({ context: 64 });
  const { input_tokens } = await (await serving.post(PATH, { input: "word ".repeat(3000) })).json();
  assert(input_tokens > 3000, `${input_tokens}`);
  const server = scripted(responseEndpoints());
  const cases: readonly [body: Json, param: string, message: string][] = [
    [{}, "input", "input: expected a text or a list, got nothing"],
    [{ input, temperature: 1 }, "temperature", "temperature: unknown field"],
    [{ input, personality: "x" }, "personality", "personality: is not supported"],
    [{ input, tools: [...tools, ...tools] }, "tools", 'tools: expected each name once, got "count" twice'],
    [{ input, previous_response_id: "resp_x" }, "previous_response_id", "previous_response_id: no response resp_x is"],
  ];
  for (const [body, param, message] of cases) {
    const { status, json } = await server.post(PATH, body);
    assertEquals([status, json.error.param], [400, param], JSON.stringify(json));
    assert(json.error.message.startsWith(message), json.error.message);
  }
  const { status, json } = await server.call("GET", PATH);
  assertEquals([status, json.error.message], [404, "no response input_tokens is kept"]);
});
