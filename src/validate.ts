/** Validation by zod with messages of one line: `<file>: <key>: expected <what>, got <what>`. */
import * as z from "zod";
import { InputError } from "./errors.ts";
import { printable, show } from "./describe.ts";
import { deepest, expectation, got as found } from "./expectation.ts";

/** Bounds on what a config may ask for: far above any model, and low enough that all sizes stay exact integers. */
export const MAX = { width: 1 << 24, layers: 1 << 12, experts: 1 << 16, positions: 1 << 30 } as const;

/** Most experts of all layers together; gpt-oss-120b has 4,608. Each becomes some objects before any weight is read. */
export const MAX_EXPERTS_IN_ALL = 1 << 16;

/** A number of things: an integer from 1 to `most`, which bounds what is allocated by it. */
export function count(most: number): z.ZodType<number> {
  const error = `an integer up to ${most}`;
  return z.int({ error: "a positive integer" }).min(1, { error: "a positive integer" }).max(most, { error });
}

/** A finite number above 0. */
export const positive: z.ZodType<number> = z.number({ error: "a positive number" }).gt(0, {
  error: "a positive number",
});

/** What is added to the mean of squares of a norm: of 1 and more, a norm would no longer be one. */
export const epsilon: z.ZodType<number> = z.number({ error: "a positive number" }).gt(0, {
  error: "a positive number",
}).lt(1, { error: "a number below 1" });

/** Base of rotary embedding; YaRN divides by its logarithm. */
export const theta: z.ZodType<number> = z.number({ error: "a number above 1" }).gt(1, { error: "a number above 1" });

const FACTOR = { error: "a number from 1 to 1000000" };
/** How much longer YaRN makes the context. */
export const scaleFactor: z.ZodType<number> = z.number(FACTOR).min(1, FACTOR).max(1e6, FACTOR);

/** One of some texts, or another fixed value. */
export function oneOf<T extends string | boolean>(...values: T[]): z.ZodType<T> {
  return z.literal(values, { error: values.map((value) => JSON.stringify(value)).join(" or ") });
}

/**
 * Longest list of a config: all linears of a large model are 10,000. A validator makes an object for each entry that is
 * wrong.
 */
const MAX_LIST = 100_000;
/** How deep lists are looked for: in the values of a file, and of the objects in it. */
const LIST_DEPTH = 2;

function refuseLongLists(value: unknown, file: string, path: readonly string[] = []): void {
  if (Array.isArray(value)) {
    if (value.length <= MAX_LIST) return;
    const key = path.map(printable).join(".");
    throw InputError.of("too_large", { file, key }, `a list of at most ${MAX_LIST}`, value.length);
  }
  if (typeof value !== "object" || value === null || path.length === LIST_DEPTH) return;
  for (const [key, inner] of Object.entries(value)) refuseLongLists(inner, file, [...path, key]);
}

/**
 * A value as the schema says, where the schema's errors say what was expected.
 *
 * @param file What messages begin with.
 * @throws {InputError} naming the first key that is missing or wrong.
 */
export function validate<T>(schema: z.ZodType<T>, value: unknown, file: string): T {
  refuseLongLists(value, file);
  const result = tryReading(schema, value);
  if (result.success) return result.data;
  const { key, expected, got } = firstIssue(result.error, value);
  throw InputError.of("wrong_value", key === "" ? { file } : { file, key }, expected, got);
}

/** Reads values of a schema, whose errors {@linkcode firstIssue} takes apart. */
export function reading<T>(schema: z.ZodType<T>): (value: unknown) => T {
  return (value) => schema.parse(value, { error: expectation(schema) });
}

/** As {@linkcode reading}, without throwing. */
export function tryReading<T>(schema: z.ZodType<T>, value: unknown): z.ZodSafeParseResult<T> {
  return schema.safeParse(value, { error: expectation(schema) });
}

/** The first thing that is wrong with a value; the key is empty where it is the value itself. */
export function firstIssue(error: z.ZodError, value: unknown): { key: string; expected: string; got: string } {
  const issue = deepest(error.issues), { path } = issue;
  const expected = issue.code === "unrecognized_keys" ? `no key ${show(issue.keys[0])}` : issue.message;
  const key = path.map((part) => printable(String(part))).join(".");
  return { key, expected, got: show(found(issue, value)) };
}
