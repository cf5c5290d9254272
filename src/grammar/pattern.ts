/**
 * The regular expressions of JSON Schema (ECMAScript's, with the flag u), as automata over the text of a JSON string.
 * Lookaheads, word boundaries and references to groups are no regular language that is made here; they are refused.
 */
import { RegExpParser } from "@eslint-community/regexpp";
import { printable } from "../describe.ts";
import { InputError, reason } from "../errors.ts";
import type { Dfa } from "./dfa.ts";
import { choice, compile, type Expression, repeat, sequence } from "./expression.ts";
import { ANY, character } from "./strings.ts";
import { complement, LAST, normalized, type Range } from "./utf8.ts";

type Pattern = ReturnType<RegExpParser["parsePattern"]>;
type Element = Pattern["alternatives"][number]["elements"][number];
type ElementOf<T> = Extract<Element, { type: T }>;
type ClassElement = ElementOf<"CharacterClass">["elements"][number];

const DIGITS: readonly Range[] = [[0x30, 0x39]];
const WORD: readonly Range[] = [...DIGITS, [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a]];
const LINE_ENDS: readonly Range[] = [[0x0a, 0x0a], [0x0d, 0x0d], [0x2028, 0x2029]];
const SPACE: readonly Range[] = [
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
];

/**
 * The texts in which a pattern is found, spelled as JSON.stringify does, without quotes.
 *
 * @param where What messages begin with.
 * @returns null where it is found in no text.
 * @throws {InputError} if it is no such pattern, asks for more than a regular language, or is too large.
 */
export function patternText(source: string, where: string): Dfa | null {
  let parsed: Pattern;
  try {
    // Without named groups, u is all that the flags say.
    parsed = new RegExpParser({ ecmaVersion: 2025 }).parsePattern(source, 0, source.length, { unicode: true });
  } catch (thrown) {
    throw InputError.of(
      "malformed",
      { name: where },
      "a regular expression with the flag u",
      printable(reason(thrown)),
    );
  }
  const anything = repeat(character(ANY));
  const alternatives = parsed.alternatives.map(({ elements }) => elements.map((element) => translate(element, where)));
  // Found anywhere: only what does not say where it begins and ends may stand between other text.
  return compile(
    choice(alternatives.map((items) =>
      sequence(
        ...items[0]?.kind === "start" ? [] : [anything],
        ...items,
        ...items.at(-1)?.kind === "end" ? [] : [anything],
      )
    )),
    where,
  );
}

function translate(element: Element, where: string): Expression {
  switch (element.type) {
    case "Character":
      return character([[element.value, element.value]]);
    case "CharacterSet":
    case "CharacterClass":
      return character(charactersOf(element, where));
    case "Group":
    case "CapturingGroup":
      if (element.type === "Group" && element.modifiers !== null) throw unsupported(element.raw, where);
      return choice(
        element.alternatives.map(({ elements }) => sequence(...elements.map((inner) => translate(inner, where)))),
      );
    case "Quantifier":
      return repeat(translate(element.element, where), element.min, element.max);
    case "Assertion":
      if (element.kind === "start" || element.kind === "end") return { kind: element.kind };
      throw unsupported(element.raw, where);
    default:
      throw unsupported(element.raw, where);
  }
}

function charactersOf(element: ElementOf<"CharacterSet"> | ClassElement | Element, where: string): Range[] {
  switch (element.type) {
    case "Character":
      return normalized([[element.value, element.value]]);
    case "CharacterClassRange":
      return normalized([[element.min.value, element.max.value]]);
    case "CharacterClass": {
      const ranges = (element.elements as readonly ClassElement[]).flatMap((inner) => charactersOf(inner, where));
      return element.negate ? complement(ranges) : normalized(ranges);
    }
    case "CharacterSet": {
      if (element.kind === "any") return complement(LINE_ENDS);
      if (element.kind === "property") return property(element.raw);
      const ranges = { digit: DIGITS, space: SPACE, word: WORD }[element.kind];
      return element.negate ? complement(ranges) : normalized(ranges);
    }
    default:
      throw unsupported(element.raw, where);
  }
}

const properties = new Map<string, Range[]>();

/** The characters with a property of Unicode, such as `\p{L}`, which the engine knows. */
function property(raw: string): Range[] {
  const known = properties.get(raw);
  if (known !== undefined) return known;
  const runs = new RegExp(`${raw}+`, "gu"), found: Range[] = [], step = 0x1000;
  for (let from = 0; from <= LAST; from += step) {
    // A half of a pair would join with its neighbour.
    if (from >= 0xd800 && from < 0xe000) continue;
    const size = from < 0x10000 ? 1 : 2, points = Array.from({ length: step }, (_, i) => from + i);
    const text = String.fromCodePoint(...points.filter((point) => point < 0xd800 || point > 0xdfff));
    for (const { 0: run, index } of text.matchAll(runs)) {
      const first = from + index / size;
      found.push([first, first + run.length / size - 1]);
    }
  }
  const ranges = normalized(found);
  properties.set(raw, ranges);
  return ranges;
}

function unsupported(raw: string, where: string): InputError {
  return InputError.of(
    "unsupported",
    { name: where },
    "a pattern without lookarounds, word boundaries and references",
    printable(raw),
  );
}
