/** Replies under a mask are values of the schema, however they are drawn; and every value can be drawn. */
import { Constraint, TokenMasks } from "../../src/grammar/mask.ts";
import { Vocabulary } from "../../src/grammar/vocabulary.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { assert, assertEquals } from "../assert.ts";
import { dose } from "../soak.ts";
import { TINY } from "../text/goldens.ts";
import { matcherOf, newJudge } from "./judge.ts";
import { type Dice, dice, randomSchema, spelled } from "./random_schema.ts";

const tokenizer = await Tokenizer.fromDirectory(TINY);
const masks = new TokenMasks(new Vocabulary(tokenizer));

/** With what an unfinished text is brought to its end. */
const CLOSING = ['"', "x", "}", "]", "n", "t", "0", "1", "5", "-", ":", ",", "[", "{"].map((text) =>
  tokenizer.encode(text)[0]!
);

/** A text drawn from equal logits; after a while what closes is preferred. */
function draw(constraint: Constraint, roll: Dice): string {
  const bytes: number[] = [], logits = new Float32Array(tokenizer.vocabSize + 9);
  for (let count = 0; !constraint.ends || (count < 40 && roll(2) === 0); count++) {
    logits.fill(0);
    constraint.apply(logits);
    const allowed = [...logits.keys()].filter((id) => logits[id] === 0);
    if (allowed.length === 0) {
      assert(constraint.ends, "nothing may follow, and the text is not complete");
      break;
    }
    assert(count < 3000, "the text does not end");
    const closing = count > 20 ? CLOSING.filter((id) => constraint.allows(id)) : [];
    const id = closing.length > 0 && roll(8) > 0 ? closing[0]! : allowed[roll(allowed.length)]!;
    constraint.push(id);
    bytes.push(...tokenizer.bytes(id));
  }
  return new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(bytes));
}

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
