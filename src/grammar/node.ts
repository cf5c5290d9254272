/** Grammars as data: terminals over bytes and special tokens, joined by rules that may refer to themselves. */
import { type Dfa, textsOf } from "./dfa.ts";
import type { Lengths } from "./lengths.ts";

/** A grammar, or a part of one. Nodes may be shared; only rules close circles. */
export type Node =
  /** Bytes that an automaton accepts. */
  | { readonly kind: "bytes"; readonly dfa: Dfa }
  /** A string whose characters are counted. */
  | { readonly kind: "string"; readonly lengths: Lengths }
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

/** A string of some length; null: there is none. */
export const counted = (lengths: Lengths | null): Node => lengths === null ? NOTHING : { kind: "string", lengths };

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
  const nodes = new Set<Node>([root]), wholes = new Map<Node, Node[]>(), fertile = new Set<Node>(), open: Node[] = [];
  /** Parts of a sequence, each as often as it stands there, that are not known to be fertile. */
  const missing = new Map<Node, number>();
  for (const node of nodes) {
    const parts = partsOf(node);
    for (const part of parts) {
      nodes.add(part);
      const known = wholes.get(part);
      if (known === undefined) wholes.set(part, [node]);
      else known.push(node);
    }
    missing.set(node, parts.length);
    const empty = (node.kind === "sequence" && parts.length === 0) || (node.kind === "repeat" && node.min === 0);
    if (node.kind === "bytes" || node.kind === "string" || node.kind === "special" || empty) open.push(node);
  }
  // Each part that turns out fertile is told to what is made of it, once for each place.
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    if (fertile.has(node)) continue;
    fertile.add(node);
    for (const whole of wholes.get(node) ?? []) {
      const left = missing.get(whole)! - 1;
      missing.set(whole, left);
      if (whole.kind !== "sequence" || left === 0) open.push(whole);
    }
  }
  for (const node of fertile) nodes.delete(node);
  return nodes;
}
