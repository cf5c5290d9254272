/**
 * A chat template is a program from a file. The library that runs it knows no bounds, so each of its steps goes through
 * here: steps, and what they read and make, use up fuel; values have a largest size; and a clock limits what both let
 * through.
 *
 * Sizes are found without spelling values out, since a list that holds another one twice, and so on, is short in memory
 * and longer than the memory as a text.
 */
import { Depth } from "./template_depth.ts";
import type { Node } from "./template_make.ts";
import type { PythonicClass } from "./template_python.ts";
import type { Value } from "./template_values.ts";

/** Steps of a template, each about a microsecond, and how many more for each character of the messages. */
const STEPS = 400_000, STEPS_PER_CHARACTER = 2;
/** Largest value, in characters, and how much larger for each character of the messages. */
const SIZE = 4_000_000, SIZE_PER_CHARACTER = 4;
/** What an element of a list counts beside its own size. */
const ELEMENT = 16;
/** Lists within lists. */
const MAX_DEPTH = 100;
/** Characters that a step's time reads or makes, one by one; and where whole texts are compared or searched. */
const PER_STEP = 100, PER_STEP_COMPARED = 1000;
/** Milliseconds, whatever was counted. */
const MAX_TIME = 5000;
/** Steps between two looks at the clock. */
const LOOK = 64;

/** Nodes that make new values, and nodes that go through the values they are given. */
const MAKES = new Set(["BinaryExpression", "FilterExpression", "FilterStatement", "CallExpression", "CallStatement"]);
const READS = new Set(["FilterExpression", "CallExpression", "TestExpression"]);
/** Filters whose result may be as long as their operand times an argument. */
const GROWS = new Set(["indent", "join", "tojson"]);

/** Largest size of a value for messages of so many characters. */
export const mostOf = (inputLength: number): number => SIZE + SIZE_PER_CHARACTER * inputLength;

/** Size of a value, and how deep it is. */
interface Extent {
  readonly size: number;
  readonly depth: number;
}

/** Steps that are left, and the time. */
class Fuel {
  #left: number;
  #untilLook = LOOK;
  readonly #deadline = performance.now() + MAX_TIME;

  constructor(steps: number) {
    this.#left = steps;
  }

  burn(steps: number): void {
    this.#left -= steps;
    if (this.#left < 0) throw new Error("takes too many steps");
    this.#untilLook -= Math.max(1, steps);
    if (this.#untilLook > 0) return;
    this.#untilLook = LOOK;
    if (performance.now() > this.#deadline) throw new Error(`takes more than ${MAX_TIME} ms`);
  }
}

/** Sizes of values, each of which is found once. */
class Sizes {
  readonly #extents = new WeakMap<Value, Extent>();

  /** @param most Largest size of a value. */
  constructor(readonly most: number) {}

  /** What a value comes to; refuses what is too large. */
  of(value: Value): Extent {
    const extent = this.#extent(value);
    if (extent.size > this.most) throw tooLarge();
    return extent;
  }

  /** Size of what a node came to; `outer` is the node that it is a part of. */
  ofNode(value: Value, node: Node, outer: Node | null): number {
    if (value.type !== "NamespaceValue") return this.of(value).size;
    // It alone can change, so its size is not kept, and no value may hold it.
    const isHeld = outer?.type === "Set" && (outer["assignee"] as Node).type === "MemberExpression" &&
      outer.value === node;
    if (isHeld) throw heldNamespace();
    if (outer?.type === "MemberExpression" || outer?.type === "Set") return 1;
    let size = 0;
    for (const held of (value.value as ReadonlyMap<string, Value>).values()) {
      if (held.type === "NamespaceValue") throw heldNamespace();
      size += ELEMENT + this.#extent(held).size;
    }
    if (size > this.most) throw tooLarge();
    return size;
  }

  #extent(value: Value, within = 0): Extent {
    const { value: held } = value;
    if (typeof held === "string") return { size: held.length, depth: 1 };
    if (value.type === "NamespaceValue") throw heldNamespace();
    const parts = Array.isArray(held) ? held as Value[] : held instanceof Map ? [...held as Map<string, Value>] : null;
    if (parts === null) return { size: 1, depth: 1 };
    const known = this.#extents.get(value);
    if (known !== undefined) return known;
    if (within > MAX_DEPTH) throw new Error(`holds lists more than ${MAX_DEPTH} deep`);
    let size = 1, depth = 0;
    for (const part of parts) {
      const [key, inner] = Array.isArray(part) ? part : ["", part];
      const extent = this.#extent(inner, within + 1);
      size += ELEMENT + key.length + extent.size;
      depth = Math.max(depth, extent.depth);
    }
    const extent = { size, depth: depth + 1 };
    if (extent.depth > MAX_DEPTH) throw new Error(`holds lists more than ${MAX_DEPTH} deep`);
    this.#extents.set(value, extent);
    return extent;
  }
}

/** A node whose parts are evaluated. */
interface Parent {
  readonly node: Node;
  /** Size of what it takes a member of, and whether it looks for a character of it. */
  objectSize: number;
  indexesText: boolean;
}

/**
 * The interpreter with bounds.
 *
 * @param inputLength Characters of the messages and whatever else is rendered.
 * @param templateLength Characters of the template.
 */
export function metered<E>(
  Interpreter: PythonicClass<E>,
  inputLength: number,
  templateLength: number,
): PythonicClass<E> {
  return class Metered extends Interpreter {
    readonly #fuel = new Fuel(STEPS + STEPS_PER_CHARACTER * inputLength);
    readonly #sizes = new Sizes(mostOf(inputLength));
    readonly #depth = new Depth();
    #parent: Parent | null = null;

    override evaluate(node: Node | undefined, scope: unknown): Value {
      if (node === undefined) return super.evaluate(node, scope);
      this.#fuel.burn(node.type === "Macro" || node.type === "CallStatement" ? 1 + templateLength / ELEMENT : 1);
      const outer = this.#parent, own = { node, objectSize: 0, indexesText: false };
      this.#depth.enter(node);
      this.#parent = own;
      let value: Value;
      try {
        value = super.evaluate(node, scope);
      } finally {
        this.#depth.leave(node);
        this.#parent = outer;
      }
      const size = this.#sizes.ofNode(value, node, outer?.node ?? null);
      if (MAKES.has(node.type)) this.#fuel.burn(size / PER_STEP);
      // A method goes through its object, and so does a slice, and what looks for a text's character.
      const reads = value.type === "FunctionValue" || own.indexesText ||
        (node["property"] as Node | undefined)?.type === "SliceExpression";
      if (reads) this.#fuel.burn(own.objectSize / PER_STEP);
      if (outer !== null) this.#use(value, size, node, outer);
      return value;
    }

    /** What a node's parent does with its value. */
    #use(value: Value, size: number, node: Node, parent: Parent): void {
      const outer = parent.node;
      if (READS.has(outer.type)) this.#fuel.burn(size / PER_STEP);
      else if (outer.type === "BinaryExpression" || outer.type === "Comparisons") {
        this.#fuel.burn(size / PER_STEP_COMPARED);
      } else if (outer.type === "For" && outer["iterable"] === node) {
        // An iteration of a loop with an empty body takes no step.
        this.#fuel.burn(size / 4);
      }
      if (outer.type === "MemberExpression" && outer["object"] === node) {
        parent.objectSize = size;
        parent.indexesText = value.type === "StringValue" && outer["computed"] === true;
      }
    }

    override filter(
      name: string,
      operand: Value,
      args: readonly Value[],
      named: ReadonlyMap<string, Value>,
    ): Value {
      const extent = this.#sizes.of(operand);
      this.#fuel.burn(1 + extent.size / PER_STEP);
      if (GROWS.has(name)) {
        for (const { value } of [...args, ...named.values()]) {
          const length = typeof value === "string" ? value.length : typeof value === "number" ? Math.abs(value) : 0;
          if ((extent.size + 1) * (length * extent.depth + 1) > this.#sizes.most) throw tooLarge();
        }
      }
      // It is given up at the first mistake, so there is nobody to leave for then.
      this.#depth.enter();
      const value = super.filter(name, operand, args, named);
      this.#depth.leave();
      this.#fuel.burn(this.#sizes.of(value).size / PER_STEP);
      return value;
    }
  };
}

const tooLarge = () => new Error("makes a value that is too large");
const heldNamespace = () => new Error("holds a namespace within another value");

/** Longest template in characters. */
const MAX_TEMPLATE = 1 << 18;

/** Why a template is too large to be parsed quickly, or null. */
export function whyTooLarge(source: string): string | null {
  return source.length > MAX_TEMPLATE ? `expected at most ${MAX_TEMPLATE} characters, got ${source.length}` : null;
}
