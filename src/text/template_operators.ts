/** Operators of templates, on Python's values. */
import { percentFormatted } from "./template_percent.ts";
import type { Make } from "./template_make.ts";
import { joinedTexts } from "./template_markup.ts";
import { divided, power } from "./template_numbers.ts";
import { areEqual, holds, orderOf, ORDERS } from "./template_order.ts";
import {
  asSafe,
  type Covered,
  isList,
  isNumber,
  isSafe,
  isText,
  textOf,
  type Value,
  viewOf,
} from "./template_values.ts";

/** What an operator makes of two values. */
export function operated(operator: string, one: Value, other: Value, make: Make, covered: Covered): Value {
  switch (operator) {
    case "==":
    case "!=":
      return make.truth(areEqual(one, other, covered) === (operator === "=="));
    case "~": {
      const text = textOf(one, covered) + textOf(other, covered);
      make.room(text.length);
      return make.text(text);
    }
    case "in":
    case "not in":
      return make.truth(holds(other, one, covered) === (operator === "in"));
  }
  const left = counted(one, make, covered), right = counted(other, make, covered);
  if (Object.hasOwn(ORDERS, operator)) return make.truth(ORDERS[operator]!(orderOf(left, right, covered)));
  const [first, second] = [left, right].map((value) =>
    value.type === "BooleanValue" ? make.whole(Number(value.value)) : value
  ) as [Value, Value];
  if (isNumber(first) && isNumber(second)) return calculated(operator, first, second, make);
  if (operator === "+") {
    if (isList(left) && left.type === right.type) return sum(left, right, make);
    return joinedTexts(left, right, make, covered);
  }
  if (operator === "%" && isText(left, covered)) return percentFormatted(left, other, make, covered);
  if (operator === "*") {
    if (first.type === "IntegerValue") return repeated(second, first.value as number, make, covered);
    if (second.type === "IntegerValue") return repeated(first, second.value as number, make, covered);
  }
  throw new Error(`has ${operator} between ${left.type} and ${right.type}`);
}

/** A number in its written form as one to count with; any other value as it is. */
export function counted(value: Value, make: Make, covered: Covered): Value {
  const written = value.type === "StringValue" ? covered.numberIn(value.value as string) : null;
  if (written === null) return value;
  if (!Number.isSafeInteger(Number(written))) throw new Error("counts with a number beyond 2^53");
  return make.whole(Number(written));
}

function calculated(operator: string, left: Value, right: Value, make: Make): Value {
  const a = left.value as number, b = right.value as number;
  if (operator === "**") return power(left, right, make);
  if ((operator === "/" || operator === "//" || operator === "%") && b === 0) throw new Error("divides by zero");
  if (operator === "/") return make.float(a / b);
  if (operator === "//" || operator === "%") return divided(operator, left, right, make);
  const value = operator === "+" ? a + b : operator === "-" ? a - b : a * b;
  return left.type === "FloatValue" || right.type === "FloatValue" ? make.float(value) : make.whole(value);
}

function sum(left: Value, right: Value, make: Make): Value {
  if (viewOf(left) || viewOf(right)) throw new Error("adds what are no two lists");
  const items = [...left.value as Value[], ...right.value as Value[]];
  return left.type === "TupleValue" ? make.tuple(items) : make.list(items);
}

function repeated(value: Value, times: number, make: Make, covered: Covered): Value {
  const count = Math.max(0, times);
  if (isText(value, covered)) {
    make.room((value.value as string).length * count);
    const text = make.text((value.value as string).repeat(count));
    return isSafe(value) ? asSafe(text) : text;
  }
  if (!isList(value) || viewOf(value) !== undefined) throw new Error(`repeats a ${value.type}`);
  const items = value.value as Value[];
  make.room(items.length * count * 16);
  const all = Array.from({ length: count }, () => items).flat();
  return value.type === "TupleValue" ? make.tuple(all) : make.list(all);
}
