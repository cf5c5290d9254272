/** Schemas that join keywords of all kinds: what the grammar takes is what ajv takes, or the schema is refused. */
import { InputError } from "../../src/errors.ts";
import { Constraint } from "../../src/grammar/mask.ts";
import type { Matcher } from "../../src/grammar/matcher.ts";
import { assert, assertEquals } from "../assert.ts";
import { dose } from "../soak.ts";
import { draw, masks } from "./draw.ts";
import { orders, smallValue, wholeSchema } from "./joined_schema.ts";
import { canJudge, matcherOf, newJudge, takes } from "./judge.ts";
import { dice } from "./random_schema.ts";

/** The matcher of a schema; null where no value meets it, undefined where it is refused by name. */
function matcherIfKnown(schema: unknown): Matcher | null | undefined {
  try {
    return matcherOf(schema);
  } catch (thrown) {
    assert(thrown instanceof InputError, `${JSON.stringify(schema)}: ${thrown}`);
    assert(!thrown.message.includes("\n"), thrown.message);
    return thrown.code === "contradiction" ? null : undefined;
  }
}

Deno.test("of schemas that join keywords at random, the same values are taken as by ajv", () => {
  let known = 0, met = 0;
  for (let seed = 1; seed <= dose(200, 10_000); seed++) {
    const roll = dice(seed * 104_729), schema = wholeSchema(roll), matcher = matcherIfKnown(schema);
    if (matcher === undefined || !canJudge(schema)) continue;
    const judge = newJudge();
    known++;
    for (let i = 0; i < 20; i++) {
      const value = smallValue(roll, 2), good = judge.validate(schema, value);
      if (good) met++;
      const taken = matcher !== null && orders(value).some((text) => takes(matcher, text));
      assertEquals(taken, good, `${seed}: ${JSON.stringify(schema)}: ${JSON.stringify(value)}`);
    }
  }
  assert(known > 80 && met > 400, `${known} schemas, ${met} values: too few to say something`);
});

Deno.test("what is drawn from schemas that join keywords at random is what ajv takes", () => {
  for (let seed = 1; seed <= dose(100, 5_000); seed++) {
    const roll = dice(seed * 15_485_863), schema = wholeSchema(roll), matcher = matcherIfKnown(schema);
    if (matcher === undefined || matcher === null) continue;
    const judge = newJudge(), text = draw(new Constraint(masks, matcher), roll);
    assert(judge.validate(schema, JSON.parse(text)), `${JSON.stringify(schema)}: ${text}: ${judge.errorsText()}`);
  }
});
