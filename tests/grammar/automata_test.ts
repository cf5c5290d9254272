/** Patterns and numbers beside other judges: JavaScript's regular expressions, and arithmetic on whole numbers. */
import { InputError } from "../../src/errors.ts";
import { matches } from "../../src/grammar/dfa.ts";
import { patternText } from "../../src/grammar/pattern.ts";
import { assert, assertEquals } from "../assert.ts";
import { dose } from "../soak.ts";
import { matcherOf, takes } from "./judge.ts";
import { pick, randomPattern } from "./random_pattern.ts";
import { dice } from "./random_schema.ts";

Deno.test("a pattern takes the texts in which JavaScript finds it", () => {
  let refused = 0;
  const patterns = dose(15, 200),
    texts = ["", "\n", "a", "b", "aa", "ab", "ba", "bb", "aba", "é", '"', "\\", " a", "abab"];
  for (let seed = 1; seed <= patterns; seed++) {
    const roll = dice(seed * 104729), source = randomPattern(roll, 2, true), expression = new RegExp(source, "u");
    let matcher;
    try {
      matcher = matcherOf({ type: "string", pattern: source });
    } catch (thrown) {
      assert(thrown instanceof InputError, `${source}: ${thrown}`);
      // Nothing is found by it, or ^ stands in or behind a lookahead in the middle.
      if (thrown.code === "contradiction") {
        texts.forEach((text) => assert(!expression.test(text), `${source}: ${text}`));
      } else refused++;
      continue;
    }
    const more = Array.from(
      { length: 12 },
      () =>
        Array.from({ length: roll(7) }, () => pick(roll, ["a", "b", "é", '"', "\n", " ", "\u{1f600}", "\\"])).join(""),
    );
    for (const text of [...texts, ...more]) {
      assertEquals(takes(matcher, JSON.stringify(text)), expression.test(text), `${source}: ${JSON.stringify(text)}`);
    }
  }
  assert(refused < patterns / 4, `${refused} of ${patterns} refused`);
});

Deno.test("classes of characters are JavaScript's, character by character", () => {
  const encoder = new TextEncoder();
  for (const source of ["\\s", "\\S", "\\w", "\\W", "\\d", "\\D", ".", "[^\\s\\w]"]) {
    const dfa = patternText(`^${source}$`, "pattern")!, expression = new RegExp(source, "u");
    for (let point = 0; point < 0x10100; point++) {
      if (point === 0xd800) point = 0xe000;
      const text = String.fromCodePoint(point), spelled = encoder.encode(JSON.stringify(text).slice(1, -1));
      if (matches(dfa, spelled) !== expression.test(text)) {
        assertEquals(matches(dfa, spelled), expression.test(text), `${source}: U+${point.toString(16)}`);
      }
    }
  }
});

Deno.test("numbers within bounds and of a multiple are those that arithmetic finds", () => {
  for (let seed = 1; seed <= dose(12, 300); seed++) {
    const roll = dice(seed * 7907), decimals = roll(3), scale = 10 ** decimals;
    // Everything in units of the last decimal: whole numbers, which nothing rounds.
    const low = roll(600) - 300, high = low + roll(400), step = pick(roll, [1, 1, 2, 3, 25]);
    const open = roll(2) === 0, unit = (value: number) => Number((value / scale).toFixed(decimals));
    const matcher = (() => {
      try {
        return matcherOf({
          type: decimals === 0 ? "integer" : "number",
          [open ? "exclusiveMinimum" : "minimum"]: unit(low),
          ...(roll(4) === 0 ? {} : { [open ? "exclusiveMaximum" : "maximum"]: unit(high) }),
          multipleOf: unit(step),
        });
      } catch (thrown) {
        assert(thrown instanceof InputError && thrown.code === "contradiction", `${thrown}`);
        return null;
      }
    })();
    const bounded = matcher !== null && !takes(matcher, String(unit(Math.ceil((high + 500) / step) * step)));
    for (let value = low - 60; value <= high + 60; value++) {
      const inside = open ? value > low : value >= low, below = !bounded || (open ? value < high : value <= high);
      const good = matcher !== null && inside && below && value % step === 0;
      const text = value === 0 ? "0" : (value / scale).toFixed(decimals);
      assertEquals(matcher !== null && takes(matcher, text), good, `${seed}: ${text} of ${low}..${high} by ${step}`);
    }
  }
});
