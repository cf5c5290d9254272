/** Which tokens may follow: logits of all others become -Infinity. */
import type { Matcher, Place } from "./matcher.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** Bytes of masks that are kept; one of 200,000 tokens takes 25 kB. */
const MAX_BYTES = 64 * 2 ** 20;

/** Masks of places, computed once and kept as long as there is room. */
export class TokenMasks {
  readonly #kept: Place[] = [];
  #oldest = 0;

  constructor(readonly vocabulary: Vocabulary) {}

  /** A bit for each token: whether it may follow at a place. */
  at(matcher: Matcher, place: Place): Uint32Array {
    if (place.mask !== undefined) return place.mask;
    const mask = this.#compute(matcher, place), room = Math.max(1, Math.floor(MAX_BYTES / mask.byteLength));
    // The oldest makes room; if it is asked for again, it is computed again.
    if (this.#kept.length >= room) {
      this.#oldest = (this.#oldest + 1) % room;
      this.#kept[this.#oldest]!.mask = undefined;
      this.#kept[this.#oldest] = place;
    } else {
      this.#kept.push(place);
    }
    return place.mask = mask;
  }

  #compute(matcher: Matcher, start: Place): Uint32Array {
    const { byte, depth, skip, token, size, deepest, twins, specials } = this.vocabulary;
    const mask = new Uint32Array(Math.ceil(size / 32)), places: Place[] = new Array(deepest + 1).fill(start);
    const allow = (id: number) => mask[id >>> 5]! |= 1 << (id & 31);
    for (let node = 0; node < byte.length;) {
      const place = places[depth[node]!]!, value = byte[node]!;
      const known = place.next[value], next = known === undefined ? matcher.byte(place, value) : known;
      if (next === null) {
        node = skip[node]!;
        continue;
      }
      const id = token[node]!;
      if (id >= 0) {
        allow(id);
        twins.get(id)?.forEach(allow);
      }
      places[depth[node]! + 1] = next;
      node++;
    }
    for (const name of matcher.specials(start)) {
      const id = specials.get(name);
      if (id !== undefined) allow(id);
    }
    return mask;
  }
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
    return (this.masks.at(this.matcher, this.#place)[id >>> 5]! >>> (id & 31) & 1) === 1;
  }

  /** Makes the logits of tokens that may not follow -Infinity; ids beyond the vocabulary are among them. */
  apply(logits: Float32Array): void {
    const mask = this.masks.at(this.matcher, this.#place);
    for (let word = 0, id = 0; id < logits.length; word++, id += 32) {
      const bits = word < mask.length ? mask[word]! : 0, end = Math.min(id + 32, logits.length);
      if (bits === 0) logits.fill(-Infinity, id, end);
      else if (bits !== 0xffffffff) {
        for (let i = id; i < end; i++) if ((bits >>> (i - id) & 1) === 0) logits[i] = -Infinity;
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
