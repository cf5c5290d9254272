/**
 * Tables of the keys that an object of a config may have. What a key that stands in none of them says of the model is
 * not known, and the file is refused.
 */
import * as z from "zod";
import { printable, show } from "../describe.ts";
import { InputError } from "../errors.ts";
import { validate } from "../validate.ts";

/** All keys of one kind of object. */
export interface Keys<T extends z.ZodRawShape> {
  /** Keys that are read. */
  readonly read: T;
  /** Keys that may say one thing only, which is what is computed, or that nothing is asked for. */
  readonly checked: Readonly<Record<string, z.ZodType>>;
  /** Keys that may say anything, and the reason why nothing that is computed depends on them. */
  readonly irrelevant: Readonly<Record<string, string>>;
}

/** A key that may be there without a value. */
export const absent: z.ZodType = z.null({ error: "none" }).optional();
/** A list or an object with nothing in it. */
export const nothing: z.ZodType = z.union([
  z.null(),
  z.literal(""),
  z.array(z.never()).max(0),
  z.record(z.string(), z.never()),
], { error: "nothing" }).optional();

/** A schema for the keys of a table that have one; {@linkcode refuseUnknown} looks at all others. */
export function schemaOf<T extends z.ZodRawShape>({ read, checked }: Keys<T>): z.ZodObject<T, z.core.$loose> {
  // What is only checked need not be in the type.
  return z.looseObject({ ...checked, ...read }, { error: "an object" }) as unknown as z.ZodObject<T, z.core.$loose>;
}

/**
 * Refuses keys that stand in no table; without a value they say nothing.
 *
 * @param where File, and the key that the object stands at.
 * @throws {InputError} naming the first one.
 */
export function refuseUnknown<T extends z.ZodRawShape>(
  { read, checked, irrelevant }: Keys<T>,
  json: Readonly<Record<string, unknown>>,
  where: { readonly file: string; readonly key?: string },
): void {
  for (const [key, value] of Object.entries(json)) {
    if (value === null || [read, checked, irrelevant].some((known) => Object.hasOwn(known, key))) continue;
    const path = where.key === undefined ? printable(key) : `${where.key}.${printable(key)}`;
    const expected = "no key of that name: what it says of the model is not known";
    throw InputError.of("unsupported", { file: where.file, key: path }, expected, show(value));
  }
}

/**
 * The values of the keys that are read.
 *
 * @param file What messages begin with.
 * @throws {InputError} naming the first key that is wrong, or that is not known.
 */
export function readKeys<T extends z.ZodRawShape>(keys: Keys<T>, json: unknown, file: string): z.infer<z.ZodObject<T>> {
  const values = validate(schemaOf(keys), json, file);
  refuseUnknown(keys, json as Record<string, unknown>, { file });
  return values as z.infer<z.ZodObject<T>>;
}
