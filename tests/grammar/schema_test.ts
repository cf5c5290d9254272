/** What schemas take and what they do not, beside what ajv says of the same values. */
import { z } from "zod";
import { assert, assertEquals } from "../assert.ts";
import { JOINED_CASES } from "./joined_cases.ts";
import { assertAgrees, matcherOf, newJudge, object, takes } from "./judge.ts";
import { SCHEMA_CASES } from "./schema_cases.ts";

const judge = newJudge();

Deno.test("schemaGrammar() takes what ajv takes, and nothing else", () => {
  for (const [schema, good, bad] of [...SCHEMA_CASES, ...JOINED_CASES]) {
    assertAgrees(matcherOf(schema), judge, schema, good, bad);
  }
});

Deno.test("schemaGrammar() takes JSON only", () => {
  const matcher = matcherOf({});
  for (
    const text of [
      "",
      " 1",
      "1 ",
      "01",
      "+1",
      ".5",
      "1.",
      "1e",
      "1e308",
      "nul",
      "{a:1}",
      '{"a" :1}',
      "[1,]",
      '{"a":1,}',
      '"\n"',
      '"\\x"',
      '"\\ud800"',
      '"\\udc00\\ud800"',
      "'a'",
      "1 2",
      "{}{}",
    ]
  ) {
    assert(!takes(matcher, text), text);
  }
  assert(takes(matcher, "9.9e307") && Number.isFinite(9.9e307));
  const { next } = matcher.start;
  // An overlong character, a surrogate in UTF-8, half a character.
  for (const bytes of [[0x22, 0xc0, 0x80], [0x22, 0xed, 0xa0, 0x80], [0x22, 0xe2, 0x22], [0x22, 0xff]]) {
    assertEquals(matcher.bytes(matcher.start, bytes), null);
  }
  assertEquals(next[0xff] ?? null, null);
});

Deno.test("schemas of zod are taken, with the patterns that zod writes", () => {
  const schema = z.toJSONSchema(z.object({
    id: z.uuid(),
    mail: z.email(),
    page: z.url().nullable(),
    at: z.iso.datetime(),
    count: z.int().min(0),
    pair: z.tuple([z.string(), z.number()]),
    marks: z.record(z.string().regex(/^[a-z]+$/), z.boolean()),
    shape: z.discriminatedUnion("kind", [
      z.object({ kind: z.literal("round"), radius: z.number().positive() }),
      z.object({ kind: z.literal(["flat", "long"]), sides: z.array(z.number()).length(2) }),
    ]),
    note: z.string().max(20).optional(),
  }));
  const value = {
    id: "123e4567-e89b-12d3-a456-426614174000",
    mail: "ann.b+c@example.org",
    page: "https://example.org/a?b=c",
    at: "2026-11-26T08:00:00Z",
    count: 3,
    pair: ["a", 0.5],
    marks: { ok: true, done: false },
    shape: { kind: "long", sides: [1, 2.5] },
    note: "short",
  };
  const matcher = matcherOf(schema);
  for (
    const [change, good] of [
      [{}, true],
      [{ page: null }, true],
      [{ mail: "ann..b@example.org" }, false],
      [{ at: "2026-11-26" }, false],
      [{ marks: { OK: true } }, false],
      [{ shape: { kind: "round", radius: 0 } }, false],
      [{ shape: { kind: "round", radius: 1e-3 } }, true],
    ] as const
  ) {
    const changed = { ...value, ...change };
    assertEquals([judge.validate(schema, changed), takes(matcher, JSON.stringify(changed))], [good, good]);
  }
});

Deno.test("Matcher stays small where alternatives begin alike at every depth", () => {
  const branch = (name: string) =>
    object({ kid: { anyOf: [{ $ref: "#" }, { type: "null" }] }, [name]: { type: "null" } });
  const matcher = matcherOf({ anyOf: [branch("a"), branch("b")] });
  let text = "null";
  // Each level doubles the ways in which the text can go on.
  for (let depth = 0; depth < 60; depth++) text = `{"kid":${text},"${depth % 3 === 0 ? "a" : "b"}":null}`;
  assert(takes(matcher, text));
  assert(!takes(matcher, text.replace('"a":null', '"c":null')));
  const place = matcher.bytes(matcher.start, new TextEncoder().encode(text.slice(0, 60 * 7)))!;
  assert(place.threads.length < 10, `${place.threads.length} threads`);
});
