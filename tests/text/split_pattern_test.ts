import { whyNotLinear } from "../../src/text/split_pattern.ts";
import { assert, assertEquals } from "../assert.ts";

/** Patterns of published tokenizers. */
const KNOWN: Readonly<Record<string, string>> = {
  "gpt-oss": [
    String
      .raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?`,
    String
      .raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?`,
    String.raw`\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  ].join("|"),
  "gpt-2": String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`,
  "gpt-4": [
    String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*`,
    String.raw`\s*[\r\n]+|\s+(?!\S)|\s+`,
  ].join("|"),
  "gpt-4, possessive": [
    String.raw`'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+`,
    String.raw`\s*+[\r\n]|\s+(?!\S)|\s+`,
  ].join("|")
    .replace(String.raw`\s*+[\r\n]`, String.raw`\s*[\r\n]`),
  "one digit": String.raw`\p{N}`,
  "words and the rest": String.raw`\w+|[^\w\s]+|\s+`,
};

for (const [name, pattern] of Object.entries(KNOWN)) {
  Deno.test(`whyNotLinear() lets the pattern of ${name} through`, () => assertEquals(whyNotLinear(pattern), null));
}

const SLOW = [
  "(a+)+$",
  "(a|a)*b",
  "(a*)*",
  "(?:a?){50}",
  "a*a*a*a*b|a*",
  "a*b",
  "a*b|a",
  "a*b|a|a+",
  "a*b|c?a+",
  "a?".repeat(30) + "b",
  "(a?a?a?a?a?a?a?a?a?a?a?)b",
  ".*x|.",
  "[ab]*c|a+",
  "(?=a*b)a",
  "(a)\\1",
  "(?<=a*)b",
  "(?i)a",
  "a{1,1000}b",
  "a{5,}b",
  "a**",
  "(a",
  "a)",
  "[a",
  "a\\",
  "x".repeat(5000),
  "((".repeat(2000),
];
for (const pattern of SLOW) {
  Deno.test(`whyNotLinear() refuses ${pattern.slice(0, 40)}`, () => assert(whyNotLinear(pattern) !== null));
}

Deno.test("patterns that are let through take linear time on runs of every kind", () => {
  // Time is not measured: what is not linear would not end.
  const runs = ["\n", " ", "A", "a", "1", ".", "\u4e00", " \n", "A1", "\t ", "/\n", "aA", "'s"];
  for (const pattern of Object.values(KNOWN)) {
    const compiled = new RegExp(
      pattern.replaceAll("++", "+").replaceAll("?+", "?").replaceAll("*+", "*").replaceAll("}+", "}"),
      "gu",
    );
    for (const run of runs) {
      const text = run.repeat(50_000);
      for (const whole of [text, `${text}x`, `${text}!`, `${text}\n`]) {
        let length = 0;
        for (const [part] of whole.matchAll(compiled)) length += part.length;
        assert(length > 0 || pattern === KNOWN["one digit"]);
      }
    }
  }
});
