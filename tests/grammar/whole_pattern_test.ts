/** Patterns of whole texts, judged by the engine's own regular expressions. */
import { InputError } from "../../src/errors.ts";
import { matches } from "../../src/grammar/dfa.ts";
import { wholePattern } from "../../src/grammar/pattern.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";

const PATTERNS = [
  "[0-9]{3}",
  "(a|b)",
  "a|bc",
  "\\d{4}-\\d\\d",
  '"?.*"?',
  "[^\\n]+",
  "\\\\[\\s\\S]*",
  "caf\u00e9|\\p{L}+\\s?\u{1f642}*",
  "",
  "^x$",
];
const TEXTS = [
  "",
  "123",
  "1234",
  "a",
  "ab",
  "bc",
  "abc",
  "2024-01",
  '"quoted"',
  'in "quotes"',
  "line\nbreak",
  "\\",
  "\\n",
  "\\\n",
  "caf\u00e9",
  "na\u00efve\u{1f642}",
  "x",
  "xx",
  "\t",
];

Deno.test("a pattern of a whole text takes what a regular expression takes, quotes and line breaks as they are", () => {
  let taken = 0;
  for (const source of PATTERNS) {
    const dfa = wholePattern(source, "regex"), judge = new RegExp(`^(?:${source})$`, "u");
    assert(dfa !== null);
    for (const text of TEXTS) {
      const expected = judge.test(text);
      assertEquals(matches(dfa, new TextEncoder().encode(text)), expected, `${source}: ${JSON.stringify(text)}`);
      if (expected) taken++;
    }
  }
  assert(taken > 20 && taken < PATTERNS.length * TEXTS.length / 2);
});

Deno.test("a pattern is none of its own where its brackets close elsewhere, or asks for more than is known", () => {
  for (const source of ["a)|(b", "(", "(?<=a)b", "\\bword", "(?i:a)"]) {
    assertThrows(() => wholePattern(source, "regex"), InputError, "regex: ");
  }
});
