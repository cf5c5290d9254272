/** The part of JSON Schema that zod writes for the schemas of results, and what is made of it. */
import { z } from "zod";
import { asFloat } from "../json_numbers.ts";

/** A schema. */
export interface JsonSchema {
  readonly description?: string;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly JsonSchema[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly items?: JsonSchema;
}

/** The JSON Schema of a schema of zod's. */
export const jsonSchema = (schema: z.ZodType): JsonSchema => z.toJSONSchema(schema) as JsonSchema;

/** A schema without its null. */
export function unwrap(schema: JsonSchema): { shape: JsonSchema; nullable: boolean } {
  if (Array.isArray(schema.type)) {
    const [type] = schema.type.filter((t) => t !== "null");
    return { shape: { ...schema, type }, nullable: schema.type.includes("null") };
  }
  const shapes = schema.anyOf?.filter(({ type }) => type !== "null") ?? [];
  return shapes.length === 1 ? { shape: shapes[0]!, nullable: true } : { shape: schema, nullable: false };
}

/** A value whose `number`s are written as floats, whole ones too; `integer`s stay as they are. */
export function withFloats(schema: JsonSchema, value: unknown): unknown {
  const { shape: { type, const: constant, items, properties } } = unwrap(schema);
  if (type === "number" && constant === undefined) return asFloat(value);
  if (items !== undefined && Array.isArray(value)) return value.map((item) => withFloats(items, item));
  if (properties === undefined || typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, key in properties ? withFloats(properties[key]!, inner) : inner]),
  );
}
