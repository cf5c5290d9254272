/**
 * A chat template's interpreter that computes what Python's does: where the library in JavaScript gives other values
 * without a word, the model would get another prompt than it was trained on.
 */
import {
  areEqual,
  asView,
  compareTexts,
  type Covered,
  entryOf,
  isList,
  isNumber,
  isText,
  itemsOf,
  textOf,
  type Value,
  viewOf,
  withoutTwins,
} from "./template_values.ts";
import { numberOf } from "./python_texts.ts";
import { filtered } from "./template_filters.ts";
import { known, knownValue, Make, type Node } from "./template_make.ts";
import { memberOf } from "./template_members.ts";
import { divided, power } from "./template_numbers.ts";
import { testOf } from "./template_tests.ts";

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
  evaluateSliceExpression(object: Value, node: Node, scope: unknown): Value;
  evaluateIdentifier(node: Node, scope: unknown): Value;
  evaluateFor(node: Node, scope: unknown): Value;
  evaluateSet(node: Node, scope: unknown): Value;
  evaluateMacro(node: Node, scope: unknown): Value;
  evaluateFilterStatement(node: Node, scope: unknown): Value;
  bindMacroArguments(
    name: string,
    parameters: readonly Node[],
    special: ReadonlySet<string>,
    args: Value[],
    scope: unknown,
  ): void;
}
/** The class of it. */
export type RuntimeClass<E> = new (environment: E) => Runtime;

/** Nodes that are statements: those without a text give none. */
const STATEMENTS = new Set([
  ...["Program", "Set", "If", "For", "Macro", "CallStatement", "FilterStatement", "Break", "Continue", "Comment"],
]);
/** Filters that give a number on as it is written. */
const AS_WRITTEN = new Set(["default", "join", "safe", "string", "tojson"]);
/** The name of a filter, with arguments or without. */
export const filterName = (filter: Node): string =>
  String(filter.type === "Identifier" ? filter.value : (filter["callee"] as Node | undefined)?.value);

/** Operators that tell which of two texts comes first. */
const ORDERS: Readonly<Record<string, (order: number) => boolean>> = {
  "<": (order) => order < 0,
  "<=": (order) => order <= 0,
  ">": (order) => order > 0,
  ">=": (order) => order >= 0,
};

/**
 * The interpreter with Python's values.
 *
 * @param covered What stands for other characters in them.
 * @param most Largest size of a value in characters.
 */
export function pythonic<E>(Interpreter: RuntimeClass<E>, covered: Covered, most: number): RuntimeClass<E> {
  return class Pythonic extends Interpreter {
    readonly #make = new Make((node) => super.evaluate(node, null), most);
    readonly #range: Value | undefined;

    constructor(environment: E) {
      super(environment);
      const { variables } = environment as { variables: Map<string, Value> };
      this.#range = variables.get("range");
      for (const [name, value] of variables) variables.set(name, this.#uncovered(value));
    }

    /** A value in which floats are such: as texts, 0.0 would be true. */
    #uncovered(value: Value): Value {
      const { value: held } = value;
      if (typeof held === "string") {
        const written = covered.numberIn(held);
        return written !== null && /[.e]/i.test(written) ? this.#make.float(Number(written)) : value;
      }
      if (Array.isArray(held)) held.forEach((item, i) => held[i] = this.#uncovered(item));
      else if (held instanceof Map) {
        const entries = [...held as Map<string, Value>];
        held.clear();
        for (const [key, item] of entries) held.set(covered.keyIn(key), this.#uncovered(item));
      }
      return value;
    }

    #text(text: string): Value {
      return this.#make.text(text);
    }

    /** A number in its written form as one to count with; any other value as it is. */
    #counted(value: Value, scope: unknown): Value {
      const written = value.type === "StringValue" ? covered.numberIn(value.value as string) : null;
      if (written === null) return value;
      if (!Number.isSafeInteger(Number(written))) throw new Error("counts with a number beyond 2^53");
      return super.evaluate({ type: "IntegerLiteral", value: Number(written) }, scope);
    }

    override evaluateTestExpression(node: Node, scope: unknown): Value {
      const operand = this.evaluate(node["operand"] as Node, scope);
      const holds = testOf(String((node["test"] as Node).value), operand, [], covered);
      return this.#make.truth(holds !== (node["negate"] === true));
    }

    /** What a template writes: the library has other words for truth and none, and writes lists as JSON. */
    override evaluateBlock(statements: readonly Node[], scope: unknown): Value {
      let written = "";
      for (const node of statements) {
        // What is safe to write as it is: nothing is escaped here.
        const isSafe = node.type === "FilterExpression" && filterName(node["filter"] as Node) === "safe";
        const value = this.evaluate(isSafe ? node["operand"] as Node : node, scope);
        // What a statement gives is a text, or that there is nothing to write.
        if (!STATEMENTS.has(node.type) || value.type !== "NullValue") written += textOf(value, covered);
      }
      return this.#text(written);
    }

    override evaluateBinaryExpression(node: Node, scope: unknown): Value {
      const { value: operator } = node["operator"] as Node;
      if (operator === "and" || operator === "or") return super.evaluateBinaryExpression(node, scope);
      const [one, other] = [node["left"], node["right"]].map((side) => this.evaluate(side as Node, scope)) as [
        Value,
        Value,
      ];
      switch (operator) {
        case "==":
        case "!=":
          return this.#make.truth(areEqual(one, other, covered) === (operator === "=="));
        case "~":
          return this.#text(textOf(one, covered) + textOf(other, covered));
        case "in":
        case "not in": {
          const holds = this.#holds(other, one);
          if (holds !== null) return this.#make.truth(holds === (operator === "in"));
        }
      }
      const left = this.#counted(one, scope), right = this.#counted(other, scope);
      switch (operator) {
        case "<":
        case "<=":
        case ">":
        case ">=": {
          if (left.type !== "StringValue" || right.type !== "StringValue") break;
          const [first, second] = [left, right].map(({ value }) => covered.show(value as string)) as [string, string];
          return this.#make.truth(ORDERS[operator]!(compareTexts(first, second)));
        }
        case "+":
          if (isList(left) && isList(right)) return this.#sum(left, right);
          if ((left.type === "StringValue") === (right.type === "StringValue")) break;
          throw new Error(`adds ${left.type} and ${right.type}, which Python does not`);
        case "**":
          return power(left, right, this.#make);
        case "%":
        case "/":
        case "//":
          if (isNumber(left) && isNumber(right)) {
            if (right.value === 0) throw new Error("divides by zero");
            if (operator !== "/") return divided(operator, left, right, this.#make);
          }
      }
      return super.evaluateBinaryExpression({ ...node, left: known(left), right: known(right) }, scope);
    }

    /** Whether a value is in another one; null: the library knows. */
    #holds(whole: Value, part: Value): boolean | null {
      if (part.type === "UndefinedValue") return null;
      if (isList(whole)) return itemsOf(whole).some((item) => areEqual(part, item, covered));
      if (!isText(part, covered)) return null;
      const text = part.value as string;
      if (whole.type === "ObjectValue") return entryOf(whole.value as Map<string, Value>, text, covered) !== undefined;
      if (!isText(whole, covered)) return null;
      const shown = covered.show(text);
      return covered.show(whole.value as string).includes(shown);
    }

    #sum(left: Value, right: Value): Value {
      if (left.type !== right.type || viewOf(left) || viewOf(right)) throw new Error("adds what are no two lists");
      const items = [...left.value as Value[], ...right.value as Value[]];
      return left.type === "TupleValue" ? this.#make.tuple(items) : this.#make.list(items);
    }

    override evaluate(node: Node | undefined, scope: unknown): Value {
      const value = knownValue(node) ?? super.evaluate(node, scope);
      if (node?.type === "ObjectLiteral") return withoutTwins(value, covered);
      if (value.type !== "IntegerValue") return value;
      if (!Number.isSafeInteger(value.value)) throw new Error("makes a number beyond 2^53");
      if (Object.is(value.value, -0)) value.value = 0;
      return value;
    }

    override evaluateMemberExpression(node: Node, scope: unknown): Value {
      const property = node["property"] as Node, object = this.evaluate(node["object"] as Node, scope);
      if (property.type === "SliceExpression") return this.#slice(object, property, scope);
      if (node["computed"] !== true) {
        return memberOf(object, property.value as string | number, true, this.#make, covered);
      }
      const { type, value } = this.evaluate(property, scope);
      if (type !== "IntegerValue" && type !== "StringValue") throw new Error(`takes an item by a ${type}`);
      return memberOf(object, value as string | number, false, this.#make, covered);
    }

    #slice(object: Value, node: Node, scope: unknown): Value {
      if (viewOf(object) !== undefined) throw new Error(`takes a part of a ${viewOf(object)!.name}`);
      if (object.type === "StringValue" && !isText(object, covered)) throw new Error("takes a part of a number");
      const step = node["step"] === undefined ? undefined : this.evaluate(node["step"] as Node, scope);
      if (step?.value === 0) throw new Error("takes a part in steps of none");
      const held = step === undefined ? node : { ...node, step: known(step) };
      const part = super.evaluateSliceExpression(object, held, scope);
      return object.type === "TupleValue" ? this.#make.tuple(part.value as Value[]) : part;
    }

    override evaluateCallExpression(node: Node, scope: unknown): Value {
      const callee = this.evaluate(node["callee"] as Node, scope);
      if (callee === this.#range && callee !== undefined) return this.#ranged(node, callee, scope);
      return super.evaluateCallExpression({ ...node, callee: known(callee) }, scope);
    }

    #ranged(node: Node, callee: Value, scope: unknown): Value {
      const [args, named] = this.evaluateArguments(node["args"] as Node[], scope);
      if (named.size > 0 || args.length < 1 || args.length > 3 || args.some(({ type }) => type !== "IntegerValue")) {
        throw new Error("range() takes one to three whole numbers");
      }
      const numbers = args.map(({ value }) => value as number),
        [from, to] = numbers.length > 1 ? numbers : [0, numbers[0]];
      const step = numbers[2] ?? 1;
      const list = super.evaluateCallExpression({ ...node, args: args.map(known), callee: known(callee) }, scope);
      return asView(list, { name: "range", text: `range(${from}, ${to}${step === 1 ? "" : `, ${step}`})` });
    }

    override applyFilter(given: Value, filter: Node, scope: unknown): Value {
      const name = filterName(filter), alone = filter.type === "Identifier";
      const operand = AS_WRITTEN.has(name) ? given : this.#counted(given, scope);
      if (name === "string") return this.#text(textOf(operand, covered));
      if (name === "int" || name === "float") return this.#number(name, operand, filter, scope);
      const [args, named] = this.evaluateArguments(alone ? [] : filter["args"] as Node[], scope);
      return filtered(name, { operand, args, named, make: this.#make, covered }) ??
        super.applyFilter(operand, filter, scope);
    }

    /** The filters `int` and `float`: a text is a number as a whole, or none. */
    #number(name: "int" | "float", operand: Value, filter: Node, scope: unknown): Value {
      const args = filter.type === "Identifier" ? [] : filter["args"] as Node[];
      const [[first, ...rest], named] = this.evaluateArguments(args, scope), otherwise = first ?? named.get("default");
      if (rest.length > 0 || named.size > (named.has("default") ? 1 : 0)) {
        throw new Error(`${name} takes the default only`);
      }
      if (operand.type !== "StringValue" && operand.type !== "FloatValue") {
        return super.applyFilter(operand, { type: "Identifier", value: name }, scope);
      }
      if (/^\s*[+-]?nan\s*$/i.test(String(operand.value))) throw new Error("makes a number that is none");
      const given = operand.value,
        value = typeof given === "string" ? numberOf(covered.show(given)) : given as number;
      if (name === "float" && value !== null) return super.evaluate({ type: "FloatLiteral", value }, scope);
      if (value !== null && Number.isSafeInteger(Math.trunc(value))) {
        return super.evaluate({ type: "IntegerLiteral", value: Math.trunc(value) }, scope);
      }
      if (value !== null && Number.isFinite(value)) throw new Error("makes a number beyond 2^53");
      return otherwise ?? super.evaluate({ type: name === "int" ? "IntegerLiteral" : "FloatLiteral", value: 0 }, scope);
    }
  };
}
