/** Reads expressions of chat templates as Jinja does: what binds closer, where tuples begin and end. */
import type { Node } from "./template_make.ts";
import type { Reader } from "./template_reader.ts";

/** What ends a tuple. */
type Ending = (reader: Reader) => boolean;
const never: Ending = () => false;

/** A variable that is read. */
export const variable = (name: string): Node => ({ type: "Identifier", value: name });
/** A name that is none. */
const word = (name: string): Node => ({ type: "Name", value: name });

/** An expression, or several with commas between them. */
export function tuple(reader: Reader, withCondition = true, ends = never, inBrackets = false): Node {
  return sequence(reader, () => withCondition ? expression(reader) : either(reader), ends, inBrackets);
}

/** What is read item by item: a tuple where there is a comma. */
export function sequence(reader: Reader, item: () => Node, ends: Ending, inBrackets = false): Node {
  const items: Node[] = [];
  let isTuple = false;
  for (;;) {
    if (items.length > 0) reader.expect(",");
    if (reader.is("}}", "%}", ")") || ends(reader)) break;
    items.push(item());
    if (!reader.is(",")) break;
    isTuple = true;
  }
  if (!isTuple) {
    if (items.length > 0) return items[0]!;
    if (!inBrackets) reader.fail(`has ${reader.shown()}, expected an expression`);
  }
  return { type: "TupleLiteral", value: items };
}

/** An expression that may have a condition. */
export function expression(reader: Reader): Node {
  return reader.within(() => {
    let value = either(reader);
    while (reader.skipName("if")) {
      const condition = either(reader), falseExpr = reader.skipName("else") ? expression(reader) : undefined;
      value = { type: "Ternary", condition, trueExpr: value, falseExpr };
    }
    return value;
  });
}

const binary = (operator: string, left: Node, right: Node): Node => ({
  type: "BinaryExpression",
  operator: { value: operator },
  left,
  right,
});

function either(reader: Reader): Node {
  let left = both(reader);
  while (reader.skipName("or")) left = binary("or", left, both(reader));
  return left;
}

function both(reader: Reader): Node {
  let left = negated(reader);
  while (reader.skipName("and")) left = binary("and", left, negated(reader));
  return left;
}

function negated(reader: Reader): Node {
  if (!reader.skipName("not")) return compared(reader);
  return { type: "UnaryExpression", operator: { value: "not" }, argument: reader.within(() => negated(reader)) };
}

const COMPARISONS = ["==", "!=", "<", "<=", ">", ">="];

function compared(reader: Reader): Node {
  const left = sum(reader), rest: { operator: string; operand: Node }[] = [];
  for (;;) {
    let operator = "";
    if (reader.is(...COMPARISONS)) operator = reader.take().type;
    else if (reader.skipName("in")) operator = "in";
    else if (reader.isName("not") && reader.after.type === "name" && reader.after.value === "in") {
      reader.take();
      reader.take();
      operator = "not in";
    } else break;
    rest.push({ operator, operand: sum(reader) });
  }
  if (rest.length === 0) return left;
  if (rest.length === 1) return binary(rest[0]!.operator, left, rest[0]!.operand);
  return { type: "Comparisons", left, rest };
}

function chain(reader: Reader, signs: readonly string[], operand: (reader: Reader) => Node): Node {
  let left = operand(reader);
  while (reader.is(...signs)) left = binary(reader.take().type, left, operand(reader));
  return left;
}
const sum = (reader: Reader): Node => chain(reader, ["+", "-"], joint);
const joint = (reader: Reader): Node => chain(reader, ["~"], product);
const product = (reader: Reader): Node => chain(reader, ["*", "/", "//", "%"], power);
const power = (reader: Reader): Node => chain(reader, ["**"], signed);

function signed(reader: Reader, withFilters: unknown = true): Node {
  let value: Node;
  if (reader.is("-", "+")) {
    const operator = { value: reader.take().type };
    value = { type: "UnaryExpression", operator, argument: reader.within(() => signed(reader, null)) };
  } else value = primary(reader);
  value = postfix(reader, value);
  return withFilters === null ? value : filtered(reader, value);
}

/** A name, a literal or what stands in brackets. */
export function primary(reader: Reader): Node {
  switch (reader.word.type) {
    case "name":
      return variable(reader.take().value as string);
    case "text": {
      let value = "";
      while (reader.is("text")) value += reader.take().value;
      return { type: "StringLiteral", value };
    }
    case "whole":
      return { type: "IntegerLiteral", value: reader.take().value };
    case "float":
      return { type: "FloatLiteral", value: reader.take().value };
    case "(": {
      reader.take();
      const inner = tuple(reader, true, never, true);
      reader.expect(")");
      return inner;
    }
    case "[":
      return { type: "ArrayLiteral", value: items(reader, "]", () => expression(reader)) };
    case "{":
      return {
        type: "ObjectLiteral",
        value: new Map(items(reader, "}", () => {
          const key = expression(reader);
          reader.expect(":");
          return [key, expression(reader)] as const;
        })),
      };
  }
  return reader.fail(`has ${reader.shown()}, expected a value`);
}

/** Items between brackets, with commas between them and maybe one at the end. */
function items<T>(reader: Reader, close: string, item: () => T): T[] {
  const found: T[] = [];
  reader.take();
  while (!reader.is(close)) {
    if (found.length > 0) reader.expect(",");
    if (reader.is(close)) break;
    found.push(item());
  }
  reader.take();
  return found;
}

/** Members and calls of a value. */
function postfix(reader: Reader, value: Node): Node {
  for (;;) {
    if (reader.is("(")) value = { type: "CallExpression", callee: value, args: callArguments(reader) };
    else if (reader.skip(".")) {
      if (!reader.is("name", "whole")) reader.fail(`has ${reader.shown()} after a point`);
      const { type, value: name } = reader.take();
      value = type === "name"
        ? { type: "MemberExpression", object: value, property: word(name as string), computed: false }
        : {
          type: "MemberExpression",
          object: value,
          property: { type: "IntegerLiteral", value: name },
          computed: true,
        };
    } else if (reader.is("[")) {
      const line = reader.take().line, parts: Node[] = [];
      while (!reader.is("]")) {
        if (parts.length > 0) reader.expect(",");
        parts.push(subscript(reader));
      }
      reader.take();
      if (parts.length !== 1) reader.fail("takes an item by several values", line);
      value = { type: "MemberExpression", object: value, property: parts[0], computed: true };
    } else return value;
  }
}

function subscript(reader: Reader): Node {
  const isOpen = () => reader.is("]", ",");
  const start = reader.is(":") ? undefined : expression(reader);
  if (start !== undefined && !reader.is(":")) return start;
  reader.expect(":");
  const stop = reader.is(":") || isOpen() ? undefined : expression(reader);
  const step = reader.skip(":") && !isOpen() ? expression(reader) : undefined;
  return { type: "SliceExpression", start, stop, step };
}

/** Filters, tests and calls of a value. */
function filtered(reader: Reader, value: Node): Node {
  for (;;) {
    if (reader.skip("|")) value = { type: "FilterExpression", operand: value, filter: filter(reader) };
    else if (reader.skipName("is")) value = test(reader, value);
    else if (reader.is("(")) value = { type: "CallExpression", callee: value, args: callArguments(reader) };
    else return value;
  }
}

/** The name of a filter, with arguments or without. */
export function filter(reader: Reader): Node {
  return { type: "Filter", value: named(reader), args: reader.is("(") ? callArguments(reader) : [] };
}

/** The name of a filter or a test: none of Jinja's has a point in it. */
function named(reader: Reader): string {
  const name = String(reader.expect("name").value);
  return reader.is(".")
    ? reader.fail(`has a member of the name ${name}, expected brackets around what comes before`)
    : name;
}

function test(reader: Reader, operand: Node): Node {
  const negate = reader.skipName("not"), name = named(reader);
  let args: Node[] = [];
  if (reader.is("(")) args = callArguments(reader);
  else if (reader.is("name", "text", "whole", "float", "[", "{") && !reader.isName("else", "or", "and")) {
    if (reader.isName("is")) reader.fail("tests a test");
    args = [postfix(reader, primary(reader))];
  }
  return { type: "TestExpression", operand, test: word(name), args, negate };
}

/** Arguments of a call. */
export function callArguments(reader: Reader): Node[] {
  const { line } = reader.expect("("), args: Node[] = [], named: Node[] = [];
  let spread: Node | null = null, spreadNames: Node | null = null, isFirst = true;
  const ensure = (holds: boolean) => {
    if (!holds) reader.fail("has arguments in an order that is none", line);
  };
  while (!reader.is(")")) {
    if (!isFirst) {
      reader.expect(",");
      if (reader.is(")")) break;
    }
    isFirst = false;
    if (reader.is("*")) {
      ensure(spread === null && spreadNames === null);
      reader.take();
      spread = { type: "SpreadExpression", argument: expression(reader) };
    } else if (reader.is("**")) {
      ensure(spreadNames === null);
      reader.take();
      spreadNames = { type: "KeywordSpreadExpression", argument: expression(reader) };
    } else if (reader.is("name") && reader.after.type === "=") {
      ensure(spreadNames === null);
      const key = word(reader.take().value as string);
      reader.take();
      named.push({ type: "KeywordArgumentExpression", key, value: expression(reader) });
    } else {
      ensure(spread === null && spreadNames === null && named.length === 0);
      args.push(expression(reader));
    }
  }
  reader.take();
  return [...args, ...spread === null ? [] : [spread], ...named, ...spreadNames === null ? [] : [spreadNames]];
}
