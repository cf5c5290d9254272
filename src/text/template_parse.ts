/** Reads a chat template: its tags, its words, its statements and their lines. */
import { reason } from "../errors.ts";
import { refuseDeep } from "./template_depth.ts";
import { expression, filter, primary, sequence, tuple, variable } from "./template_expressions.ts";
import { type Frames, framesOf } from "./template_frames.ts";
import { readsOf } from "./template_reads.ts";
import type { Node } from "./template_make.ts";
import { Reader } from "./template_reader.ts";
import { TagError, tagsOf } from "./template_tags.ts";
import { wordsOf } from "./template_words.ts";

/** A template that was read. */
export interface Program {
  readonly program: Node;
  /** Lines of its statements. */
  readonly lines: WeakMap<Node, number>;
  readonly frames: Frames;
}

/**
 * Reads a template.
 *
 * @throws {Error} with the line, if it is none.
 */
export function parsed(source: string): Program {
  try {
    const { tags, rest } = tagsOf(source), statements = new Statements(new Reader(wordsOf(tags, rest)));
    const body = statements.until();
    refuseDeep(body, statements.lines);
    return { program: { type: "Program", body }, lines: statements.lines, frames: framesOf(body) };
  } catch (thrown) {
    throw thrown instanceof TagError ? new Error(`${thrown.message} (line ${thrown.line})`) : new Error(reason(thrown));
  }
}

/** Names that are no variables. */
const CONSTANTS = new Set(["true", "false", "none", "True", "False", "None"]);
/** Statements of Jinja that templates here do not have. */
const LACKING = new Set(["block", "extends", "include", "import", "from", "autoescape"]);

class Statements {
  readonly lines = new WeakMap<Node, number>();
  /** The words that end the blocks around. */
  readonly #endings: string[] = [];
  /** Loops around that can be left from here: a macro is no part of those around it. */
  #loops = 0;

  constructor(readonly reader: Reader) {}

  /** Statements up to one of these words, or up to the end. */
  until(...ends: string[]): Node[] {
    return this.reader.within(() => this.#until(ends));
  }

  #until(ends: readonly string[]): Node[] {
    const { reader } = this, body: Node[] = [];
    const add = (node: Node, line: number) => {
      this.lines.set(node, line);
      body.push(node);
    };
    this.#endings.push(ends[0] ?? "");
    for (;;) {
      const { type, line } = reader.word;
      if (type === "end") {
        if (ends.length > 0) reader.fail(`has no ${ends[0]}`);
        break;
      }
      const { value } = reader.take();
      if (type === "data") add({ type: "StringLiteral", value }, line);
      else if (type === "{{") {
        add(tuple(reader), line);
        reader.expect("}}");
      } else {
        if (reader.isName(...ends)) break;
        for (const node of this.#statement()) add(node, line);
        reader.expect("%}");
      }
    }
    this.#endings.pop();
    return body;
  }

  /** The block of a statement, whose first tag ends here. */
  #block(...ends: string[]): Node[] {
    this.reader.skip(":");
    this.reader.expect("%}");
    return this.until(...ends);
  }

  /** The same up to one word, which is taken. */
  #whole(end: string): Node[] {
    const body = this.#block(end);
    this.reader.take();
    return body;
  }

  /** What is read where so many loops can be left. */
  #inLoops<T>(loops: number, read: () => T): T {
    const outer = this.#loops;
    this.#loops = loops;
    const result = read();
    this.#loops = outer;
    return result;
  }

  #jump(type: string): Node {
    return this.#loops > 0 ? { type } : this.reader.fail(`has a ${type.toLowerCase()} outside a loop`);
  }

  #statement(): Node[] {
    const { reader } = this;
    if (!reader.is("name")) reader.fail(`has ${reader.shown()}, expected the name of a statement`);
    const name = reader.shown();
    if (LACKING.has(name)) reader.fail(`has the statement ${name}, which is not known here`);
    const read = Object.hasOwn(this.#known, name) ? this.#known[name]! : () => {
      const [open] = this.#endings.slice(-1);
      return reader.fail(`has the statement ${name}, which is not known${open ? `, expected ${open}` : ""}`);
    };
    if (name !== "if") reader.take();
    const node = read();
    return Array.isArray(node) ? node : [node];
  }

  readonly #known: Readonly<Record<string, () => Node | Node[]>> = {
    set: () => this.#set(),
    if: () => this.#if(),
    for: () => this.#for(),
    with: () => this.#with(),
    macro: () => {
      const name = this.#name("param"), args = this.#signature();
      return { type: "Macro", name, args, body: this.#inLoops(0, () => this.#whole("endmacro")) };
    },
    call: () => {
      const { reader } = this, callerArgs = reader.is("(") ? this.#signature() : [];
      const call = expression(reader);
      if (call.type !== "CallExpression") reader.fail("calls no macro");
      return { type: "CallStatement", call, callerArgs, body: this.#inLoops(0, () => this.#whole("endcall")) };
    },
    filter: () => {
      const filters = this.#filters([filter(this.reader)]);
      return { type: "FilterStatement", body: this.#whole("endfilter"), filters };
    },
    // Blocks of transformers have variables of their own, and are called like macros.
    generation: () => {
      const filters = [{ type: "Filter", value: "string", args: [] }];
      const body = this.#inLoops(0, () => this.#whole("endgeneration")), [own] = readsOf([], body);
      // They would be those of the block, not of the macro around it.
      if (own !== undefined) this.reader.fail(`reads ${own} in a block of generation`);
      return { type: "FilterStatement", body, filters };
    },
    print: () => {
      const { reader } = this, nodes: Node[] = [];
      while (!reader.is("%}")) {
        if (nodes.length > 0) reader.expect(",");
        nodes.push(expression(reader));
      }
      return nodes;
    },
    break: () => this.#jump("Break"),
    continue: () => this.#jump("Continue"),
  };

  #filters(found: Node[]): Node[] {
    while (this.reader.skip("|")) found.push(filter(this.reader));
    return found;
  }

  #set(): Node {
    const { reader } = this;
    const assignee = this.#target(() => false, true);
    if (reader.skip("=")) return { type: "Set", assignee, value: tuple(reader), body: [], filters: [] };
    const filters = this.#filters([]);
    return { type: "Set", assignee, value: null, filters, body: this.#whole("endset") };
  }

  #if(): Node {
    const { reader } = this, branches: { test: Node; body: Node[]; line: number }[] = [];
    do {
      // `if` or `elif`
      const { line } = reader.take();
      branches.push({ test: tuple(reader, false), body: this.#block("elif", "else", "endif"), line });
    } while (reader.isName("elif"));
    let alternate: Node[] = [];
    if (reader.skipName("else")) alternate = this.#whole("endif");
    else reader.take();
    for (const { test, body, line } of branches.reverse()) {
      alternate = [{ type: "If", test, body, alternate }];
      this.lines.set(alternate[0]!, line);
    }
    return alternate[0]!;
  }

  #for(): Node {
    const { reader } = this, loopvar = this.#target(({ word }) => word.type === "name" && word.value === "in");
    reader.expectName("in");
    const lhs = tuple(reader, false, ({ word }) => word.type === "name" && word.value === "recursive");
    const test = reader.skipName("if") ? expression(reader) : null;
    if (reader.isName("recursive")) reader.fail("has a loop that is recursive");
    const body = this.#inLoops(this.#loops + 1, () => this.#block("endfor", "else"));
    const isDone = reader.take().value === "endfor";
    const defaultBlock = isDone ? [] : this.#whole("endfor");
    return { type: "For", loopvar, iterable: lhs, body, defaultBlock, test };
  }

  #with(): Node {
    const { reader } = this, targets: Node[] = [], values: Node[] = [];
    while (!reader.is("%}")) {
      if (targets.length > 0) reader.expect(",");
      targets.push(this.#target(() => false));
      reader.expect("=");
      values.push(expression(reader));
    }
    return { type: "With", targets, values, body: this.#whole("endwith") };
  }

  /** Parameters of a macro. */
  #signature(): Node[] {
    const { reader } = this, args: Node[] = [], names = new Set<unknown>();
    let hasDefaults = false;
    reader.expect("(");
    while (!reader.is(")")) {
      if (args.length > 0) reader.expect(",");
      const name = this.#name("param");
      if (names.has(name.value)) reader.fail(`has the parameter ${name.value} twice`);
      names.add(name.value);
      if (reader.skip("=")) {
        hasDefaults = true;
        args.push({ type: "KeywordArgumentExpression", key: name, value: expression(reader) });
      } else if (hasDefaults) reader.fail("has a parameter without a default after one with a default");
      else args.push(name);
    }
    reader.take();
    return args;
  }

  #name(stores: string): Node {
    const name = String(this.reader.expect("name").value);
    if (CONSTANTS.has(name)) this.reader.fail(`sets ${name}`);
    return { ...variable(name), stores };
  }

  /** What is set: a name, several, or one of a namespace's. */
  #target(ends: (reader: Reader) => boolean, withMembers = false): Node {
    const { reader } = this;
    return this.#stored(sequence(reader, () => {
      return withMembers && reader.is("name") && reader.after.type === "." ? this.#member() : primary(reader);
    }, ends));
  }

  #member(): Node {
    const { reader } = this, object = variable(String(reader.take().value));
    reader.take();
    const property = { type: "Name", value: reader.expect("name").value };
    return { type: "MemberExpression", object, property, computed: false, stores: "member" };
  }

  #stored(node: Node): Node {
    if (node["stores"] === "member") return node;
    if (node.type === "Identifier" && !CONSTANTS.has(String(node.value))) return { ...node, stores: "set" };
    if (node.type !== "TupleLiteral") return this.reader.fail("sets what is no name");
    return { ...node, value: (node.value as Node[]).map((one) => this.#stored(one)) };
  }
}
