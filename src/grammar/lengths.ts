/**
 * Lengths of strings, counted beside their automaton: inside it, each state would be there once for each length, and a
 * uri of at most 2083 characters would be refused.
 *
 * Where a text is in such a string is one number, as in an automaton: `level * states + state`, where the level is how
 * many characters are complete. No place is one from which the string cannot be completed within its bounds.
 */
import { InputError } from "../errors.ts";
import { combined, type Dfa, quoted, spend, step } from "./dfa.ts";

/** A string with its quotes, in whose automaton characters are told apart. Its one accepting state is its end. */
export interface Measured {
  readonly dfa: Dfa;
  /** By state: 1 where a character has just ended, or where the first may begin. */
  readonly whole: Uint8Array;
  /** By state: how many characters more have to end before the string can, at least. */
  readonly least: Int32Array;
}

/** How long such a string may be. Plain data, which another thread can be sent. */
export interface Lengths {
  readonly measured: Measured;
  readonly min: number;
  /** Infinity: any number. */
  readonly max: number;
  /**
   * For levels below `min`, from `min - 1` down: sets of states, as bits, from which the string can end within the
   * bounds. Lower levels than there are sets of have those from `again` on in turn.
   */
  readonly early: readonly Uint8Array[];
  readonly again: number;
}

/** Numbers of places stay below this, as a matcher keeps them apart. */
const MAX_PLACES = 2 ** 30;
/** Edges that are looked at, and bytes of sets, in the time of one unit of {@linkcode spend}. */
const EDGES_A_UNIT = 4, BYTES_A_UNIT = 64;

/** Sets as keys: of each byte another character. */
const bytesAsText = new TextDecoder("latin1");

/** Edges against their direction: those that end a character, and others; by state, in one list. */
interface Before {
  readonly ending: Edges;
  readonly within: Edges;
}
interface Edges {
  readonly offsets: Int32Array;
  readonly from: Int32Array;
}

/** Whether a step from one state to another ends a character; state 0 is before the first quote. */
const ends = (whole: Uint8Array, from: number, to: number): boolean => from > 0 && whole[to] === 1;

/**
 * Tells the characters of a string apart.
 *
 * @param content The texts between the quotes.
 * @param characters Any number of characters as they are spelled there; state 0 is where one begins, and no other.
 * @param where What messages begin with.
 * @returns null where no text is left.
 * @throws {InputError} if it costs too much.
 */
export function measured(content: Dfa, characters: Dfa, where: string): Measured | null {
  // So that no state is reached in two places of a character.
  const both = combined(content, characters, "both", where);
  if (both === null) return null;
  const { next, classes, classOf } = both, count = both.accepts.length;
  const firsts = Array.from({ length: classes }, (_, c) => classOf.indexOf(c));
  const places = new Int32Array(count).fill(-1), open = [0];
  places[0] = 0;
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    for (let c = 0; c < classes; c++) {
      const to = next[at * classes + c]!;
      if (to < 0 || places[to]! >= 0) continue;
      places[to] = step(characters, places[at]!, firsts[c]!);
      open.push(to);
    }
  }
  const whole = new Uint8Array(count + 2);
  places.forEach((place, state) => whole[state + 1] = place === 0 ? 1 : 0);
  const dfa = quoted(both);
  spend(dfa.next.length, where);
  return { dfa, whole, least: distances(dfa, whole) };
}

/**
 * Bounds a string's length.
 *
 * @returns null where no text is that long.
 * @throws {InputError} if it costs too much.
 */
export function bounded(string: Measured, min: number, max: number, where: string): Lengths | null {
  const { dfa, whole, least } = string, states = least.length, levels = 1 + (max === Infinity ? min : max);
  if (min > max || least[0]! > max) return null;
  if (levels * states >= MAX_PLACES) throw InputError.of("too_large", { name: where }, "shorter lengths");
  const early: Uint8Array[] = [], known = new Map<string, number>();
  let again = 0;
  if (min > 0) {
    const edges = before(dfa, whole),
      cost = (edges.ending.from.length + edges.within.from.length) / EDGES_A_UNIT + states / BYTES_A_UNIT;
    const open = new Int32Array(states);
    let later = new Uint8Array(Math.ceil(states / 8));
    least.forEach((count, state) => count <= max - min && set(later, state));
    while (early.length < min) {
      spend(Math.ceil(cost), where);
      later = sooner(later, edges, open);
      // What comes before depends on nothing else.
      const key = bytesAsText.decode(later);
      const same = known.get(key);
      if (same !== undefined) {
        again = same;
        break;
      }
      known.set(key, early.length);
      early.push(later);
    }
  }
  const lengths = { measured: string, min, max, early, again };
  return lives(lengths, 0, 0) ? lengths : null;
}

/** Whether a string can still be completed within its bounds, from a state at a level. */
function lives({ measured: { least }, min, max, early, again }: Lengths, state: number, level: number): boolean {
  if (level >= min) return level + least[state]! <= max;
  const missing = min - 1 - level;
  const at = missing < early.length ? missing : again + (missing - again) % (early.length - again);
  return has(early[at]!, state);
}

/** The place in a string after a byte; -1: it cannot be completed like this. */
export function placeAfter(lengths: Lengths, place: number, byte: number): number {
  const { measured: { dfa, whole, least }, min, max } = lengths, states = least.length, from = place % states;
  const to = step(dfa, from, byte);
  if (to < 0) return -1;
  let level = (place - from) / states + (ends(whole, from, to) ? 1 : 0);
  // Without an upper bound it makes no difference how many more than enough there are.
  if (max === Infinity && level > min) level = min;
  return lives(lengths, to, level) ? level * states + to : -1;
}

/** Whether a place in a string is its end, after which nothing more of it comes. */
export function isEnd({ measured: { dfa, least } }: Lengths, place: number): boolean {
  return dfa.accepts[place % least.length] === 1;
}

const has = (bits: Uint8Array, state: number): boolean => (bits[state >>> 3]! >>> (state & 7) & 1) === 1;
const set = (bits: Uint8Array, state: number) => bits[state >>> 3]! |= 1 << (state & 7);

/** By state: how many characters have to end before the string can, at least. */
function distances(dfa: Dfa, whole: Uint8Array): Int32Array {
  const { ending, within } = before(dfa, whole), least = new Int32Array(whole.length).fill(-1);
  let here: number[] = [];
  dfa.accepts.forEach((accepting, state) => accepting === 1 && here.push(state));
  for (let count = 0; here.length > 0; count++) {
    const farther: number[] = [];
    for (let state = here.pop(); state !== undefined; state = here.pop()) {
      if (least[state]! >= 0) continue;
      least[state] = count;
      each(within, state, (from) => here.push(from));
      each(ending, state, (from) => farther.push(from));
    }
    here = farther;
  }
  return least;
}

/** The states from which those of a set are reached with exactly one character more. */
function sooner(later: Uint8Array, { ending, within }: Before, open: Int32Array): Uint8Array<ArrayBuffer> {
  const found = new Uint8Array(later.length);
  let count = 0;
  const reach = ({ offsets, from }: Edges, state: number) => {
    for (let i = offsets[state]!, end = offsets[state + 1]!; i < end; i++) {
      const one = from[i]!, bit = 1 << (one & 7);
      if ((found[one >>> 3]! & bit) === 0) found[one >>> 3]! |= bit, open[count++] = one;
    }
  };
  later.forEach((bits, at) => {
    for (let rest = bits; rest !== 0; rest &= rest - 1) reach(ending, 8 * at + 31 - Math.clz32(rest & -rest));
  });
  while (count > 0) reach(within, open[count -= 1]!);
  return found;
}

function each({ offsets, from }: Edges, state: number, take: (from: number) => void): void {
  for (let i = offsets[state]!; i < offsets[state + 1]!; i++) take(from[i]!);
}

/** The edges of an automaton, each pair of states once. */
function before({ next, classes }: Dfa, whole: Uint8Array): Before {
  const pairs = { ending: [] as [number, number][], within: [] as [number, number][] };
  const seen = new Int32Array(whole.length).fill(-1);
  for (let from = 0; from < whole.length; from++) {
    for (let c = 0; c < classes; c++) {
      const to = next[from * classes + c]!;
      if (to < 0 || seen[to] === from) continue;
      seen[to] = from;
      pairs[ends(whole, from, to) ? "ending" : "within"].push([from, to]);
    }
  }
  return { ending: sorted(pairs.ending, whole.length), within: sorted(pairs.within, whole.length) };
}

function sorted(pairs: readonly (readonly [from: number, to: number])[], states: number): Edges {
  const offsets = new Int32Array(states + 1), from = new Int32Array(pairs.length);
  for (const [, to] of pairs) offsets[to + 1]!++;
  for (let state = 0; state < states; state++) offsets[state + 1]! += offsets[state]!;
  const at = offsets.slice();
  for (const [state, to] of pairs) from[at[to]!++] = state;
  return { offsets, from };
}
