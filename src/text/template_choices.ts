/** Jinja's filters that choose, order and count items, and what all filters do with their arguments. */
import { keyValue } from "./template_keys.ts";
import type { Make } from "./template_make.ts";
import { asGroup, attributeOf } from "./template_members.ts";
import { areEqual, orderOf } from "./template_order.ts";
import { testOf } from "./template_tests.ts";
import { asView, type Covered, isList, isNumber, isText, itemsOf, switched, type Value } from "./template_values.ts";

/** What a filter is applied to, and with. */
export interface FilterCall {
  readonly operand: Value;
  readonly args: readonly Value[];
  readonly named: ReadonlyMap<string, Value>;
  readonly make: Make;
  readonly covered: Covered;
  /** Another filter, for filters that apply some to each item. */
  readonly apply: (name: string, operand: Value, args: readonly Value[], named: ReadonlyMap<string, Value>) => Value;
}

/** Truth to Python. */
export const isTrue = (value: Value): boolean =>
  (value as unknown as { __bool__(): { value: boolean } }).__bool__().value;

/** Arguments by the names of their places; refuses others. */
export function bound(call: FilterCall, ...names: string[]): Record<string, Value | undefined> {
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
export function items(call: FilterCall): readonly Value[] {
  const { operand, make, covered } = call;
  if (isList(operand)) return itemsOf(operand);
  if (isText(operand, covered)) return Array.from(operand.value as string, (one) => make.text(one));
  if (operand.type === "ObjectValue") {
    return [...(operand.value as Map<string, Value>).keys()].map((one) => keyValue(one, make, covered));
  }
  if (operand.type === "UndefinedValue") return [];
  throw new Error(`goes through a ${operand.type}`);
}

/** What a filter makes that can be read once. */
export const generator = (call: FilterCall, values: readonly Value[]): Value =>
  asView(call.make.list(values), { name: "generator" });

/** An argument that is true or false, and false where it is not given. */
export function flag(value: Value | undefined): boolean {
  return value !== undefined && isTrue(value);
}

const isGiven = (value: Value | undefined): value is Value => value !== undefined && value.type !== "NullValue";

/** An item, or what it has under an attribute. */
export function keyedBy(item: Value, attribute: Value | undefined, { make, covered }: FilterCall): Value {
  return isGiven(attribute) ? attributeOf(item, attribute, make, covered) : item;
}

/** A text as it is told from others where case makes no difference. */
function plain(value: Value, withCase: Value | undefined, { make, covered }: FilterCall): Value {
  if (flag(withCase) || !isText(value, covered)) return value;
  return make.text(covered.show(value.value as string).toLowerCase());
}

function sorted(call: FilterCall): Value {
  const { reverse, case_sensitive: withCase, attribute } = bound(call, "reverse", "case_sensitive", "attribute");
  const { make, covered } = call, sign = switched("reverse", reverse) ? -1 : 1;
  const paths = attribute?.type === "StringValue"
    ? covered.show(attribute.value as string).split(",").map((one) => make.text(covered.cover(one)))
    : [attribute];
  const keyed = items(call).map((item) => {
    return { item, key: make.list(paths.map((path) => plain(keyedBy(item, path, call), withCase, call))) };
  });
  keyed.sort((a, b) => sign * orderOf(a.key, b.key, covered));
  return make.list(keyed.map(({ item }) => item));
}

function dictsorted(call: FilterCall): Value {
  const { case_sensitive: withCase, by, reverse } = bound(call, "case_sensitive", "by", "reverse");
  const place = by === undefined || by.value === "key" ? 0 : by.value === "value" ? 1 : null;
  if (call.operand.type !== "ObjectValue" || place === null) {
    throw new Error("sorts no dictionary by its keys or values");
  }
  const { make, covered } = call, sign = switched("reverse", reverse) ? -1 : 1;
  const pairs = [...call.operand.value as Map<string, Value>].map(([key, value]) => {
    const pair = [keyValue(key, make, covered), value] as const;
    return { pair, order: plain(pair[place], withCase, call) };
  });
  pairs.sort((a, b) => sign * orderOf(a.order, b.order, covered));
  return make.list(pairs.map(({ pair }) => make.tuple(pair)));
}

function mapped(call: FilterCall): Value {
  const { make, covered } = call;
  if (!isTrue(call.operand)) return generator(call, []);
  if (call.args.length === 0 && call.named.has("attribute")) {
    const { attribute, default: otherwise } = bound({ ...call, args: [] }, "attribute", "default");
    const or = isGiven(otherwise) ? otherwise : undefined;
    return generator(call, items(call).map((item) => attributeOf(item, attribute!, make, covered, or)));
  }
  const [name, ...args] = call.args;
  if (name?.type !== "StringValue") throw new Error("maps by no filter and no attribute");
  const filter = covered.show(name.value as string);
  return generator(call, items(call).map((item) => call.apply(filter, item, args, call.named)));
}

function selected(wanted: boolean, byAttribute: boolean, call: FilterCall): Value {
  if (!isTrue(call.operand)) return generator(call, []);
  const [attribute, args] = byAttribute ? [call.args[0], call.args.slice(1)] : [undefined, call.args];
  const [name, ...rest] = args, { make, covered } = call;
  if (call.named.size > 0 || byAttribute && attribute === undefined) throw new Error("selects by no attribute");
  if (name !== undefined && name.type !== "StringValue") throw new Error("selects by no test");
  const chosen = items(call).filter((item) => {
    const value = attribute === undefined || attribute.type === "NullValue"
      ? item
      : attributeOf(item, attribute, make, covered);
    const test = name === undefined ? null : covered.show(name.value as string);
    return (test === null ? isTrue(value) : testOf(test, value, rest, covered)) === wanted;
  });
  return generator(call, chosen);
}

/** The items of which each is another one, by what they are told from others. */
function unique(call: FilterCall): Value {
  const { case_sensitive: withCase, attribute } = bound(call, "case_sensitive", "attribute");
  const seen = new Set<unknown>(), all = items(call);
  const kept = all.filter((item) => {
    const { type, value } = plain(keyedBy(item, attribute, call), withCase, call);
    if (typeof value === "object" && value !== null || typeof value === "function") {
      throw new Error(`tells a ${type} from others`);
    }
    const key = typeof value === "boolean"
      ? Number(value)
      : typeof value === "string"
      ? call.covered.show(value)
      : value;
    return seen.size < seen.add(key).size;
  });
  return generator(call, kept);
}

function extreme(sign: number, call: FilterCall): Value {
  const { case_sensitive: withCase, attribute } = bound(call, "case_sensitive", "attribute");
  let best: { item: Value; key: Value } | null = null;
  for (const item of items(call)) {
    const key = plain(keyedBy(item, attribute, call), withCase, call);
    if (best === null || sign * orderOf(key, best.key, call.covered) < 0) best = { item, key };
  }
  return best === null ? call.make.missing() : best.item;
}

/** A sum of numbers: of floats, some versions of Python keep what is lost in each step. */
function sum(call: FilterCall): Value {
  const { attribute, start } = bound(call, "attribute", "start"), { make } = call;
  const first = start ?? make.whole(0), rest = items(call).map((item) => keyedBy(item, attribute, call));
  if (rest.length === 0) return first;
  let total = 0, lost = 0, isFloat = false;
  for (const value of [first, ...rest]) {
    if (!isNumber(value) && value.type !== "BooleanValue") throw new Error(`sums a ${value.type}`);
    const one = Number(value.value), next = total + one;
    if (value.type === "FloatValue") isFloat = true;
    lost += Math.abs(total) >= Math.abs(one) ? total - next + one : one - next + total;
    if (!isFloat && !Number.isSafeInteger(next)) throw new Error("makes a number beyond 2^53");
    total = next;
  }
  if (!isFloat) return make.whole(total);
  if (!Object.is(total + lost, total)) throw new Error("sums floats, of which versions of Python make different sums");
  return make.float(total);
}

function grouped(call: FilterCall): Value {
  const { attribute, default: otherwise, case_sensitive: withCase } = bound(
    call,
    "attribute",
    "default",
    "case_sensitive",
  );
  if (attribute === undefined) throw new Error("groups by no attribute");
  const { make, covered } = call, or = isGiven(otherwise) ? otherwise : undefined;
  const keyed = items(call).map((item) => {
    const own = isGiven(attribute) ? attributeOf(item, attribute, make, covered, or) : item;
    return { item, own, key: plain(own, withCase, call) };
  });
  keyed.sort((a, b) => orderOf(a.key, b.key, covered));
  const groups: { own: Value; key: Value; items: Value[] }[] = [];
  for (const { item, own, key } of keyed) {
    const last = groups.at(-1);
    if (last !== undefined && areEqual(last.key, key, covered)) last.items.push(item);
    else groups.push({ own, key, items: [item] });
  }
  return make.list(groups.map((group) => asGroup(make.tuple([group.own, make.list(group.items)]))));
}

/** The filters, by their names. */
export const CHOICES: Readonly<Record<string, (call: FilterCall) => Value>> = {
  sort: sorted,
  dictsort: dictsorted,
  map: mapped,
  select: (call) => selected(true, false, call),
  reject: (call) => selected(false, false, call),
  selectattr: (call) => selected(true, true, call),
  rejectattr: (call) => selected(false, true, call),
  unique,
  min: (call) => extreme(1, call),
  max: (call) => extreme(-1, call),
  sum,
  groupby: grouped,
};
