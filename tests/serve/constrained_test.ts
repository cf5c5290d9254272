/** Constrained replies of the embedded model, through the engine. */
import { assert, assertEquals } from "../assert.ts";
import { newJudge } from "../grammar/judge.ts";
import { openServing } from "./serving.ts";

const schema = {
  type: "object",
  properties: { count: { type: "integer", minimum: 0, maximum: 500 }, unit: { enum: ["marbles", "boxes"] } },
  required: ["count", "unit"],
  additionalProperties: false,
};
const content = "Sam has 47 marbles. Then Sam gets 25 more from a friend. How many marbles does Sam have now?";
const free = { messages: [{ role: "user", content }], temperature: 0.8, seed: 3, max_tokens: 100 };
const held = { ...free, response_format: { type: "json_schema", json_schema: { name: "count", schema } } };

Deno.test("chat: a constrained reply is a value of its schema, and the same alone and beside free ones", async () => {
  await using server = await openServing();
  const ask = async (body: unknown) => {
    const answer = await (await server.post("/v1/chat/completions", body)).json();
    return answer.choices[0].message as { content: string; reasoning: string };
  };
  const [one, other] = [await ask(held), await ask(free)];
  assert(newJudge().validate(schema, JSON.parse(one.content)), one.content);
  assertEquals([other.content, one.reasoning], ["#### 72", other.reasoning]);
  assertEquals(await Promise.all([ask(held), ask(free), ask(held)]), [one, other, one]);
  // A schema's value ends where it must, whatever was asked for.
  assertEquals(await ask({ ...held, min_tokens: 100 }), one);
});
