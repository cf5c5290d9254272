/**
 * A chat template's interpreter that computes what Python's does: where the library in JavaScript gives other values
 * without a word, the model would get another prompt than it was trained on.
 */
import { areEqual, type Covered, textOf, uniqueOf, type Value } from "./template_values.ts";
import { capitalized, numberOf, strippedText, titled, withLineFeeds, wordsOf } from "./python_texts.ts";

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
  evaluateMemberExpression(node: Node, scope: unknown): Value;
  evaluateTestExpression(node: Node, scope: unknown): Value;
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
/** Filters that give a number on as it is written. */
const AS_WRITTEN = new Set(["default", "join", "safe", "string", "tojson"]);
const METHODS = new Set(["strip", "lstrip", "rstrip", "capitalize", "split"]);

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

    /** A number in its written form as one to count with; any other value as it is. */
    #counted(value: Value, scope: unknown): Value {
      const written = value.type === "StringValue" ? covered.numberIn(value.value as string) : null;
      if (written === null) return value;
      const type = /^-?\d+$/.test(written) ? "IntegerLiteral" : "FloatLiteral";
      return super.evaluate({ type, value: Number(written) }, scope);
    }

    override evaluateTestExpression(node: Node, scope: unknown): Value {
      const operand = this.#counted(this.evaluate(node["operand"] as Node, scope), scope);
      return super.evaluateTestExpression({ ...node, operand: known(operand) }, scope);
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
      const [left, right] = [node["left"], node["right"]].map((side) => {
        const value = this.evaluate(side as Node, scope);
        return operator === "~" ? value : this.#counted(value, scope);
      }) as [Value, Value];
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

    /** A text's characters are those of Unicode to Python, and halves of them to JavaScript. */
    override evaluateMemberExpression(node: Node, scope: unknown): Value {
      const property = node["property"] as Node;
      if (node["computed"] !== true || property.type === "SliceExpression") {
        return super.evaluateMemberExpression(node, scope);
      }
      const object = this.evaluate(node["object"] as Node, scope), held = { ...node, object: known(object) };
      if (object.type !== "StringValue" || !HALVES.test(object.value as string)) {
        return super.evaluateMemberExpression(held, scope);
      }
      const place = this.evaluate(property, scope);
      if (place.type !== "IntegerValue") {
        return super.evaluateMemberExpression({ ...held, property: known(place) }, scope);
      }
      const character = Array.from(object.value as string).at(place.value as number);
      return character === undefined ? super.evaluate(undefined, scope) : this.#text(character, scope);
    }

    /** Methods of texts that the library has with fewer arguments, or with JavaScript's blanks. */
    override evaluateCallExpression(node: Node, scope: unknown): Value {
      const callee = node["callee"] as Node, property = callee["property"] as Node | undefined;
      const name = callee.type === "MemberExpression" && callee["computed"] !== true ? String(property?.value) : "";
      if (!METHODS.has(name)) return super.evaluateCallExpression(node, scope);
      const object = this.evaluate(callee["object"] as Node, scope);
      if (object.type !== "StringValue") return super.evaluateCallExpression(node, scope);
      const text = object.value as string;
      const [[first, second], named] = this.evaluateArguments(node["args"] as Node[], scope);
      const given = first === undefined || first.type === "NullValue" ? undefined : first;
      if (name === "capitalize") return this.#text(capitalized(text), scope);
      if (name === "split") {
        if (given !== undefined || named.has("sep")) return super.evaluateCallExpression(node, scope);
        const most = second ?? named.get("maxsplit");
        if (most !== undefined && most.type !== "IntegerValue") throw new Error("maxsplit must be a whole number");
        const words = wordsOf(text, most === undefined ? -1 : most.value as number);
        return this.#list(words.map((word) => this.#text(word, scope)), scope);
      }
      if (given !== undefined && given.type !== "StringValue") throw new Error(`${name}() takes a text or none`);
      return this.#text(strippedText(text, name, given?.value as string | undefined), scope);
    }

    #list(items: readonly Value[], scope: unknown): Value {
      return super.evaluate({ type: "ArrayLiteral", value: items.map(known) }, scope);
    }

    override applyFilter(given: Value, filter: Node, scope: unknown): Value {
      const name = filterName(filter), alone = filter.type === "Identifier";
      const operand = AS_WRITTEN.has(name) ? given : this.#counted(given, scope);
      if (name === "string") return this.#text(textOf(operand, covered), scope);
      if (name === "join" && isList(operand)) return this.#joined(operand, filter, scope);
      if (name === "int" || name === "float") return this.#number(name, operand, filter, scope);
      if (name === "unique" && alone && isList(operand)) {
        return this.#list(uniqueOf(operand.value as Value[]), scope);
      }
      if (name === "tojson" && operand.type === "UndefinedValue") throw new Error("what is undefined has no JSON");
      if (operand.type !== "StringValue") return super.applyFilter(operand, filter, scope);
      const text = operand.value as string;
      if (name === "trim" && alone) return this.#text(strippedText(text, "strip"), scope);
      if (name === "indent") return super.applyFilter(this.#text(withLineFeeds(text), scope), filter, scope);
      if (name === "capitalize") return this.#text(capitalized(text), scope);
      if (name === "title") return this.#text(titled(text), scope);
      if (name === "length" && HALVES.test(text)) {
        return super.evaluate({ type: "IntegerLiteral", value: Array.from(text).length }, scope);
      }
      return super.applyFilter(operand, filter, scope);
    }

    #joined(list: Value, filter: Node, scope: unknown): Value {
      const args = filter.type === "Identifier" ? [] : filter["args"] as Node[];
      const [[first], named] = this.evaluateArguments(args, scope), between = first ?? named.get("d");
      if (named.size > (named.has("d") ? 1 : 0)) throw new Error("join() takes the text between items only");
      const items = (list.value as Value[]).map((item) => textOf(item, covered));
      return this.#text(items.join(between === undefined ? "" : textOf(between, covered)), scope);
    }

    /** The filters `int` and `float`: a text is a number as a whole, or none. */
    #number(name: "int" | "float", operand: Value, filter: Node, scope: unknown): Value {
      if (operand.type !== "StringValue" && operand.type !== "FloatValue") {
        return super.applyFilter(operand, filter, scope);
      }
      const args = filter.type === "Identifier" ? [] : filter["args"] as Node[];
      const [[first], named] = this.evaluateArguments(args, scope), otherwise = first ?? named.get("default");
      const given = operand.value, value = typeof given === "string" ? numberOf(given) : given as number;
      if (name === "float" && value !== null) return super.evaluate({ type: "FloatLiteral", value }, scope);
      if (value !== null && Number.isSafeInteger(Math.trunc(value))) {
        return super.evaluate({ type: "IntegerLiteral", value: Math.trunc(value) }, scope);
      }
      if (value !== null && Number.isFinite(value)) throw new Error("makes a number beyond 2^53");
      return otherwise ?? super.evaluate({ type: name === "int" ? "IntegerLiteral" : "FloatLiteral", value: 0 }, scope);
    }
  };
}

/** A node that stands for a value that was computed. */
const KNOWN = "KnownValue";
const known = (value: Value): Node => ({ type: KNOWN, value });

/** Characters of two UTF-16 units. */
const HALVES = /[\ud800-\udfff]/;

const isList = ({ type }: Value): boolean => type === "ArrayValue" || type === "TupleValue";
const isNumber = ({ type }: Value): boolean => type === "IntegerValue" || type === "FloatValue";
