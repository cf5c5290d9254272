/** A tokenizer's tokens as a tree of bytes, in which all tokens that fit a grammar are found in one walk. */
import { Buffer } from "node:buffer";

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
    const specials = new Map<string, number>(), texts: string[] = [], idsOf = new Map<string, number>();
    const twins = new Map<number, number[]>();
    let bytes = 0;
    for (let id = 0; id < this.size; id++) {
      const name = tokenizer.specialName(id);
      if (name !== null) {
        specials.set(name, id);
        continue;
      }
      // A character a byte: strings sort and compare fast.
      const text = Buffer.from(tokenizer.bytes(id)).toString("latin1");
      const first = idsOf.get(text);
      if (text === "") continue;
      if (first === undefined) idsOf.set(text, id), texts.push(text), bytes += text.length;
      else twins.set(first, [...twins.get(first) ?? [], id]);
    }
    texts.sort();
    const byte = new Uint8Array(bytes), depth = new Uint16Array(bytes), skip = new Int32Array(bytes);
    const token = new Int32Array(bytes).fill(-1), open: number[] = [];
    let count = 0, before = "", deepest = 0;
    for (const text of texts) {
      let shared = 0;
      while (shared < before.length && before.charCodeAt(shared) === text.charCodeAt(shared)) shared++;
      while (open.length > shared) skip[open.pop()!] = count;
      for (let i = shared; i < text.length; i++) {
        byte[count] = text.charCodeAt(i);
        depth[count] = i;
        open.push(count++);
      }
      token[count - 1] = idsOf.get(text)!;
      deepest = Math.max(deepest, text.length);
      before = text;
    }
    for (const node of open) skip[node] = count;
    this.byte = byte.slice(0, count);
    this.depth = depth.slice(0, count);
    this.skip = skip.slice(0, count);
    this.token = token.slice(0, count);
    this.deepest = deepest;
    this.specials = specials;
    this.twins = twins;
  }
}
