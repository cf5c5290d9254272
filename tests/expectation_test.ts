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
    [z.union([z.string(), z.int()]), null, "expected a text or an integer, got null"],
    [z.discriminatedUnion("k", [z.object({ k: z.literal(1) })]), { k: 2 }, "k: expected 1, got 2"],
    [z.strictObject({}), { more: 1 }, 'expected no key "more", got an object'],
  ];
  for (const [schema, value, said] of cases) assertEquals(line(schema, value), said);
});

Deno.test("firstIssue() calls integers so, also where another check than theirs fails", () => {
  const cases: [z.ZodType, unknown, string][] = [
    [z.int(), "a", 'expected an integer, got "a"'],
    [z.int().min(0), -1, "expected an integer of at least 0, got -1"],
    [z.number().int().max(3), 4, "expected an integer of at most 3, got 4"],
    [z.number().max(3), 4, "expected a number of at most 3, got 4"],
    [
      z.strictObject({ n: z.array(z.int().gt(1).nullish()) }),
      { n: [null, 1] },
      "n.1: expected an integer above 1, got 1",
    ],
    [z.array(z.union([z.string(), z.int().min(1)])), [0], "0: expected an integer of at least 1, got 0"],
    [z.number(), JSON.parse("1e999"), "expected a finite number, got Infinity"],
  ];
  for (const [schema, value, said] of cases) assertEquals(line(schema, value), said);
});

Deno.test("firstIssue() says nothing in zod's own words", () => {
  const cases: [z.ZodType, unknown, string][] = [
    [z.tuple([z.string(), z.int()]), "a", 'expected a list, got "a"'],
    [z.tuple([z.string(), z.int()]), ["a"], "expected a list of at least 2, got an array of 1"],
    [z.array(z.int()).length(2), [1], "expected a list of 2, got an array of 1"],
    [z.string().length(1), "", 'expected a text of 1 character, got ""'],
    [z.null(), 1, "expected null, got 1"],
    [z.never(), 1, "expected nothing, got 1"],
    [z.string().regex(/^a$/), "b", 'expected a text of another form, got "b"'],
    [z.number().multipleOf(32), 5, "expected a multiple of 32, got 5"],
    [z.number().refine(() => false), 5, "expected another value, got 5"],
    [z.record(z.string().regex(/^a$/, "a name like a"), z.int()), { b: 1 }, 'b: expected a name like a, got "b"'],
  ];
  for (const [schema, value, said] of cases) assertEquals(line(schema, value), said);
});

Deno.test("firstIssue() goes into the branch of a union that was meant, and otherwise names the kinds of all", () => {
  const amount = z.union([z.int().min(0), z.strictObject({ precision: z.number() })]);
  const content = z.union([z.string(), z.array(z.strictObject({ text: z.string() }))]);
  const either = z.union([z.strictObject({ a: z.int() }), z.strictObject({ b: z.int() })]);
  const typed = z.union([
    z.strictObject({ type: z.literal("a"), x: z.string() }),
    z.strictObject({ type: z.literal("b"), y: z.string() }),
  ]);
  const texts = z.union([z.string(), z.array(z.string()), z.array(z.int())]);
  const cases: [z.ZodType, unknown, string][] = [
    [amount, "x", 'expected an integer or an object, got "x"'],
    [amount, -1, "expected an integer of at least 0, got -1"],
    [amount, {}, "precision: expected a number, got nothing"],
    [amount, { precision: "x" }, 'precision: expected a number, got "x"'],
    [content, [{ text: 1 }], "0.text: expected a text, got 1"],
    [content, [1], "0: expected an object, got 1"],
    [z.strictObject({ c: content }), { c: 1 }, "c: expected a text or a list, got 1"],
    [either, 1, "expected an object, got 1"],
    [typed, { type: "b" }, "y: expected a text, got nothing"],
    [typed, { type: "a" }, "x: expected a text, got nothing"],
    [typed, { type: "c" }, 'type: expected "a" or "b", got "c"'],
    [texts, [1.5], "0: expected a text or an integer, got 1.5"],
    [texts, ["a", 1], "1: expected a text, got 1"],
  ];
  for (const [schema, value, said] of cases) assertEquals(line(schema, value), said);
  const { error } = tryReading(amount, {});
  assertEquals(error?.issues[0]?.message, "an integer or an object", "also where nobody looks into the branches");
});

Deno.test("firstIssue() leaves to a schema what it says itself, also where that reads like zod's own words", () => {
  const error = "Invalid input: expected what this says, received";
  assertEquals(line(z.int({ error }), "x"), `expected ${error}, got "x"`);
  assertEquals(line(z.int().min(1, { error: "more" }), 0), "expected more, got 0");
  const own = z.union([z.string(), z.strictObject({ a: z.string() })], { error: "a name" });
  assertEquals(line(own, {}), "expected a name, got an object");
});

Deno.test("reading() throws issues in the same words", () => {
  const thrown = assertThrows(() => reading(z.strictObject({ a: z.string() }))({ a: 1 }), z.ZodError);
  assertEquals(firstIssue(thrown, { a: 1 }).expected, "a text");
  assertEquals(reading(z.string())("a"), "a");
});
