/** The keywords of JSON Schema that are known here. */
import type { SchemaObject } from "./schema_merge.ts";

/** Keywords by the type that they are about; null: any type. */
export const KEYWORDS: Readonly<Record<string, string | null>> = {
  type: null,
  enum: null,
  const: null,
  anyOf: null,
  oneOf: null,
  allOf: null,
  $ref: null,
  not: null,
  if: null,
  then: null,
  else: null,
  properties: "object",
  required: "object",
  dependentRequired: "object",
  dependentSchemas: "object",
  additionalProperties: "object",
  patternProperties: "object",
  propertyNames: "object",
  minProperties: "object",
  maxProperties: "object",
  items: "array",
  prefixItems: "array",
  minItems: "array",
  maxItems: "array",
  uniqueItems: "array",
  pattern: "string",
  format: "string",
  minLength: "string",
  maxLength: "string",
  minimum: "number",
  maximum: "number",
  exclusiveMinimum: "number",
  exclusiveMaximum: "number",
  multipleOf: "number",
};
/** The types of values; integers are numbers. */
export const TYPES = ["object", "array", "string", "number", "boolean", "null"];

/** The same for schemas that take the same strings or numbers. */
export function scalarKey(type: string, schema: SchemaObject): string {
  return `${type} ${
    JSON.stringify(
      Object.entries(schema).filter(([keyword]) => {
        const about = KEYWORDS[keyword];
        return about === (type === "string" ? "string" : "number");
      }),
    )
  }`;
}
