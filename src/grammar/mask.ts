/** Which tokens may follow: logits of all others become -Infinity. */
import { allow, Insides, tokensOf } from "./inside.ts";
import { type Matcher, Place, type Thread } from "./matcher.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** Bytes of masks that are kept, of places and of terminals each; one of 200,000 tokens takes 25 kB. */
const MAX_BYTES = 64 * 2 ** 20;
/** Up to so many tokens a set lists their ids, and a mask is applied by these alone. */
const FEW = 1024;

/** Up to so many lists of texts at a place are looked at one by one, and what was found is kept. */
const FEW_LISTED = 64;

/**
 * Walks through all tokens that one mask may make, of which what was found is kept: some 5 ms each with 200,000 tokens.
 * Further ones leave out what may follow already.
 */
const MOST_WALKS = 8;

/** Which tokens may follow. */
export interface TokenSet {
  /** [ceil(tokens / 32)]: bit `id & 31` of word `id >>> 5` is 1 where the token may follow. */
  readonly bits: Uint32Array;
  /** Their ids, where they are few. */
  readonly few: Int32Array | null;
}

/**
 * Masks of places, computed once and kept as long as there is room. What takes long, a walk through all tokens, is done
 * once for each state of a terminal, such as the inside of a string; then only those tokens are looked at that leave
 * it, and go on with what the place says.
 */
export class TokenMasks {
  readonly #kept: Place[] = [];
  #oldest = 0;
  readonly #insides: Insides;

  /**
   * @param mostBytes Of masks of places, and of what is known of terminals.
   * @param mostWalks Through all tokens, for one mask; for tests.
   */
  constructor(
    readonly vocabulary: Vocabulary,
    readonly mostBytes: number = MAX_BYTES,
    readonly mostWalks: number = MOST_WALKS,
  ) {
    this.#insides = new Insides(vocabulary, mostBytes);
  }

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
    const { byte, size, specials } = this.vocabulary, bits = new Uint32Array(Math.ceil(size / 32));
    let threads = place.threads.filter(({ terminal: { dfa } }) => dfa !== null);
    // Names of properties, of which there may be thousands: few tokens begin one of them, and all are walked at once.
    const listed = threads.filter(({ terminal: { dfa } }) => dfa!.listed === true);
    if (listed.length > FEW_LISTED) {
      this.#walk(matcher, new Place(listed, false), 0, byte.length, bits);
      threads = threads.filter((thread) => !listed.includes(thread));
    }
    const isKnown = (thread: Thread) => this.#insides.knows(thread.terminal, thread.state);
    const known = threads.filter(isKnown), anew = threads.filter((thread) => !isKnown(thread));
    for (const { terminal, state, stack } of [...known, ...anew.slice(0, this.mostWalks)]) {
      this.#leave(matcher, stack, this.#insides.add(terminal, state, bits), bits);
    }
    // Alternatives, of which there may be hundreds: most of what one of them allows others allow as well.
    let missing = new Int32Array(0);
    anew.slice(this.mostWalks).forEach(({ terminal, state, stack }, i) => {
      // After 1, 2, 4 and so on.
      if ((i & (i + 1)) === 0) missing = this.#missing(bits);
      this.#leave(matcher, stack, tokensOf(this.vocabulary, terminal, state, bits, missing), bits);
    });
    for (const name of matcher.specials(place)) {
      const id = specials.get(name);
      if (id !== undefined) bits[id >>> 5]! |= 1 << (id & 31);
    }
    return { bits, few: idsOf(bits) };
  }

  /** Adds the tokens that leave a terminal at some nodes, and go on with what is below it on the stack. */
  #leave(matcher: Matcher, stack: Thread["stack"], exits: Int32Array, bits: Uint32Array): void {
    if (exits.length === 0) return;
    const after = matcher.after(stack);
    if (!after.takesBytes) return;
    for (const node of exits) this.#walk(matcher, after, node + 1, this.vocabulary.skip[node]!, bits);
  }

  /** [nodes + 1]: of how many nodes before each the token is not in a set. Below a node it counts from there on. */
  #missing(bits: Uint32Array): Int32Array<ArrayBuffer> {
    const { token } = this.vocabulary, counts = new Int32Array(token.length + 1);
    for (let node = 0, count = 0; node < token.length; node++) {
      const id = token[node]!;
      if (id >= 0 && (bits[id >>> 5]! >>> (id & 31) & 1) === 0) count++;
      counts[node + 1] = count;
    }
    return counts;
  }

  /** Adds the tokens below a node that go on from a place. */
  #walk(matcher: Matcher, start: Place, from: number, to: number, bits: Uint32Array): void {
    const { byte, depth, skip } = this.vocabulary, places: Place[] = [], top = depth[from] ?? 0;
    places[top] = start;
    for (let node = from; node < to;) {
      const next = matcher.byte(places[depth[node]!]!, byte[node]!);
      if (next === null) {
        node = skip[node]!;
        continue;
      }
      allow(this.vocabulary, node, bits);
      places[depth[node]! + 1] = next;
      node++;
    }
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
