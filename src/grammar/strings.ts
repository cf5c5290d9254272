/** The texts of JSON strings: characters as JSON spells them. */
import { byte, choice, compile, type Expression, literal, repeat, sequence } from "./expression.ts";
import { counted, type Dfa, quoted } from "./dfa.ts";
import { type Measured, measured } from "./lengths.ts";
import { complement, has, LAST, normalized, type Range, utf8Ranges } from "./utf8.ts";

/** What JSON.stringify writes for these. */
const SHORT: ReadonlyMap<number, string> = new Map([
  [0x08, "\\b"],
  [0x09, "\\t"],
  [0x0a, "\\n"],
  [0x0c, "\\f"],
  [0x0d, "\\r"],
  [0x22, '\\"'],
  [0x5c, "\\\\"],
]);

/** All characters. */
export const ANY: readonly Range[] = normalized([[0, LAST]]);
/** Those that stand in a string as they are. */
const PLAIN: readonly Range[] = complement([[0, 0x1f], [0x22, 0x22], [0x5c, 0x5c]]);

/** A character of a set inside a string, spelled as JSON.stringify does. */
export function character(set: readonly Range[]): Expression {
  const escaped: Expression[] = [];
  for (let point = 0; point < 0x20; point++) {
    if (has(set, point)) escaped.push(literal(SHORT.get(point) ?? `\\u${point.toString(16).padStart(4, "0")}`));
  }
  for (const point of [0x22, 0x5c]) if (has(set, point)) escaped.push(literal(SHORT.get(point)!));
  const plain = set.flatMap(([first, last]) =>
    PLAIN.map(([a, b]): Range => [Math.max(first, a), Math.min(last, b)]).filter(([a, b]) => a <= b)
  );
  const utf8 = plainCharacter(plain);
  return escaped.length === 0 ? utf8 : choice([...escaped, utf8]);
}

/** A character of a set as it stands in a text. */
export function plainCharacter(set: readonly Range[]): Expression {
  return { kind: "bytes", sequences: set.flatMap(([first, last]) => [...utf8Ranges(first, last)]) };
}

/** Any character in any of its spellings; surrogates in pairs only. */
function anySpelling(): Expression {
  const hex = (...ranges: readonly (readonly [string, string])[]) =>
    choice(ranges.map(([a, b]) => byte(a.charCodeAt(0), b.charCodeAt(0))));
  const digit = hex(["0", "9"], ["a", "f"], ["A", "F"]), d = hex(["d", "d"], ["D", "D"]);
  const notD = hex(["0", "9"], ["a", "c"], ["e", "f"], ["A", "C"], ["E", "F"]);
  const escape = literal("\\u");
  const point = sequence(escape, choice([sequence(notD, digit), sequence(d, hex(["0", "7"]))]), digit, digit);
  const high = sequence(escape, d, hex(["8", "9"], ["a", "b"], ["A", "B"]), digit, digit);
  const low = sequence(escape, d, hex(["c", "f"], ["C", "F"]), digit, digit);
  return choice([character(ANY), literal("\\/"), point, sequence(high, low)]);
}

/** Made when first used, and then kept. */
function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

const anyCharacter = once(() => compile(anySpelling(), "string")!);
const stringifiedCharacter = once(() => compile(character(ANY), "string")!);

/** Any string with its quotes. */
export const anyString: () => Dfa = once(() => quoted(counted(anyCharacter(), 0, Infinity, "string")));

/** Any text of a string as JSON.stringify spells it, without quotes. */
export const stringifiedText: () => Dfa = once(() => compile(repeat(character(ANY)), "string")!);

/** Any number of characters as JSON.stringify spells them. */
const stringifiedCharacters = once(() => counted(stringifiedCharacter(), 0, Infinity, "string"));

/** Any string with its quotes, of which the characters can be counted. */
export const anyMeasured: () => Measured = once(() => {
  const characters = counted(anyCharacter(), 0, Infinity, "string");
  return measured(characters, characters, "string")!;
});

/**
 * A string with its quotes, of which the characters can be counted.
 *
 * @param text Its text, spelled as JSON.stringify does.
 * @returns null where there is none.
 * @throws {InputError} if it costs too much.
 */
export function measuredText(text: Dfa, where: string): Measured | null {
  return measured(text, stringifiedCharacters(), where);
}

/** Text of so many characters, spelled as JSON.stringify does, without quotes. */
export function textOfLength(min: number, max: number, where: string): Dfa {
  return counted(stringifiedCharacter(), min, max, where);
}
