/** Grammars on their way to another thread. */
import { FailureError, InputError } from "../../src/errors.ts";
import { TokenMasks } from "../../src/grammar/mask.ts";
import { Matcher } from "../../src/grammar/matcher.ts";
import { schemaGrammar } from "../../src/grammar/schema.ts";
import { grammarOf, tableOf } from "../../src/grammar/table.ts";
import { Vocabulary } from "../../src/grammar/vocabulary.ts";
import { ApiError } from "../../src/serve/api_error.ts";
import { Preparation } from "../../src/serve/chat/preparation.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { assert, assertEquals, assertRejects } from "../assert.ts";
import { TINY } from "../text/goldens.ts";
import { takes } from "./judge.ts";

const masks = new TokenMasks(new Vocabulary(await Tokenizer.fromDirectory(TINY)));
const TREE = {
  type: "object",
  properties: { name: { type: "string", pattern: "^[a-z]{2,5}$" }, parts: { type: "array", items: { $ref: "#" } } },
  required: ["name", "parts"],
  additionalProperties: false,
};
const SCHEMAS: readonly (readonly [schema: unknown, texts: readonly string[]])[] = [
  [TREE, ['{"name":"ab","parts":[{"name":"cd","parts":[]}]}', '{"name":"ab","parts":[{"name":"c","parts":[]}]}', "{}"]],
  [{ anyOf: [{ type: "null" }, { enum: [1, "a", { b: [2] }] }] }, ["null", "1", '{"b":[2]}', '{"b":[3]}', "2"]],
  [{ type: "array", items: { type: "integer", minimum: 3 }, minItems: 1, maxItems: 3 }, [
    "[3]",
    "[]",
    "[4,5,6]",
    "[2]",
  ]],
  [true, ["{}", '[1,{"a":null}]', "nul"]],
  [{ type: "array", items: { anyOf: [{ type: "string", maxLength: 3 }, { pattern: "^(?:ab)*$", minLength: 5 }] } }, [
    '["abc","ababab","",3]',
    '["abcd"]',
    '["abab"]',
  ]],
];

Deno.test("a grammar and its table take the same texts, and allow the same tokens", () => {
  for (const [schema, texts] of SCHEMAS) {
    const own = schemaGrammar(schema, "schema"), copied = grammarOf(structuredClone(tableOf(own)));
    const [a, b] = [new Matcher(own, ""), new Matcher(copied, "")];
    assertEquals(texts.map((text) => takes(b, text)), texts.map((text) => takes(a, text)), JSON.stringify(schema));
    for (const text of texts) {
      for (let end = 0; end < text.length; end += 5) {
        const [here, there] = [a, b].map((matcher) => {
          const place = matcher.bytes(matcher.start, new TextEncoder().encode(text.slice(0, end)));
          return place === null ? null : masks.at(matcher, place).bits;
        });
        assertEquals(there, here);
      }
    }
  }
});

Deno.test("a table is not deeper than its thread's stack, however long an object is", () => {
  const properties = Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`p${i}`, { type: "null" }]));
  const grammar = schemaGrammar({ type: "object", properties, additionalProperties: false }, "schema");
  const copied = grammarOf(structuredClone(tableOf(grammar)));
  assert(takes(new Matcher(copied, ""), '{"p1":null,"p1999":null}'));
});

Deno.test("a schema that costs much is prepared by a thread, and refused in the same words", async () => {
  const preparation = new Preparation(0);
  const [made] = await Promise.all([
    preparation.grammar({ schema: TREE }, "schema"),
    assertRejects(
      () => preparation.grammar({ schema: { type: "string", pattern: "^(\\p{L}\\p{N}){900}$" } }, "response_format"),
      InputError,
      "response_format.pattern: expected an expression of at most 60000 states, got more",
    ),
  ]);
  assertEquals(SCHEMAS[0]![1].map((text) => takes(new Matcher(made, ""), text)), [true, false, false]);
});

Deno.test("a pattern or texts that cost much are prepared by a thread, as the whole of what they take", async () => {
  const preparation = new Preparation(0), texts = ["yes", 'n"o\n'];
  const [pattern, choice] = await Promise.all([
    preparation.grammar({ pattern: "\\p{L}{1,20}|.{1,3}\\n" }, "regex"),
    preparation.grammar({ texts }, "choice"),
    assertRejects(
      () => preparation.grammar({ pattern: "(\\p{L}\\p{N}){900}" }, "regex"),
      InputError,
      "regex: expected an",
    ),
    assertRejects(() => preparation.grammar({ pattern: "a)|(b" }, "regex"), InputError, "regex: expected a regular"),
  ]);
  const whole = new Matcher(pattern!, ""), one = new Matcher(choice!, "");
  assertEquals(["Äb", "a1\n", "a1", "", "Äb\n", "Äb "].map((text) => takes(whole, text)), [
    ...[true, true, false],
    ...[false, true, false],
  ]);
  assertEquals([...texts, "ye", "yes ", ""].map((text) => takes(one, text)), [true, true, false, false, false]);
});

Deno.test("what waits is named as what it is where there is no room for more", async () => {
  const preparation = new Preparation(0), texts = ["yes", "no"];
  const asked = [
    ...Array.from({ length: 13 }, () => preparation.grammar({ schema: TREE }, "schema")),
    ...["a", "b"].map((pattern) => preparation.grammar({ pattern }, "regex")),
    preparation.grammar({ texts }, "choice"),
  ];
  const full = await assertRejects(() => preparation.grammar({ pattern: "c" }, "regex"), ApiError);
  assertEquals([full.status, full.message], [
    429,
    "13 costly schemas, 2 costly patterns and 1 costly list of texts are being prepared",
  ]);
  await Promise.all(asked);
  assert(takes(new Matcher(await preparation.grammar({ pattern: "c" }, "regex"), ""), "c"));
});

Deno.test("schemas for which there was no thread are not waiting any more", async () => {
  const { Worker: real } = globalThis, preparation = new Preparation(0);
  globalThis.Worker = class {
    constructor() {
      throw new Deno.errors.WouldBlock("Resource temporarily unavailable (os error 11)");
    }
  } as unknown as typeof Worker;
  try {
    for (let i = 0; i < 20; i++) {
      await assertRejects(() => preparation.grammar({ schema: TREE }, "schema"), FailureError, "thread");
    }
  } finally {
    globalThis.Worker = real;
  }
  assert(takes(new Matcher(await preparation.grammar({ schema: TREE }, "schema"), ""), SCHEMAS[0]![1][0]!));
});
