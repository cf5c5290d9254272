/**
 * Schemas that take more than another, for what is held to a schema as far as a grammar can say it. Each takes every
 * value that the schema takes: keywords of one schema all have to be met, so that one that is left out forbids nothing.
 */
import { KEYWORDS } from "./schema_keywords.ts";
import { type Schema, type SchemaObject, withoutNotes } from "./schema_merge.ts";

/** Keywords beside which the others mean the same as without them. */
const BY_ITSELF: ReadonlySet<string> = new Set([
  "not",
  "if",
  "then",
  "else",
  "dependentRequired",
  "dependentSchemas",
  "propertyNames",
  "minProperties",
  "maxProperties",
  "minItems",
  "maxItems",
  "pattern",
  "format",
  "minLength",
  "maxLength",
  "minimum",
  "maximum",
  "exclusiveMinimum",
  "exclusiveMaximum",
  "multipleOf",
]);

/** Schemas that take more, from the one that leaves out least to the one that takes anything. */
export function* widerSchemas(schema: SchemaObject): Generator<Schema> {
  const known = knownPart(withoutNotes(schema));
  // OpenAPI's word, by which its clients mean null too, and which is none of JSON Schema's.
  yield (schema as Record<string, unknown>)["nullable"] === true ? { anyOf: [known, { type: "null" }] } : known;
  const rest = without(known, BY_ITSELF);
  // What patterns say of a name, additionalProperties do not say.
  const named = "patternProperties" in rest
    ? without(rest, new Set(["patternProperties", "additionalProperties"]))
    : rest;
  yield named;
  for (const keywords of [["enum", "const"], ["type"]]) {
    const kept = Object.fromEntries(Object.entries(named).filter(([key]) => keywords.includes(key)));
    if (Object.keys(kept).length > 0) yield kept;
  }
  yield true;
}

/** The keywords that are known here; of alternatives any, instead of exactly one. */
function knownPart(schema: SchemaObject): SchemaObject {
  const known = without(schema, new Set(["uniqueItems", "oneOf"]), (key) => Object.hasOwn(KEYWORDS, key));
  const { oneOf } = schema as Record<string, unknown>;
  if (oneOf === undefined) return known;
  const { allOf = [], anyOf, ...others } = known as Record<string, unknown>;
  if (anyOf === undefined) return { ...known, anyOf: oneOf };
  return { ...others, allOf: [...allOf as readonly Schema[], { anyOf }, { anyOf: oneOf }] };
}

function without(
  schema: SchemaObject,
  keywords: ReadonlySet<string>,
  good: (key: string) => boolean = () => true,
): SchemaObject {
  return Object.fromEntries(Object.entries(schema).filter(([key]) => !keywords.has(key) && good(key)));
}
