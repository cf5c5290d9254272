/** Reads a text byte by byte along a grammar, in all ways at once. */
import { InputError } from "../errors.ts";
import { type Dfa, step } from "./dfa.ts";
import { isEnd, type Lengths, placeAfter } from "./lengths.ts";
import { barren, type Node } from "./node.ts";
import { type Stack, Stacks } from "./stack.ts";

/** Where the text may be in a terminal, and what comes after it. */
export interface Thread {
  readonly terminal: Terminal;
  /** State of the terminal's automaton, with lengths the place in the string; 0 for a special token. */
  readonly state: number;
  readonly stack: Stack;
}

/** Bytes by an automaton, or one special token. */
export interface Terminal {
  readonly id: number;
  readonly dfa: Dfa | null;
  /** How long the string may be; null: it is not counted. */
  readonly lengths: Lengths | null;
  /** Name of the special token. */
  readonly special: string | null;
}

/** All ways in which the text so far can be read, and what may follow it. Steps are computed when first taken. */
export class Place {
  /** By byte; null: the text cannot go on so; undefined: not looked at yet. */
  readonly next: (Place | null | undefined)[] = new Array(256);
  /** Tokens that may follow; kept by {@linkcode TokenMasks}. */
  tokens: { readonly bits: Uint32Array; readonly few: Int32Array | null } | undefined;

  constructor(
    readonly threads: readonly Thread[],
    /** Whether the text may end here. */
    readonly ends: boolean,
  ) {}

  /** Whether any byte may follow. */
  get takesBytes(): boolean {
    return this.threads.some(({ terminal }) => terminal.dfa !== null);
  }
}

/** Places that are remembered; each takes some 2 kB once bytes were tried. */
const MAX_PLACES = 20_000;

/** A grammar with what was found out about it. One object serves any number of texts at once. */
export class Matcher {
  readonly start: Place;
  readonly #barren: ReadonlySet<Node>;
  readonly #stacks = new Stacks();
  readonly #terminals = new Map<Node, Terminal>();
  readonly #nodes = new Map<Node, number>();
  /** What a position on a stack stands for: after `count` items of a sequence, or of a repetition. */
  readonly #positions: { readonly node: Node; readonly count: number }[] = [];
  readonly #positionOf = new Map<Node, Map<number, number>>();
  readonly #places = new Map<string, Place>();

  /** @throws {InputError} if no text fits. */
  constructor(root: Node, where: string) {
    this.#barren = barren(root);
    if (this.#barren.has(root)) throw InputError.of("contradiction", { name: where }, "a schema that a value can meet");
    const found = new Found(this.#stacks);
    found.open.push({ node: root, stack: this.#stacks.end });
    this.start = this.#place(this.#settle(found));
  }

  /** The place after a byte; null: the text cannot go on so. */
  byte(place: Place, value: number): Place | null {
    let next = place.next[value];
    if (next === undefined) {
      const found = new Found(this.#stacks);
      for (const { terminal, state, stack } of place.threads) {
        if (terminal.dfa === null) continue;
        const { dfa, lengths } = terminal;
        const to = lengths === null ? step(dfa, state, value) : placeAfter(lengths, state, value);
        if (to >= 0) this.#reach(terminal, to, stack, found);
      }
      this.#settle(found);
      place.next[value] = next = found.isEmpty ? null : this.#place(found);
    }
    return next;
  }

  /** The place after some bytes. */
  bytes(place: Place | null, values: Iterable<number>): Place | null {
    for (const value of values) {
      if (place === null) return null;
      place = this.byte(place, value);
    }
    return place;
  }

  /** The place after a special token. */
  special(place: Place, name: string): Place | null {
    const found = new Found(this.#stacks);
    for (const { terminal, stack } of place.threads) if (terminal.special === name) this.#leave(stack, found);
    return this.#settle(found).isEmpty ? null : this.#place(found);
  }

  /** The place at the end of a terminal that had this stack under it. */
  after(stack: Stack): Place {
    const found = new Found(this.#stacks);
    this.#leave(stack, found);
    return this.#place(this.#settle(found));
  }

  /** Names of the special tokens that may follow. */
  specials(place: Place): readonly string[] {
    return place.threads.flatMap(({ terminal }) => terminal.special === null ? [] : [terminal.special]);
  }

  /** A state of a terminal was reached: the text may go on in it, or after it where it may end. */
  #reach(terminal: Terminal, state: number, stack: Stack, found: Found): void {
    const { lengths } = terminal, { next, classes, accepts } = terminal.dfa!;
    if (lengths !== null) {
      if (isEnd(lengths, state)) this.#leave(stack, found);
      else found.add(terminal, state, stack);
      return;
    }
    let goesOn = false;
    for (let i = state * classes; i < (state + 1) * classes && !goesOn; i++) goesOn = next[i]! >= 0;
    if (goesOn) found.add(terminal, state, stack);
    if (accepts[state] === 1) this.#leave(stack, found);
  }

  /** Goes on with what a stack says. */
  #leave(stack: Stack, found: Found): void {
    if (!found.first(-1, stack)) return;
    if (stack.ends) found.ends = true;
    for (const { position, below } of stack.frames) {
      const { node, count } = this.#positions[position]!;
      if (node.kind === "sequence") this.#sequence(node, count, below, found);
      if (node.kind === "repeat") this.#repeat(node, count, below, found);
    }
  }

  /** Enters what is to be entered; by a list, as thousands of properties lie in each other. */
  #settle(found: Found): Found {
    for (let next = found.open.pop(); next !== undefined; next = found.open.pop()) {
      this.#enter(next.node, next.stack, found);
    }
    return found;
  }

  #enter(node: Node, stack: Stack, found: Found): void {
    if (this.#barren.has(node) || !found.first(this.#numberOf(node), stack)) return;
    switch (node.kind) {
      case "bytes":
        return this.#reach(this.#terminal(node, { dfa: node.dfa }), 0, stack, found);
      case "string":
        return this.#reach(
          this.#terminal(node, { dfa: node.lengths.measured.dfa, lengths: node.lengths }),
          0,
          stack,
          found,
        );
      case "special":
        return found.add(this.#terminal(node, { special: node.name }), 0, stack);
      case "sequence":
        return this.#sequence(node, 0, stack, found);
      case "choice":
        for (const item of node.items) found.open.push({ node: item, stack });
        return;
      case "repeat":
        return this.#repeat(node, 0, stack, found);
      case "rule":
        found.open.push({ node: node.node!, stack });
    }
  }

  #sequence(node: Extract<Node, { kind: "sequence" }>, count: number, stack: Stack, found: Found): void {
    const item = node.items[count];
    if (item === undefined) return this.#leave(stack, found);
    // Nothing is pushed for the last item, so that lists do not grow the stack.
    const last = count + 1 === node.items.length;
    found.open.push({ node: item, stack: last ? stack : this.#stacks.push(this.#position(node, count + 1), stack) });
  }

  #repeat(node: Extract<Node, { kind: "repeat" }>, count: number, stack: Stack, found: Found): void {
    if (count >= node.min) this.#leave(stack, found);
    if (count >= node.max) return;
    // Without an upper bound, it makes no difference how many more than enough there were.
    const after = node.max === Infinity ? Math.min(count + 1, node.min) : count + 1;
    found.open.push({ node: node.item, stack: this.#stacks.push(this.#position(node, after), stack) });
  }

  #numberOf(node: Node): number {
    let number = this.#nodes.get(node);
    if (number === undefined) this.#nodes.set(node, number = this.#nodes.size);
    return number;
  }

  #terminal(node: Node, of: Partial<Terminal>): Terminal {
    let terminal = this.#terminals.get(node);
    if (terminal === undefined) {
      const id = this.#terminals.size;
      this.#terminals.set(node, terminal = { dfa: null, lengths: null, special: null, ...of, id });
    }
    return terminal;
  }

  #position(node: Node, count: number): number {
    let counts = this.#positionOf.get(node);
    if (counts === undefined) this.#positionOf.set(node, counts = new Map());
    let position = counts.get(count);
    if (position === undefined) counts.set(count, position = this.#positions.push({ node, count }) - 1);
    return position;
  }

  #place(found: Found): Place {
    const threads = found.threads();
    const key = `${found.ends} ${
      threads.map(({ terminal, state, stack }) => `${terminal.id}:${state}:${stack.id}`).join()
    }`;
    let place = this.#places.get(key);
    if (place !== undefined) return place;
    if (this.#places.size >= MAX_PLACES) {
      // Places that are in use go on as they are; what comes anew is only not recognized as the same.
      this.#places.clear();
      this.#stacks.forget();
    }
    this.#places.set(key, place = new Place(threads, found.ends));
    return place;
  }
}

/** Threads that are being collected. */
class Found {
  ends = false;
  /** What is still to be entered. */
  readonly open: { readonly node: Node; readonly stack: Stack }[] = [];
  readonly #threads = new Map<number, { readonly terminal: Terminal; readonly state: number; stacks: Stack[] }>();
  readonly #seen = new Set<number>();

  constructor(readonly stacks: Stacks) {}

  get isEmpty(): boolean {
    return !this.ends && this.#threads.size === 0;
  }

  /** Whether this is the first time that a node is entered, or left, with a stack. */
  first(node: number, stack: Stack): boolean {
    const key = (node + 1) * 2 ** 30 + stack.id;
    if (this.#seen.has(key)) return false;
    this.#seen.add(key);
    return true;
  }

  add(terminal: Terminal, state: number, stack: Stack): void {
    // An automaton has fewer states: its table is one array of 32-bit numbers, with two for each state at least. Of
    // places in a string there are fewer too, by their bounds.
    const key = terminal.id * 2 ** 30 + state, known = this.#threads.get(key);
    if (known === undefined) this.#threads.set(key, { terminal, state, stacks: [stack] });
    else known.stacks.push(stack);
  }

  threads(): Thread[] {
    return [...this.#threads].sort(([a], [b]) => a - b).map(([, { terminal, state, stacks }]) => {
      // In pairs, then pairs of pairs: one after the other, thousands of alternatives would be copied as often.
      let rest = stacks;
      while (rest.length > 1) {
        const joined: Stack[] = [];
        for (let i = 0; i < rest.length; i += 2) {
          joined.push(i + 1 < rest.length ? this.stacks.join(rest[i]!, rest[i + 1]!) : rest[i]!);
        }
        rest = joined;
      }
      return { terminal, state, stack: rest[0]! };
    });
  }
}
