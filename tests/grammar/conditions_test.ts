/** `not`, `if`, `then`, `else` and `patternProperties`: ajv says of each value whether a schema takes it. */
import { InputError } from "../../src/errors.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";
import { matcherOf, newJudge, takes } from "./judge.ts";

const judge = newJudge();
/** Values of all types, and objects of a few names with a few values. */
const SCALARS: readonly unknown[] = [null, true, -3, 0, 2.5, 7, "", "a", "b", "abc", "é\n", [], [1], [1, "a", null]];
const NAMES = ["kind", "x_a", "x_1", "n", "other"];
const PARTS: readonly unknown[] = ["a", "b", 3, null];
const VALUES: readonly unknown[] = [
  ...SCALARS,
  {},
  ...NAMES.flatMap((name) => PARTS.map((value) => ({ [name]: value }))),
  ...NAMES.flatMap((one, i) =>
    NAMES.slice(i + 1).flatMap((two) => PARTS.flatMap((a) => PARTS.map((b) => ({ [one]: a, [two]: b }))))
  ),
];

const kind = (value: string) => ({ properties: { kind: { const: value } }, required: ["kind"] });
const LEAF = { type: "object", properties: { kind: { type: "string" }, n: true }, additionalProperties: false };

const TAKEN: readonly unknown[] = [
  { not: { type: "string" } },
  { not: { type: ["object", "array", "null"] } },
  { type: "string", not: { enum: ["a", "b"] } },
  { type: ["string", "null"], not: { const: null } },
  { not: { enum: [null, "a", "abc"] } },
  { type: "number", not: { minimum: 1 } },
  { type: "integer", not: { maximum: 0 } },
  { type: "string", not: { maxLength: 1 } },
  { type: "array", not: { minItems: 1 } },
  { type: "object", not: { required: ["kind"] } },
  { not: { required: ["kind", "n"] } },
  { not: { not: { type: "number" } } },
  { not: { anyOf: [{ type: "string" }, { type: "object" }] } },
  { not: { allOf: [{ type: "object" }, { required: ["n"] }] } },
  { type: "object", not: kind("a") },
  { type: "object", allOf: [{ not: { required: ["n"] } }, { not: { required: ["other"] } }] },
  { ...LEAF, if: kind("a"), then: { required: ["n"] } },
  { ...LEAF, if: kind("a"), then: { required: ["n"] }, else: { properties: { n: { type: "null" } } } },
  { ...LEAF, if: { properties: { kind: { const: "a" } } }, else: { required: ["n"] } },
  { ...LEAF, if: true, then: { required: ["n"] } },
  { ...LEAF, then: { required: ["n"] } },
  {
    ...LEAF,
    allOf: [
      { if: kind("a"), then: { properties: { n: { type: "string" } }, required: ["n"] } },
      { if: kind("b"), then: { properties: { n: { type: "integer" } } } },
    ],
  },
  {
    anyOf: [{ not: { type: "object" } }, {
      type: "object",
      maxProperties: 1,
      additionalProperties: { type: "string" },
    }],
  },
  { $defs: { text: { type: "string" } }, not: { $ref: "#/$defs/text" } },
  { type: "object", patternProperties: { "^x_": { type: "string" } } },
  { type: "object", patternProperties: { "^x_": { type: "string" } }, additionalProperties: false },
  { type: "object", patternProperties: { "^x_": { type: "string" } }, additionalProperties: { type: "null" } },
  {
    type: "object",
    properties: { kind: { const: "a" }, x_a: { type: ["string", "null"] } },
    patternProperties: { "^x_": { type: ["string", "integer"] }, "\\d$": { enum: ["a", 3, null] }, "^(?!x)": true },
    additionalProperties: false,
  },
  { type: "object", patternProperties: { "^x_": false, k: { type: "string" } }, required: ["kind"] },
  { type: "object", patternProperties: { "^k": { type: "string" } }, propertyNames: { pattern: "^[kx]" } },
  { type: "array", items: { type: "string" }, uniqueItems: false },
];

Deno.test("schemas with conditions and names by pattern take what ajv takes, and nothing else", () => {
  for (const schema of TAKEN) {
    const matcher = matcherOf(schema), counts = [0, 0];
    for (const value of VALUES) {
      const good = judge.validate(schema, value), text = JSON.stringify(value);
      assertEquals(takes(matcher, text), good, `${JSON.stringify(schema)}: ${text}`);
      counts[Number(good)]!++;
    }
    assert(counts[0]! > 0 && counts[1]! > 0, `${JSON.stringify(schema)} tells nothing apart: ${counts}`);
  }
});

const REFUSED: readonly [schema: unknown, message: string][] = [
  [{ type: "array", items: { not: {} }, minItems: 1 }, "schema: expected a schema that a value can meet"],
  [{ type: "number", not: { multipleOf: 2 } }, 'schema: not of the keyword "multipleOf" is not supported'],
  [{ type: "string", not: { pattern: "a" } }, 'schema: not of the keyword "pattern" is not supported'],
  [{ type: "number", not: { type: "integer" } }, 'schema: not of the keyword "type" is not supported'],
  [{ type: "number", not: { enum: [1, 2] } }, "schema: not of values that are no texts is not supported"],
  [{ if: { uniqueItems: true }, then: { minItems: 2 } }, 'schema: not of the keyword "uniqueItems" is not supported'],
  [{ type: "array", uniqueItems: true }, "schema: uniqueItems is not supported: what a list holds already"],
  [
    { $defs: { a: { properties: { a: { $ref: "#/$defs/a" } } } }, not: { $ref: "#/$defs/a" } },
    "schema: not of schemas that deep in each other is not supported",
  ],
  [
    { allOf: [{ patternProperties: { a: true } }, { properties: { ab: { type: "string" } } }] },
    "schema: cannot join patternProperties with properties of another schema",
  ],
  [{ patternProperties: { "(": true } }, "schema.patternProperties.(: expected a regular expression"],
  [{ patternProperties: { a: 3 } }, "schema.patternProperties.a: expected a JSON Schema, got 3"],
];

Deno.test("conditions that no grammar is made of are refused by name", () => {
  for (const [schema, message] of REFUSED) {
    assertThrows(() => matcherOf(schema), InputError, message, JSON.stringify(schema));
  }
});
