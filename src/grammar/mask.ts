/** Which tokens may follow: logits of all others become -Infinity. */
import type { Dfa } from "./dfa.ts";
import { type Matcher, Place, type Thread } from "./matcher.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** Bytes of masks that are kept, of places and of terminals each; one of 200,000 tokens takes 25 kB. */
const MAX_BYTES = 64 * 2 ** 20;
/** Up to so many tokens a set lists their ids, and a mask is applied by these alone. */
const FEW = 1024;

/** Up to so many lists of texts at a place are looked at one by one, and what was found is kept. */
const FEW_LISTED = 64;

/** Up to so many walks through all tokens are made one by one, and what was found is kept. */
const FEW_WALKS = 8;
/** Steps of one alternative, of all that are walked together: 0.3 s or so. */
const MOST_STEPS = 500_000;

/** Which tokens may follow. */
export interface TokenSet {
  /** [ceil(tokens / 32)]: bit `id & 31` of word `id >>> 5` is 1 where the token may follow. */
  readonly bits: Uint32Array;
  /** Their ids, where they are few. */
  readonly few: Int32Array | null;
}

/** What a terminal alone says of tokens, whatever comes after it. */
interface Inside {
  /** Tokens with which the text is still in it, or at its end. */
  readonly bits: Uint32Array;
  /** Nodes of the vocabulary at which it may end, while tokens go on. */
  readonly exits: Int32Array;
}

/**
 * Masks of places, computed once and kept as long as there is room. What takes long, a walk through all tokens, is done
 * once for each state of a terminal, such as the inside of a string; then only those tokens are looked at that leave
 * it, and go on with what the place says.
 */
export class TokenMasks {
  readonly #kept: Place[] = [];
  #oldest = 0;
  #insides = new WeakMap<Dfa, (Inside | undefined)[]>();
  #insideBytes = 0;

  /**
   * @param mostBytes Of masks of places, and of what is known of terminals.
   * @param mostSteps Of alternatives that are walked together, for tests.
   */
  constructor(
    readonly vocabulary: Vocabulary,
    readonly mostBytes: number = MAX_BYTES,
    readonly mostSteps: number = MOST_STEPS,
  ) {}

  /** The tokens that may follow at a place. */
  at(matcher: Matcher, place: Place): TokenSet {
    if (place.tokens !== undefined) return place.tokens;
    const tokens = this.#compute(matcher, place),
      room = Math.max(1, Math.floor(this.mostBytes / tokens.bits.byteLength));
    // The oldest makes room; if it is asked for again, it is computed again.
    if (this.#kept.length >= room) {
      this.#kept[this.#oldest]!.tokens = undefined;
      this.#kept[this.#oldest] = place;
      this.#oldest = (this.#oldest + 1) % room;
    } else {
      this.#kept.push(place);
    }
    return place.tokens = tokens;
  }

  #compute(matcher: Matcher, place: Place): TokenSet {
    const { skip, size, specials } = this.vocabulary, bits = new Uint32Array(Math.ceil(size / 32));
    const done = new Set<Thread>();
    for (const { threads, mostSteps } of this.#together(place)) {
      const walked = this.#walk(matcher, new Place(threads, false), 0, this.vocabulary.byte.length, bits, mostSteps);
      if (walked) { for (const thread of threads) done.add(thread); }
    }
    for (const thread of place.threads) {
      if (thread.terminal.dfa === null || done.has(thread)) continue;
      const inside = this.#inside(thread.terminal.dfa, thread.state);
      for (let word = 0; word < bits.length; word++) bits[word]! |= inside.bits[word]!;
      if (inside.exits.length === 0) continue;
      const after = matcher.after(thread.stack);
      if (!after.takesBytes) continue;
      for (const node of inside.exits) this.#walk(matcher, after, node + 1, skip[node]!, bits);
    }
    for (const name of matcher.specials(place)) {
      const id = specials.get(name);
      if (id !== undefined) bits[id >>> 5]! |= 1 << (id & 31);
    }
    return { bits, few: idsOf(bits) };
  }

  /** Ways of a place in which tokens are tried at once, instead of once for each, and how many steps that may take. */
  #together({ threads }: Place): { readonly threads: readonly Thread[]; readonly mostSteps: number }[] {
    const isListed = ({ terminal: { dfa } }: Thread) => dfa?.listed === true;
    // Names of properties, of which there may be thousands: few tokens begin one of them.
    const listed = threads.filter(isListed), names = listed.length > FEW_LISTED;
    // Alternatives, of which there may be hundreds: together they are soon at few places, unless each minds others.
    const anew = threads.filter((thread) =>
      thread.terminal.dfa !== null && !(names && isListed(thread)) &&
      this.#insides.get(thread.terminal.dfa)?.[thread.state] === undefined
    );
    return [
      ...(names ? [{ threads: listed, mostSteps: Infinity }] : []),
      ...(anew.length > FEW_WALKS ? [{ threads: anew, mostSteps: this.mostSteps / anew.length }] : []),
    ];
  }

  /**
   * Adds the tokens below a node that go on from a place.
   *
   * @param mostSteps Steps to other places that may be computed.
   * @returns Whether that was enough; else some are missing.
   */
  #walk(
    matcher: Matcher,
    start: Place,
    from: number,
    to: number,
    bits: Uint32Array,
    mostSteps: number = Infinity,
  ): boolean {
    let steps = 0;
    const { byte, depth, skip } = this.vocabulary, places: Place[] = [], top = depth[from] ?? 0;
    places[top] = start;
    for (let node = from; node < to;) {
      const place = places[depth[node]!]!, value = byte[node]!;
      const known = place.next[value];
      if (known === undefined && ++steps > mostSteps) return false;
      const next = known === undefined ? matcher.byte(place, value) : known;
      if (next === null) {
        node = skip[node]!;
        continue;
      }
      this.#allow(node, bits);
      places[depth[node]! + 1] = next;
      node++;
    }
    return true;
  }

  #inside(dfa: Dfa, start: number): Inside {
    let states = this.#insides.get(dfa);
    if (states === undefined) this.#insides.set(dfa, states = []);
    const known = states[start];
    if (known !== undefined) return known;
    const { byte, depth, skip, size, deepest } = this.vocabulary, { next, classOf, classes, accepts } = dfa;
    const bits = new Uint32Array(Math.ceil(size / 32)), exits: number[] = [];
    const at = new Int32Array(deepest + 1).fill(start);
    for (let node = 0; node < byte.length;) {
      const state = next[at[depth[node]!]! * classes + classOf[byte[node]!]!]!;
      if (state < 0) {
        node = skip[node]!;
        continue;
      }
      this.#allow(node, bits);
      if (accepts[state] === 1 && skip[node]! > node + 1) exits.push(node);
      at[depth[node]! + 1] = state;
      node++;
    }
    const inside = { bits, exits: Int32Array.from(exits) };
    this.#insideBytes += bits.byteLength + inside.exits.byteLength;
    if (this.#insideBytes > this.mostBytes) {
      this.#insides = new WeakMap([[dfa, states = []]]);
      this.#insideBytes = bits.byteLength + inside.exits.byteLength;
    }
    return states[start] = inside;
  }

  /** Adds the tokens that end at a node. */
  #allow(node: number, bits: Uint32Array): void {
    const { token, twins } = this.vocabulary, id = token[node]!;
    if (id < 0) return;
    bits[id >>> 5]! |= 1 << (id & 31);
    if (twins.size > 0) { for (const other of twins.get(id) ?? []) bits[other >>> 5]! |= 1 << (other & 31); }
  }
}

/** The ids of a set; null where they are many. */
function idsOf(bits: Uint32Array): Int32Array | null {
  const ids: number[] = [];
  for (let word = 0; word < bits.length; word++) {
    for (let rest = bits[word]!; rest !== 0; rest &= rest - 1) {
      if (ids.length === FEW) return null;
      ids.push(32 * word + 31 - Math.clz32(rest & -rest));
    }
  }
  return Int32Array.from(ids);
}

/** Follows one reply along a grammar. */
export class Constraint {
  #place: Place;

  constructor(readonly masks: TokenMasks, readonly matcher: Matcher) {
    this.#place = matcher.start;
  }

  /** Whether the reply may end here. */
  get ends(): boolean {
    return this.#place.ends;
  }

  /** Whether a token may follow. */
  allows(id: number): boolean {
    return (this.masks.at(this.matcher, this.#place).bits[id >>> 5]! >>> (id & 31) & 1) === 1;
  }

  /** Makes the logits of tokens that may not follow -Infinity; ids beyond the vocabulary are among them. */
  apply(logits: Float32Array): void {
    const { bits, few } = this.masks.at(this.matcher, this.#place);
    if (few !== null) {
      const kept = Float32Array.from(few, (id) => logits[id]!);
      logits.fill(-Infinity);
      few.forEach((id, i) => logits[id] = kept[i]!);
      return;
    }
    for (let word = 0, id = 0; id < logits.length; word++, id += 32) {
      const allowed = word < bits.length ? bits[word]! : 0;
      for (let rest = ~allowed; rest !== 0; rest &= rest - 1) {
        const at = id + 31 - Math.clz32(rest & -rest);
        if (at < logits.length) logits[at] = -Infinity;
      }
    }
  }

  /**
   * Takes the token that was picked.
   *
   * @throws {TypeError} if it may not follow.
   */
  push(id: number): void {
    const { tokenizer } = this.masks.vocabulary, name = tokenizer.specialName(id);
    const next = name === null
      ? this.matcher.bytes(this.#place, tokenizer.bytes(id))
      : this.matcher.special(this.#place, name);
    if (next === null) throw new TypeError(`token ${id} is not what the grammar allows`);
    this.#place = next;
  }
}
