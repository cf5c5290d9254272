/** What schemas take and what they do not, beside what ajv says of the same values. */
import { z } from "zod";
import { InputError } from "../../src/errors.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";
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

Deno.test("zod's strings by format are those that zod reads, spelled without bits that stand for nothing", () => {
  const texts = [
    ...["", "QQ", "QQ==", "QUI", "QUI=", "QUJD", "QUJDRA", "QUJDRA==", "-_-_", "+/+/", "Q", "QUJDR", "QQ=", "="],
    ...["QUI_", "QUI/", "QU=A"],
    ...[..."12345678"].map((version) => `123e4567-e89b-${version}2d3-a456-426614174000`),
    ...["V1StGXR8_Z5jdHi6B-myT", "cjld2cjxh0000qzrmn831i7rn", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "9m4e2mr0ui3e8a215n4g"],
    ...["0ujtsYcgvSTl8PAuAdqWYSMnLOv", "10.0.0.0/8", "10.0.0.0/33", "fe80::/10", "fe80::/129", "+14155552671", "+0"],
    ...["00:1a:2b:3c:4d:5e", "00:1A:2b:3c:4d:5e", "1", "0aF", "xyz", "\u{1f600}", "1.2.3.4"],
  ];
  const { base64, base64url, uuidv4, uuidv7, nanoid, cuid, cuid2, ulid, xid, ksuid, cidrv4, cidrv6, e164 } = z;
  const made = [base64, base64url, uuidv4, uuidv7, nanoid, cuid, cuid2, ulid, xid, ksuid, cidrv4, cidrv6, e164];
  for (const one of [...made, z.mac, z.hex, z.emoji].map((make) => make())) {
    const schema = z.toJSONSchema(one), matcher = matcherOf(schema);
    const coding = schema.contentEncoding as "base64" | "base64url" | undefined;
    const whole = (text: string) => coding === undefined || Buffer.from(text, coding).toString(coding) === text;
    const read = texts.filter((text) => one.safeParse(text).success && whole(text));
    assert(read.length > 0 && read.length < texts.length, JSON.stringify(schema));
    assertEquals(texts.filter((text) => takes(matcher, JSON.stringify(text))), read, JSON.stringify(schema));
  }
  // A format of zod's by itself says nothing here.
  assertThrows(() => matcherOf({ type: "string", format: "ulid" }), InputError, "schema.format: expected one of date");
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
