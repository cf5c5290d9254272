/**
 * Tables of the keys that an object of a config may have. A key that stands in none of them is ignored, as it is by
 * those who wrote the format, and a warning names it.
 */
import * as z from "zod";
import { printable, show } from "../describe.ts";
import { validate } from "../validate.ts";

/** Keys that one line names. */
const NAMED = 3;

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

/** A schema for the keys of a table that have one; {@linkcode warnOfUnknown} looks at all others. */
export function schemaOf<T extends z.ZodRawShape>({ read, checked }: Keys<T>): z.ZodObject<T, z.core.$loose> {
  // What is only checked need not be in the type.
  return z.looseObject({ ...checked, ...read }, { error: "an object" }) as unknown as z.ZodObject<T, z.core.$loose>;
}

/** Gets a line for what is ignored. */
export type Warn = (line: string) => void;

/**
 * Warns of keys that stand in no table, which other readers ignore, too; without a value they say nothing.
 *
 * @param place File, and the key that the object stands at, if it is not the whole file.
 */
export function warnOfUnknown<T extends z.ZodRawShape>(
  { read, checked, irrelevant }: Keys<T>,
  json: Readonly<Record<string, unknown>>,
  place: string,
  warn: Warn,
): void {
  const unknown = Object.entries(json).filter(([key, value]) =>
    value !== null && ![read, checked, irrelevant].some((known) => Object.hasOwn(known, key))
  );
  if (unknown.length === 0) return;
  const named = unknown.slice(0, NAMED).map(([key, value]) => `${printable(key)} ${show(value)}`).join(", ");
  const more = unknown.length > NAMED ? ` and ${unknown.length - NAMED} more` : "";
  warn(`${place}: not known, so ignored: ${named}${more}`);
}

/**
 * The values of the keys that are read.
 *
 * @param place What messages begin with.
 * @throws {InputError} naming the first key that is wrong.
 */
export function readKeys<T extends z.ZodRawShape>(
  keys: Keys<T>,
  json: unknown,
  place: string,
  warn: Warn,
): z.infer<z.ZodObject<T>> {
  const values = validate(schemaOf(keys), json, place);
  warnOfUnknown(keys, json as Record<string, unknown>, place, warn);
  return values as z.infer<z.ZodObject<T>>;
}
