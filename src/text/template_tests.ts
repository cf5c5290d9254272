/** Jinja's tests, on Python's values. */
import { areEqual, type Covered, isList, isNumber, type Value, viewOf } from "./template_values.ts";

/** Whether a test holds for a value. */
export function testOf(name: string, value: Value, args: readonly Value[], covered: Covered): boolean {
  const { type } = value;
  const written = type === "StringValue" ? covered.numberIn(value.value as string) : null;
  const equals = name === "equalto" || name === "eq" || name === "==" || name === "ne" || name === "!=";
  if (args.length !== (equals ? 1 : 0)) throw new Error(`has the test ${name} with ${args.length} arguments`);
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
      const text = covered.show(value.value as string), [own, other] = [/\p{Lowercase}/u, /\p{Uppercase}/u];
      const [has, lacks] = name === "lower" ? [own, other] : [other, own];
      return has.test(text) && !lacks.test(text) && !/\p{Lt}/u.test(text);
    }
    case "equalto":
    case "eq":
    case "==":
      return areEqual(value, args[0]!, covered);
    case "ne":
    case "!=":
      return !areEqual(value, args[0]!, covered);
  }
  throw new Error(`has the test ${name}, which is not known`);
}
