/** Jinja's filters, on Python's values. One that is not here, or is given something else, is refused. */
import { jsonOf } from "./template_json.ts";
import type { Make } from "./template_make.ts";
import { attributeOf } from "./template_members.ts";
import { testOf } from "./template_tests.ts";
import {
  asView,
  compareTexts,
  type Covered,
  isList,
  isNumber,
  isText,
  itemsOf,
  textOf,
  uniqueOf,
  type Value,
  viewOf,
} from "./template_values.ts";
import { capitalized, lower, titled, upper } from "./python_cases.ts";
import { linesOf, stripped } from "./python_texts.ts";
import { charactersIn, replaced } from "./template_texts.ts";

/** What a filter is applied to, and with. */
export interface FilterCall {
  readonly operand: Value;
  readonly args: readonly Value[];
  readonly named: ReadonlyMap<string, Value>;
  readonly make: Make;
  readonly covered: Covered;
}

/** Truth to Python. */
export const isTrue = (value: Value): boolean =>
  (value as unknown as { __bool__(): { value: boolean } }).__bool__().value;

/** Arguments by the names of their places; refuses others. */
function bound(call: FilterCall, ...names: string[]): Record<string, Value | undefined> {
  if (call.args.length > names.length) throw new Error(`takes at most ${names.length} arguments`);
  const result: Record<string, Value | undefined> = {};
  call.args.forEach((value, i) => result[names[i]!] = value);
  for (const [name, value] of call.named) {
    if (!names.includes(name) || result[name] !== undefined) throw new Error(`takes no argument ${name} there`);
    result[name] = value;
  }
  return result;
}

/** Items of anything that has some. */
function items(call: FilterCall): readonly Value[] {
  const { operand, make } = call;
  if (isList(operand)) return itemsOf(operand);
  if (isText(operand, call.covered)) return Array.from(operand.value as string, (one) => make.text(one));
  if (operand.type === "ObjectValue") {
    return [...(operand.value as Map<string, Value>).keys()].map((one) => make.text(one));
  }
  if (operand.type === "UndefinedValue") return [];
  throw new Error(`goes through a ${operand.type}`);
}

const generator = (call: FilterCall, values: readonly Value[]) => asView(call.make.list(values), { name: "generator" });

function flag(value: Value | undefined): boolean {
  return value !== undefined && isTrue(value);
}

function compared(a: Value, b: Value, withCase: boolean, covered: Covered): number {
  const counts = (value: Value) => isNumber(value) || value.type === "BooleanValue";
  if (counts(a) && counts(b)) return Number(a.value) - Number(b.value);
  if (a.type !== "StringValue" || b.type !== "StringValue") throw new Error(`sorts ${a.type} and ${b.type}`);
  const [left, right] = [a, b].map(({ value }) => {
    const text = covered.show(value as string);
    return withCase ? text : text.toLowerCase();
  }) as [string, string];
  return compareTexts(left, right);
}

function sorted(call: FilterCall): Value {
  const { reverse, case_sensitive: withCase, attribute } = bound(call, "reverse", "case_sensitive", "attribute");
  const { make, covered } = call, sign = flag(reverse) ? -1 : 1;
  const keyed = items(call).map((item) => ({ item, key: keyOf(item, attribute, call) }));
  keyed.sort((a, b) => sign * compared(a.key, b.key, flag(withCase), covered));
  return make.list(keyed.map(({ item }) => item));
}

function keyOf(item: Value, attribute: Value | undefined, { make, covered }: FilterCall): Value {
  if (attribute === undefined || attribute.type === "NullValue") return item;
  return attributeOf(item, attribute, make, covered);
}

function dictsorted(call: FilterCall): Value {
  const { case_sensitive: withCase, by, reverse } = bound(call, "case_sensitive", "by", "reverse");
  const place = by === undefined || by.value === "key" ? 0 : by.value === "value" ? 1 : null;
  if (call.operand.type !== "ObjectValue" || place === null) {
    throw new Error("sorts no dictionary by its keys or values");
  }
  const { make, covered } = call, sign = flag(reverse) ? -1 : 1;
  const pairs = [...call.operand.value as Map<string, Value>].map(([key, value]) => [make.text(key), value] as const);
  pairs.sort((a, b) => sign * compared(a[place], b[place], flag(withCase), covered));
  return make.list(pairs.map((pair) => make.tuple(pair)));
}

function mapped(call: FilterCall): Value {
  if (call.args.length > 0) throw new Error("maps by a filter, expected an attribute");
  const { attribute, default: otherwise } = bound(call, "attribute", "default");
  if (attribute === undefined) throw new Error("maps by no attribute");
  const values = items(call).map((item) => attributeOf(item, attribute, call.make, call.covered));
  return generator(call, values.map((value) => value.type === "UndefinedValue" ? otherwise ?? value : value));
}

function selected(wanted: boolean, call: FilterCall): Value {
  const [attribute, name, ...rest] = call.args;
  if (call.named.size > 0 || attribute === undefined) throw new Error("selects by no attribute");
  return generator(
    call,
    items(call).filter((item) => {
      const value = attributeOf(item, attribute, call.make, call.covered);
      const holds = name === undefined ? isTrue(value) : testOf(String(name.value), value, rest, call.covered);
      return holds === wanted;
    }),
  );
}

function json(call: FilterCall): Value {
  const form = bound(call, "ensure_ascii", "indent", "separators", "sort_keys");
  const { indent, separators } = form, { covered } = call;
  const given = indent === undefined || indent.type === "NullValue" ? null : indent;
  if (given !== null && given.type !== "IntegerValue" && given.type !== "StringValue") {
    throw new Error("indents by no number");
  }
  const between = separators === undefined || separators.type === "NullValue" ? null : separators.value as Value[];
  if (
    between !== null &&
    (!Array.isArray(between) || between.length !== 2 || between.some(({ type }) => type !== "StringValue"))
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
  if (operand.type !== "StringValue" || width !== undefined && !["IntegerValue", "StringValue"].includes(width.type)) {
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

const CASES = { upper, lower, capitalize: capitalized, title: titled };

/** Without blanks or given characters at its ends. */
function trimmed(call: FilterCall): Value {
  const { chars } = bound(call, "chars"), { covered } = call, text = textOf(call.operand, covered);
  if (chars !== undefined && chars.type !== "StringValue" && chars.type !== "NullValue") {
    throw new Error("trims no text");
  }
  const given = chars?.type === "StringValue" ? covered.show(chars.value as string) : undefined;
  return call.make.text(text.slice(...stripped(covered.show(text), "strip", given)));
}

function joined(call: FilterCall): Value {
  const { d: between, attribute } = bound(call, "d", "attribute"), { make, covered } = call;
  const parts = items(call).map((item) => textOf(keyOf(item, attribute, call), covered));
  return make.text(parts.join(between === undefined ? "" : textOf(between, covered)));
}

function lengthOf(call: FilterCall): Value {
  bound(call);
  if (call.operand.type === "StringValue") return call.make.whole(charactersIn(call.operand.value as string));
  if (viewOf(call.operand)?.name === "generator") throw new Error("takes the length of what a filter makes");
  return call.make.whole(items(call).length);
}

/** A filter's value; undefined where the filter is another one's. */
export function filtered(name: string, call: FilterCall): Value | undefined {
  const { operand, make } = call;
  switch (name) {
    case "length":
    case "count":
      return lengthOf(call);
    case "list":
      bound(call);
      return make.list(items(call));
    case "first":
      bound(call);
      return items(call)[0] ?? make.missing();
    case "last":
      bound(call);
      if (viewOf(operand)?.name === "generator") break;
      return items(call).at(-1) ?? make.missing();
    case "reverse": {
      bound(call);
      if (viewOf(operand)?.name === "generator" || operand.type === "UndefinedValue") break;
      const reversed = items(call).toReversed();
      return operand.type === "StringValue"
        ? make.text(reversed.map(({ value }) => value).join(""))
        : generator(call, reversed);
    }
    case "sort":
      return sorted(call);
    case "unique":
      bound(call);
      return generator(call, uniqueOf(items(call), call.covered));
    case "map":
      return mapped(call);
    case "selectattr":
    case "rejectattr":
      return selected(name === "selectattr", call);
    case "default":
    case "d":
      return otherwise(call);
    case "items":
      bound(call);
      if (operand.type !== "ObjectValue" && operand.type !== "UndefinedValue") break;
      return generator(
        call,
        [...operand.value as Map<string, Value> ?? []].map(([key, value]) => make.tuple([make.text(key), value])),
      );
    case "dictsort":
      return dictsorted(call);
    case "join":
      return joined(call);
    case "tojson":
      return json(call);
    case "indent":
      return indented(call);
    case "upper":
    case "lower":
    case "capitalize":
    case "title":
      bound(call);
      return make.text(CASES[name](textOf(operand, call.covered), call.covered));
    case "trim":
      return trimmed(call);
    case "abs":
      bound(call);
      return operand.type === "IntegerValue" || operand.type === "FloatValue" ? undefined : refuse(name, operand);
    case "replace": {
      const { old, new: fresh, count } = bound(call, "old", "new", "count");
      if (old === undefined || fresh === undefined) break;
      const [text, one, other] = [operand, old, fresh].map((value) => textOf(value, call.covered)) as [
        string,
        string,
        string,
      ];
      const limit = count?.type === "NullValue" ? undefined : count;
      return make.text(replaced({ ...call, object: make.text(text) }, call.covered.show(one), other, limit));
    }
  }
  return refuse(name, operand);
}

function refuse(name: string, operand: Value): never {
  throw new Error(`has the filter ${name} for ${viewOf(operand)?.name ?? operand.type}`);
}
