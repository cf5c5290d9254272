/** Values of chat templates as Python has them: what they are as text, and which are equal. */
import { float } from "../json_numbers.ts";

/** A value of the template library's. */
export interface Value {
  readonly type: string;
  value: unknown;
  readonly builtins?: ReadonlyMap<string, Value>;
}

/** Whether it is a list or a tuple: of a view of something else, too, which is kept as a list. */
export const isList = ({ type }: Value): boolean => type === "ArrayValue" || type === "TupleValue";

/** Whether it is a number, as a truth value is to Python as well, but not here. */
export const isNumber = ({ type }: Value): boolean => type === "IntegerValue" || type === "FloatValue";

/** Characters of texts that stand for others while a template is rendered. */
export interface Covered {
  /** The number in its written form that a text stands for; null: none. */
  numberIn(text: string): string | null;
  /** The text that stands for a number, or for what else is no text but a key. */
  quoted(written: string): string;
  /** The key that one with a mark, which keeps it in its place among others, stands for. */
  keyIn(key: string): string;
  /** A text with the characters that it stands for, each at the place of what stands for it. */
  show(text: string): string;
  /** A text with what stands for its characters, where something does. */
  cover(text: string): string;
  /** Whether something stands for letters or digits, too. */
  readonly hidesLetters: boolean;
}

const safe = new WeakSet<Value>();

/** Whether a text is called safe: see template_markup.ts. */
export const isSafe = (value: Value): boolean => safe.has(value);

/** The text as a safe one. */
export function asSafe(text: Value): Value {
  safe.add(text);
  return text;
}

/** The same where another one is safe. */
export const safeLike = (other: Value, text: Value): Value => isSafe(other) ? asSafe(text) : text;

/** Python's `str(value)`; of what a template does not know, nothing. */
export function textOf(value: Value, covered: Covered): string {
  if (value.type === "StringValue") return numberText(value, covered) ?? value.value as string;
  return value.type === "UndefinedValue" ? "" : literalOf(value, covered);
}

/** Whether it is a text, and not one that stands for a number. */
export const isText = ({ type, value }: Value, covered: Covered): boolean =>
  type === "StringValue" && covered.numberIn(value as string) === null;

/** The number that a text stands for; null: none. */
function numberText(value: Value, covered: Covered): string | null {
  const written = covered.numberIn(value.value as string);
  return written === null ? null : covered.cover(written);
}

/** Python's `repr(value)`. */
export function literalOf(one: Value, covered: Covered): string {
  const { type, value } = one;
  switch (type) {
    case "StringValue":
      return numberText(one, covered) ??
        (isSafe(one) ? `Markup(${quotedText(value as string, covered)})` : quotedText(value as string, covered));
    case "FloatValue":
      return floatText(value as number);
    case "BooleanValue":
      return value === true ? "True" : "False";
    case "NullValue":
      return "None";
    case "UndefinedValue":
      return "Undefined";
    case "ArrayValue":
      return viewText(one, covered) ?? `[${(value as Value[]).map((item) => literalOf(item, covered)).join(", ")}]`;
    case "TupleValue": {
      const items = (value as Value[]).map((item) => literalOf(item, covered));
      return `(${items.join(", ")}${items.length === 1 ? "," : ""})`;
    }
    case "ObjectValue": {
      const entries = [...value as ReadonlyMap<string, Value>];
      const keyText = (key: string) => {
        const written = covered.numberIn(key);
        return written === null ? quotedText(key, covered) : covered.cover(written);
      };
      return `{${entries.map(([key, item]) => `${keyText(key)}: ${literalOf(item, covered)}`).join(", ")}}`;
    }
    case "IntegerValue":
      return String(value);
    default:
      // Python has a place in its memory for it.
      throw new Error(`writes a ${type}`);
  }
}

/** What a list is to Python that is none: a view of a dictionary, a range, or items that can be read once. */
export interface View {
  readonly name: "range" | "dict_items" | "dict_keys" | "dict_values" | "generator";
  /** What Python writes of a range. */
  readonly text?: string;
  read?: boolean;
}
const views = new WeakMap<Value, View>();

/** What a list is besides; undefined: nothing. */
export const viewOf = (value: Value): View | undefined => views.get(value);

/** The list as a view. */
export function asView(list: Value, view: View): Value {
  views.set(list, view);
  // There is something that makes items, even where it makes none.
  if (view.name === "generator") Object.assign(list, { __bool__: () => ({ value: true }) });
  return list;
}

/** A truth where Python has a C function take it: of what is no whole number, versions of Python differ. */
export function switched(name: string, value: Value | undefined): boolean {
  if (value === undefined) return false;
  const held = value.type === "BooleanValue" || value.type === "IntegerValue" ? Number(value.value) : NaN;
  if (held !== (held | 0)) throw new Error(`has ${name} of a ${value.type}, expected true or false`);
  return held !== 0;
}

/** The items of a list or view, to go through. */
export function itemsOf(list: Value): readonly Value[] {
  const view = views.get(list);
  if (view?.name === "generator") {
    if (view.read) throw new Error("goes twice through what a filter made, which Python empties the first time");
    view.read = true;
  }
  return list.value as Value[];
}

function viewText(list: Value, covered: Covered): string | null {
  const view = views.get(list);
  if (view === undefined) return null;
  if (view.name === "range") return view.text!;
  if (view.name === "generator") throw new Error("writes what a filter makes, expected it as a list");
  return `${view.name}([${(list.value as Value[]).map((item) => literalOf(item, covered)).join(", ")}])`;
}

/** Which of two texts comes first to Python, by their characters: below 0, above 0, or 0. */
export function compareTexts(a: string, b: string): number {
  for (let i = 0; i < a.length && i < b.length; i++) {
    const [left, right] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (left === right) continue;
    const [high, other] = [isHalf(left), isHalf(right)];
    return high === other ? left - right : high ? 1 : -1;
  }
  return a.length - b.length;
}

const isHalf = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdfff;

/** Python's `repr` of a float. */
export function floatText(value: number): string {
  if (Object.is(value, -0)) return "-0.0";
  return float(value)?.rawJSON ?? (value !== value ? "nan" : value > 0 ? "inf" : "-inf");
}

/** What Python writes with a backslash, besides characters that it does not print. */
const ESCAPES: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "'": "\\'" };
const UNPRINTED = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{Zs}\\']/gu;

/** A text with quotes, single ones where it has none of them or both. */
function quotedText(text: string, covered: Covered): string {
  const shown = covered.show(text), quote = shown.includes("'") && !shown.includes('"') ? '"' : "'";
  return quote + rewritten(text, covered, UNPRINTED, (character) => {
    if (character === " " || character === "'" && quote === '"') return character;
    const known = ESCAPES[character], code = character.codePointAt(0)!, digits = code.toString(16);
    if (known !== undefined) return known;
    if (code < 0x100) return `\\x${digits.padStart(2, "0")}`;
    return code < 0x10000 ? `\\u${digits.padStart(4, "0")}` : `\\U${digits.padStart(8, "0")}`;
  }) + quote;
}

/**
 * A text in which characters are written in another way, those too that something stands for.
 *
 * @param written What is written for a character; one that is written as it is, or behind a backslash, stays covered.
 */
export function rewritten(
  text: string,
  covered: Covered,
  pattern: RegExp,
  written: (character: string) => string,
): string {
  let result = "", at = 0;
  for (const { 0: character, index } of covered.show(text).matchAll(pattern)) {
    const form = written(character), own = text.slice(index, index + character.length);
    result += text.slice(at, index);
    result += form.endsWith(character) ? form.slice(0, form.length - character.length) + own : form;
    at = index + character.length;
  }
  return result + text.slice(at);
}
