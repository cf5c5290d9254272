/**
 * Where a chat template's variables live: in Jinja each turn of a loop, each block and each macro has its own, and a
 * macro sees those of where it is written. To the library, loops share them, blocks have none, and macros see those of
 * where they are called.
 */
import { nameOf, readsOf } from "./template_reads.ts";
import type { Frames } from "./template_frames.ts";
import { isTrue } from "./template_choices.ts";
import { keyValue } from "./template_keys.ts";
import { Make, type Node } from "./template_make.ts";
import type { PythonicClass, Runtime } from "./template_python.ts";
import { areEqual } from "./template_order.ts";
import { type Covered, isText, itemsOf, type Value } from "./template_values.ts";

/** Variables, by their names. */
interface Scope {
  readonly variables: Map<string, Value>;
  setVariable(name: string, value: Value): void;
  lookupVariable(name: string): Value;
}

/** What `break` and `continue` throw, with what was written in this turn of the loop. */
class Jump extends Error {
  written = "";

  constructor(readonly ends: boolean) {
    super("leaves a loop");
  }
}

/** Names that cannot be set. */
const FIXED: ReadonlySet<string> = new Set([
  ...["true", "false", "none", "True", "False", "None", "loop", "self", "super", "caller", "varargs", "kwargs"],
  ...["namespace", "range", "dict", "and", "or", "not", "in", "is", "if", "else"],
]);
/** What Jinja has without being told, and templates here do not; and words of the language. */
const LACKING: ReadonlySet<string> = new Set([
  ...["lipsum", "cycler", "joiner", "self", "super", "and", "or", "not", "in", "is", "if", "else"],
]);

/** Lines where mistakes were found. */
const found = new WeakMap<WeakKey, number>();

/** The line of the statement that a mistake is in; undefined: it is not known. */
export const lineOf = (thrown: unknown): number | undefined => found.get(thrown as WeakKey);

/**
 * The interpreter with Jinja's scopes.
 *
 * @param lines Lines of statements, for messages.
 * @param frames Names that have no value when a block begins.
 * @param covered What stands for other characters in values.
 */
export function scoped<E>(
  Interpreter: PythonicClass<E>,
  lines: WeakMap<Node, number>,
  frames: Frames,
  covered: Covered,
): PythonicClass<E> {
  return class Scoped extends Interpreter {
    readonly #make = new Make((node) => super.evaluate(node, null));
    readonly #namespace: (args: Value[], scope: unknown) => Value;

    constructor(environment: E) {
      super(environment);
      const { variables } = environment as unknown as Scope;
      this.#namespace = variables.get("namespace")!.value as (args: Value[], scope: unknown) => Value;
    }

    #within(scope: Scope): Scope {
      return new (scope.constructor as new (parent: Scope) => Scope)(scope);
    }

    override evaluate(node: Node | undefined, scope: unknown): Value {
      if (node?.type === "Break" || node?.type === "Continue") throw new Jump(node.type === "Break");
      return node?.type === "With" ? this.#with(node, scope as Scope) : super.evaluate(node, scope);
    }

    #with(node: Node, scope: Scope): Value {
      const inner = this.#within(scope), values = (node["values"] as Node[]).map((one) => this.evaluate(one, scope));
      (node["targets"] as Node[]).forEach((target, i) => this.#assign(target, values[i]!, inner));
      return this.evaluateBlock(node["body"] as Node[], inner);
    }

    override evaluateIdentifier(node: Node, scope: unknown): Value {
      const value = super.evaluateIdentifier(node, scope), name = String(node.value);
      if (value.type === "UndefinedValue" && LACKING.has(name)) {
        throw new Error(`uses ${name}, which is not known here`);
      }
      return value;
    }

    override evaluateBlock(statements: readonly Node[], scope: unknown): Value {
      let written = "";
      for (const name of frames.get(statements) ?? []) (scope as Scope).variables.set(name, this.#make.missing());
      for (const statement of statements) {
        try {
          written += super.evaluateBlock([statement], scope).value;
        } catch (thrown) {
          if (thrown instanceof Jump) thrown.written = written + thrown.written;
          else if (thrown instanceof Error && !found.has(thrown)) found.set(thrown, lines.get(statement) ?? 1);
          throw thrown;
        }
      }
      return this.#make.text(written);
    }

    override evaluateFor(node: Node, given: unknown): Value {
      const scope = given as Scope, iterable = node["iterable"] as Node, target = node["loopvar"] as Node;
      const test = node["test"] as Node | null, all = this.#turns(this.evaluate(iterable, scope));
      const items = test === null ? all : all.filter((item) => {
        const inner = this.#within(scope);
        this.#assign(target, item, inner);
        return isTrue(this.evaluate(test, inner));
      });
      let written = "", isDone = false;
      const loop = this.#loopOf(scope);
      for (let i = 0; i < items.length; i++) {
        const inner = this.#within(scope);
        inner.setVariable("loop", this.#loopAt(loop, i, items));
        this.#assign(target, items[i]!, inner);
        try {
          written += this.evaluateBlock(node["body"] as Node[], inner).value;
          isDone = true;
        } catch (thrown) {
          if (!(thrown instanceof Jump)) throw thrown;
          written += thrown.written;
          if (thrown.ends) break;
        }
      }
      // To Jinja, there was no turn if none came to its end.
      if (isDone) return this.#make.text(written);
      try {
        written += this.evaluateBlock(node["defaultBlock"] as Node[], this.#within(scope)).value;
      } catch (thrown) {
        // It leaves the loop around, and what the turns of this one wrote stays.
        if (thrown instanceof Jump) thrown.written = written + thrown.written;
        throw thrown;
      }
      return this.#make.text(written);
    }

    /** What a loop knows of itself, without its numbers. */
    #loopOf(scope: Scope): Value {
      const loop = this.#namespace([], scope), state = loop.value as Map<string, Value>, make = this.#make;
      const given = (args: Value[]) => {
        if (args.some(({ type }) => type === "KeywordArgumentsValue")) throw new Error("gives a loop names");
        return args;
      };
      let last: Value | null = null;
      state.set(
        "cycle",
        make.callable((args) => {
          if (given(args).length === 0) throw new Error("cycles through nothing");
          return args[(state.get("index0")!.value as number) % args.length]!;
        }),
      );
      state.set(
        "changed",
        make.callable((args) => {
          const now = make.tuple(given(args)), isSame = last !== null && areEqual(last, now, covered);
          last = now;
          return make.truth(!isSame);
        }),
      );
      return loop;
    }

    #loopAt(loop: Value, i: number, items: readonly Value[]): Value {
      const make = this.#make, state = loop.value as Map<string, Value>, { length } = items;
      const numbers = { index: i + 1, index0: i, revindex: length - i, revindex0: length - i - 1, length };
      for (const [name, value] of Object.entries(numbers)) state.set(name, make.whole(value));
      state.set("depth", make.whole(1)).set("depth0", make.whole(0));
      state.set("first", make.truth(i === 0)).set("last", make.truth(i === length - 1));
      state.set("previtem", items[i - 1] ?? make.missing()).set("nextitem", items[i + 1] ?? make.missing());
      return loop;
    }

    #turns(value: Value): readonly Value[] {
      const make = this.#make;
      if (isText(value, covered)) return Array.from(value.value as string, (one) => make.text(one));
      switch (value.type) {
        case "ArrayValue":
        case "TupleValue":
          return itemsOf(value);
        case "ObjectValue":
          return [...(value.value as Map<string, Value>).keys()].map((one) => keyValue(one, make, covered));
        case "UndefinedValue":
          return [];
      }
      throw new Error(`goes through a ${value.type}`);
    }

    #assign(target: Node, value: Value, scope: Scope): void {
      if (target.type === "Identifier") {
        if (FIXED.has(String(target.value))) throw new Error(`sets ${target.value}`);
        scope.setVariable(String(target.value), value);
        return;
      }
      if (target.type === "MemberExpression") return this.#setMember(target, value, scope);
      if (target.type !== "TupleLiteral") throw new Error(`sets a ${target.type}`);
      const targets = target.value as Node[], parts = this.#turns(value);
      if (value.type === "UndefinedValue" || parts.length !== targets.length) {
        throw new Error(`sets ${targets.length} names to ${parts.length} items`);
      }
      targets.forEach((one, i) => this.#assign(one, parts[i]!, scope));
    }

    /** The text of a block, and what its filters make of it. */
    #filtered(node: Node, scope: Scope): Value {
      let text: Value;
      try {
        text = this.evaluateBlock(node["body"] as Node[], this.#within(scope));
      } catch (thrown) {
        // It leaves the loop around, and nobody gets what was written in the block.
        if (thrown instanceof Jump) thrown.written = "";
        throw thrown;
      }
      return (node["filters"] as Node[]).reduce((value, filter) => this.applyFilter(value, filter, scope), text);
    }

    override evaluateSet(node: Node, given: unknown): Value {
      const scope = given as Scope, target = node["assignee"] as Node;
      const value = node.value ? this.evaluate(node.value as Node, scope) : this.#filtered(node, scope);
      this.#assign(target, value, scope);
      return this.#make.none();
    }

    #setMember(target: Node, value: Value, scope: Scope): void {
      const name = String((target["property"] as Node).value), object = target["object"] as Node;
      const held = this.evaluate(object, scope);
      if (held.type !== "NamespaceValue" || object.value === "loop" || name.startsWith("_")) {
        throw new Error(`sets ${name} of what is no namespace`);
      }
      (held.value as Map<string, Value>).set(name, value);
    }

    override evaluateMacro(node: Node, given: unknown): Value {
      const written = given as Scope, name = String((node["name"] as Node).value);
      if (FIXED.has(name)) throw new Error(`sets ${name}`);
      const result = super.evaluateMacro(node, written), macro = written.lookupVariable(name);
      const library = macro.value as (args: Value[], scope: unknown) => Value;
      const calls = readsOf(node["args"] as Node[], node["body"]).has("caller");
      macro.value = (args: Value[], called: Scope) => {
        const scope = this.#within(written), caller = called.variables.get("caller");
        if (caller !== undefined && !calls) throw new Error(`calls ${name} with a block that it does not use`);
        scope.setVariable("caller", caller ?? this.#make.missing());
        return library(args, scope);
      };
      return result;
    }

    override evaluateCallStatement(node: Node, scope: unknown): Value {
      readsOf(node["callerArgs"] as Node[], node["body"]);
      return super.evaluateCallStatement(node, scope);
    }

    override bindMacroArguments(...given: Parameters<Runtime["bindMacroArguments"]>): void {
      const [name, parameters, , args, scope] = given, reads = readsOf(parameters);
      const own = new Set(parameters.map((one) => nameOf(one).value));
      const special = new Set([...reads].filter((one) => one !== "caller" && !own.has(one)));
      if (own.has("caller")) throw new Error("has a macro with the parameter caller");
      super.bindMacroArguments(name, parameters, special, args, scope);
      if (!special.has("varargs")) return;
      const { variables } = scope as Scope;
      variables.set("varargs", this.#make.tuple(variables.get("varargs")!.value as Value[]));
    }

    override evaluateFilterStatement(node: Node, given: unknown): Value {
      const value = this.#filtered(node, given as Scope);
      if (value.type !== "StringValue") throw new Error(`has a block whose filter makes a ${value.type}`);
      return value;
    }
  };
}
