/** Values that keywords cannot have, by ajv's own schema of schemas: refused by their place, wherever they stand. */
import { InputError } from "../../src/errors.ts";
import { KEYWORDS } from "../../src/grammar/schema_keywords.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";
import { matcherOf, newJudge } from "./judge.ts";

const VALUES: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  2.5,
  3,
  "",
  "x",
  "(",
  "a\\",
  [],
  [3],
  ["a"],
  [{}, true],
  ["string", "null"],
  {},
  { a: 3 },
  { a: {} },
  { a: ["b"] },
  { "(": true },
];

/** Schemas with a keyword at a place: beside what makes it say nothing, and within others. */
const PLACES: readonly [name: string, of: (said: object) => unknown, path: string][] = [
  ["alone", (said) => said, ""],
  ["beside numbers", (said) => ({ enum: [1, 2], ...said }), ""],
  ["beside texts", (said) => ({ enum: ["a"], ...said }), ""],
  ["beside objects", (said) => ({ enum: [{ a: 1 }], ...said }), ""],
  ["beside a constant", (said) => ({ const: null, ...said }), ""],
  ["beside another type", (said) => ({ type: "boolean", ...said }), ""],
  ["of a property", (said) => ({ type: "object", properties: { a: { enum: [1], ...said } } }), ".properties.a"],
  ["of items", (said) => ({ items: { enum: [[]], ...said }, maxItems: 0 }), ".items"],
  ["of all", (said) => ({ allOf: [{ enum: [1] }, said] }), ".allOf[1]"],
  ["of any", (said) => ({ anyOf: [{ type: "null" }, { const: 1, ...said }] }), ".anyOf[1]"],
  ["negated", (said) => ({ not: { const: "a", ...said } }), ".not"],
  ["referred to", (said) => ({ $ref: "#/$defs/b", $defs: { b: { enum: [1], ...said } } }), ".#/$defs/b"],
];

/** What a schema is refused with; null where it is taken. */
function refusal(schema: unknown): InputError | null {
  try {
    matcherOf(schema);
    return null;
  } catch (thrown) {
    if (thrown instanceof InputError) return thrown;
    throw thrown;
  }
}

Deno.test("a keyword's value is refused by its place where ajv's schema of schemas refuses it, and there only", () => {
  const judge = newJudge();
  let refused = 0, good = 0;
  for (const keyword of Object.keys(KEYWORDS)) {
    for (const value of VALUES) {
      for (const [name, of, path] of PLACES) {
        const schema = of({ [keyword]: value }), said = `${name}: ${JSON.stringify(schema)}`;
        const error = refusal(schema), at = `schema${path}.${keyword}`, wrong = error?.subject.name?.toString();
        if (judge.validateSchema(schema)) {
          good++;
          // What is known of schemas, and not computed, is refused in words of its own.
          const ofTheValue = wrong?.startsWith(at) && (error?.code === "wrong_value" || error?.code === "malformed");
          assert(!ofTheValue || isKnown(keyword, value), `${said}: ${error?.message}`);
        } else {
          refused++;
          assert(wrong?.startsWith(at), `${said}: ${error?.message ?? "taken"}`);
          assert(error?.code === "wrong_value" || error?.code === "malformed", `${said}: ${error?.message}`);
        }
      }
    }
  }
  assert(refused > 2_000 && good > 1_000, `${refused} refused, ${good} good`);
});

/** What that takes, and is refused here: references to nothing, no names at all, and patterns that are none. */
function isKnown(keyword: string, value: unknown): boolean {
  return keyword === "$ref" || (keyword === "propertyNames" && value === false) ||
    (keyword === "pattern" && ["(", "a\\"].includes(value as string)) ||
    (keyword === "patternProperties" && Object.hasOwn(value as object, "("));
}

Deno.test("invalid keywords beside an enum are refused in the words for them", () => {
  const cases: readonly [schema: unknown, message: string][] = [
    [{ enum: [1, 2], multipleOf: 0 }, "schema.multipleOf: expected a number above 0, got 0"],
    [{ enum: ["a"], minLength: "x" }, 'schema.minLength: expected a number, got "x"'],
    [{ enum: [1], pattern: "(" }, "schema.pattern: expected a regular expression with the flag u, got"],
    [{ enum: [{}], minProperties: -1 }, "schema.minProperties: expected a count, got -1"],
    [
      { enum: [1], type: "thing" },
      "schema.type: expected one of object, array, string, number, boolean, null, integer",
    ],
    [{ const: [], items: 3 }, "schema.items: expected a JSON Schema, got 3"],
    [{ type: "string", multipleOf: 0 }, "schema.multipleOf: expected a number above 0, got 0"],
    [{ uniqueItems: "yes" }, 'schema.uniqueItems: expected true or false, got "yes"'],
  ];
  for (const [schema, message] of cases) assertThrows(() => matcherOf(schema), InputError, message);
});

Deno.test("data in a schema is not read as a schema, unless it is referred to as one", () => {
  const data = { $id: "http://host/x", $ref: "#/y", minLength: "x", type: 3 };
  const cases: readonly unknown[] = [
    { const: data },
    { enum: [data, 1] },
    { type: "string", default: data },
    { type: "string", examples: [data] },
    { type: "object", properties: { a: { default: data } } },
    { $ref: "#/$defs/good", $defs: { good: { type: "null" }, unused: data } },
    { $ref: "#/default", default: { type: "null" } },
  ];
  for (const schema of cases) assertEquals(refusal(schema)?.message, undefined, JSON.stringify(schema));
  const refused: readonly [schema: unknown, message: string][] = [
    [{ $ref: "#/$defs/a", $defs: { a: data } }, "schema.#/$defs/a.$ref: a reference in a schema with an $id"],
    [{ $ref: "#/default/items", default: { items: { minLength: "x" } } }, "schema.#/default/items.minLength: expected"],
    [
      { $ref: "#/default/items", default: { $id: "http://host/x", items: { $ref: "#/$defs/b" } }, $defs: { b: {} } },
      "schema.#/default/items.$ref: a reference in a schema with an $id",
    ],
    [{ properties: { const: { $id: "http://host/x", $ref: "#" } } }, "schema.properties.const.$ref: a reference in"],
    [{ default: [Infinity] }, "schema.default[0]: expected a number below 1.8e308"],
  ];
  for (const [schema, message] of refused) assertThrows(() => matcherOf(schema), InputError, message);
});
