/**
 * The regular expressions of JSON Schema (ECMAScript's, with the flag u), as automata over the text of a JSON string.
 * Lookaheads are taken where they stand in no group; lookbehinds, word boundaries and references to groups are refused.
 */
import { RegExpParser } from "@eslint-community/regexpp";
import { printable } from "../describe.ts";
import { InputError, reason } from "../errors.ts";
import { combined, type Dfa } from "./dfa.ts";
import { choice, compile, type Expression, repeat, sequence } from "./expression.ts";
import { ANY, character, plainCharacter } from "./strings.ts";
import { complement, LAST, normalized, type Range } from "./utf8.ts";

type Pattern = ReturnType<RegExpParser["parsePattern"]>;
type Element = Pattern["alternatives"][number]["elements"][number];
type ElementOf<T> = Extract<Element, { type: T }>;
type Lookahead = Extract<ElementOf<"Assertion">, { kind: "lookahead" }>;
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

/** What messages begin with, and how a character of a set is spelled. */
interface Way {
  readonly where: string;
  readonly spell: (set: readonly Range[]) => Expression;
}

/**
 * The texts in which a pattern is found, spelled as JSON.stringify does, without quotes.
 *
 * @param where What messages begin with.
 * @returns null where it is found in no text.
 * @throws {InputError} if it is no such pattern, asks for more than a regular language, or is too large.
 */
export function patternText(source: string, where: string): Dfa | null {
  return found(source, { where, spell: character });
}

/** As {@linkcode patternText}, of texts that are the whole of what the pattern takes, and that stand as they are. */
export function wholePattern(source: string, where: string): Dfa | null {
  // By itself, so that its brackets close in it.
  parse(source, where);
  return found(`^(?:${source})$`, { where, spell: plainCharacter });
}

/**
 * Reads a pattern, whatever it asks for.
 *
 * @throws {InputError} if it is none.
 */
export function checkPattern(source: string, where: string): void {
  parse(source, where);
}

function parse(source: string, where: string): Pattern {
  try {
    // With the flag u, as JSON Schema asks for, and no other.
    return new RegExpParser({ ecmaVersion: 2025 }).parsePattern(source, 0, source.length, { unicode: true });
  } catch (thrown) {
    throw InputError.of(
      "malformed",
      { name: where },
      "a regular expression with the flag u",
      printable(reason(thrown)),
    );
  }
}

function found(source: string, way: Way): Dfa | null {
  const alternatives = parse(source, way.where).alternatives.map(({ elements }) => alternative(elements, way))
    .filter((one) => one !== null);
  return alternatives.length === 0 ? null : compile(choice(alternatives), way.where);
}

const anything = ({ spell }: Way): Expression => repeat(spell(ANY));

/** The texts in which a sequence of elements is found; null: there are none. */
function alternative(elements: readonly Element[], way: Way): Expression | null {
  const starts = elements[0]?.type === "Assertion" && elements[0].kind === "start";
  const items = sequenceOf(elements, way, starts || elements.length === 0);
  if (items === null) return null;
  // Found anywhere: only what does not say where it begins may stand after other text.
  return starts ? items : sequence(anything(way), items);
}

/**
 * Elements, and whatever may follow the last of them. From a lookahead on, the text must fit the elements after it
 * and the lookahead as well; where the lookahead is negative, the text must not fit it.
 *
 * @param first Whether nothing can stand before them.
 */
function sequenceOf(elements: readonly Element[], way: Way, first: boolean): Expression | null {
  const { where } = way;
  const at = elements.findIndex(({ type, ...rest }) =>
    type === "Assertion" && (rest as { kind?: string }).kind === "lookahead"
  );
  if (at < 0) {
    const items = elements.map((element) => translate(element, way));
    return sequence(...items, ...items.at(-1)?.kind === "end" ? [] : [anything(way)]);
  }
  const before = elements.slice(0, at), look = elements[at] as Lookahead, after = elements.slice(at + 1);
  const still = first && before.every(({ type }) => type === "Assertion");
  // In the middle of a text, ^ would mean another place than the beginning of the rest.
  if (!still) {
    for (const { raw } of [look, ...after]) {
      if (/\^/.test(raw.replaceAll(/\\.|\[\^/g, ""))) throw unsupported(raw, where);
    }
  }
  const rest = sequenceOf(after, way, still),
    seen = look.alternatives.map(({ elements }) => sequenceOf(elements, way, still));
  const restText = rest && compile(rest, where);
  const seenText = compile(choice(seen.filter((one) => one !== null)), where);
  const both = restText === null
    ? null
    : seenText === null
    ? look.negate ? restText : null
    : combined(restText, seenText, look.negate ? "without" : "both", where);
  return both && sequence(...before.map((element) => translate(element, way)), { kind: "dfa", dfa: both });
}

function translate(element: Element, way: Way): Expression {
  const { where, spell } = way;
  switch (element.type) {
    case "Character":
      return spell([[element.value, element.value]]);
    case "CharacterSet":
    case "CharacterClass":
      return spell(charactersOf(element, where));
    case "Group":
    case "CapturingGroup":
      if (element.type === "Group" && element.modifiers !== null) throw unsupported(element.raw, where);
      return choice(
        element.alternatives.map(({ elements }) => sequence(...elements.map((inner) => translate(inner, way)))),
      );
    case "Quantifier":
      return repeat(translate(element.element, way), element.min, element.max);
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

/** All characters but surrogates, some thousand in a text: by their first, made once, as properties are looked up. */
const blocks: (readonly [from: number, text: string])[] = [];

function allBlocks(): typeof blocks {
  const step = 0x1000;
  for (let from = 0; blocks.length === 0 || from <= LAST; from += step) {
    // A half of a pair would join with its neighbour.
    if (from >= 0xd800 && from < 0xe000) continue;
    const points = Array.from({ length: step }, (_, i) => from + i);
    blocks.push([from, String.fromCodePoint(...points.filter((point) => point < 0xd800 || point > 0xdfff))]);
  }
  return blocks;
}

/** The characters with a property of Unicode, such as `\p{L}`, which the engine knows. */
function property(raw: string): Range[] {
  const known = properties.get(raw);
  if (known !== undefined) return known;
  const runs = new RegExp(`${raw}+`, "gu"), found: Range[] = [];
  for (const [from, text] of blocks.length > 0 ? blocks : allBlocks()) {
    const size = from < 0x10000 ? 1 : 2;
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
    "a pattern without lookarounds in groups, word boundaries and references",
    printable(raw),
  );
}
