/** Which words an option takes, asked of its schema: help lists them, and shells complete them. */
import { z } from "zod";

/** The words of an option, or of a list. */
export interface Values {
  readonly words: readonly string[];
  /** Whether several are given, separated by commas. */
  readonly list: boolean;
}

/** Of schemas that do not say so themselves, as they read a text by their own code. */
const declared = new WeakMap<z.core.$ZodType, Values>();

/** A schema with the words that it takes. */
export function withWords<T extends z.core.$ZodType>(schema: T, words: readonly string[]): T {
  declared.set(schema, { words, list: false });
  return schema;
}

/** A schema of a list whose items have this schema. */
export function withItems<T extends z.core.$ZodType>(schema: T, item: z.core.$ZodType): T {
  const values = valuesOf(item);
  if (values !== null) declared.set(schema, { words: values.words, list: true });
  return schema;
}

/** The words that a schema takes; null where it takes anything else. */
export function valuesOf(schema: z.core.$ZodType): Values | null {
  const own = declared.get(schema);
  if (own !== undefined) return own;
  if (schema instanceof z.ZodEnum) return { words: schema.options.map(String), list: false };
  if (schema instanceof z.ZodLiteral) return { words: [...schema.values].map(String), list: false };
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault) return valuesOf(schema.unwrap());
  if (schema instanceof z.ZodPipe) return valuesOf(schema.in);
  if (schema instanceof z.ZodTuple) {
    const [first] = schema.def.items;
    return first === undefined ? null : valuesOf(first);
  }
  return null;
}
