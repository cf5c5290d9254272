/** Masks of small vocabularies against the definition: a token may follow if its bytes, one by one, may. */
import { Constraint, TokenMasks } from "../../src/grammar/mask.ts";
import { Matcher } from "../../src/grammar/matcher.ts";
import { schemaGrammar } from "../../src/grammar/schema.ts";
import { type TokenSource, Vocabulary } from "../../src/grammar/vocabulary.ts";
import { assert, assertEquals } from "../assert.ts";
import { integers } from "../formats/seeded.ts";

/** A tokenizer of these texts and one special token, which has the last id. */
function sourceOf(texts: readonly string[]): TokenSource {
  const encoder = new TextEncoder();
  return {
    vocabSize: texts.length + 1,
    bytes: (id) => encoder.encode(texts[id]),
    specialName: (id) => id === texts.length ? "<|end|>" : null,
  };
}

/** Ids that the definition allows after a text; these grammars have no place for a special token. */
function wanted(matcher: Matcher, texts: readonly string[], before: string): number[] {
  const place = matcher.bytes(matcher.start, new TextEncoder().encode(before))!;
  const follows = (text: string) => text !== "" && matcher.bytes(place, new TextEncoder().encode(text)) !== null;
  return [...texts.keys()].filter((id) => follows(texts[id]!));
}

const SCHEMA = {
  type: "object",
  properties: { a: { type: "string" }, b: { type: "array", items: { enum: [1, 12, "x"] } } },
  required: ["a"],
  additionalProperties: false,
};
/** What is whole at its end, what is not, and what ends several terminals at once. */
const BEGINNINGS = [
  "",
  "{",
  '{"',
  '{"a":"',
  '{"a":"x',
  '{"a":"x"',
  '{"a":"x"}',
  '{"a":"x","b":[1',
  '{"a":"x","b":[12,"x"',
];

Deno.test("TokenMasks allows what the grammar takes byte by byte, whatever the vocabulary is", () => {
  const next = integers(3), alphabet = [...'"{}[],:abx12\\ '], grammar = schemaGrammar(SCHEMA, "schema");
  const pieces = ['"', '"}', '":', '","', '"]}', "1]", "2]}", '{"a', '{"a":"', "ab", "abx", '\\"', '\\"}'];
  let allowed = 0;
  for (let round = 0; round < 40; round++) {
    // Of few tokens a node of their tree often has a single one below it; some texts have several ids.
    const texts = Array.from(
      { length: 1 + next() % 60 },
      () =>
        next() % 2 === 0
          ? pieces[next() % pieces.length]!
          : Array.from({ length: 1 + next() % 4 }, () => alphabet[next() % alphabet.length]!).join(""),
    );
    const vocabulary = new Vocabulary(sourceOf(texts));
    for (const mostWalks of [undefined, 1, 0]) {
      const masks = new TokenMasks(vocabulary, undefined, mostWalks), matcher = new Matcher(grammar, "");
      for (const before of BEGINNINGS) {
        const place = matcher.bytes(matcher.start, new TextEncoder().encode(before));
        assert(place !== null, before);
        const { bits, few } = masks.at(matcher, place), ids = wanted(matcher, texts, before);
        const listed = Array.from({ length: texts.length + 1 }, (_, id) => id)
          .filter((id) => (bits[id >>> 5]! >>> (id & 31) & 1) === 1);
        assertEquals(listed, ids, JSON.stringify([texts, before]));
        assertEquals([...few!], ids);
        allowed += ids.length;
      }
    }
  }
  assert(allowed > 5000, `${allowed} tokens allowed`);
});

Deno.test("Constraint.apply() leaves the logits of tokens that may follow, few or many, and no others", () => {
  const digits = Array.from({ length: 3000 }, (_, i) => `${i + 1}`);
  const grammar = schemaGrammar({ type: "integer", minimum: 1, maximum: 9000 }, "schema");
  for (const texts of [digits.slice(0, 1000), digits.slice(0, 1024), digits.slice(0, 1025), digits, ["a", "7"]]) {
    const matcher = new Matcher(grammar, "");
    const constraint = new Constraint(new TokenMasks(new Vocabulary(sourceOf(texts))), matcher);
    // A model may have more logits than its tokenizer has tokens.
    const logits = Float32Array.from({ length: texts.length + 40 }, (_, id) => id + 1);
    constraint.apply(logits);
    const left = [...logits.keys()].filter((id) => logits[id] !== -Infinity);
    assertEquals(left, wanted(matcher, texts, ""), `${texts.length} tokens`);
    assert(left.every((id) => logits[id] === id + 1));
  }
});
