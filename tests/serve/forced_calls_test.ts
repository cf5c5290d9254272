/** Calls that must be made keep to the schema of their tool, also where it is not strict; others are free. */
import { CHAT } from "../../src/serve/endpoints/chat.ts";
import { responseEndpoints } from "../../src/serve/endpoints/responses.ts";
import { assert, assertEquals, assertStringIncludes } from "../assert.ts";
import { newJudge } from "../grammar/judge.ts";
import { assemble, messages } from "./chats.ts";
import { eventsOf, type Json, scripted } from "./scripted.ts";
import { openServing } from "./serving.ts";

const server = scripted([CHAT, ...responseEndpoints()]);

/** A request by either API in which a function `f` of some parameters is to be called. */
interface Way {
  readonly path: string;
  readonly body: (parameters: unknown, choice: "auto" | "required" | "named" | "allowed") => Json;
}

const choices = (named: Json, allowed: (mode: string) => Json) => ({
  auto: "auto",
  required: "required",
  named,
  allowed: { type: "allowed_tools", ...allowed("required") },
});
const name = "f", chatNamed = { type: "function", function: { name } }, itemNamed = { type: "function", name };
const chatChoices = choices(chatNamed, (mode) => ({ allowed_tools: { mode, tools: [chatNamed] } }));
const itemChoices = choices(itemNamed, (mode) => ({ mode, tools: [itemNamed] }));
const WAYS: readonly Way[] = [
  {
    path: "/v1/chat/completions",
    body: (parameters, choice) => ({
      messages,
      tools: [{ type: "function", function: { name, parameters } }],
      tool_choice: chatChoices[choice],
    }),
  },
  {
    path: "/v1/responses",
    body: (parameters, choice) => ({
      input: "x",
      tools: [{ type: "function", name, parameters }],
      tool_choice: itemChoices[choice],
    }),
  },
];
const FORCED = ["required", "named", "allowed"] as const;
const callOf = (json: string) => ` to=functions.f<|channel|>commentary json<|message|>${json}<|call|>`;

/** Parameters, arguments that they take, and such as they do not. */
const CASES: readonly [parameters: unknown, good: readonly string[], bad: readonly string[]][] = [
  [
    { type: "object", properties: { city: { type: "string" }, days: { type: "integer" } }, required: ["city"] },
    // Further properties, as the schema says nothing of them.
    ['{"city":"Paris"}', '{"city": "Paris", "days": 3}', '{"city":"Paris","unit":"C"}'],
    ['{"town":"Paris"}', '{"city":3}', "{}", '{"city":"Paris","days":"3"}'],
  ],
  // What names no parameters has none; what says nothing of them takes any object, and nothing else.
  [null, ["{}"], ['{"a":1}', "[]"]],
  [{}, ["{}", '{"a":1}'], ["[]", '"a"']],
  // No grammar says this of lists, of any text, or of a pattern by Python's rules; the rest is kept to.
  [
    { type: "object", properties: { a: { type: "array", items: { type: "integer" }, uniqueItems: true } } },
    ['{"a":[1,1]}'],
    ['{"a":["b"]}', '{"a":1}'],
  ],
  [
    { type: "object", properties: { a: { type: "string", pattern: "(?P<n>x)" }, b: { const: 1 } }, required: ["b"] },
    ['{"a":"y","b":1}'],
    ['{"a":"y","b":2}', '{"a":1,"b":1}'],
  ],
  // More than a schema may cost: any object.
  [
    { type: "object", properties: { a: { type: "string", pattern: "(?:\\p{L}{90}){40}" } } },
    ['{"a":"y"}', '{"a":1}'],
    ["[]"],
  ],
];

Deno.test("forced calls keep to their tool's schema as far as it can be said, and free ones need not", async () => {
  for (const { path, body } of WAYS) {
    for (const [parameters, good, bad] of CASES) {
      for (const choice of FORCED) {
        for (const [texts, expected] of [[good, 200], [bad, 500]] as const) {
          for (const text of texts) {
            server.script(callOf(text));
            const { status, json } = await server.post(path, body(parameters, choice));
            assertEquals(status, expected, `${path}, ${choice}: ${JSON.stringify(parameters)}: ${text}`);
            if (status === 500) assertStringIncludes(json.error.message, "the mask forbids");
          }
        }
      }
      for (const text of [...good, ...bad]) {
        server.script(callOf(text));
        assertEquals((await server.post(path, body(parameters, "auto"))).status, 200);
      }
    }
  }
});

Deno.test("what is no schema is refused where a call is forced, by the place of the mistake", async () => {
  const cases: readonly [parameters: unknown, message: string][] = [
    [{ type: "object", properties: { a: { type: "strin" } } }, "tools.f.parameters.properties.a.type: expected one of"],
    [
      { type: "object", properties: { a: { minimum: "3" } } },
      "tools.f.parameters.properties.a.minimum: expected a num",
    ],
    [{ $ref: "#/$defs/none" }, 'tools.f.parameters.$ref: expected a schema to refer to, got "#/$defs/none"'],
    [{ type: "string" }, "tools: expected a schema that a value can meet"],
  ];
  for (const { path, body } of WAYS) {
    for (const [parameters, message] of cases) {
      for (const choice of FORCED) {
        const { status, json } = await server.post(path, body(parameters, choice));
        assertEquals(status, 400);
        assertStringIncludes(json.error.message, message);
        assert(!json.error.message.includes("\n"));
      }
      server.script(callOf("{}"));
      assertEquals((await server.post(path, body(parameters, "auto"))).status, 200);
    }
  }
});

const SCHEMAS: readonly Json[] = [
  {
    $defs: { unit: { enum: ["C", "F"] }, place: { type: "object", properties: { city: { enum: ["Bern", "Rome"] } } } },
    type: "object",
    properties: { unit: { $ref: "#/$defs/unit" }, place: { $ref: "#/$defs/place", required: ["city"] } },
    required: ["unit", "place"],
    additionalProperties: false,
  },
  {
    type: "object",
    properties: {
      kind: { const: "sum" },
      terms: {
        type: "array",
        minItems: 1,
        maxItems: 2,
        items: { type: "array", maxItems: 2, items: { enum: [1, 2] } },
      },
      code: { type: "string", pattern: "^[A-Z]{2}[0-9]$" },
      note: { anyOf: [{ type: "null" }, { type: "boolean" }] },
    },
    required: ["kind", "terms", "code", "note"],
    additionalProperties: false,
  },
];

Deno.test("the embedded model's forced calls are values of their schemas, streamed or not", async () => {
  await using own = await openServing({ context: 900 });
  const judge = newJudge(), content = "Sam has 47 marbles. How many marbles does Sam have now?";
  // The small model ends no list of calls by itself.
  const once = { seed: 5, parallel_tool_calls: false };
  await Promise.all(SCHEMAS.flatMap((parameters) =>
    (["required", "named"] as const).map(async (choice) => {
      const body = { ...WAYS[0]!.body(parameters, choice), messages: [{ role: "user", content }], ...once };
      const [{ message, finish_reason }] = (await (await own.post(WAYS[0]!.path, body)).json()).choices;
      assertEquals(finish_reason, "tool_calls");
      for (const call of message.tool_calls) {
        assert(judge.validate(parameters, JSON.parse(call.function.arguments)), call.function.arguments);
      }
      const events = await eventsOf(await own.post(WAYS[0]!.path, { ...body, stream: true }));
      const said = (calls: Json) => calls.map((call: Json) => call.arguments ?? call.function.arguments);
      assertEquals(said(assemble(events).calls), said(message.tool_calls));
    })
  ));
});
