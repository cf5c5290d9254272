/** Values of the template library, which does not give its classes away, made by evaluating nodes. */
import type { Value } from "./template_values.ts";

/** A node of the library's syntax tree. */
export interface Node {
  readonly type: string;
  readonly value?: unknown;
  readonly [key: string]: unknown;
}

const KNOWN = "KnownValue";
/** A node that stands for a value that was computed. */
export const known = (value: Value): Node => ({ type: KNOWN, value });
/** The value of such a node; undefined: it is none. */
export const knownValue = (node: Node | undefined): Value | undefined =>
  node?.type === KNOWN ? node.value as Value : undefined;

/** Makes values. */
export class Make {
  readonly #evaluate: (node: Node | undefined) => Value;

  /**
   * @param evaluate The library's own.
   * @param most Largest size of a value in characters.
   */
  constructor(evaluate: (node: Node | undefined) => Value, readonly most = Infinity) {
    this.#evaluate = evaluate;
  }

  /** Refuses to make a text of so many characters. */
  room(length: number): void {
    if (length > this.most) throw new Error("makes a value that is too large");
  }

  /** What can be called. */
  callable(call: (args: Value[]) => Value): Value {
    // Every text has such a method, which is the library's to make.
    const { constructor } = this.text("").builtins!.get("upper")!;
    return new (constructor as new (call: (args: Value[]) => Value) => Value)(call);
  }

  text(value: string): Value {
    return this.#evaluate({ type: "StringLiteral", value });
  }

  whole(value: number): Value {
    if (!Number.isSafeInteger(value)) throw new Error("makes a number beyond 2^53");
    return this.#evaluate({ type: "IntegerLiteral", value: value + 0 });
  }

  float(value: number): Value {
    return this.#evaluate({ type: "FloatLiteral", value });
  }

  truth(holds: boolean): Value {
    const argument = { type: "IntegerLiteral", value: holds ? 0 : 1 };
    return this.#evaluate({ type: "UnaryExpression", operator: { value: "not" }, argument });
  }

  list(items: readonly Value[]): Value {
    return this.#evaluate({ type: "ArrayLiteral", value: items.map(known) });
  }

  tuple(items: readonly Value[]): Value {
    return this.#evaluate({ type: "TupleLiteral", value: items.map(known) });
  }

  /** A dictionary of keys and items. */
  dictionary(entries: ReadonlyMap<string, Value>): Value {
    const made = this.#evaluate({ type: "ObjectLiteral", value: new Map() }), map = made.value as Map<string, Value>;
    for (const [key, item] of entries) map.set(key, item);
    return made;
  }

  none(): Value {
    return this.#evaluate({ type: "Comment" });
  }

  missing(): Value {
    return this.#evaluate(undefined);
  }
}
