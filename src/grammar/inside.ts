/** What terminals alone say of tokens, whatever comes after them. */
import { isEnd, type Lengths, type Measured, placeAfter } from "./lengths.ts";
import type { Terminal } from "./matcher.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** Tokens that may follow at a state of a terminal. */
interface Inside {
  /** Those with which the text is still in it, or at its end. */
  readonly bits: Uint32Array;
  /** Nodes of the vocabulary at which it may end, while tokens go on. */
  readonly exits: Int32Array;
}

/** The same of a string that is long enough already, by how many characters it needs to be completed. */
interface Needs {
  /** Whatever tokens need. */
  readonly all: Inside;
  /** Tokens by how many characters they need, those they have and those that must follow, in that order. */
  readonly ids: Int32Array;
  /** By such a number, up to the largest of all tokens and exits: how many tokens need no more. */
  readonly upTo: Int32Array;
  /** By exit: how many it needs. */
  readonly exits: Uint16Array;
}

/** What was found for terminals, kept as long as there is room. A walk through all tokens takes some milliseconds. */
export class Insides {
  /** By automaton or lengths, and state. */
  #known = new WeakMap<object, Map<number, Inside>>();
  #needs = new WeakMap<Measured, Map<number, Needs>>();
  #bytes = 0;

  constructor(readonly vocabulary: Vocabulary, readonly mostBytes: number) {}

  /** Whether a terminal's tokens are known, so that there is no need to walk through all. */
  knows({ dfa, lengths }: Terminal, state: number): boolean {
    if (lengths === null) return this.#known.get(dfa!)?.has(state) === true;
    const { measured } = lengths, level = levelOf(lengths, state);
    if (level < lengths.min) return this.#known.get(lengths)?.has(state) === true;
    return this.#needs.get(measured)?.has(state % measured.least.length) === true;
  }

  /**
   * Adds the tokens with which the text is still in a terminal, or at its end.
   *
   * @returns Nodes at which the terminal may end, while tokens go on.
   */
  add(terminal: Terminal, state: number, bits: Uint32Array): Int32Array {
    const { lengths } = terminal, level = lengths === null ? 0 : levelOf(lengths, state);
    if (lengths === null || level < lengths.min) {
      const { bits: own, exits } = this.#inside(terminal, state);
      join(bits, own);
      return exits;
    }
    const { all, ids, upTo, exits } = this.#need(lengths.measured, state % lengths.measured.least.length);
    const left = lengths.max - level;
    if (left >= upTo.length - 1) {
      join(bits, all.bits);
      return all.exits;
    }
    for (let i = 0; i < upTo[left]!; i++) bits[ids[i]! >>> 5]! |= 1 << (ids[i]! & 31);
    return all.exits.filter((_, i) => exits[i]! <= left);
  }

  #inside(terminal: Terminal, state: number): Inside {
    const of = terminal.lengths ?? terminal.dfa!, known = this.#known.get(of)?.get(state);
    if (known !== undefined) return known;
    const bits = new Uint32Array(Math.ceil(this.vocabulary.size / 32));
    const inside = { bits, exits: tokensOf(this.vocabulary, terminal, state, bits, null) };
    this.#makeRoom(bits.byteLength + inside.exits.byteLength);
    keep(this.#known, of, state, inside);
    return inside;
  }

  #need(measured: Measured, state: number): Needs {
    const known = this.#needs.get(measured)?.get(state);
    if (known !== undefined) return known;
    const needs = needsOf(this.vocabulary, measured, state);
    const { all, ids, upTo, exits } = needs;
    this.#makeRoom([all.bits, all.exits, ids, upTo, exits].reduce((sum, { byteLength }) => sum + byteLength, 0));
    keep(this.#needs, measured, state, needs);
    return needs;
  }

  #makeRoom(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes <= this.mostBytes) return;
    this.#known = new WeakMap();
    this.#needs = new WeakMap();
    this.#bytes = bytes;
  }
}

function keep<K extends object, T>(kept: WeakMap<K, Map<number, T>>, of: K, state: number, found: T): void {
  const states = kept.get(of);
  if (states === undefined) kept.set(of, new Map([[state, found]]));
  else states.set(state, found);
}

/** How many characters are complete at a place in a string. */
function levelOf({ measured: { least } }: Lengths, place: number): number {
  return Math.floor(place / least.length);
}

function join(bits: Uint32Array, more: Uint32Array): void {
  for (let word = 0; word < bits.length; word++) bits[word]! |= more[word]!;
}

/**
 * Adds the tokens with which the text is still in a terminal, or at its end.
 *
 * @param missing By node: of how many nodes before it the token is missing; nodes below which none is are left out.
 * Null: none are.
 * @returns Nodes at which the terminal may end, while tokens go on.
 */
export function tokensOf(
  vocabulary: Vocabulary,
  { dfa, lengths }: Terminal,
  start: number,
  bits: Uint32Array,
  missing: Int32Array | null,
): Int32Array {
  const { byte, depth, skip, deepest } = vocabulary, { next, classOf, classes, accepts } = dfa!;
  const exits: number[] = [], at = new Int32Array(deepest + 1).fill(start);
  for (let node = 0; node < byte.length;) {
    const after = skip[node]!, from = at[depth[node]!]!;
    const state = missing !== null && missing[node] === missing[after]
      ? -1
      : lengths === null
      ? next[from * classes + classOf[byte[node]!]!]!
      : placeAfter(lengths, from, byte[node]!);
    if (state < 0) {
      node = after;
      continue;
    }
    allow(vocabulary, node, bits);
    const ends = lengths === null ? accepts[state] === 1 : isEnd(lengths, state);
    if (ends && after > node + 1) exits.push(node);
    at[depth[node]! + 1] = state;
    node++;
  }
  return Int32Array.from(exits);
}

/** Walks through all tokens from a state of a string that may have any length. */
function needsOf(vocabulary: Vocabulary, { dfa, whole, least }: Measured, start: number): Needs {
  const { byte, depth, skip, deepest, token, twins, size } = vocabulary, { next, classOf, classes, accepts } = dfa;
  const bits = new Uint32Array(Math.ceil(size / 32)), exits: number[] = [], exitNeeds: number[] = [];
  const states = new Int32Array(deepest + 1).fill(start), counts = new Int32Array(deepest + 1);
  const byNeed: number[][] = [];
  for (let node = 0; node < byte.length;) {
    const at = depth[node]!, from = states[at]!, to = next[from * classes + classOf[byte[node]!]!]!;
    if (to < 0) {
      node = skip[node]!;
      continue;
    }
    // What the last byte of a token needs, its first ones do not need more of: a way to the end leads through it.
    const count = counts[at]! + (from > 0 && whole[to] === 1 ? 1 : 0), need = count + least[to]!;
    const id = token[node]!;
    if (id >= 0) {
      const same = byNeed[need] ??= [];
      for (const one of [id, ...twins.get(id) ?? []]) same.push(one), bits[one >>> 5]! |= 1 << (one & 31);
    }
    if (accepts[to] === 1 && skip[node]! > node + 1) {
      exits.push(node);
      exitNeeds.push(need);
      byNeed[need] ??= [];
    }
    states[at + 1] = to;
    counts[at + 1] = count;
    node++;
  }
  // Up to what the exits need, too: tokens that go on behind the string may need more than any that end in it.
  const upTo = new Int32Array(byNeed.length);
  let total = 0;
  for (let need = 0; need < byNeed.length; need++) upTo[need] = total += byNeed[need]?.length ?? 0;
  return {
    all: { bits, exits: Int32Array.from(exits) },
    ids: Int32Array.from(byNeed.flat()),
    upTo,
    exits: Uint16Array.from(exitNeeds),
  };
}

/** Adds the tokens that end at a node. */
export function allow({ token, twins }: Vocabulary, node: number, bits: Uint32Array): void {
  const id = token[node]!;
  if (id < 0) return;
  bits[id >>> 5]! |= 1 << (id & 31);
  if (twins.size > 0) { for (const other of twins.get(id) ?? []) bits[other >>> 5]! |= 1 << (other & 31); }
}
