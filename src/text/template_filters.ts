/** Jinja's filters, on Python's values. One that is not here, or is given something else, is refused. */
import { bound, CHOICES, type FilterCall, flag, generator, isTrue, items, keyedBy } from "./template_choices.ts";
import { jsonOf } from "./template_json.ts";
import { keyValue } from "./template_keys.ts";
import { escapedValue } from "./template_markup.ts";
import { SHAPES } from "./template_shapes.ts";
import { asSafe, compareTexts, type Covered, isSafe, isText, textOf, type Value, viewOf } from "./template_values.ts";
import { capitalized, lower, titled, upper } from "./python_cases.ts";
import { linesOf, stripped } from "./python_texts.ts";
import { replaced } from "./template_texts.ts";
import { charactersIn } from "./template_widths.ts";

function json(call: FilterCall): Value {
  const form = bound(call, "ensure_ascii", "indent", "separators", "sort_keys");
  const { indent, separators } = form, { covered } = call;
  const given = indent === undefined || indent.type === "NullValue" ? null : indent;
  if (given !== null && given.type !== "IntegerValue" && !isText(given, call.covered)) {
    throw new Error("indents by no number");
  }
  const between = separators === undefined || separators.type === "NullValue" ? null : separators.value as Value[];
  if (
    between !== null &&
    (!Array.isArray(between) || between.length !== 2 || between.some((one) => !isText(one, covered)))
  ) {
    throw new Error("has separators that are not two texts");
  }
  let length = 0;
  const spend = (more: number) => call.make.room(length += more);
  return call.make.text(jsonOf(call.operand, {
    ascii: flag(form["ensure_ascii"]),
    indent: given === null
      ? null
      : typeof given.value === "string"
      ? given.value
      : " ".repeat(Math.max(0, given.value as number)),
    separators: between === null
      ? [given === null ? ", " : ",", ": "]
      : between.map(({ value }) => value) as [string, string],
    order: flag(form["sort_keys"]) ? (a, b) => compareTexts(covered.show(a), covered.show(b)) : null,
    spend,
  }, covered));
}

function indented(call: FilterCall): Value {
  const { width, first, blank } = bound(call, "width", "first", "blank"), { operand } = call;
  const isWidth = width === undefined || width.type === "IntegerValue" || isText(width, call.covered);
  if (operand.type !== "StringValue" || !isWidth) {
    throw new Error("indents no text, or by no number");
  }
  const by = typeof width?.value === "string" ? width.value : " ".repeat(Math.max(0, width?.value as number ?? 4));
  const text = operand.value as string, shown = call.covered.show(text);
  const lines = linesOf(shown + "\n", false).map(([start, end]) => text.slice(start, end));
  const rest = lines.map((line, i) => i === 0 || line === "" && !flag(blank) ? line : by + line);
  return call.make.text((flag(first) ? by : "") + rest.join("\n"));
}

function otherwise(call: FilterCall): Value {
  const { default_value: value, boolean } = bound(call, "default_value", "boolean"), { operand } = call;
  const isGiven = operand.type !== "UndefinedValue" && !(flag(boolean) && !isTrue(operand));
  return isGiven ? operand : value ?? call.make.text("");
}

/** Without blanks or given characters at its ends. */
function trimmed(call: FilterCall): Value {
  const { chars } = bound(call, "chars"), { covered } = call, text = textOf(call.operand, covered);
  if (chars !== undefined && chars.type !== "NullValue" && !isText(chars, covered)) {
    throw new Error("trims no text");
  }
  const given = chars?.type === "StringValue" ? covered.show(chars.value as string) : undefined;
  return call.make.text(text.slice(...stripped(covered.show(text), "strip", given)));
}

function joined(call: FilterCall): Value {
  const { d: between, attribute } = bound(call, "d", "attribute"), { make, covered } = call;
  const parts = items(call).map((item) => textOf(keyedBy(item, attribute, call), covered));
  return make.text(parts.join(between === undefined ? "" : textOf(between, covered)));
}

function lengthOf(call: FilterCall): Value {
  bound(call);
  if (call.operand.type === "StringValue") return call.make.whole(charactersIn(call.operand.value as string));
  if (viewOf(call.operand)?.name === "generator") throw new Error("takes the length of what a filter makes");
  return call.make.whole(items(call).length);
}

/** Filters that make a safe text of one, that leave it as it is, and that make something else of it. */
const KEEP_SAFE: ReadonlySet<string> = new Set(["trim", "upper", "lower", "capitalize", "indent", "reverse"]);
const LEAVE_SAFE: ReadonlySet<string> = new Set(["string", "safe", "e", "escape"]);
const TAKE_SAFE: ReadonlySet<string> = new Set([
  ...["replace", "join", "list", "first", "title", "length", "count", "tojson", "sort", "unique", "default", "d"],
  ...["wordcount", "select", "reject", "map", "min", "max", "forceescape"],
]);

/** A filter's value. */
export function filtered(name: string, call: FilterCall): Value {
  const { operand } = call;
  if (!isSafe(operand)) return plainly(name, call);
  if (LEAVE_SAFE.has(name)) {
    bound(call);
    return operand;
  }
  if (KEEP_SAFE.has(name)) return asSafe(plainly(name, call));
  if (!TAKE_SAFE.has(name)) throw new Error(`has the filter ${name} for what is called safe`);
  return plainly(name, call);
}

function plainly(name: string, call: FilterCall): Value {
  const found = [CHOICES, SHAPES, OTHERS].find((all) => Object.hasOwn(all, name));
  const value = found === undefined ? null : found[name]!(call);
  if (value) return value;
  const { operand } = call;
  throw new Error(`has the filter ${name} for ${viewOf(operand)?.name ?? operand.type}`);
}

/** The items in the other direction; of a text, a text. */
function reversed(call: FilterCall): Value | null {
  bound(call);
  const { operand, make } = call;
  if (viewOf(operand)?.name === "generator" || operand.type === "UndefinedValue") return null;
  const all = items(call).toReversed();
  return operand.type === "StringValue" ? make.text(all.map(({ value }) => value).join("")) : generator(call, all);
}

function pairsOf(call: FilterCall): Value | null {
  bound(call);
  const { operand, make, covered } = call;
  if (operand.type !== "ObjectValue" && operand.type !== "UndefinedValue") return null;
  const entries = [...operand.value as Map<string, Value> ?? []];
  return generator(call, entries.map(([key, value]) => make.tuple([keyValue(key, make, covered), value])));
}

/** The text with each text `old`, or as many as `count` says, replaced by another one. */
function withReplaced(call: FilterCall): Value | null {
  const { old, new: fresh, count } = bound(call, "old", "new", "count"), { make, covered } = call;
  if (old === undefined || fresh === undefined) return null;
  const [text, one, other] = [call.operand, old, fresh].map((value) => textOf(value, covered));
  const limit = count?.type === "NullValue" ? undefined : count;
  return make.text(replaced({ ...call, object: make.text(text!) }, covered.show(one!), other!, limit));
}

/** What a filter without arguments makes of a value as a text. */
function ofText(make: (text: string, call: FilterCall) => Value): (call: FilterCall) => Value {
  return (call) => {
    bound(call);
    return make(textOf(call.operand, call.covered), call);
  };
}
const escape = ofText((text, { make, covered }) => escapedValue(make.text(text), make, covered));
const cased = (change: (text: string, covered: Covered) => string) =>
  ofText((text, { make, covered }) => make.text(change(text, covered)));

/** Filters by their names, that make nothing of what they are not for. */
const OTHERS: Readonly<Record<string, (call: FilterCall) => Value | null>> = {
  length: lengthOf,
  count: lengthOf,
  list: (call) => {
    bound(call);
    return call.make.list(items(call));
  },
  first: (call) => {
    bound(call);
    return items(call)[0] ?? call.make.missing();
  },
  last: (call) => {
    bound(call);
    return viewOf(call.operand)?.name === "generator" ? null : items(call).at(-1) ?? call.make.missing();
  },
  reverse: reversed,
  default: otherwise,
  d: otherwise,
  items: pairsOf,
  join: joined,
  tojson: json,
  string: ofText((text, { make }) => make.text(text)),
  safe: ofText((text, { make }) => asSafe(make.text(text))),
  e: escape,
  escape,
  forceescape: escape,
  indent: indented,
  upper: cased(upper),
  lower: cased(lower),
  capitalize: cased(capitalized),
  title: cased(titled),
  trim: trimmed,
  replace: withReplaced,
};
