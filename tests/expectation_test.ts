/** What schemas without words of their own expect is said in words of this program, of every kind of issue. */
import * as z from "zod";
import { firstIssue, reading, tryReading } from "../src/validate.ts";
import { assert, assertEquals, assertThrows } from "./assert.ts";

const line = (schema: z.ZodType, value: unknown): string => {
  const { error } = tryReading(schema, value);
  assert(error !== undefined);
  const { key, expected, got } = firstIssue(error, value);
  return `${key === "" ? "" : `${key}: `}expected ${expected}, got ${got}`;
};

Deno.test("firstIssue() says what was expected of every kind of issue", () => {
  const cases: [z.ZodType, unknown, string][] = [
    [z.string(), 1, "expected a text, got 1"],
    [z.array(z.string()), ["a", null], "1: expected a text, got null"],
    [z.strictObject({ a: z.boolean() }), { a: 0 }, "a: expected true or false, got 0"],
    [z.record(z.string(), z.number()), [], "expected an object, got an array of 0"],
    [z.int(), 1.5, "expected an integer, got 1.5"],
    [z.literal(2), 3, "expected 2, got 3"],
    [z.enum(["x", "y"]), "z", 'expected "x" or "y", got "z"'],
    [z.number().min(0), -1, "expected a number of at least 0, got -1"],
    [z.number().gt(0), 0, "expected a number above 0, got 0"],
    [z.string().max(1), "ab", 'expected a text of at most 1 character, got "ab"'],
    [z.array(z.int()).min(1), [], "expected a list of at least 1, got an array of 0"],
    [z.union([z.string(), z.int()]), null, "expected a text or a number, got null"],
    [z.discriminatedUnion("k", [z.object({ k: z.literal(1) })]), { k: 2 }, "k: expected 1, got 2"],
    [z.strictObject({}), { more: 1 }, 'expected no key "more", got an object'],
  ];
  for (const [schema, value, said] of cases) assertEquals(line(schema, value), said);
});

Deno.test("firstIssue() leaves to a schema what it says itself, also where that reads like zod's own words", () => {
  const error = "Invalid input: expected what this says, received";
  assertEquals(line(z.int({ error }), "x"), `expected ${error}, got "x"`);
  assertEquals(line(z.int().min(1, { error: "more" }), 0), "expected more, got 0");
});

Deno.test("reading() throws issues in the same words", () => {
  const thrown = assertThrows(() => reading(z.strictObject({ a: z.string() }))({ a: 1 }), z.ZodError);
  assertEquals(firstIssue(thrown, { a: 1 }).expected, "a text");
  assertEquals(reading(z.string())("a"), "a");
});
