/** Attributes, items and methods of a template's values, looked up in Python's order. */
import type { Make } from "./template_make.ts";
import { type MethodCall, methodOfText, METHODS_OF_TEXTS } from "./template_texts.ts";
import { formatted } from "./template_format.ts";
import { entryOf, keyOf, keyValue } from "./template_keys.ts";
import { areEqual } from "./template_order.ts";
import { asView, type Covered, isList, isSafe, isText, safeLike, type Value, viewOf } from "./template_values.ts";

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
/**
 * Their methods that can be used, each with the names of its arguments, or stars for those that have none to Python;
 * those after `?` can be left out.
 */
const METHODS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  StringValue: METHODS_OF_TEXTS,
  ObjectValue: { get: "* ? *", items: "", keys: "", values: "", copy: "" },
  ArrayValue: { index: "*", count: "*", copy: "" },
  TupleValue: { index: "*", count: "*" },
};

/** Lists of what belongs together, of which `grouper` and `list` are members, too. */
const groups = new WeakSet<Value>();

/** A pair of what a group has in common, and its items. */
export function asGroup(pair: Value): Value {
  groups.add(pair);
  return pair;
}

/**
 * A value's member.
 *
 * @param dotted Whether it is written with a point: methods come before a dictionary's items then, and after otherwise.
 * @throws {Error} for one that Python has and templates here do not.
 */
export function memberOf(
  object: Value,
  name: string | number,
  dotted: boolean,
  make: Make,
  covered: Covered,
): Value {
  const { type, value } = object;
  if (type === "StringValue" && covered.numberIn(value as string) !== null) {
    throw new Error(`takes ${name} of a number`);
  }
  if (type === "UndefinedValue") throw new Error(`takes ${name} of what is not defined`);
  if (typeof name === "number") return itemAt(object, name, make, covered);
  if (groups.has(object) && (name === "grouper" || name === "list")) {
    return (object.value as Value[])[name === "list" ? 1 : 0]!;
  }
  const entries = type === "ObjectValue" || type === "NamespaceValue" ? value as ReadonlyMap<string, Value> : null;
  const item = entries === null ? undefined : entryOf(entries, name, covered);
  if (item !== undefined && !(dotted && ATTRIBUTES.get(type)?.has(name))) return item;
  if (type === "StringValue" && (name === "format" || name === "format_map")) {
    return formatOf(object, name, make, covered);
  }
  const names = viewOf(object) === undefined && Object.hasOwn(METHODS, type) && Object.hasOwn(METHODS[type]!, name)
    ? METHODS[type]![name]
    : undefined;
  if (names !== undefined) return make.callable((args) => called(object, name, names, args, make, covered));
  if (ATTRIBUTES.get(type)?.has(name)) throw new Error(`takes ${name} of a ${viewOf(object)?.name ?? type}`);
  return make.missing();
}

/** The item of a dictionary by a key of any kind; of anything else nothing. */
export function itemByKey(object: Value, key: Value, make: Make, covered: Covered): Value {
  if (object.type !== "ObjectValue") throw new Error(`takes an item by a ${key.type}`);
  // No dictionary here has such a key; to Jinja, what cannot be one is not there, either.
  if (["UndefinedValue", "ArrayValue", "TupleValue", "ObjectValue"].includes(key.type)) return make.missing();
  return entryOf(object.value as Map<string, Value>, keyOf(key, covered), covered) ?? make.missing();
}

function formatOf(object: Value, name: string, make: Make, covered: Covered): Value {
  if (isSafe(object)) throw new Error("formats what is called safe");
  return make.callable((given) => {
    const last = given.at(-1), hasNames = last?.type === "KeywordArgumentsValue";
    let args = hasNames ? given.slice(0, -1) : given;
    let named = hasNames ? last.value as Map<string, Value> : new Map<string, Value>();
    if (name === "format_map") {
      if (hasNames || args.length !== 1 || args[0]!.type !== "ObjectValue") throw new Error("format_map() takes names");
      named = args[0]!.value as Map<string, Value>;
      args = [];
    }
    const member = (value: Value, key: string | number, isDotted: boolean) =>
      memberOf(value, key, isDotted, make, covered);
    return make.text(formatted(object.value as string, { args, named, make, covered, member }));
  });
}

function itemAt(object: Value, place: number, make: Make, covered: Covered): Value {
  const view = viewOf(object)?.name;
  if (view !== undefined && view !== "range") throw new Error(`takes an item of a ${view} by its place`);
  switch (object.type) {
    case "ArrayValue":
    case "TupleValue":
      return (object.value as Value[]).at(place) ?? make.missing();
    case "StringValue": {
      const text = object.value as string, one = (HALVES.test(text) ? Array.from(text) : text).at(place);
      return one === undefined ? make.missing() : safeLike(object, make.text(one));
    }
    case "ObjectValue":
      return itemByKey(object, make.whole(place), make, covered);
  }
  if (object.type === "NullValue") return make.missing();
  throw new Error(`takes an item of a ${object.type} by a number`);
}

/** Characters of two UTF-16 units. */
const HALVES = /[\ud800-\udfff]/;

/**
 * A part of a list or of a text.
 *
 * @param bounds Where it begins, the place before which it ends, and its step: whole numbers, or undefined for those
 *   that are not given.
 */
export function partOf(object: Value, bounds: readonly (Value | undefined)[], make: Make, covered: Covered): Value {
  const { type, value } = object, isOfText = isText(object, covered);
  if (viewOf(object) !== undefined) throw new Error(`takes a part of a ${viewOf(object)!.name}`);
  if (!isOfText && !isList(object)) throw new Error(`takes a part of a ${type === "StringValue" ? "number" : type}`);
  const other = bounds.find((bound) => bound !== undefined && !["IntegerValue", "NullValue"].includes(bound.type));
  if (other !== undefined) throw new Error(`takes a part by a ${other.type}`);
  const [start, end, step = 1] = bounds.map((bound) => bound?.value as number | null | undefined ?? undefined);
  if (step === 0) throw new Error("takes a part in steps of none");
  const items = isOfText ? Array.from(value as string) : value as readonly Value[], { length } = items;
  // Steps back end before the first.
  const ends = step < 0 ? [-1, length - 1] as const : [0, length] as const;
  const place = (at: number) => Math.min(Math.max(at < 0 ? at + length : at, ends[0]), ends[1]);
  const from = place(start ?? (step < 0 ? length : 0)), to = end === undefined ? ends[step < 0 ? 0 : 1] : place(end);
  const part: (string | Value)[] = [];
  for (let at = from; step < 0 ? at > to : at < to; at += step) part.push(items[at]!);
  if (isOfText) return safeLike(object, make.text(part.join("")));
  return type === "TupleValue" ? make.tuple(part as Value[]) : make.list(part as Value[]);
}

/** Names and places of a path. */
const MOST_PARTS = 16;

/**
 * A member by a path as filters have it: names and places with points between them.
 *
 * @param otherwise What stands for each part that is not there.
 */
export function attributeOf(item: Value, path: Value, make: Make, covered: Covered, otherwise?: Value): Value {
  const or = (value: Value) => value.type === "UndefinedValue" ? otherwise ?? value : value;
  if (path.type === "IntegerValue") return or(memberOf(item, path.value as number, false, make, covered));
  if (path.type !== "StringValue" || covered.show(path.value as string).includes(",")) {
    throw new Error("has an attribute of another form");
  }
  const parts = covered.show(path.value as string).split(".", MOST_PARTS + 1);
  // A character of a text is a text again, so that a path could be as long as a text, for each item.
  if (parts.length > MOST_PARTS) throw new Error(`has an attribute of more than ${MOST_PARTS} parts`);
  let value = item;
  for (const part of parts) {
    value = or(memberOf(value, /^\d+$/.test(part) ? Number(part) : part, false, make, covered));
  }
  return value;
}

/** A method, with Python's arguments. */
function called(
  object: Value,
  name: string,
  names: string,
  args: readonly Value[],
  make: Make,
  covered: Covered,
): Value {
  const last = args.at(-1), [required, optional = []] = names.split("?").map((part) => part.match(/\S+/g) ?? []);
  const named = last?.type === "KeywordArgumentsValue" ? last.value as Map<string, Value> : new Map<string, Value>();
  const places = [...required!, ...optional];
  const given = args.filter(({ type }) => type !== "KeywordArgumentsValue");
  const call: MethodCall = { object, name, args: [...given], make, covered };
  for (const [key, value] of named) {
    const place = places.indexOf(key);
    if (place < given.length) throw new Error(`${name}() got other arguments`);
    call.args[place] = value;
  }
  // A method whose arguments have names can do without all of them.
  if (given.length > places.length || given.length < required!.length) {
    throw new Error(`${name}() got ${given.length} arguments`);
  }
  if (object.type === "ObjectValue") return entriesOf(call);
  return object.type === "StringValue" ? methodOfText(call) : methodOfList(call);
}

function methodOfList({ object, name, args: [item], make, covered }: MethodCall): Value {
  const items = object.value as Value[];
  if (name === "copy") return make.list(items);
  const places = items.flatMap((one, i) => areEqual(one, item!, covered) ? [i] : []);
  if (name === "count") return make.whole(places.length);
  if (places.length === 0) throw new Error("looks for the place of what is not there");
  return make.whole(places[0]!);
}

function entriesOf({ object, name, args: [key, otherwise], make, covered }: MethodCall): Value {
  const map = object.value as ReadonlyMap<string, Value>;
  switch (name) {
    case "get":
      if (key!.type === "UndefinedValue") return otherwise ?? make.none();
      return entryOf(map, keyOf(key!, covered), covered) ?? otherwise ?? make.none();
    case "copy":
      return make.dictionary(map);
    case "keys":
      return asView(make.list([...map.keys()].map((one) => keyValue(one, make, covered))), { name: "dict_keys" });
    case "values":
      return asView(make.list([...map.values()]), { name: "dict_values" });
  }
  const pairs = [...map].map(([one, value]) => make.tuple([keyValue(one, make, covered), value]));
  return asView(make.list(pairs), { name: "dict_items" });
}
