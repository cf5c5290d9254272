/** Schemas that are kept to as far as a grammar can say it: what they take is taken, and what is said is asked for. */
import { Matcher } from "../../src/grammar/matcher.ts";
import { schemaGrammar, type SchemaOptions } from "../../src/grammar/schema.ts";
import { assert, assertThrows } from "../assert.ts";
import { InputError } from "../../src/errors.ts";
import { isObject } from "../../src/json_object.ts";
import { JOINED_CASES } from "./joined_cases.ts";
import { assertAgrees, newJudge, object, takes } from "./judge.ts";
import { type Dice, dice, randomSchema } from "./random_schema.ts";
import { SCHEMA_CASES } from "./schema_cases.ts";

const judge = newJudge();
const matcherOf = (schema: unknown, options: SchemaOptions) =>
  new Matcher(schemaGrammar(schema, "schema", undefined, options), "schema");

Deno.test("a schema of which all can be said takes what it takes, and nothing else", () => {
  for (const [schema, good, bad] of [...SCHEMA_CASES, ...JOINED_CASES]) {
    assertAgrees(matcherOf(schema, { wider: true }), judge, schema, good, bad);
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
  [object({ s: { type: "string", format: "regex" } }), ['{"s":"x"}'], ['{"s":1}', '{"s":"x","t":1}']],
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
  [object({ x: { type: "string", maxLength: 2_000_000 } }), ['{"x":"x"}'], ['{"x":1}']],
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
    assertThrows(() => matcherOf(schema, {}), InputError);
    assertAgrees(matcherOf(schema, { wider: true }), judge, schema, good, bad);
  }
});

/** What no grammar says, beside whatever else a schema says. */
const UNSAID: readonly Record<string, unknown>[] = [
  { uniqueItems: true },
  { contains: { type: "string" } },
  { unevaluatedProperties: true },
  { pattern: "\\bx|a*" },
  { not: { pattern: "zzz" } },
  { not: { multipleOf: 7 } },
  { propertyNames: { anyOf: [{ minLength: 1 }, { const: "" }] } },
  { minProperties: 2 },
  { if: { pattern: "a" }, then: { minLength: 1 }, else: true },
  { oneOf: [{ type: "integer", minimum: 0 }, { type: "number" }, { type: "object" }, { type: "string" }] },
  { maxLength: 9_000_000 },
  { patternProperties: { "\\bq": { type: "integer" } } },
  { dependentSchemas: { a: { not: { multipleOf: 3 } } } },
  { allOf: [{ uniqueItems: true }, { contains: {} }] },
];

/** A schema with such keywords in some of its schemas. */
function unsaid(schema: unknown, roll: Dice): unknown {
  if (!isObject(schema)) return schema;
  const of = (value: unknown) => unsaid(value, roll);
  const entries = Object.entries(schema).map(([key, value]) => {
    if (key === "items" || key === "additionalProperties") return [key, of(value)];
    if (Array.isArray(value) && (key === "anyOf" || key === "prefixItems")) return [key, value.map(of)];
    if (key !== "properties" || !isObject(value)) return [key, value];
    return [key, Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, of(inner)]))];
  });
  const own = Object.fromEntries(entries);
  return roll(2) === 0 ? { ...UNSAID[roll(UNSAID.length)], ...own } : own;
}

Deno.test("whatever else a schema says that no grammar can, each value that ajv takes is taken", () => {
  let taken = 0;
  for (let seed = 1; seed <= 400; seed++) {
    const roll = dice(seed * 7919), sample = randomSchema(roll, 2), schema = unsaid(sample.schema, roll);
    const values = Array.from({ length: 8 }, sample.value).filter((value) => judge.validate(schema, value));
    if (values.length === 0) continue;
    const matcher = matcherOf(schema, { wider: true });
    for (const text of values.map((value) => JSON.stringify(value))) {
      assert(takes(matcher, text), `not taken: ${JSON.stringify(schema)}: ${text}`);
      taken++;
    }
  }
  assert(taken > 1000, `${taken}`);
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
