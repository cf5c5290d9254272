/** Jinja's tests, on Python's values. */
import { areEqual, holds, orderOf, ORDERS } from "./template_order.ts";
import { hasCase } from "./template_texts.ts";
import { type Covered, isList, isNumber, isSafe, type Value, viewOf } from "./template_values.ts";

/** Tests that compare, by their other names. */
const COMPARE: Readonly<Record<string, string>> = {
  ...{ "==": "==", eq: "==", equalto: "==", "!=": "!=", ne: "!=", ">": ">", gt: ">", greaterthan: ">", ge: ">=" },
  ...{ ">=": ">=", "<": "<", lt: "<", lessthan: "<", "<=": "<=", le: "<=" },
};
const TESTS = "odd even divisibleby defined undefined filter test none boolean false true integer float lower upper " +
  "string mapping number sequence iterable callable sameas escaped in";
const FILTERS = "abs attr batch capitalize center count d default dictsort e escape filesizeformat first float " +
  "forceescape format groupby indent int join last length list lower items map min max pprint random reject " +
  "rejectattr replace reverse round safe select selectattr slice sort string striptags sum title trim truncate " +
  "unique upper urlencode urlize wordcount wordwrap xmlattr tojson";
const NAMES: Readonly<Record<string, ReadonlySet<unknown>>> = {
  test: new Set([...TESTS.split(" "), ...Object.keys(COMPARE)]),
  filter: new Set(FILTERS.split(" ")),
};

/** Whether a test holds for a value. */
export function testOf(name: string, value: Value, args: readonly Value[], covered: Covered): boolean {
  const [other] = args, takes = Object.hasOwn(COMPARE, name) || ["divisibleby", "sameas", "in"].includes(name) ? 1 : 0;
  if (args.length !== takes) throw new Error(`has the test ${name} with ${args.length} arguments`);
  return other === undefined ? isSuch(name, value, covered) : isRelated(name, value, other, covered);
}

function isRelated(name: string, value: Value, other: Value, covered: Covered): boolean {
  switch (name) {
    case "in":
      return holds(other, value, covered);
    case "sameas": {
      // Of all values, these alone are everywhere the same.
      const one = [value, other].find(({ type }) => type === "NullValue" || type === "BooleanValue");
      if (one === undefined) throw new Error("tests whether two values are one and the same");
      return value.type === other.type && value.value === other.value;
    }
    case "divisibleby": {
      const [left, right] = [value, other].map((one) => {
        if (!isNumber(one) && one.type !== "BooleanValue") throw new Error(`divides a ${one.type}`);
        return Number(one.value);
      }) as [number, number];
      if (right === 0) throw new Error("divides by zero");
      return left % right === 0;
    }
  }
  const operator = COMPARE[name]!;
  if (operator === "==" || operator === "!=") return areEqual(value, other, covered) === (operator === "==");
  return ORDERS[operator]!(orderOf(value, other, covered));
}

function isSuch(name: string, value: Value, covered: Covered): boolean {
  const { type } = value;
  const written = type === "StringValue" ? covered.numberIn(value.value as string) : null;
  switch (name) {
    case "defined":
      return type !== "UndefinedValue";
    case "undefined":
      return type === "UndefinedValue";
    case "none":
      return type === "NullValue";
    case "boolean":
      return type === "BooleanValue";
    case "true":
      return type === "BooleanValue" && value.value === true;
    case "false":
      return type === "BooleanValue" && value.value === false;
    case "number":
      return isNumber(value) || type === "BooleanValue" || written !== null;
    case "integer":
      return type === "IntegerValue" || written !== null;
    case "float":
      return type === "FloatValue";
    case "string":
      return type === "StringValue" && written === null;
    case "callable":
      return type === "FunctionValue" || type === "UndefinedValue";
    case "mapping":
      return type === "ObjectValue";
    case "iterable":
      return written === null && (isList(value) || ["StringValue", "ObjectValue", "UndefinedValue"].includes(type));
    case "sequence":
      if (written !== null) return false;
      return isList(value)
        ? [undefined, "range"].includes(viewOf(value)?.name)
        : ["StringValue", "ObjectValue", "UndefinedValue"].includes(type);
    case "odd":
    case "even":
      if (type !== "IntegerValue") throw new Error(`tests whether a ${type} is ${name}`);
      return (value.value as number) % 2 === 0 === (name === "even");
    case "lower":
    case "upper": {
      if (type !== "StringValue") throw new Error(`tests whether a ${type} is ${name}`);
      return hasCase(covered.show(value.value as string), name === "lower");
    }
    case "escaped":
      return isSafe(value);
    case "filter":
    case "test":
      if (type !== "StringValue") throw new Error(`tests whether a ${type} is a ${name}`);
      return NAMES[name]!.has(covered.show(value.value as string));
  }
  throw new Error(`has the test ${name}, which is not known`);
}
