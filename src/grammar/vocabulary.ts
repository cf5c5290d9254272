/** A tokenizer's tokens as a tree of bytes, in which all tokens that fit a grammar are found in one walk. */

/** What is needed of a tokenizer. */
export interface TokenSource {
  readonly vocabSize: number;
  bytes(id: number): Uint8Array;
  /** Name of a special token; null for a token of text. */
  specialName(id: number): string | null;
}

/** Tokens by their bytes. Nodes of the tree stand in the order in which a walk meets them. */
export class Vocabulary {
  /** One more than the highest id. */
  readonly size: number;
  /** By node: its byte, how many bytes come before it, and the next node that is not below it. */
  readonly byte: Uint8Array;
  readonly depth: Uint16Array;
  readonly skip: Int32Array;
  /** By node: the token that ends there; -1: none. */
  readonly token: Int32Array;
  /** Bytes of the longest token. */
  readonly deepest: number;
  /** Ids of special tokens by name. */
  readonly specials: ReadonlyMap<string, number>;
  /** Further tokens with the same bytes, by the first of them. */
  readonly twins: ReadonlyMap<number, readonly number[]>;

  constructor(readonly tokenizer: TokenSource) {
    this.size = tokenizer.vocabSize;
    const specials = new Map<string, number>(), twins = new Map<number, number[]>(), tree = new Tree();
    let deepest = 0;
    for (let id = 0; id < this.size; id++) {
      const name = tokenizer.specialName(id);
      if (name !== null) {
        specials.set(name, id);
        continue;
      }
      const bytes = tokenizer.bytes(id), node = tree.add(bytes), first = tree.token[node]!;
      if (bytes.length === 0) continue;
      if (first < 0) tree.token[node] = id;
      else twins.set(first, [...twins.get(first) ?? [], id]);
      deepest = Math.max(deepest, bytes.length);
    }
    const count = tree.count - 1;
    this.byte = new Uint8Array(count);
    this.depth = new Uint16Array(count);
    this.skip = new Int32Array(count);
    this.token = new Int32Array(count);
    // Nodes of the tree whose place in the walk is still to be found, and how deep they are.
    const open = tree.child[0]! > 0 ? [tree.child[0]!] : [], path: number[] = [];
    for (let at = 0; open.length > 0; at++) {
      const node = open.pop()!, depth = tree.depth[node]!;
      while (path.length > depth) this.skip[path.pop()!] = at;
      path.push(at);
      this.byte[at] = tree.byte[node]!;
      this.depth[at] = depth;
      this.token[at] = tree.token[node]!;
      if (tree.sibling[node]! > 0) open.push(tree.sibling[node]!);
      if (tree.child[node]! > 0) open.push(tree.child[node]!);
    }
    for (const at of path) this.skip[at] = count;
    this.deepest = deepest;
    this.specials = specials;
    this.twins = twins;
  }
}

/** A tree of bytes that grows. Node 0 is its root, and stands for none where a node is asked for. */
class Tree {
  count = 1;
  byte = new Uint8Array(1024);
  depth = new Uint16Array(1024);
  token = new Int32Array(1024).fill(-1);
  /** The child that was added last, and the one that was added before this one. */
  child = new Int32Array(1024);
  sibling = new Int32Array(1024);
  /** Nodes by parent and byte: a hash table, its length a power of two, in which 0 is a free place. */
  #table = new Int32Array(4096);

  /** The node of some bytes. */
  add(bytes: Uint8Array): number {
    let at = 0;
    for (let i = 0; i < bytes.length; i++) {
      const value = bytes[i]!;
      let place = this.#placeOf(at, value), next = this.#table[place]!;
      if (next === 0) {
        if (this.count === this.byte.length) {
          this.#grow();
          place = this.#placeOf(at, value);
        }
        next = this.count++;
        this.#table[place] = next;
        this.byte[next] = value;
        this.depth[next] = i;
        this.#parent[next] = at;
        this.sibling[next] = this.child[at]!;
        this.child[at] = next;
      }
      at = next;
    }
    return at;
  }

  #parent = new Int32Array(1024);

  #placeOf(parent: number, value: number): number {
    const mask = this.#table.length - 1;
    let place = Math.imul(parent * 256 + value, 0x9e3779b1) >>> 7 & mask;
    for (let node = this.#table[place]!; node !== 0; node = this.#table[place = place + 1 & mask]!) {
      if (this.#parent[node] === parent && this.byte[node] === value) break;
    }
    return place;
  }

  #grow(): void {
    const size = 2 * this.byte.length,
      longer = <T extends Int32Array | Uint8Array | Uint16Array>(old: T, fresh: T): T => {
        fresh.set(old);
        return fresh;
      };
    this.byte = longer(this.byte, new Uint8Array(size));
    this.depth = longer(this.depth, new Uint16Array(size));
    this.token = longer(this.token, new Int32Array(size).fill(-1));
    this.child = longer(this.child, new Int32Array(size));
    this.sibling = longer(this.sibling, new Int32Array(size));
    this.#parent = longer(this.#parent, new Int32Array(size));
    this.#table = new Int32Array(4 * size);
    for (let node = 1; node < this.count; node++) {
      this.#table[this.#placeOf(this.#parent[node]!, this.byte[node]!)] = node;
    }
  }
}
