/** Schemas that are kept to as far as a grammar can say it: what they take is taken, and what is said is asked for. */
import { Matcher } from "../../src/grammar/matcher.ts";
import { schemaGrammar, type SchemaOptions } from "../../src/grammar/schema.ts";
import { assert, assertThrows } from "../assert.ts";
import { InputError } from "../../src/errors.ts";
import { JOINED_CASES } from "./joined_cases.ts";
import { newJudge, object, takes } from "./judge.ts";
import { SCHEMA_CASES } from "./schema_cases.ts";

const judge = newJudge();
const matcherOf = (schema: unknown, options: SchemaOptions) =>
  new Matcher(schemaGrammar(schema, "schema", undefined, options), "schema");

Deno.test("a schema of which all can be said takes what it takes, and nothing else", () => {
  for (const [schema, good, bad] of [...SCHEMA_CASES, ...JOINED_CASES]) {
    const matcher = matcherOf(schema, { wider: true }), said = JSON.stringify(schema);
    for (const text of good) assert(takes(matcher, text), `not taken: ${said}: ${text}`);
    for (const text of bad) assert(!takes(matcher, text), `taken: ${said}: ${text}`);
  }
});

/** Schemas with something that no grammar says; values that they take; and such as break what can be said. */
const CASES: readonly [schema: unknown, good: readonly string[], bad: readonly string[]][] = [
  [
    object({ tags: { type: "array", items: { enum: ["a", "b"] }, minItems: 1, uniqueItems: true } }),
    ['{"tags":["a"]}', '{"tags":["b","a"]}'],
    ['{"tags":["c"]}', '{"tags":[]}', "{}"],
  ],
  [object({ n: { type: "integer", minimum: 3, nullable: true } }), ['{"n":3}', '{"n":null}'], ['{"n":2}', '{"n":"3"}']],
  [object({ s: { type: "string", format: "binary" } }), ['{"s":"x"}'], ['{"s":1}', '{"s":"x","t":1}']],
  [object({ s: { type: "string", pattern: "\\bword", maxLength: 9 } }), ['{"s":"a word"}'], ['{"s":3}']],
  [
    object({ x: { oneOf: [{ type: "integer", minimum: 5 }, { type: "number", maximum: 3 }] } }),
    ['{"x":7}', '{"x":1.5}'],
    ['{"x":4.5}', '{"x":"7"}'],
  ],
  [
    object({ x: { anyOf: [{ type: "string" }, { type: "null" }], oneOf: [{ minLength: 1 }, { type: "string" }] } }),
    ['{"x":""}'],
    ['{"x":3}', '{"x":[]}'],
  ],
  [object({ x: { type: "string", not: { pattern: "a" } } }), ['{"x":"b"}'], ['{"x":3}']],
  [
    object({ x: { type: "object", propertyNames: { anyOf: [{ minLength: 2 }, { const: "a" }] }, required: ["a"] } }),
    ['{"x":{"a":1}}', '{"x":{"a":1,"bb":2}}'],
    ['{"x":{}}', '{"x":1}'],
  ],
  [
    { type: "object", patternProperties: { "^(?=a)((?=b)c)?": { type: "integer" } }, additionalProperties: false },
    ['{"a":1}', "{}"],
    ["[]"],
  ],
  [object({ x: { contains: { type: "string" }, type: "array", maxItems: 2 } }), ['{"x":["a"]}'], ['{"x":[1,2,3]}']],
  [object({ x: { enum: [{ a: 1 }, { b: 2 }], properties: { a: {} } } }), ['{"x":{"a":1}}'], ['{"x":{"a":2}}']],
  [object({ x: { type: "string", minLength: 9000 } }), [`{"x":"${"x".repeat(9000)}"}`], ['{"x":1}']],
  // In a schema that others refer to, and in one that refers to itself.
  [
    {
      $defs: {
        node: object({ v: { type: "integer" }, next: { $ref: "#/$defs/list" } }),
        list: {
          type: "array",
          uniqueItems: true,
          items: { $ref: "#/$defs/node" },
        },
      },
      $ref: "#/$defs/node",
    },
    ['{"v":1,"next":[{"v":2,"next":[]}]}'],
    ['{"v":1,"next":[{"v":"2","next":[]}]}', '{"v":1}'],
  ],
];

Deno.test("what cannot be said is left out, and the rest is kept to; else it is refused", () => {
  for (const [schema, good, bad] of CASES) {
    const matcher = matcherOf(schema, { wider: true }), said = JSON.stringify(schema);
    assertThrows(() => matcherOf(schema, {}), InputError);
    for (const text of good) {
      assert(judge.validate(schema, JSON.parse(text)), `ajv: ${said}: ${text}`);
      assert(takes(matcher, text), `not taken: ${said}: ${text}`);
    }
    for (const text of bad) {
      assert(!judge.validate(schema, JSON.parse(text)), `ajv takes: ${said}: ${text}`);
      assert(!takes(matcher, text), `taken: ${said}: ${text}`);
    }
  }
});

Deno.test("a pattern by other rules than JavaScript's is left out", () => {
  for (const pattern of ["(?P<year>\\d{4})", "(?i)yes", "[a-z\\_]+"]) {
    const matcher = matcherOf(object({ x: { type: "string", pattern } }), { wider: true });
    assert(takes(matcher, '{"x":"no"}') && !takes(matcher, '{"x":1}'), pattern);
  }
});

Deno.test("a value that a keyword cannot have, and a schema that no value meets, are refused all the same", () => {
  const cases: readonly [schema: unknown, message: string][] = [
    [object({ x: { type: "strin" } }), "schema.properties.x.type: expected one of object"],
    [object({ x: { minimum: "3" } }), "schema.properties.x.minimum: expected a number"],
    [object({ x: { $ref: "#/$defs/none" } }), "schema.properties.x.$ref: expected a schema to refer to"],
    [object({ x: { enum: [] } }), "schema: expected a schema that a value can meet"],
  ];
  for (const [schema, message] of cases) {
    assertThrows(() => matcherOf(schema, { wider: true }), InputError, message);
  }
});

Deno.test("of objects alone a schema takes no other value, and means by itself what it says", () => {
  const list = { anyOf: [{ type: "integer" }, object({ next: { $ref: "#" } })] };
  for (
    const [schema, good, bad] of [
      [{}, ["{}", '{"a":1}'], ["3", "[]", "null"]],
      [{ type: ["object", "null"] }, ["{}"], ["null"]],
      [list, ['{"next":3}', '{"next":{"next":3}}'], ["3", '{"next":"x"}']],
      [object({ a: {} }), ['{"a":3}'], ["{}", "3"]],
    ] as const
  ) {
    for (const wider of [false, true]) {
      const matcher = matcherOf(schema, { objects: true, wider }), said = JSON.stringify(schema);
      for (const text of good) assert(takes(matcher, text), `not taken: ${said}: ${text}`);
      for (const text of bad) assert(!takes(matcher, text), `taken: ${said}: ${text}`);
    }
  }
  assertThrows(() => matcherOf({ type: "string" }, { objects: true }), InputError, "a schema that a value can meet");
});
