/** Values of chat templates as Python has them: what they are as text, and which are equal. */
import { float } from "../json_numbers.ts";

/** A value of the template library's. */
export interface Value {
  readonly type: string;
  value: unknown;
  readonly builtins?: ReadonlyMap<string, Value>;
}

/** Characters of texts that stand for others while a template is rendered. */
export interface Covered {
  /** Whether a character stands for another one. */
  stands(character: string): boolean;
  /** Whether a text is a number in its written form. */
  isNumber(text: string): boolean;
}

/** Python's `str(value)`; of what a template does not know, nothing. */
export function textOf(value: Value, covered: Covered): string {
  if (value.type === "StringValue") return value.value as string;
  return value.type === "UndefinedValue" ? "" : literalOf(value, covered);
}

/** Python's `repr(value)`. */
function literalOf(one: Value, covered: Covered): string {
  const { type, value } = one;
  switch (type) {
    case "StringValue":
      return covered.isNumber(value as string) ? value as string : quotedText(value as string, covered);
    case "FloatValue":
      return floatText(value as number);
    case "BooleanValue":
      return value === true ? "True" : "False";
    case "NullValue":
      return "None";
    case "UndefinedValue":
      return "Undefined";
    case "ArrayValue":
      return `[${(value as Value[]).map((item) => literalOf(item, covered)).join(", ")}]`;
    case "TupleValue": {
      const items = (value as Value[]).map((item) => literalOf(item, covered));
      return `(${items.join(", ")}${items.length === 1 ? "," : ""})`;
    }
    case "ObjectValue": {
      const entries = [...value as ReadonlyMap<string, Value>];
      return `{${entries.map(([key, item]) => `${quotedText(key, covered)}: ${literalOf(item, covered)}`).join(", ")}}`;
    }
    default:
      return String(one.type === "IntegerValue" ? value : one);
  }
}

function floatText(value: number): string {
  if (Object.is(value, -0)) return "-0.0";
  return float(value)?.rawJSON ?? (value !== value ? "nan" : value > 0 ? "inf" : "-inf");
}

/** What Python writes with a backslash, besides characters that it does not print. */
const ESCAPES: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };
const UNPRINTED = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{Zs}\\]/gu;

/** A text with quotes, single ones where it has none of them or both. */
function quotedText(text: string, covered: Covered): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escaped = text.replace(UNPRINTED, (character) => {
    if (character === " " || covered.stands(character)) return character;
    const known = ESCAPES[character], code = character.codePointAt(0)!, digits = code.toString(16);
    if (known !== undefined) return known;
    if (code < 0x100) return `\\x${digits.padStart(2, "0")}`;
    return code < 0x10000 ? `\\u${digits.padStart(4, "0")}` : `\\U${digits.padStart(8, "0")}`;
  });
  return quote + (quote === "'" ? escaped.replaceAll("'", "\\'") : escaped) + quote;
}

/** Values of one kind can be equal; to Python too, true is 1. */
const kindOf = ({ type }: Value): string => /^(?:Integer|Float|Boolean)Value$/.test(type) ? "number" : type;

/**
 * Python's `a == b`: the library compares as JavaScript does, to which `["a"]` is `"a"`, `"1"` is 1, what is undefined
 * is none, and no list is another one with the same items.
 */
export function areEqual(a: Value, b: Value): boolean {
  const kind = kindOf(a);
  if (kind !== kindOf(b)) return false;
  if (kind === "ArrayValue" || kind === "TupleValue") {
    const [left, right] = [a.value as Value[], b.value as Value[]];
    return left.length === right.length && left.every((item, i) => areEqual(item, right[i]!));
  }
  if (kind === "ObjectValue") {
    const [left, right] = [a.value, b.value] as [ReadonlyMap<string, Value>, ReadonlyMap<string, Value>];
    return left.size === right.size && left.entries().every(([key, item]) => {
      const other = right.get(key);
      return other !== undefined && areEqual(item, other);
    });
  }
  return kind === "number" ? Number(a.value) === Number(b.value) : a.value === b.value;
}

/** What Python takes for blanks. */
const BLANKS = "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009" +
  "\u200a\u2028\u2029\u202f\u205f\u3000";

/** Python's `strip`, `lstrip` and `rstrip` of a text, by default of blanks. */
export function strippedText(text: string, side: string, characters: string = BLANKS): string {
  const gone = new Set(characters);
  let start = 0, end = text.length;
  // A character of two units is looked at as a whole.
  const first = () => String.fromCodePoint(text.codePointAt(start)!);
  const last = () => text.slice(/[\udc00-\udfff]/.test(text[end - 1]!) ? end - 2 : end - 1, end);
  if (side !== "rstrip") { while (start < end && gone.has(first())) start += first().length; }
  if (side !== "lstrip") { while (end > start && gone.has(last())) end -= last().length; }
  return text.slice(start, end);
}
