/** Grammars as data: terminals over bytes and special tokens, joined by rules that may refer to themselves. */
import { type Dfa, textsOf } from "./dfa.ts";

/** A grammar, or a part of one. Nodes may be shared; only rules close circles. */
export type Node =
  /** Bytes that an automaton accepts. */
  | { readonly kind: "bytes"; readonly dfa: Dfa }
  /** One special token, by name. */
  | { readonly kind: "special"; readonly name: string }
  | { readonly kind: "sequence"; readonly items: readonly Node[] }
  | { readonly kind: "choice"; readonly items: readonly Node[] }
  /** `max` may be Infinity. */
  | { readonly kind: "repeat"; readonly item: Node; readonly min: number; readonly max: number }
  | Rule;

/** A node with a place of its own, so that it can be referred to before it is made. No rule may begin with itself. */
export interface Rule {
  readonly kind: "rule";
  node: Node | null;
}

/** One after the other. */
export const all = (...items: Node[]): Node => ({ kind: "sequence", items });
/** One of several. */
export const oneOf = (items: readonly Node[]): Node => items.length === 1 ? items[0]! : { kind: "choice", items };
/** Several times. */
export const times = (item: Node, min: number, max: number): Node => ({ kind: "repeat", item, min, max });
/** Once or not at all. */
export const maybe = (item: Node): Node => times(item, 0, 1);
/** A special token. */
export const special = (name: string): Node => ({ kind: "special", name });
/** A rule that is still to be filled. */
export const rule = (): Rule => ({ kind: "rule", node: null });
/** Nothing fits. */
export const NOTHING: Node = { kind: "choice", items: [] };
/** The empty text. */
export const EMPTY: Node = { kind: "sequence", items: [] };

/** Bytes that an automaton accepts; null: nothing fits. */
export const bytes = (dfa: Dfa | null): Node => dfa === null ? NOTHING : { kind: "bytes", dfa };

/** Texts whose nodes are kept: those of harmony and of JSON come first. */
const MAX_LITERALS = 256;
const literals = new Map<string, Node>();

/** Exactly this text. */
export function literal(text: string): Node {
  let node = literals.get(text);
  if (node === undefined) {
    node = bytes(textsOf([text], "literal"));
    // Names in strangers' schemas must not stay for good.
    if (literals.size < MAX_LITERALS) literals.set(text, node);
  }
  return node;
}

/** Any one of these texts, of which there is one at least. */
export function literalOf(texts: readonly string[]): Node {
  return bytes(textsOf(texts, "enum"));
}

/** Any bytes. */
export const ANYTHING: Node = {
  kind: "bytes",
  dfa: { classOf: new Uint8Array(256), classes: 1, next: Int32Array.of(0), accepts: Uint8Array.of(1) },
};

/** The parts that a node is made of. */
function partsOf(node: Node): readonly Node[] {
  switch (node.kind) {
    case "sequence":
    case "choice":
      return node.items;
    case "repeat":
      return [node.item];
    case "rule":
      return node.node === null ? [] : [node.node];
    default:
      return [];
  }
}

/** The nodes of which no finite text is made: a list whose items hold such lists in their turn, for instance. */
export function barren(root: Node): ReadonlySet<Node> {
  const nodes = new Set<Node>([root]);
  for (const node of nodes) for (const part of partsOf(node)) nodes.add(part);
  const order = [...nodes].reverse(), fertile = new Set<Node>();
  const isFertile = (node: Node): boolean => {
    switch (node.kind) {
      case "bytes":
      case "special":
        return true;
      case "sequence":
        return node.items.every((item) => fertile.has(item));
      case "choice":
        return node.items.some((item) => fertile.has(item));
      case "repeat":
        return node.min === 0 || fertile.has(node.item);
      case "rule":
        return node.node !== null && fertile.has(node.node);
    }
  };
  for (let before = -1; before !== fertile.size;) {
    before = fertile.size;
    for (const node of order) if (!fertile.has(node) && isFertile(node)) fertile.add(node);
  }
  return new Set(order.filter((node) => !fertile.has(node)));
}
