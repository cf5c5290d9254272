/**
 * Python's methods of texts. They look at a text with the characters that others stand for, and cut the one that is
 * covered at the same places: what comes of a message stays covered.
 */
import { capitalized, lower, titleCased, upper } from "./python_cases.ts";
import { BLANKS, lastWordsOf, linesOf, stripped, wordsOf } from "./python_texts.ts";
import type { Make } from "./template_make.ts";
import { escapedValue } from "./template_markup.ts";
import { asSafe, type Covered, isList, isSafe, itemsOf, switched, type Value } from "./template_values.ts";
import { centered, charactersIn, padded } from "./template_widths.ts";

/** What a method is called of, and with; arguments that are named stand in their places. */
export interface MethodCall {
  readonly object: Value;
  readonly name: string;
  readonly args: (Value | undefined)[];
  readonly make: Make;
  readonly covered: Covered;
}

/** The methods, with their arguments: what follows `?` can be left out, and what has no name to Python has a star. */
export const METHODS_OF_TEXTS: Readonly<Record<string, string>> = {
  ...{ upper: "", lower: "", title: "", capitalize: "", strip: "? *", lstrip: "? *", rstrip: "? *" },
  ...{ startswith: "*", endswith: "*", removeprefix: "*", removesuffix: "*", join: "*" },
  ...{ split: "? sep maxsplit", rsplit: "? sep maxsplit", splitlines: "? keepends", replace: "* * ? *" },
  ...{ partition: "*", rpartition: "*", find: "*", rfind: "*", index: "*", rindex: "*", count: "*" },
  ...{ center: "* ? *", ljust: "* ? *", rjust: "* ? *", zfill: "*", isdigit: "", isdecimal: "", isalpha: "" },
  ...{ isalnum: "", isspace: "", isupper: "", islower: "", isascii: "" },
};

/** Those that make safe texts of a safe one. */
const KEEP_SAFE: ReadonlySet<string> = new Set([
  ...["upper", "lower", "title", "capitalize", "strip", "lstrip", "rstrip", "removeprefix", "removesuffix", "join"],
  ...["split", "rsplit", "splitlines", "replace", "partition", "rpartition"],
]);
/** Those whose value is no text. */
const ASKS: ReadonlySet<string> = new Set([
  ...["startswith", "endswith", "find", "rfind", "index", "rindex", "count", "isdigit", "isdecimal", "isalpha"],
  ...["isalnum", "isspace", "isupper", "islower", "isascii"],
]);

/** What a method makes of a text, which may be called safe. */
export function methodOfText(call: MethodCall): Value {
  const { object, name, args, make, covered } = call;
  if (!isSafe(object)) return methodOf(call);
  if (ASKS.has(name)) return methodOf(call);
  if (!KEEP_SAFE.has(name)) throw new Error(`calls ${name} of what is called safe`);
  const fresh = args[1];
  if (name === "replace" && fresh !== undefined) args[1] = escapedValue(make.text(textIn(call, fresh)), make, covered);
  if (name === "join") {
    const list = args[0]!;
    if (!isList(list)) throw new Error("joins what is no list");
    args[0] = make.list(itemsOf(list).map((item) => escapedValue(item, make, covered)));
  }
  const made = methodOf(call);
  if (made.type === "StringValue") return asSafe(made);
  for (const part of made.value as Value[]) asSafe(part);
  return made;
}

function methodOf(call: MethodCall): Value {
  const { object, name, args: [first, second], make, covered } = call, text = object.value as string;
  const cut = ([start, end]: readonly [number, number]) => make.text(text.slice(start, end));
  switch (name) {
    case "upper":
      return make.text(upper(text, covered));
    case "lower":
      return make.text(lower(text, covered));
    case "capitalize":
      return make.text(capitalized(text, covered));
    case "title":
      return make.text(titleCased(text, covered));
    case "strip":
    case "lstrip":
    case "rstrip":
      return make.text(strip(call));
    case "startswith":
    case "endswith": {
      const parts = first!.type === "TupleValue" ? first!.value as Value[] : [first!], shown = covered.show(text);
      return make.truth(
        parts.map((part) => shownText(call, part))
          .some((part) => name === "startswith" ? shown.startsWith(part) : shown.endsWith(part)),
      );
    }
    case "removeprefix":
    case "removesuffix": {
      const part = shownText(call, first), shown = covered.show(text), { length } = text;
      if (name === "removeprefix") return cut([shown.startsWith(part) ? part.length : 0, length]);
      return cut([0, shown.endsWith(part) ? length - part.length : length]);
    }
    case "splitlines":
      return make.list(linesOf(covered.show(text), switched("keepends", first)).map(cut));
    case "split":
    case "rsplit":
      return make.list(split(call).map(cut));
    case "replace":
      return make.text(replaced(call, shownText(call, first), textIn(call, second), call.args[2]));
    case "partition":
    case "rpartition":
      // Python gives the separator itself back, called safe.
      if (!isSafe(object) && isSafe(first!)) throw new Error(`${name}() by what is called safe`);
      return make.tuple(partition(call).map(cut));
    case "join":
      return join(call);
    case "center":
    case "ljust":
    case "rjust":
    case "zfill":
      return make.text(filledUp(call));
    case "isupper":
    case "islower":
      return make.truth(hasCase(covered.show(text), name === "islower"));
  }
  const kind = Object.hasOwn(KINDS, name) ? KINDS[name]! : null;
  return kind === null ? count(call) : make.truth(isOfKind(covered.show(text), name, kind));
}

const KINDS: Readonly<Record<string, RegExp>> = {
  isdigit: /^\p{Nd}+$/u,
  isdecimal: /^\p{Nd}+$/u,
  isalpha: /^\p{L}+$/u,
  isalnum: /^[\p{L}\p{N}]+$/u,
  isspace: new RegExp(`^[${BLANKS}]+$`),
  isascii: /^[\0-\x7f]*$/,
};

/** Whether all characters are of a kind. */
function isOfKind(text: string, name: string, kind: RegExp): boolean {
  // Some of them are digits to Python: superscripts.
  if (name === "isdigit" && /\p{No}/u.test(text)) throw new Error("asks whether numbers of other kinds are digits");
  return kind.test(text);
}

/** Whether all letters of a text that have a case have this one, and there is one. */
export function hasCase(text: string, isLower: boolean): boolean {
  const [has, lacks] = isLower ? [/\p{Lowercase}/u, /\p{Uppercase}/u] : [/\p{Uppercase}/u, /\p{Lowercase}/u];
  return has.test(text) && !lacks.test(text) && !/\p{Lt}/u.test(text);
}

function filledUp(call: MethodCall): string {
  const { object, name, args: [width, sign], make } = call, text = object.value as string;
  if (width!.type !== "IntegerValue") throw new Error(`${name}() takes a whole number`);
  const to = width!.value as number;
  if (name === "zfill") {
    const before = /^[-+]/.exec(call.covered.show(text))?.[0].length ?? 0;
    return text.slice(0, before) + padded(text.slice(before), to - before, ">", "0", make);
  }
  const fill = sign === undefined ? " " : textIn(call, sign);
  if (charactersIn(fill) !== 1) throw new Error(`${name}() takes one character`);
  return name === "center"
    ? centered(text, to, fill, make)
    : padded(text, to, name === "ljust" ? "<" : ">", fill, make);
}

/** The text that an argument is. */
function textIn({ name, covered }: MethodCall, value: Value | undefined): string {
  if (value?.type !== "StringValue" || covered.numberIn(value.value as string) !== null) {
    throw new Error(`${name}() takes texts`);
  }
  return value.value as string;
}

/** The same with the characters that it stands for. */
const shownText = (call: MethodCall, value: Value | undefined): string => call.covered.show(textIn(call, value));

/** The text without blanks or given characters at its ends. */
function strip(call: MethodCall): string {
  const { object, name, args: [first], covered } = call, text = object.value as string;
  const given = first === undefined || first.type === "NullValue" ? undefined : shownText(call, first);
  return text.slice(...stripped(covered.show(text), name, given));
}

/** Where a text is found in another one, from the left or from the right, at places that do not overlap. */
function* found(text: string, part: string, isRight: boolean): Generator<number> {
  const { length } = part;
  if (!isRight) {
    for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + length)) yield at;
    return;
  }
  for (let at = text.lastIndexOf(part); at >= 0; at = at < length ? -1 : text.lastIndexOf(part, at - length)) yield at;
}

function split(call: MethodCall): [start: number, end: number][] {
  const { object, name, args: [separator, limit], covered } = call, text = covered.show(object.value as string);
  if (limit !== undefined && limit.type !== "IntegerValue") throw new Error("maxsplit must be a whole number");
  const most = limit === undefined || (limit.value as number) < 0 ? -1 : limit.value as number;
  const isRight = name === "rsplit";
  if (separator === undefined || separator.type === "NullValue") {
    return isRight ? lastWordsOf(text, most) : wordsOf(text, most);
  }
  const part = separator.type === "StringValue" ? shownText(call, separator) : "";
  if (part === "") throw new Error("splits by what is no text, or empty");
  const places: number[] = [];
  for (const at of found(text, part, isRight)) {
    if (places.length === most) break;
    places.push(at);
  }
  if (isRight) places.reverse();
  return [...places, text.length].map((end, i) => [i === 0 ? 0 : places[i - 1]! + part.length, end]);
}

function partition(call: MethodCall): [start: number, end: number][] {
  const { object, name, args: [separator], covered } = call, text = covered.show(object.value as string);
  const part = shownText(call, separator), { length } = text, isRight = name === "rpartition";
  if (part === "") throw new Error("splits by what is no text, or empty");
  const at = isRight ? text.lastIndexOf(part) : text.indexOf(part);
  if (at >= 0) return [[0, at], [at, at + part.length], [at + part.length, length]];
  return isRight ? [[0, 0], [0, 0], [0, length]] : [[0, length], [0, 0], [0, 0]];
}

/** Places of characters, and how often there is one. */
function count(call: MethodCall): Value {
  const { object, name, args: [first], make, covered } = call, text = covered.show(object.value as string);
  const part = shownText(call, first);
  if (name === "count") {
    return make.whole(part === "" ? charactersIn(text) + 1 : found(text, part, false).reduce((sum) => sum + 1, 0));
  }
  const at = name.startsWith("r") ? text.lastIndexOf(part) : text.indexOf(part);
  if (at < 0 && name.endsWith("index")) throw new Error("looks for the place of what is not there");
  return make.whole(at < 0 ? -1 : charactersIn(text.slice(0, at)));
}

/** Python's `replace`. */
export function replaced(
  { object, make, covered }: Pick<MethodCall, "object" | "make" | "covered">,
  old: string,
  fresh: string,
  limit: Value | undefined,
): string {
  if (limit !== undefined && limit.type !== "IntegerValue") throw new Error("replace() takes a whole number as count");
  const text = object.value as string, most = limit === undefined ? -1 : limit.value as number;
  const shown = covered.show(text), parts: string[] = [];
  let from = 0, length = text.length;
  for (const at of old === "" ? between(shown) : found(shown, old, false)) {
    if (most >= 0 && parts.length === most) break;
    length += fresh.length - old.length;
    make.room(length);
    parts.push(text.slice(from, at));
    from = at + old.length;
  }
  return [...parts, text.slice(from)].join(fresh);
}

/** The places before, between and after a text's characters. */
function* between(text: string): Generator<number> {
  for (let at = 0; at < text.length; at += text.codePointAt(at)! > 0xffff ? 2 : 1) yield at;
  yield text.length;
}

function join(call: MethodCall): Value {
  const { object, args: [first], make } = call, text = object.value as string, list = first!;
  if (list.type === "ObjectValue") {
    const keys = [...(list.value as Map<string, Value>).keys()];
    return make.text(keys.map((key) => textIn(call, make.text(key))).join(text));
  }
  if (!isList(list)) throw new Error(`joins a ${list.type}`);
  const parts = itemsOf(list).map((part) => textIn(call, part));
  make.room(parts.reduce((sum, { length }) => sum + length, 0) + text.length * Math.max(0, parts.length - 1));
  return make.text(parts.join(text));
}
