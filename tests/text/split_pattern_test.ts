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
  // What is not known, or stands where it means nothing.
  ...["(?=ab)c", "(?=a)*b", "(?!a)?b", "(?=a){0}b", "(?>a)b", "*a", "a|+", "^a", "a$", "{2}a", "a|{", "[[a]", "\\q"],
  // Unbounded within a group, although once; bounds the wrong way round or too large.
  ...["(a+)b", "(?:a|b+)c", "a{3,2}", "a{101}", "a{1,101}", "a{101,}"],
  // A repetition that is repeated, before something that must follow: exponential.
  ...["a{1,3}+b", "a{2}+b", "(?:a{1,2}+b|c)d", "a{1,3}+(?!b)", "a{2}++", "a{2}+?"],
  // More ways than a thousand, of characters and of groups; more groups within each other than twenty.
  ...["a{0,99}b{0,10}c", `${group(40)}${group(40)}x`, `(?:${group(40)}${group(40)})x`, nested(21)],
  // The next branch begins with something else.
  ...["c?a*b|ca*", "c?a*b|d?a*", "ca*b|c?a*", "c{1,2}a*b|c{1,3}a*", "a*b|a{2,}"],
];

/** What the library in Rust reads otherwise, or refuses, by the reason that is given. */
const OTHERWISE: Readonly<Record<string, readonly string[]>> = {
  "has {n}?, which is no lazy {n}": ["a{2}?b", "\\p{N}{3}?"],
  "without giving back": [
    "a++b",
    "a?+a|b",
    "[^a]?+a",
    "[^\\p{L}]*+\\p{N}|a",
    "[^\\p{L}]?+b?\\p{L}",
    "[^[\\p{L}]]?+\\p{L}",
  ],
  "possessive part within a group": ["(?:a?+)b", "(a?+|b)"],
  "has \\p, which is not known": ["\\p{sc=Latin}", "\\p{Script=Greek}", "[\\p{gc=L}]"],
  "repeats what may match nothing": ["(?:a?)?b", "(a|)?b", "(?:(?!b)|a){1}"],
  "looks ahead where it may match nothing": ["(?!a)", "a|(?=b)c?", "(?:(?!a)|b)"],
};

/** A group of so many branches. */
function group(branches: number): string {
  return `(?:${Array.from({ length: branches }, (_, i) => String.fromCodePoint(0x400 + i)).join("|")})`;
}

function nested(groups: number): string {
  return "(".repeat(groups) + "a" + ")".repeat(groups);
}

Deno.test("whyNotLinear() lets through what is just within its limits, and sets that hold brackets", () => {
  const within = [
    "x".repeat(4000),
    "a{100}",
    "a{0,100}",
    "a{2,}",
    "a{2}b",
    "a{0,99}b{0,9}c",
    `${group(25)}${group(40)}x`,
  ];
  const sets = ["[](]", "[^](]", "[\\](]", "[[:alpha:](]", "[^a[b](]*"];
  const others = [
    nested(20),
    "c?a*b|c?a*",
    "a*b|a+b|a*",
    "(?!a)b",
    "(?=[ab])b",
    "a\\x{41}",
    "\\u0041\\x41\\p{L}",
    "a{1,3}+b?",
    "a++b*",
    "[^\\p{L}]?+\\p{L}++",
    "[^'\\p{L}]*+\\p{L}|[^'\\p{L}]*",
    "(?:a|b)?c",
    "a{1,2}?b",
    "(?!a)b?c",
  ];
  for (const pattern of [...within, ...sets, ...others]) {
    assertEquals(whyNotLinear(pattern), null, pattern.slice(0, 40));
  }
  assertEquals(whyNotLinear("x".repeat(4001)), "has 4001 characters, expected at most 4000");
});
for (const [reason, patterns] of Object.entries(OTHERWISE)) {
  Deno.test(`whyNotLinear() refuses what ${reason}`, () => {
    for (const pattern of patterns) {
      assert(whyNotLinear(pattern)?.includes(reason), `${pattern}: ${whyNotLinear(pattern)}`);
    }
  });
}

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
