/**
 * Grammars as flat tables, for another thread: a grammar is a graph with circles, as deep as it is long, and some parts
 * of it are known on both sides, so that masks that were computed for them hold there too.
 */
import type { Dfa } from "./dfa.ts";
import { ANY_OBJECT, ANY_VALUE, CLOSE_LIST, CLOSE_OBJECT, COLON, COMMA, OPEN_LIST, OPEN_OBJECT } from "./json.ts";
import type { Lengths } from "./lengths.ts";
import { ANYTHING, EMPTY, type Node, NOTHING } from "./node.ts";

/** A grammar whose nodes are numbers; it can be sent to another thread. The first node is the grammar itself. */
export interface GrammarTable {
  /** Node by node: its kind, how many words follow, and these: numbers of nodes, or what {@linkcode KINDS} says. */
  readonly words: Int32Array;
  readonly automata: readonly Dfa[];
  readonly lengths: readonly Lengths[];
  readonly specials: readonly string[];
}

/** What stands in a node's words. */
const KINDS = {
  /** Number of an automaton. */
  bytes: 0,
  /** Number of a special token's name. */
  special: 1,
  sequence: 2,
  choice: 3,
  /** A node, the least and the largest count; -1 is infinite. */
  repeat: 4,
  rule: 5,
  /** Number of a node that every thread has. */
  known: 6,
  /** Number of a string's lengths. */
  string: 7,
} as const;

const KNOWN: readonly Node[] = [
  ANY_OBJECT,
  ANY_VALUE,
  CLOSE_LIST,
  CLOSE_OBJECT,
  COLON,
  COMMA,
  OPEN_LIST,
  OPEN_OBJECT,
  ANYTHING,
  EMPTY,
  NOTHING,
];

/** Numbers in the order in which they are first asked for. */
class Numbers<T> {
  readonly #numbers = new Map<T, number>();

  of(one: T): number {
    let number = this.#numbers.get(one);
    if (number === undefined) this.#numbers.set(one, number = this.#numbers.size);
    return number;
  }

  /** In order; those that are added on the way come too. */
  all(): IterableIterator<T> {
    return this.#numbers.keys();
  }
}

/** Writes a grammar down. */
export function tableOf(root: Node): GrammarTable {
  const nodes = new Numbers<Node>(), automata = new Numbers<Dfa>(), specials = new Numbers<string>();
  const lengths = new Numbers<Lengths>(), words: number[] = [];
  nodes.of(root);
  for (const node of nodes.all()) {
    const known = KNOWN.indexOf(node);
    if (known >= 0) words.push(KINDS.known, 1, known);
    else if (node.kind === "bytes") words.push(KINDS.bytes, 1, automata.of(node.dfa));
    else if (node.kind === "string") words.push(KINDS.string, 1, lengths.of(node.lengths));
    else if (node.kind === "special") words.push(KINDS.special, 1, specials.of(node.name));
    else if (node.kind === "rule") words.push(KINDS.rule, 1, nodes.of(node.node!));
    else if (node.kind === "repeat") {
      words.push(KINDS.repeat, 3, nodes.of(node.item), node.min, node.max === Infinity ? -1 : node.max);
    } else {
      words.push(KINDS[node.kind], node.items.length);
      for (const item of node.items) words.push(nodes.of(item));
    }
  }
  return {
    words: Int32Array.from(words),
    automata: [...automata.all()],
    lengths: [...lengths.all()],
    specials: [...specials.all()],
  };
}

/** A node whose parts are still to be filled in. */
type Open<N> = N extends unknown ? { -readonly [K in keyof N]: N[K] } : never;

/** The grammar of a table. */
export function grammarOf(table: GrammarTable): Node {
  const { words } = table;
  const nodes: Open<Node>[] = [], starts: number[] = [];
  for (let at = 0; at < words.length; at += 2 + words[at + 1]!) {
    starts.push(at);
    nodes.push(shell(table, at));
  }
  starts.forEach((at, i) => {
    const node = nodes[i]!, kind = words[at];
    if (kind === KINDS.known) return;
    if (node.kind === "rule") node.node = nodes[words[at + 2]!]!;
    else if (node.kind === "repeat") node.item = nodes[words[at + 2]!]!;
    else if (node.kind === "sequence" || node.kind === "choice") {
      node.items = Array.from(words.subarray(at + 2, at + 2 + words[at + 1]!), (number) => nodes[number]!);
    }
  });
  return nodes[0]!;
}

/** A node without its parts. */
function shell({ words, automata, lengths, specials }: GrammarTable, at: number): Open<Node> {
  const first = words[at + 2]!;
  switch (words[at]) {
    case KINDS.known:
      return KNOWN[first]!;
    case KINDS.bytes:
      return { kind: "bytes", dfa: automata[first]! };
    case KINDS.string:
      return { kind: "string", lengths: lengths[first]! };
    case KINDS.special:
      return { kind: "special", name: specials[first]! };
    case KINDS.rule:
      return { kind: "rule", node: null };
    case KINDS.repeat: {
      const max = words[at + 4]!;
      return { kind: "repeat", item: NOTHING, min: words[at + 3]!, max: max < 0 ? Infinity : max };
    }
    default:
      return { kind: words[at] === KINDS.sequence ? "sequence" : "choice", items: [] };
  }
}
