/** Schemas of strangers that would hold up everybody: none takes long to prepare, or for a mask. */
import { InputError } from "../../src/errors.ts";
import { Constraint, TokenMasks } from "../../src/grammar/mask.ts";
import type { Matcher } from "../../src/grammar/matcher.ts";
import { Vocabulary } from "../../src/grammar/vocabulary.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { assert, assertEquals } from "../assert.ts";
import { assertCpuTime, threadTime } from "../quickly.ts";
import { dose, ONLY_SOAKED, SOAK } from "../soak.ts";
import { TINY } from "../text/goldens.ts";
import { matcherOf, takes } from "./judge.ts";

const tokenizer = await Tokenizer.fromDirectory(TINY);
const many = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));
const named = (count: number) => Object.fromEntries(many(count, (i) => [`p${i}`, { type: "string" }]));
const tagged = (i: number) => ({ type: "object", properties: { k: { const: `v${i}` } }, required: ["k"] });

/** Schemas, in a dose: what they cost before grew with its square, or was not counted at all. */
const SCHEMAS: readonly ((count: number) => unknown)[] = [
  (count) => ({ enum: many(count, (i) => [i, "a"]) }),
  (count) => ({ enum: many(count, (i) => ({ [`a${i}`]: i })) }),
  (count) => ({ oneOf: many(count, tagged) }),
  (count) => ({ allOf: many(count, (i) => ({ type: "object", properties: { [`k${i}`]: { type: "string" } } })) }),
  (count) => ({ type: "object", properties: named(count) }),
  (count) => ({ anyOf: many(count, (i) => ({ type: "string", pattern: `^[a-z ]*q{${i % 40 + 1}}[a-z ]*${i}$` })) }),
  (count) => ({
    anyOf: many(count / 8, (i) => ({ type: "string", pattern: `^[a-z ]*${i}$`, minLength: 5, maxLength: 40 + i })),
  }),
  (count) => ({ type: "string", pattern: `^[a-z]{1,${3 * count}}$`, minLength: 2 * count, maxLength: 3 * count }),
  (count) => ({ type: "string", pattern: `^(\\p{L}\\p{N}\\p{L}){${Math.min(count / 50, 40)}}$` }),
  (count) => ({
    type: "object",
    patternProperties: Object.fromEntries(many(count / 10, (i) => [`^[a-z]*${i}`, { maxLength: i }])),
  }),
  (count) => ({
    allOf: many(
      count / 10,
      (i) => ({ if: { properties: { [`k${i}`]: { const: "a" } } }, then: { required: [`r${i}`] } }),
    ),
  }),
  (count) => ({ not: { anyOf: many(count, (i) => ({ const: `v${i}` })) } }),
  (count) => ({ type: "number", multipleOf: 4.999, minimum: -count, maximum: count }),
];

/**
 * Most processor time of one schema, in milliseconds: what the budget lets through costs a second by itself, beside
 * other tests up to twice that. Without bounds some took minutes.
 */
const MOST_CPU = 3000;

Deno.test("no schema takes seconds to prepare or for its masks, however many parts it has", () => {
  const masks = new TokenMasks(new Vocabulary(tokenizer));
  for (const schema of SCHEMAS) {
    const started = threadTime();
    try {
      const constraint = new Constraint(masks, matcherOf(schema(dose(100, 2_000))));
      for (let i = 0; i < 12 && !constraint.ends; i++) {
        const logits = new Float32Array(tokenizer.vocabSize);
        constraint.apply(logits);
        const allowed = [...logits.keys()].filter((id) => logits[id] === 0);
        constraint.push(allowed[i * 7919 % allowed.length]!);
      }
    } catch (thrown) {
      assert(thrown instanceof InputError && ["too_large", "unsupported"].includes(thrown.code), `${thrown}`);
    }
    assertCpuTime(threadTime() - started, MOST_CPU, `${schema}`);
  }
});

Deno.test("an object may have as many optional properties as a schema may", () => {
  const count = dose(500, 5_000), last = count - 1;
  const matcher = matcherOf({ type: "object", properties: named(count), additionalProperties: false });
  const members = ["", '"p0":"a"', `"p${last}":"a"`, `"p7":"","p${last}":"b"`, `"p${count}":""`, '"p2":"","p1":""'];
  const texts = members.map((text) => `{${text}}`);
  assertEquals(texts.map((text) => takes(matcher, text)), [true, true, true, true, false, false]);
});

/** Compares the masks after some texts with what each token alone says. */
function assertMasks(masks: TokenMasks, matcher: Matcher, texts: readonly string[]): void {
  for (const text of texts) {
    const place = matcher.bytes(matcher.start, new TextEncoder().encode(text))!, { bits } = masks.at(matcher, place);
    for (let id = 0; id < tokenizer.vocabSize; id++) {
      const fits = tokenizer.specialName(id) === null && matcher.bytes(place, tokenizer.bytes(id)) !== null;
      assertEquals((bits[id >>> 5]! >>> (id & 31) & 1) === 1, fits, `after ${text}: ${id}`);
    }
  }
}

Deno.test("names that are walked together give the mask of each alone", () => {
  const matcher = matcherOf({ type: "object", properties: named(90) });
  assertMasks(new TokenMasks(new Vocabulary(tokenizer)), matcher, ["{", '{"', '{"p1', '{"p12":"x",', '{"p89":""']);
});

/** Strings without two of the letters, in a list: which are left after some letters depends on all of them. */
const alternatives = (count: number) => ({
  anyOf: many(count, (i) => {
    const [one, other] = [i % 26, (i % 26 + 1 + Math.floor(i / 26)) % 26].map((at) => String.fromCharCode(97 + at));
    return { type: "array", items: { type: "string", pattern: `^[^${one}${other}]*$` } };
  }),
});

Deno.test("alternatives that leave out what others allow give the mask of each alone", () => {
  const vocabulary = new Vocabulary(tokenizer), ends = many(12, (i) => `^.*z${i}$`);
  const lists = { anyOf: ends.map((pattern) => ({ type: "array", items: { type: "string", pattern } })) };
  for (const mostWalks of [3, 0]) {
    const masks = new TokenMasks(vocabulary, undefined, mostWalks);
    assertMasks(masks, matcherOf(lists), ["[", '["', '["az', '["z1"']);
    assertMasks(masks, matcherOf(alternatives(20)), ['["', '["ab']);
  }
});

Deno.test({
  name: `the first mask of hundreds of alternatives costs as much as that of some of them${ONLY_SOAKED}`,
  ignore: !SOAK,
  fn: async () => {
    const vocabulary = new Vocabulary(await Tokenizer.o200kHarmony());
    const cost = (count: number) => {
      const masks = new TokenMasks(vocabulary), matcher = matcherOf(alternatives(count));
      const place = matcher.bytes(matcher.start, new TextEncoder().encode('["'))!, started = threadTime();
      masks.at(matcher, place);
      return threadTime() - started;
    };
    // What else runs only adds to it.
    const least = (count: number) => Math.min(...[0, 1, 2].map(() => cost(count)));
    const few = least(8), all = least(300);
    assert(all < 6 * few, `${all} ms of 300 alternatives, ${few} ms of 8`);
  },
});
