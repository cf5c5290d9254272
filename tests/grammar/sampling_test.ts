/** Replies under a mask are values of the schema, however they are drawn; and every value can be drawn. */
import { Constraint, TokenMasks } from "../../src/grammar/mask.ts";
import { assert, assertEquals } from "../assert.ts";
import { dose } from "../soak.ts";
import { draw, masks, tokenizer } from "./draw.ts";
import { matcherOf, newJudge } from "./judge.ts";
import { dice, randomSchema, spelled } from "./random_schema.ts";

Deno.test("what is drawn at random under a mask is a value that ajv accepts", () => {
  for (let seed = 1; seed <= dose(10, 250); seed++) {
    const roll = dice(seed), { schema } = randomSchema(roll, 3), judge = newJudge(), matcher = matcherOf(schema);
    for (let i = 0; i < 3; i++) {
      const text = draw(new Constraint(masks, matcher), roll);
      assert(judge.validate(schema, JSON.parse(text)), `${JSON.stringify(schema)}: ${text}: ${judge.errorsText()}`);
    }
  }
});

Deno.test("every value of a schema can be drawn, in each way of setting blanks", () => {
  for (let seed = 1; seed <= dose(30, 600); seed++) {
    const roll = dice(seed * 7919), { schema, value } = randomSchema(roll, 3), matcher = matcherOf(schema);
    for (let i = 0; i < 3; i++) {
      const text = spelled(roll, value()), constraint = new Constraint(masks, matcher);
      const said = `${JSON.stringify(schema)}: ${text}`;
      for (const id of tokenizer.encode(text)) {
        assert(constraint.allows(id), `${said}: not ${new TextDecoder().decode(tokenizer.bytes(id))}`);
        constraint.push(id);
      }
      assert(constraint.ends, said);
    }
  }
});

Deno.test("a mask is what trying each token gives", () => {
  const schema = {
    type: "object",
    properties: { a: { type: "string", maxLength: 3 }, b: { enum: ["é", 1] } },
    additionalProperties: { type: "integer" },
  };
  const matcher = matcherOf(schema), text = new TextEncoder().encode('{"a":"é\\n","b": 1, "c":-1}');
  for (let at = 0, place = matcher.start; at <= text.length; at++) {
    const { bits } = masks.at(matcher, place);
    for (let id = 0; id < tokenizer.vocabSize; id++) {
      const fits = tokenizer.specialName(id) === null && matcher.bytes(place, tokenizer.bytes(id)) !== null;
      assertEquals((bits[id >>> 5]! >>> (id & 31) & 1) === 1, fits, `after ${at} bytes: ${id}`);
    }
    if (at < text.length) place = matcher.byte(place, text[at]!)!;
  }
});

Deno.test("where masks are too many, the one that is kept longest makes room", () => {
  const few = new TokenMasks(masks.vocabulary, 3 * 4 * Math.ceil(tokenizer.vocabSize / 32));
  const matcher = matcherOf({ type: "string" }), text = new TextEncoder().encode('"\\u00e');
  const places = Array.from(text, (_, at) => matcher.bytes(matcher.start, text.subarray(0, at))!);
  assertEquals(new Set(places).size, 6, "different places");
  const kept = places.map((place) => {
    few.at(matcher, place);
    return places.flatMap(({ tokens }, at) => tokens === undefined ? [] : [at]);
  });
  assertEquals(kept, [[0], [0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]]);
});
