/** Lengths of strings that are counted beside their automata. */
import { InputError } from "../../src/errors.ts";
import { combined, type Dfa, quoted, step } from "../../src/grammar/dfa.ts";
import { isEnd, type Lengths, placeAfter } from "../../src/grammar/lengths.ts";
import { TokenMasks } from "../../src/grammar/mask.ts";
import type { Matcher, Place } from "../../src/grammar/matcher.ts";
import { patternText } from "../../src/grammar/pattern.ts";
import { schemaGrammar } from "../../src/grammar/schema.ts";
import { inner } from "../../src/grammar/schema_objects.ts";
import { textOfLength } from "../../src/grammar/strings.ts";
import { Vocabulary } from "../../src/grammar/vocabulary.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";
import { dose } from "../soak.ts";
import { masks as tinyMasks, tokenizer } from "./draw.ts";
import { matcherOf, takes } from "./judge.ts";
import { pick, randomPattern } from "./random_pattern.ts";
import { dice } from "./random_schema.ts";

/** Patterns whose texts have lengths with gaps between them, or none of some. */
const PATTERNS = [
  "^(?:aa)*$",
  "^(?:a{3}|b{5})*$",
  "^(?:a{2}|b{4})$",
  "^a*$",
  "b",
  "^[^a]*$",
  "^\\p{L}{2,4}$",
  '^["\\\\\\n]{1,3}$',
  "^(?:ab|é)+.?$",
  "^.{2}$",
  "",
  "^$",
];
const CHARACTERS = ["a", "b", '"', "\\", "\n", "é", "\u{1f600}"];

/** All texts of up to so many of these characters. */
function* texts(most: number, before = ""): Generator<string> {
  yield before;
  if (most > 0) { for (const character of CHARACTERS) yield* texts(most - 1, before + character); }
}

/** The matcher of a schema; null where no value meets it. */
function matcherOrNull(schema: unknown): Matcher | null {
  try {
    return matcherOf(schema);
  } catch (thrown) {
    assert(thrown instanceof InputError && thrown.code === "contradiction", `${thrown}`);
    return null;
  }
}

Deno.test("strings are of the length and the pattern that their schema says: all texts of a few characters", () => {
  const most = dose(4, 5), all = [...texts(most)];
  let taken = 0;
  for (const pattern of PATTERNS) {
    const expression = new RegExp(pattern, "u");
    for (let min = 0; min <= most; min++) {
      for (const max of [min - 1, min, min + 1, most].filter((max) => max >= 0)) {
        const matcher = matcherOrNull({ type: "string", pattern, minLength: min, maxLength: max });
        for (const text of all) {
          const count = [...text].length, good = expression.test(text) && count >= min && count <= max;
          const is = matcher !== null && takes(matcher, JSON.stringify(text));
          if (is !== good) assertEquals(is, good, `${pattern} from ${min} to ${max}: ${JSON.stringify(text)}`);
          taken += Number(good);
        }
      }
    }
  }
  assert(taken > 2000, `${taken}`);
});

Deno.test("a character is one however it is spelled, and pairs of surrogates are one", () => {
  const spellings = ["a", "\\u0061", "\\n", "\\u000A", "\\/", "é", "\\u00e9", "\u{1f600}", "\\ud83d\\uDE00", '\\"'];
  for (const [min, max] of [[0, 2], [2, 2], [1, 3], [2, Infinity]] as const) {
    const matcher = matcherOf({ type: "string", minLength: min, ...(max === Infinity ? {} : { maxLength: max }) });
    for (let count = 0; count <= 4; count++) {
      for (let first = 0; first < spellings.length; first++) {
        const text = Array.from({ length: count }, (_, i) => spellings[(first + 3 * i) % spellings.length]!).join("");
        assertEquals(takes(matcher, `"${text}"`), count >= min && count <= max, `${min} to ${max}: ${text}`);
      }
    }
  }
});

/** Asserts that lengths take the texts of an automaton, and that both know at once when nothing leads to one. */
function assertSame(lengths: Lengths | null, dfa: Dfa | null, said: string): number {
  assertEquals(lengths === null, dfa === null, said);
  if (lengths === null || dfa === null) return 0;
  const open: [number, number][] = [[0, 0]], known = new Map([[0, 0]]);
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    const [place, state] = at;
    if (isEnd(lengths, place) !== (dfa.accepts[state] === 1)) assert(false, `ends: ${said}`);
    for (let byte = 0; byte < 256; byte++) {
      const next = placeAfter(lengths, place, byte), to = step(dfa, state, byte);
      if ((next < 0) !== (to < 0)) assert(false, `byte ${byte} after place ${place}: ${said}`);
      if (next < 0 || known.has(to)) continue;
      // By state of the automaton, which has one for each way to go on.
      known.set(to, next);
      open.push([next, to]);
    }
  }
  return known.size;
}

/** The lengths of a schema of strings. */
function lengthsOf(schema: unknown): Lengths | null {
  const node = inner(schemaGrammar(schema, "schema"));
  if (node.kind === "choice") return null;
  assert(node.kind === "string");
  return node.lengths;
}

Deno.test("counting beside an automaton takes what counting in it takes, and comes to no dead end", () => {
  const patterns = dose(60, 600);
  let states = 0, refused = 0;
  for (let seed = 1; seed <= patterns; seed++) {
    const roll = dice(seed * 611_953), source = roll(4) > 0 ? randomPattern(roll, 2, true) : pick(roll, PATTERNS);
    const min = pick(roll, [0, 0, 1, 2, 3, 7, 20]), max = roll(3) === 0 ? Infinity : min + roll(roll(2) === 0 ? 3 : 15);
    if (min === 0 && max === Infinity) continue;
    const said = `${source} from ${min} to ${max}`, bound = max === Infinity ? {} : { maxLength: max };
    let lengths: Lengths | null;
    try {
      lengths = lengthsOf({ type: "string", pattern: source, minLength: min, ...bound });
    } catch (thrown) {
      // Looks ahead where that is not known, or costs too much.
      assert(thrown instanceof InputError && ["unsupported", "too_large"].includes(thrown.code), `${said}: ${thrown}`);
      refused++;
      continue;
    }
    const text = patternText(source, "pattern");
    const counted = text && combined(text, textOfLength(min, max, "length"), "both", "both");
    states += assertSame(lengths, counted && quoted(counted), said);
  }
  assert(states > 5000 && refused < patterns / 4, `${states} states, ${refused} refused`);
});

/** All places that a matcher comes to by some bytes, and how. */
function placesOf(matcher: Matcher, most: number): Map<Place, string> {
  const found = new Map([[matcher.start, ""]]);
  for (const [place, before] of found) {
    for (const character of [...'[],"ab\\né', "\u{1f600}"]) {
      const next = matcher.bytes(place, new TextEncoder().encode(character));
      if (next !== null && !found.has(next) && found.size < most) found.set(next, before + character);
    }
  }
  return found;
}

/** Asserts that masks of all places allow what the grammar takes byte by byte. */
function assertMasks(masks: TokenMasks, matcher: Matcher, most: number, said: string): number {
  const { size, tokenizer } = masks.vocabulary, places = placesOf(matcher, most);
  for (const [place, before] of places) {
    const { bits } = masks.at(matcher, place);
    for (let id = 0; id < size; id++) {
      const bytes = tokenizer.bytes(id);
      const fits = tokenizer.specialName(id) === null && bytes.length > 0 && matcher.bytes(place, bytes) !== null;
      if ((bits[id >>> 5]! >>> (id & 31) & 1) !== Number(fits)) {
        assert(false, `${said}: ${JSON.stringify(new TextDecoder().decode(bytes))} fits: ${fits}, after ${before}`);
      }
    }
  }
  return places.size;
}

Deno.test("masks allow what fits in the characters that are left, whatever the vocabulary is", () => {
  const pieces = ["a", "b", '"', "aa", "ab", "aaaa", 'a"', '"]', 'aa",', '","', '","a', "é", "\\n", "\\", "n", '\\"'];
  pieces.push("\u{1f600}", "\u{1f600}é", "\\u", "u", "0", "00", "61", "\\u0061", "a".repeat(9), `${"b".repeat(7)}"`);
  let places = 0;
  for (let seed = 1; seed <= dose(25, 400); seed++) {
    const roll = dice(seed * 7_368_787), encoder = new TextEncoder();
    const ends = Array.from({ length: 20 }, () => pick(roll, pieces) + pick(roll, pieces) + pick(roll, pieces));
    // Some twice, and halves of characters.
    const tokens = [...pieces, ...ends, pick(roll, pieces)].map((text) => encoder.encode(text));
    tokens.push(encoder.encode("é").subarray(0, 1), encoder.encode("a\u{1f600}").subarray(0, 3), Uint8Array.of(0xa9));
    const vocabulary = new Vocabulary({
      vocabSize: tokens.length,
      bytes: (id) => tokens[id]!,
      specialName: () => null,
    });
    const string = () => {
      const min = roll(4), bounds = { minLength: min, ...roll(4) === 0 ? {} : { maxLength: min + roll(12) } };
      return { type: "string", ...bounds, ...roll(2) === 0 ? {} : { pattern: pick(roll, PATTERNS) } };
    };
    const schema = { type: "array", items: { anyOf: [string(), string(), { enum: ["a", "aab"] }] }, maxItems: 2 };
    const matcher = matcherOf(schema);
    for (const mostWalks of [undefined, 0]) {
      const masks = new TokenMasks(vocabulary, roll(3) === 0 ? 64 : undefined, mostWalks);
      places += assertMasks(masks, matcher, 150, JSON.stringify(schema));
    }
  }
  assert(places > 1000, `${places} places`);
});

Deno.test("far from its bounds a string's masks are known at once, and near them they are those of each token", () => {
  const masks = new TokenMasks(tinyMasks.vocabulary), encoder = new TextEncoder();
  for (const schema of [{ maxLength: 40 }, { minLength: 3, maxLength: 40 }, { format: "uri", maxLength: 40 }]) {
    const matcher = matcherOf({ type: "string", ...schema });
    let place: Place | null = matcher.bytes(matcher.start, encoder.encode('"http://a.de/'));
    for (let i = 0; place !== null; i++) {
      const { bits } = masks.at(matcher, place);
      for (let id = 0; id < tokenizer.vocabSize; id++) {
        const fits = tokenizer.specialName(id) === null && matcher.bytes(place, tokenizer.bytes(id)) !== null;
        assertEquals((bits[id >>> 5]! >>> (id & 31) & 1) === 1, fits, `${JSON.stringify(schema)}, ${i} more: ${id}`);
      }
      place = matcher.byte(place, 0x61);
      assert(i <= 28);
    }
  }
});

Deno.test("strings of pydantic's types are of the lengths that it says", () => {
  const host = "https://example.org/", domain = `${Array(3).fill("a".repeat(62)).join(".")}.co`;
  const cases: readonly [schema: Record<string, unknown>, good: readonly string[], bad: readonly string[]][] = [
    // HttpUrl, and one of a hundred characters.
    [{ format: "uri", minLength: 1, maxLength: 2083 }, [host, host + "a".repeat(2063), host + "%20".repeat(687)], [
      "",
      host + "a".repeat(2064),
      host + "%20".repeat(688),
    ]],
    [{ format: "uri", minLength: 1, maxLength: 100 }, [`${host}${"a".repeat(80)}`], [`${host}${"a".repeat(81)}`]],
    // EmailStr, as email-validator 2.4.0 reads it.
    [{ format: "email" }, [`${"b".repeat(62)}@${domain}`], [`${"b".repeat(63)}@${domain}`]],
    [{ format: "email", maxLength: 20 }, ["someone@example.org1".slice(0, 19)], ["someone.x@example.org"]],
    [{ format: "hostname" }, [`${domain}.${"a".repeat(61)}`], [`${domain}.${"a".repeat(62)}`]],
    // SecretStr, bytes and Path.
    [{ format: "password", writeOnly: true, minLength: 8, maxLength: 64 }, ["12345678", "é".repeat(64)], [
      "1234567",
      "é".repeat(65),
    ]],
    [{ format: "binary" }, ["", "\u0000\u{1f600}"], []],
    [{ format: "path" }, ["/no/such\\file", ""], []],
  ];
  for (const [schema, good, bad] of cases) {
    const matcher = matcherOf({ type: "string", ...schema });
    for (const text of good) assert(takes(matcher, JSON.stringify(text)), `${JSON.stringify(schema)}: ${text}`);
    for (const text of bad) assert(!takes(matcher, JSON.stringify(text)), `${JSON.stringify(schema)}: ${text}`);
  }
});

Deno.test("long texts can be counted, and lengths without any text are found at once", () => {
  const long = matcherOf({ type: "string", minLength: 20_000, maxLength: 20_001 });
  assertEquals([19_999, 20_000, 20_001, 20_002].map((count) => takes(long, JSON.stringify("x".repeat(count)))), [
    ...[false, true],
    ...[true, false],
  ]);
  for (
    const schema of [
      { pattern: "^(?:aa)*$", minLength: 999_999, maxLength: 999_999 },
      { format: "date", minLength: 11 },
      { format: "uuid", maxLength: 35 },
      { format: "email", minLength: 255 },
      { pattern: "^(?:a{6}|b{10})*$", minLength: 13, maxLength: 15 },
    ]
  ) {
    assertThrows(() => matcherOf({ type: "string", ...schema }), InputError, "expected a schema that a value can meet");
  }
});
