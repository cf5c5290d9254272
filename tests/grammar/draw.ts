/** Texts drawn at random, token by token, from what a constraint allows. */
import { type Constraint, TokenMasks } from "../../src/grammar/mask.ts";
import { Vocabulary } from "../../src/grammar/vocabulary.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { assert } from "../assert.ts";
import { TINY } from "../text/goldens.ts";
import type { Dice } from "./random_schema.ts";

/** The embedded model's. */
export const tokenizer = await Tokenizer.fromDirectory(TINY);
/** Of its tokens. */
export const masks = new TokenMasks(new Vocabulary(tokenizer));

/** With what an unfinished text is brought to its end. */
const CLOSING = ['"', "x", "}", "]", "n", "t", "0", "1", "5", "-", ":", ",", "[", "{"].map((text) =>
  tokenizer.encode(text)[0]!
);

/** A text drawn from equal logits; after a while what closes is preferred. */
export function draw(constraint: Constraint, roll: Dice): string {
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
