/**
 * A chat template's interpreter that computes what Python's does: where the library in JavaScript gives other values
 * without a word, the model would get another prompt than it was trained on.
 */
import { filtered } from "./template_filters.ts";
import { dictionaryOf, keyValue } from "./template_keys.ts";
import { known, knownValue, Make, type Node } from "./template_make.ts";
import { itemByKey, memberOf, partOf } from "./template_members.ts";
import { losesBrackets } from "./template_numbers.ts";
import { counted, operated } from "./template_operators.ts";
import { numberOf } from "./python_texts.ts";
import { testOf } from "./template_tests.ts";
import { asView, type Covered, isList, itemsOf, textOf, type Value } from "./template_values.ts";

/** What is needed of the library's interpreter; some of its methods are private there. */
export interface Runtime {
  run(program: unknown): unknown;
  evaluate(node: Node | undefined, scope: unknown): Value;
  evaluateBlock(statements: readonly Node[], scope: unknown): Value;
  evaluateCallExpression(node: Node, scope: unknown): Value;
  evaluateMemberExpression(node: Node, scope: unknown): Value;
  evaluateTestExpression(node: Node, scope: unknown): Value;
  applyFilter(operand: Value, filter: Node, scope: unknown): Value;
  evaluateCallStatement(node: Node, scope: unknown): Value;
  evaluateArguments(args: readonly Node[], scope: unknown): [Value[], Map<string, Value>];
  evaluateBinaryExpression(node: Node, scope: unknown): Value;
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

/** The same with filters by their names. */
export interface Pythonic extends Runtime {
  filter(name: string, operand: Value, args: readonly Value[], named: ReadonlyMap<string, Value>): Value;
}
export type PythonicClass<E> = new (environment: E) => Pythonic;

/** Nodes that are statements: those without a text give none. */
const STATEMENTS = new Set([
  ...["Program", "Set", "If", "For", "With", "Macro", "CallStatement", "FilterStatement", "Break", "Continue"],
]);
/** Filters that give a number on as it is written. */
const AS_WRITTEN = new Set(["default", "d", "join", "safe", "string", "tojson"]);

/**
 * The interpreter with Python's values.
 *
 * @param covered What stands for other characters in them.
 * @param most Largest size of a value in characters.
 */
export function pythonic<E>(Interpreter: RuntimeClass<E>, covered: Covered, most: number): PythonicClass<E> {
  return class Pythonic extends Interpreter {
    readonly #make = new Make((node) => super.evaluate(node, null), most);
    readonly #range: Value | undefined;

    constructor(environment: E) {
      super(environment);
      const { variables } = environment as { variables: Map<string, Value> };
      this.#range = variables.get("range");
      for (const [name, value] of variables) variables.set(name, this.#uncovered(value));
      variables.set("dict", this.#make.callable((args) => this.#dictionary(args)));
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

    /** Python's `dict`, of another one or of pairs, and of names. */
    #dictionary(args: readonly Value[]): Value {
      const last = args.at(-1),
        named = last?.type === "KeywordArgumentsValue" ? last.value as Map<string, Value> : null;
      const given = named === null ? args : args.slice(0, -1), [source] = given, pairs: [Value, Value][] = [];
      if (given.length > 1) throw new Error("makes a dictionary of several");
      if (source?.type === "ObjectValue") pairs.push(...this.#pairsOf(source));
      else if (source !== undefined) {
        if (!isList(source)) throw new Error(`makes a dictionary of a ${source.type}`);
        for (const pair of itemsOf(source)) {
          if (!isList(pair)) throw new Error("makes a dictionary of what are no pairs");
          const items = itemsOf(pair);
          if (items.length !== 2) throw new Error("makes a dictionary of what are no pairs");
          pairs.push([items[0]!, items[1]!]);
        }
      }
      for (const [name, value] of named ?? []) pairs.push([this.#text(name), value]);
      return dictionaryOf(pairs, this.#make, covered);
    }

    #pairsOf(dictionary: Value): [Value, Value][] {
      return [...dictionary.value as Map<string, Value>].map((
        [key, value],
      ) => [keyValue(key, this.#make, covered), value]);
    }

    override evaluateTestExpression(node: Node, scope: unknown): Value {
      const operand = this.evaluate(node["operand"] as Node, scope);
      const [args, named] = this.evaluateArguments(node["args"] as Node[], scope),
        name = String((node["test"] as Node).value);
      if (named.size > 0) throw new Error(`has the test ${name} with names`);
      return this.#make.truth(testOf(name, operand, args, covered) !== (node["negate"] === true));
    }

    /** Arguments, of which a list can give several, and a dictionary those with names. */
    override evaluateArguments(args: readonly Node[], scope: unknown): [Value[], Map<string, Value>] {
      const values: Value[] = [], named = new Map<string, Value>();
      const name = (key: string, value: Value) => {
        if (named.has(key)) throw new Error(`has the argument ${key} twice`);
        named.set(key, value);
      };
      for (const argument of args) {
        const inner = argument["argument"] as Node;
        if (argument.type === "SpreadExpression") {
          const list = this.evaluate(inner, scope);
          if (!isList(list)) throw new Error(`gives the items of a ${list.type} as arguments`);
          for (const item of itemsOf(list)) values.push(item);
        } else if (argument.type === "KeywordSpreadExpression") {
          const map = this.evaluate(inner, scope);
          if (map.type !== "ObjectValue") throw new Error(`gives the items of a ${map.type} as arguments`);
          for (const [key, value] of map.value as Map<string, Value>) {
            if (covered.numberIn(key) !== null) throw new Error("gives an argument whose name is no text");
            name(covered.show(key), value);
          }
        } else if (argument.type === "KeywordArgumentExpression") {
          name(String((argument["key"] as Node).value), this.evaluate(argument.value as Node, scope));
        } else values.push(this.evaluate(argument, scope));
      }
      return [values, named];
    }

    /** What a template writes: the library has other words for truth and none, and writes lists as JSON. */
    override evaluateBlock(statements: readonly Node[], scope: unknown): Value {
      let written = "";
      for (const node of statements) {
        const value = this.evaluate(node, scope);
        // What a statement gives is a text, or that there is nothing to write.
        if (!STATEMENTS.has(node.type) || value.type !== "NullValue") written += textOf(value, covered);
      }
      return this.#text(written);
    }

    override evaluateBinaryExpression(node: Node, scope: unknown): Value {
      const operator = String((node["operator"] as Node).value);
      if (operator === "and" || operator === "or") return super.evaluateBinaryExpression(node, scope);
      const [one, other] = [node["left"], node["right"]].map((side) => this.evaluate(side as Node, scope)) as [
        Value,
        Value,
      ];
      if (operator === "**" && Number(one.value) < 0 && losesBrackets(node)) {
        throw new Error("takes a power of a negative constant, around which Jinja leaves out brackets");
      }
      return operated(operator, one, other, this.#make, covered);
    }

    /** Python's `a < b < c`, up to the first that does not hold. */
    #compared(node: Node, scope: unknown): Value {
      let left = this.evaluate(node["left"] as Node, scope);
      for (const { operator, operand } of node["rest"] as { operator: string; operand: Node }[]) {
        const right = this.evaluate(operand, scope), result = operated(operator, left, right, this.#make, covered);
        if (result.value !== true) return result;
        left = right;
      }
      return this.#make.truth(true);
    }

    override evaluate(node: Node | undefined, scope: unknown): Value {
      if (node?.type === "Comparisons") return this.#compared(node, scope);
      if (node?.type === "ObjectLiteral") {
        const pairs = [...node.value as Map<Node, Node>].map(([key, item]): [Value, Value] => {
          return [this.evaluate(key, scope), this.evaluate(item, scope)];
        });
        return dictionaryOf(pairs, this.#make, covered);
      }
      const value = knownValue(node) ?? super.evaluate(node, scope);
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
      const key = this.evaluate(property, scope), { type, value } = key;
      if (type !== "IntegerValue" && type !== "StringValue") return itemByKey(object, key, this.#make, covered);
      return memberOf(object, value as string | number, false, this.#make, covered);
    }

    #slice(object: Value, node: Node, scope: unknown): Value {
      const bounds = [node["start"], node["stop"], node["step"]] as readonly (Node | undefined)[];
      const places = bounds.map((bound) => bound === undefined ? undefined : this.evaluate(bound, scope));
      return partOf(object, places, this.#make, covered);
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
      if (step === 0) throw new Error("range() takes no step of 0");
      const list = super.evaluateCallExpression({ ...node, args: args.map(known), callee: known(callee) }, scope);
      return asView(list, { name: "range", text: `range(${from}, ${to}${step === 1 ? "" : `, ${step}`})` });
    }

    override applyFilter(operand: Value, filter: Node, scope: unknown): Value {
      const [args, named] = this.evaluateArguments(filter["args"] as Node[], scope);
      return this.filter(String(filter.value), operand, args, named);
    }

    /** What a filter makes of a value. */
    filter(name: string, given: Value, args: readonly Value[], named: ReadonlyMap<string, Value>): Value {
      const operand = AS_WRITTEN.has(name) ? given : counted(given, this.#make, covered);
      if (name === "int" || name === "float") return this.#number(name, operand, args, named);
      const apply = this.filter.bind(this);
      return filtered(name, { operand, args, named, make: this.#make, covered, apply });
    }

    /** The filters `int` and `float`: a text is a number as a whole, or none. */
    #number(name: "int" | "float", operand: Value, args: readonly Value[], named: ReadonlyMap<string, Value>): Value {
      const make = this.#make, [first, ...rest] = args, isWhole = name === "int";
      const otherwise = first ?? named.get("default");
      if (rest.length > 0 || named.size > (named.has("default") && first === undefined ? 1 : 0)) {
        throw new Error(`${name} takes the default only`);
      }
      const { type, value: given } = operand;
      if (type === "UndefinedValue" || isList(operand) || type === "ObjectValue" || type === "NullValue") {
        // Python refuses what is not defined; of the rest it makes none.
        if (type === "UndefinedValue") throw new Error(`has the filter ${name} for what is not defined`);
        return otherwise ?? (isWhole ? make.whole(0) : make.float(0));
      }
      if (/^\s*[+-]?nan\s*$/i.test(String(given))) throw new Error("makes a number that is none");
      const value = typeof given === "string" ? numberOf(covered.show(given)) : Number(given);
      if (typeof given !== "string" && !["IntegerValue", "FloatValue", "BooleanValue"].includes(type)) {
        throw new Error(`has the filter ${name} for ${type}`);
      }
      if (!isWhole && value !== null) return make.float(value);
      if (value !== null && Number.isSafeInteger(Math.trunc(value))) return make.whole(Math.trunc(value));
      if (value !== null && Number.isFinite(value)) throw new Error("makes a number beyond 2^53");
      return otherwise ?? (isWhole ? make.whole(0) : make.float(0));
    }
  };
}
