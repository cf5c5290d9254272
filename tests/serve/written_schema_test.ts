/** Numbers of schemas that JavaScript writes with other digits, and names that it puts first. */
import { CHAT } from "../../src/serve/endpoints/chat.ts";
import { COMPLETIONS } from "../../src/serve/endpoints/completions.ts";
import { responseEndpoints } from "../../src/serve/endpoints/responses.ts";
import { plainSchema } from "../../src/serve/chat/written_schema.ts";
import { parseAsPython } from "../../src/json_numbers.ts";
import { InputError } from "../../src/errors.ts";
import { assertEquals, assertStringIncludes, assertThrows } from "../assert.ts";
import { type Json, type Scripted, scripted } from "./scripted.ts";

const CHATS = "/v1/chat/completions";
const MESSAGES = '"messages": [{"role": "user", "content": "Hi"}]';

/** Posts a body as it is written. */
async function post({ app }: Scripted, path: string, body: string): Promise<{ status: number; json: Json }> {
  const response = await app.fetch(new Request(`http://localhost${path}`, { method: "POST", body }));
  return { status: response.status, json: await response.json() };
}

/** Requests that hold a reply to a schema, and the field that it stands in. */
const asks = (schema: string): readonly (readonly [path: string, body: string, field: string])[] => [
  [
    CHATS,
    `{${MESSAGES}, "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": ${schema}}}}`,
    "response_format.json_schema.schema",
  ],
  [CHATS, `{${MESSAGES}, "structured_outputs": {"json": ${schema}}}`, "structured_outputs.json"],
  [
    "/v1/completions",
    `{"prompt": "Hi", "structured_outputs": {"json": ${JSON.stringify(schema)}}}`,
    "structured_outputs.json",
  ],
  [
    "/v1/responses",
    `{"input": "Hi", "text": {"format": {"type": "json_schema", "name": "x", "schema": ${schema}}}}`,
    "text.format.schema",
  ],
  [
    CHATS,
    `{${MESSAGES}, "tools": [{"type": "function", "function": ` +
    `{"name": "f", "strict": true, "parameters": ${schema}}}]}`,
    "tools.f.parameters",
  ],
];

Deno.test("an integer of an enum whose digits no reply could have is refused, wherever the schema stands", async () => {
  const server = scripted([CHAT, COMPLETIONS, ...responseEndpoints()]);
  for (const [path, body, field] of asks('{"properties": {"const": {"enum": ["a", 1234567890123456789]}}}')) {
    const { status, json } = await post(server, path, body);
    assertEquals([status, json.error.message], [
      400,
      `${field}.properties.const.enum[1]: ` +
      "expected an integer that float64 holds with all digits, got 1234567890123456789",
    ]);
  }
});

Deno.test("a reply stays within a bound whose digits JavaScript changes", async () => {
  const server = scripted([CHAT]);
  // JavaScript has 9223372036854776000 for it.
  const schema = '{"type": "object", "properties": {"n": {"type": "integer", "maximum": 9223372036854775807}}}';
  const [[, body]] = asks(schema) as [readonly [string, string, string]];
  const ask = async (n: string) => {
    server.script(`<|channel|>final json<|message|>{"n":${n}}<|return|>`);
    const { json } = await post(server, CHATS, body);
    return json.error?.message ?? json.choices[0].message.content;
  };
  assertEquals(await ask("9223372036854774784"), '{"n":9223372036854774784}');
  assertStringIncludes(await ask("9223372036854775808"), "the mask forbids");
});

Deno.test("bounds become the next within whose digits stay; what says nothing of values may be any number", () => {
  const plain = (schema: string) => JSON.stringify(plainSchema(parseAsPython(schema), "s"));
  for (
    const [given, expected] of [
      ['{"maximum":9223372036854775807}', '{"maximum":9223372036854775000}'],
      ['{"exclusiveMaximum":9223372036854775808}', '{"exclusiveMaximum":9223372036854775000}'],
      ['{"minimum":-9223372036854775808}', '{"minimum":-9223372036854775000}'],
      [
        '{"minimum":9007199254740993,"maximum":9007199254740993}',
        '{"minimum":9007199254740994,"maximum":9007199254740992}',
      ],
      ['{"maximum":1.0,"minimum":-5,"const":2.50}', '{"maximum":1,"minimum":-5,"const":2.5}'],
      ['{"enum":[9007199254740992,1e22,10000000000000000000000]}', '{"enum":[9007199254740992,1e+22,1e+22]}'],
      ['{"default":1234567890123456789}', '{"default":1234567890123456800}'],
      [
        '{"properties":{"default":{"maximum":9007199254740993}}}',
        '{"properties":{"default":{"maximum":9007199254740992}}}',
      ],
    ] as const
  ) assertEquals(plain(given), expected);
  for (
    const [given, path] of [
      ['{"not":{"maximum":9223372036854775807}}', "s.not.maximum"],
      ['{"properties":{"default":{"const":9007199254740993}}}', "s.properties.default.const"],
      ['{"const":{"a":[9007199254740993]}}', "s.const.a[0]"],
      [`{"enum":[1${"0".repeat(400)}]}`, "s.enum[0]"],
      [`{"not":{"minimum":-1${"0".repeat(400)}}}`, "s.not.minimum"],
    ] as const
  ) assertStringIncludes(assertThrows(() => plain(given), InputError).message, `${path}: expected an integer`);
});

Deno.test("the model is told of a format with numbers and names as they are written", async () => {
  const server = scripted([CHAT, ...responseEndpoints()]);
  const schema = '{"type":"object","properties":{"b":{"const":1.0},"10":{"const":7.0},"2":{"default":-0.5}}}';
  for (const [path, body] of asks(schema).filter((_, i) => i === 0 || i === 3)) {
    server.script('<|channel|>final json<|message|>{"b":1}<|return|>');
    assertEquals((await post(server, path, body)).status, 200);
    assertStringIncludes(server.prompts.at(-1)!, schema);
  }
});
