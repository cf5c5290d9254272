/**
 * A chat template's interpreter that computes what Python's does: where the library in JavaScript gives other values
 * without a word, the model would get another prompt than it was trained on.
 */
import { areEqual, type Covered, strippedText, textOf, type Value } from "./template_values.ts";

/** A node of the library's syntax tree. */
export interface Node {
  readonly type: string;
  readonly value?: unknown;
  readonly [key: string]: unknown;
}

/** What is needed of the library's interpreter; some of its methods are private there. */
export interface Runtime {
  run(program: unknown): unknown;
  evaluate(node: Node | undefined, scope: unknown): Value;
  evaluateBlock(statements: readonly Node[], scope: unknown): Value;
  evaluateCallExpression(node: Node, scope: unknown): Value;
  applyFilter(operand: Value, filter: Node, scope: unknown): Value;
  evaluateArguments(args: readonly Node[], scope: unknown): [Value[], Map<string, Value>];
  evaluateBinaryExpression(node: Node, scope: unknown): Value;
}
/** The class of it. */
export type RuntimeClass<E> = new (environment: E) => Runtime;

/** Nodes that are statements: those without a text give none. */
const STATEMENTS = new Set([
  ...["Program", "Set", "If", "For", "Macro", "CallStatement", "FilterStatement", "Break", "Continue", "Comment"],
]);
const STRIPS = new Set(["strip", "lstrip", "rstrip"]);

/** The name of a filter, with arguments or without. */
export const filterName = (filter: Node): string =>
  String(filter.type === "Identifier" ? filter.value : (filter["callee"] as Node | undefined)?.value);

/** The interpreter with Python's values; `covered` is what stands for other characters in them. */
export function pythonic<E>(Interpreter: RuntimeClass<E>, covered: Covered): RuntimeClass<E> {
  return class Pythonic extends Interpreter {
    #text(text: string, scope: unknown): Value {
      return super.evaluate({ type: "StringLiteral", value: text }, scope);
    }

    #truth(holds: boolean, scope: unknown): Value {
      const number = (value: number) => ({ type: "IntegerLiteral", value });
      const operator = { type: "Operator", value: "<" };
      const node = { type: "BinaryExpression", operator, left: number(0), right: number(holds ? 1 : 0) };
      return super.evaluateBinaryExpression(node, scope);
    }

    /** What a template writes: the library has other words for truth and none, and writes lists as JSON. */
    override evaluateBlock(statements: readonly Node[], scope: unknown): Value {
      let written = "";
      for (const node of statements) {
        const value = this.evaluate(node, scope);
        // What a statement gives is a text, or that there is nothing to write.
        if (!STATEMENTS.has(node.type) || value.type !== "NullValue") written += textOf(value, covered);
      }
      return this.#text(written, scope);
    }

    override evaluateBinaryExpression(node: Node, scope: unknown): Value {
      const { value: operator } = node["operator"] as Node;
      if (operator === "and" || operator === "or") return super.evaluateBinaryExpression(node, scope);
      const left = this.evaluate(node["left"] as Node, scope), right = this.evaluate(node["right"] as Node, scope);
      switch (operator) {
        case "==":
        case "!=":
          return this.#truth(areEqual(left, right) === (operator === "=="), scope);
        case "~":
          return this.#text(textOf(left, covered) + textOf(right, covered), scope);
        case "in":
        case "not in":
          if (!isList(right) || left.type === "UndefinedValue") break;
          return this.#truth(
            (right.value as Value[]).some((item) => areEqual(left, item)) === (operator === "in"),
            scope,
          );
        case "+":
          if ((left.type === "StringValue") === (right.type === "StringValue")) break;
          throw new Error(`adds ${left.type} and ${right.type}, which Python does not`);
        case "%":
        case "/":
        case "//":
          if (isNumber(left) && isNumber(right)) {
            if (right.value === 0) throw new Error("divides by zero");
            if (operator === "%") return this.#rest(left, right, scope);
          }
      }
      // Both are known; what stands for them gives them once more.
      const known = (value: Value) => ({ type: KNOWN, value });
      return super.evaluateBinaryExpression({ ...node, left: known(left), right: known(right) }, scope);
    }

    /** Python's `a % b`, which has the sign of b. */
    #rest(left: Value, right: Value, scope: unknown): Value {
      const a = left.value as number, b = right.value as number, rest = a % b;
      const value = rest !== 0 && rest < 0 !== b < 0 ? rest + b : rest;
      const float = left.type === "FloatValue" || right.type === "FloatValue";
      return super.evaluate({ type: float ? "FloatLiteral" : "IntegerLiteral", value }, scope);
    }

    override evaluate(node: Node | undefined, scope: unknown): Value {
      return node?.type === KNOWN ? node.value as Value : super.evaluate(node, scope);
    }

    /** The library's `strip` takes no characters, and both its blanks and its `capitalize` are JavaScript's. */
    override evaluateCallExpression(node: Node, scope: unknown): Value {
      const callee = node["callee"] as Node, property = callee["property"] as Node | undefined;
      const name = callee.type === "MemberExpression" && callee["computed"] !== true ? String(property?.value) : "";
      if (!STRIPS.has(name) && name !== "capitalize") return super.evaluateCallExpression(node, scope);
      const object = this.evaluate(callee["object"] as Node, scope);
      if (object.type !== "StringValue") return super.evaluateCallExpression(node, scope);
      const text = object.value as string, [[characters]] = this.evaluateArguments(node["args"] as Node[], scope);
      if (name === "capitalize") return this.#text(capitalized(text), scope);
      if (characters === undefined || characters.type === "NullValue") {
        return this.#text(strippedText(text, name), scope);
      }
      if (characters.type !== "StringValue") throw new Error(`${name}() argument must be a string or none`);
      return this.#text(strippedText(text, name, characters.value as string), scope);
    }

    override applyFilter(operand: Value, filter: Node, scope: unknown): Value {
      const name = filterName(filter), isText = operand.type === "StringValue";
      if (name === "string") return this.#text(textOf(operand, covered), scope);
      if (name === "trim" && isText && filter.type === "Identifier") {
        return this.#text(strippedText(operand.value as string, "strip"), scope);
      }
      if (name === "capitalize" && isText) return this.#text(capitalized(operand.value as string), scope);
      if (name !== "join" || !isList(operand)) return super.applyFilter(operand, filter, scope);
      const args = filter.type === "Identifier" ? [] : filter["args"] as Node[];
      const [[first], named] = this.evaluateArguments(args, scope), between = first ?? named.get("d");
      if (named.size > (named.has("d") ? 1 : 0)) throw new Error("join() takes the text between items only");
      const items = (operand.value as Value[]).map((item) => textOf(item, covered));
      return this.#text(items.join(between === undefined ? "" : textOf(between, covered)), scope);
    }
  };
}

/** A node that stands for a value that was computed. */
const KNOWN = "KnownValue";

const isList = ({ type }: Value): boolean => type === "ArrayValue" || type === "TupleValue";
const isNumber = ({ type }: Value): boolean => type === "IntegerValue" || type === "FloatValue";

/** Python's `capitalize`: all but the first letter become small. */
function capitalized(text: string): string {
  const [first = ""] = text;
  return first.toUpperCase() + text.slice(first.length).toLowerCase();
}
