/** Attributes, items and methods of a template's values, looked up in Python's order. */
import { capitalized, strippedText, titleCased, wordsOf } from "./python_texts.ts";
import type { Make } from "./template_make.ts";
import { asView, type Value, viewOf } from "./template_values.ts";

type Method = (args: Value[], scope: unknown) => Value;

/** Attributes that values have in Python; those with a method below can be used. */
const COMMON = "__class__ __doc__ __init__ __eq__ __len__ __iter__ __getitem__ __contains__ __add__ __str__ __repr__ " +
  "__dict__ __module__ __name__ __call__ __hash__ __reduce__ __subclasshook__ __getattribute__ __format__ __dir__";
const NUMBER = "real imag numerator denominator conjugate bit_length bit_count to_bytes from_bytes as_integer_ratio " +
  "is_integer hex fromhex";
const OWN: Readonly<Record<string, string>> = {
  StringValue: "capitalize casefold center count encode endswith expandtabs find format format_map index isalnum " +
    "isalpha isascii isdecimal isdigit isidentifier islower isnumeric isprintable isspace istitle isupper join ljust " +
    "lower lstrip maketrans partition removeprefix removesuffix replace rfind rindex rjust rpartition rsplit rstrip " +
    "split splitlines startswith strip swapcase title translate upper zfill",
  ArrayValue:
    "append clear copy count extend index insert pop remove reverse sort start stop step isdisjoint mapping " +
    "send throw close gi_code gi_frame gi_running gi_yieldfrom",
  TupleValue: "count index",
  ObjectValue: "clear copy fromkeys get items keys pop popitem setdefault update values",
  IntegerValue: NUMBER,
  FloatValue: NUMBER,
  BooleanValue: NUMBER,
  FunctionValue: "name arguments catch_kwargs catch_varargs caller explicit_caller",
};
const ATTRIBUTES = new Map(
  Object.entries(OWN).map(([type, names]) => [type, new Set(`${names} ${COMMON}`.split(" "))] as const),
);
const METHODS: Readonly<Record<string, ReadonlySet<string>>> = {
  StringValue: new Set([
    ...["upper", "lower", "strip", "lstrip", "rstrip", "title", "capitalize", "startswith", "endswith", "split"],
    "replace",
  ]),
  ObjectValue: new Set(["get", "items", "keys", "values"]),
};
const known = new WeakSet<Value>();

/**
 * A value's member.
 *
 * @param dotted Whether it is written with a point: methods come before a dictionary's items then, and after otherwise.
 * @throws {Error} for one that Python has and templates here do not.
 */
export function memberOf(object: Value, name: string | number, dotted: boolean, make: Make): Value {
  const { type, value } = object;
  if (type === "UndefinedValue") throw new Error(`takes ${name} of what is not defined`);
  if (typeof name === "number") return itemAt(object, name, make);
  const entries = type === "ObjectValue" || type === "NamespaceValue" ? value as ReadonlyMap<string, Value> : null;
  const item = entries?.get(name);
  if (item !== undefined && !(dotted && ATTRIBUTES.get(type)?.has(name))) return item;
  if (METHODS[type]?.has(name)) return methodOf(object, name, make);
  if (ATTRIBUTES.get(type)?.has(name)) throw new Error(`takes ${name} of a ${viewOf(object)?.name ?? type}`);
  return make.missing();
}

function itemAt(object: Value, place: number, make: Make): Value {
  const view = viewOf(object)?.name;
  if (view !== undefined && view !== "range") throw new Error(`takes an item of a ${view} by its place`);
  switch (object.type) {
    case "ArrayValue":
    case "TupleValue":
      return (object.value as Value[]).at(place) ?? make.missing();
    case "StringValue": {
      const text = object.value as string, one = (HALVES.test(text) ? Array.from(text) : text).at(place);
      return one === undefined ? make.missing() : make.text(one);
    }
  }
  if (object.type === "NullValue") return make.missing();
  throw new Error(`takes an item of a ${object.type} by a number`);
}

/** Characters of two UTF-16 units. */
const HALVES = /[\ud800-\udfff]/;

/** Names and places of a path. */
const MOST_PARTS = 16;

/** A member by a path as filters have it: names and places with points between them. */
export function attributeOf(item: Value, path: Value, make: Make): Value {
  if (path.type === "IntegerValue") return memberOf(item, path.value as number, false, make);
  if (path.type !== "StringValue" || (path.value as string).includes(",")) {
    throw new Error("has an attribute of another form");
  }
  const parts = (path.value as string).split(".", MOST_PARTS + 1);
  // A character of a text is a text again, so that a path could be as long as a text, for each item.
  if (parts.length > MOST_PARTS) throw new Error(`has an attribute of more than ${MOST_PARTS} parts`);
  let value = item;
  for (const part of parts) {
    value = memberOf(value, /^\d+$/.test(part) ? Number(part) : part, false, make);
  }
  return value;
}

/** A method, with Python's arguments. */
function methodOf(object: Value, name: string, make: Make): Value {
  const found = object.builtins!.get(name)!;
  if (known.has(found)) return found;
  known.add(found);
  const library = found.value as Method;
  found.value = (args: Value[], scope: unknown): Value => {
    const named = args.at(-1)?.type === "KeywordArgumentsValue" ? args.at(-1)!.value as Map<string, Value> : new Map();
    const given = args.filter(({ type }) => type !== "KeywordArgumentsValue");
    const allowed = { split: ["sep", "maxsplit"], replace: ["old", "new", "count"] }[name] ?? [];
    const [least, most] = ARGUMENTS[name]!;
    if ([...named.keys()].some((key) => allowed.indexOf(key) < given.length)) {
      throw new Error(`${name}() got other arguments`);
    }
    if (given.length < least || given.length + named.size > most) {
      throw new Error(`${name}() got ${given.length} arguments`);
    }
    const [first = named.get("sep"), second = named.get("maxsplit")] = given;
    if (object.type === "ObjectValue") return entriesOf(object, name, first, second, make);
    return methodOfText(object.value as string, name, first, second, make) ?? library(args, scope);
  };
  return found;
}

const ARGUMENTS: Readonly<Record<string, readonly [least: number, most: number]>> = {
  ...{ upper: [0, 0], lower: [0, 0], title: [0, 0], capitalize: [0, 0], items: [0, 0], keys: [0, 0], values: [0, 0] },
  ...{ strip: [0, 1], lstrip: [0, 1], rstrip: [0, 1], startswith: [1, 1], endswith: [1, 1], split: [0, 2] },
  ...{ replace: [2, 3], get: [1, 2] },
};

function entriesOf(
  object: Value,
  name: string,
  key: Value | undefined,
  otherwise: Value | undefined,
  make: Make,
): Value {
  const map = object.value as ReadonlyMap<string, Value>;
  switch (name) {
    case "get":
      if (key!.type !== "StringValue") throw new Error(`gets a ${key!.type} of a dictionary`);
      return map.get(key!.value as string) ?? otherwise ?? make.none();
    case "keys":
      return asView(make.list([...map.keys()].map((one) => make.text(one))), { name: "dict_keys" });
    case "values":
      return asView(make.list([...map.values()]), { name: "dict_values" });
  }
  return asView(make.list([...map].map(([one, value]) => make.tuple([make.text(one), value]))), { name: "dict_items" });
}

/** What a method makes of a text; null: what the library makes of it. */
function methodOfText(
  text: string,
  name: string,
  first: Value | undefined,
  second: Value | undefined,
  make: Make,
): Value | null {
  switch (name) {
    case "capitalize":
      return make.text(capitalized(text));
    case "title":
      return make.text(titleCased(text));
    case "strip":
    case "lstrip":
    case "rstrip": {
      const given = first === undefined || first.type === "NullValue" ? undefined : first;
      if (given !== undefined && given.type !== "StringValue") throw new Error(`${name}() takes a text or none`);
      return make.text(strippedText(text, name, given?.value as string | undefined));
    }
    case "startswith":
    case "endswith": {
      const parts = first!.type === "TupleValue" ? first!.value as Value[] : [first!];
      if (parts.some(({ type }) => type !== "StringValue")) throw new Error(`${name}() takes texts`);
      const has = name === "startswith"
        ? (part: string) => text.startsWith(part)
        : (part: string) => text.endsWith(part);
      return make.truth(parts.some(({ value }) => has(value as string)));
    }
    case "split": {
      if (second !== undefined && second.type !== "IntegerValue") throw new Error("maxsplit must be a whole number");
      const most = second === undefined || (second.value as number) < 0 ? -1 : second.value as number;
      if (first === undefined || first.type === "NullValue") {
        return make.list(wordsOf(text, most).map((word) => make.text(word)));
      }
      if (first.type !== "StringValue" || first.value === "") throw new Error("splits by what is no text, or empty");
      const parts = text.split(first.value as string);
      if (most >= 0 && parts.length > most + 1) parts.push(parts.splice(most).join(first.value as string));
      return make.list(parts.map((part) => make.text(part)));
    }
  }
  return null;
}
