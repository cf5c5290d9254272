/** Schemas that are refused: by name, and soon. */
import { InputError } from "../../src/errors.ts";
import { assertThrows } from "../assert.ts";
import { assertRefusedQuickly } from "../quickly.ts";
import { SOAK } from "../soak.ts";
import { matcherOf, object } from "./judge.ts";

/** Lists in lists. */
function deep(levels: number): unknown {
  return levels === 0 ? {} : { type: "array", items: deep(levels - 1) };
}

/** Lists in lists that are no schema. */
function nested(levels: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < levels; i++) value = [value];
  return value;
}

/** Alternatives that exclude each other. */
function many(count: number): unknown[] {
  return Array.from({ length: count }, (_, i) => ({ const: i }));
}

const REFUSED: readonly [schema: unknown, message: string][] = [
  [
    object({ a: { type: "array", uniqueItems: true } }),
    "schema.properties.a: uniqueItems is not supported",
  ],
  [{ type: "string", format: "idn-email" }, "schema.format: expected one of date, time,"],
  [{ type: "string", pattern: "((?=a)b)" }, "schema.pattern: expected a pattern without lookarounds"],
  // There ^ would be the beginning of what follows, and not of the text.
  [{ type: "string", pattern: "^a(?=^b)" }, "schema.pattern: expected a pattern without lookarounds in groups"],
  [{ type: "string", pattern: "(" }, "schema.pattern: expected a regular expression"],
  [{ type: "string", pattern: "\\bword" }, "schema.pattern: expected a pattern without lookarounds"],
  [{ type: "string", pattern: "(?:a{90}){1000}" }, "schema.pattern: expected an expression of at most"],
  [{ type: "thing" }, "schema.type: expected one of object, array"],
  [{ type: 3 }, "schema.type: expected a type or a list of types, got 3"],
  [{ $ref: "#/$defs/none" }, 'schema.$ref: expected a schema to refer to, got "#/$defs/none"'],
  [{ $ref: "other.json" }, "schema.$ref: expected a place in this schema"],
  [{ oneOf: [{ type: "integer" }, { type: "number" }] }, "schema.oneOf: expected alternatives that exclude each other"],
  [
    {
      $defs: {
        a: { type: "object", properties: { next: { $ref: "#/$defs/a" } }, required: ["next"] },
        b: { type: "object", properties: { next: { $ref: "#/$defs/b" } }, required: ["next"] },
      },
      oneOf: [{ $ref: "#/$defs/a" }, { $ref: "#/$defs/b" }],
    },
    "schema.oneOf: expected alternatives that exclude each other",
  ],
  [false, "schema: expected a schema that a value can meet"],
  [{ type: "array", items: { $ref: "#" }, minItems: 1 }, "schema: expected a schema that a value can meet"],
  [object({ a: { type: "string", enum: [] } }), "schema: expected a schema that a value can meet"],
  [
    { type: "object", properties: {}, required: ["x"], additionalProperties: false },
    "expected a schema that a value can meet",
  ],
  [{ type: "integer", minimum: 3, maximum: 2 }, "schema: expected a schema that a value can meet"],
  [{ type: "string", minLength: "2" }, 'schema.minLength: expected a number, got "2"'],
  [{ type: "number", multipleOf: "2" }, 'schema.multipleOf: expected a number above 0, got "2"'],
  [[], "schema: expected a JSON Schema, got an array of 0"],
  [null, "schema: expected a JSON Schema, got null"],
  ...[0, 1].map((first): [unknown, string] => {
    const both = [
      { properties: { xa: { type: "string" } }, additionalProperties: false },
      { patternProperties: { "^x": { minLength: 2 } } },
    ];
    return [{ type: "object", allOf: [both[first], both[1 - first]] }, "schema: cannot join patternProperties with"];
  }),
  [{ $ref: "#" }, "schema: expected a schema that a value can meet"],
  [{ type: "string", minLength: 1e7 }, "schema.minLength: expected a count of at most 1000000, got 10000000"],
  [
    { type: "object", propertyNames: { maxLength: 90_000 } },
    "schema.propertyNames: expected an automaton of at most 200000 states",
  ],
  [{ type: "string", pattern: "^[a-z]{1,1200}$", maxLength: 1e6 }, "schema: expected shorter lengths"],
  [{ type: "string", format: "ipv4network" }, "schema.format: expected one of date, time,"],
  [{ type: "string", format: "Password" }, "multi-host-uri, password, binary, path, got"],
  [deep(300), "schema: expected schemas nested at most 200 deep"],
  [{ const: nested(10_000) }, "schema: expected lists and objects nested at most 500 deep"],
  [{ const: JSON.parse("1e999") }, "schema.const: expected a number below 1.8e308, got Infinity"],
  [object({ a: { enum: [1, -Infinity] } }), "schema.properties.a.enum[1]: expected a number below 1.8e308"],
  [{ oneOf: [{ const: { a: 1, b: 2 } }, { const: { b: 2, a: 1 } }] }, "schema.oneOf: expected alternatives that"],
  [{ oneOf: [{ enum: ["a", "b"] }, { enum: ["b", "c"] }] }, "schema.oneOf: expected alternatives that exclude each"],
  [{ oneOf: [{ type: ["string", "null"] }, { type: ["null", "object"] }] }, "schema.oneOf: expected alternatives that"],
  [{ type: "string", pattern: "a^", format: "date" }, "schema: expected a schema that a value can meet"],
  [{ allOf: [{ anyOf: many(16) }, { anyOf: many(17) }] }, "schema: cannot join two values of anyOf of schemas that"],
  [
    { $ref: "#/$defs/x", $defs: { x: { $ref: "#/$defs/x", type: "string" } } },
    "expected references that lead to a schema",
  ],
  [{ not: { $ref: "#" } }, "schema: expected references that lead to a schema, got"],
  [{ allOf: [{ properties: { a: 3 } }, { properties: { a: true } }] }, "expected a JSON Schema, got 3"],
  [{ allOf: [{ properties: { a: 3 } }, { properties: { a: {} } }] }, "schema.allOf[0].properties.a: expected a JSON"],
  [{ dependentRequired: { a: "b" } }, "schema.dependentRequired.a: expected a list of names"],
  [{ dependentRequired: ["b"] }, "schema.dependentRequired: expected an object"],
  [
    { $defs: { b: {} }, properties: { a: { $id: "http://host/x", $ref: "#/$defs/b" } } },
    "schema.properties.a.$ref: a reference in a schema with an $id is not supported",
  ],
];

Deno.test("schemaGrammar() refuses by name what it does not know, and schemas that no value meets", () => {
  for (const [schema, message] of REFUSED) {
    assertThrows(() => matcherOf(schema), InputError, message, JSON.stringify(schema));
  }
});

Deno.test("patterns that become large automata are refused soon", async () => {
  for (const pattern of SOAK ? ["(a|b)*a(a|b){20}", "(?:\\p{L}{1,60}x?){1,60}", "(?=.*a.{12}b)(?=.*b.{12}a)."] : []) {
    await assertRefusedQuickly(() => matcherOf({ type: "string", pattern }), /^schema\.pattern: expected /, 4000);
  }
});

Deno.test("counts of properties that a mask cannot keep are refused by name", () => {
  const optional = { type: "object", properties: { a: true, b: true } };
  const cases: [more: object, message: string][] = [
    [{ minProperties: 2 }, "schema.minProperties: expected 1, or a count that required meets, got 2"],
    [{ maxProperties: 1 }, "schema.maxProperties: expected a count that leaves room for all properties"],
    [{ maxProperties: 3 }, "schema.maxProperties: expected a count that leaves room for all properties"],
    [{ maxProperties: -1 }, "schema.maxProperties: expected a count, got -1"],
  ];
  for (const [more, message] of cases) {
    assertThrows(() => matcherOf({ ...optional, ...more }), InputError, message);
  }
});
