/** What comes first to Python, what equals what, and what is in what. */
import { entryOf, keyOf } from "./template_keys.ts";
import { compareTexts, type Covered, isList, isText, itemsOf, type Value, viewOf } from "./template_values.ts";

/** Values of one kind can be equal; to Python too, true is 1. */
function kindOf({ type, value }: Value, covered: Covered): string {
  if (type === "StringValue") return covered.numberIn(value as string) === null ? type : "number";
  return /^(?:Integer|Float|Boolean)Value$/.test(type) ? "number" : type;
}

/**
 * Python's `a == b`: the library compares as JavaScript does, to which `["a"]` is `"a"`, `"1"` is 1, what is undefined
 * is none, and no list is another one with the same items.
 */
export function areEqual(a: Value, b: Value, covered: Covered): boolean {
  const [kind, other] = [a, b].map((value) => kindOf(value, covered));
  if (viewOf(a) || viewOf(b)) throw new Error("compares what is no list, expected it as one");
  if (kind !== other) return false;
  if (kind === "ArrayValue" || kind === "TupleValue") {
    const [left, right] = [a.value as Value[], b.value as Value[]];
    return left.length === right.length && left.every((item, i) => areEqual(item, right[i]!, covered));
  }
  if (kind === "ObjectValue") {
    const [left, right] = [a.value, b.value] as [ReadonlyMap<string, Value>, ReadonlyMap<string, Value>];
    return left.size === right.size && left.entries().every(([key, item]) => {
      const other = entryOf(right, key, covered);
      return other !== undefined && areEqual(item, other, covered);
    });
  }
  if (kind === "StringValue") {
    return a.value === b.value || covered.show(a.value as string) === covered.show(b.value as string);
  }
  return kind === "number" ? numbersAreEqual(a, b, covered) : a.value === b.value;
}

/** Numbers are equal: those of calls, too, of which more digits are kept than a number has. */
function numbersAreEqual(a: Value, b: Value, covered: Covered): boolean {
  if (a.type !== "StringValue" && b.type !== "StringValue") return Number(a.value) === Number(b.value);
  const exact = ({ type, value }: Value) => {
    if (type === "StringValue") return BigInt(covered.numberIn(value as string)!);
    return Number.isInteger(Number(value)) ? BigInt(Number(value)) : Number(value);
  };
  return exact(a) === exact(b);
}

const counts = ({ type }: Value) => type === "IntegerValue" || type === "FloatValue" || type === "BooleanValue";

/** Which of two values comes first: below 0, above 0, or 0. */
export function orderOf(a: Value, b: Value, covered: Covered): number {
  if (counts(a) && counts(b)) {
    const left = Number(a.value), right = Number(b.value);
    if (left !== left || right !== right) throw new Error("compares a number that is none");
    return left < right ? -1 : left > right ? 1 : 0;
  }
  if (isText(a, covered) && isText(b, covered)) {
    return compareTexts(covered.show(a.value as string), covered.show(b.value as string));
  }
  if (isList(a) && a.type === b.type && viewOf(a) === undefined && viewOf(b) === undefined) {
    const left = a.value as Value[], right = b.value as Value[];
    const at = left.findIndex((item, i) => i >= right.length || !areEqual(item, right[i]!, covered));
    return at >= 0 && at < right.length ? orderOf(left[at]!, right[at]!, covered) : left.length - right.length;
  }
  throw new Error(`compares ${a.type} and ${b.type}`);
}

/** Operators that tell which of two values comes first. */
export const ORDERS: Readonly<Record<string, (order: number) => boolean>> = {
  "<": (order) => order < 0,
  "<=": (order) => order <= 0,
  ">": (order) => order > 0,
  ">=": (order) => order >= 0,
};

/** Whether a value is in another one. */
export function holds(whole: Value, part: Value, covered: Covered): boolean {
  if (whole.type === "UndefinedValue") return false;
  if (isList(whole)) return itemsOf(whole).some((item) => areEqual(part, item, covered));
  if (whole.type === "ObjectValue") {
    if (part.type === "UndefinedValue") return false;
    return entryOf(whole.value as Map<string, Value>, keyOf(part, covered), covered) !== undefined;
  }
  if (!isText(whole, covered) || !isText(part, covered)) throw new Error(`looks for a ${part.type} in a ${whole.type}`);
  return covered.show(whole.value as string).includes(covered.show(part.value as string));
}
