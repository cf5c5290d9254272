/** Deterministic automata over bytes: the texts that a terminal of a grammar may be. */
import { InputError } from "../errors.ts";

/** An automaton whose every state can still reach an accepting one; it begins in state 0. */
export interface Dfa {
  /** By byte: its class. Bytes of one class are never told apart. */
  readonly classOf: Uint8Array;
  readonly classes: number;
  /** [states, classes]: the next state; -1: the text cannot go on like this. */
  readonly next: Int32Array;
  /** By state: 1 where the text may end. */
  readonly accepts: Uint8Array;
  /** Whether it was made of a list of texts, so that few bytes can follow anywhere. */
  readonly listed?: boolean;
}

/** An automaton that is still to be explored, with states of any kind. */
export interface Machine<S> {
  readonly start: S;
  /** The state after a byte of this class; null: there is none. */
  step(state: S, byteClass: number): S | null;
  accepts(state: S): boolean;
  /** The same for states that are the same. */
  key(state: S): string | number;
}

/** Bytes by class. */
export interface Alphabet {
  readonly classOf: Uint8Array;
  readonly classes: number;
}

/** States that are explored before an automaton is refused, whatever they cost. */
const MAX_STATES = 200_000;
/** States of counted texts, which are made without exploring: a table of some 20 MB. */
const MAX_COUNTED = 200_000;

/** What making automata may still cost: cells of tables and steps of sets, some ten million a second. */
let left = Infinity;

/**
 * Makes something of automata, at some cost at most: schemas come from strangers, and nothing else is done meanwhile.
 *
 * @param most The cost, in the unit of {@linkcode spend}.
 * @throws {InputError} if it costs more.
 */
export function withBudget<T>(most: number, make: () => T): T {
  const before = left;
  left = most;
  try {
    return make();
  } finally {
    left = before;
  }
}

/**
 * Counts a cost, in cells of tables and steps of sets.
 *
 * @param where What a message begins with.
 * @throws {InputError} if nothing is left for it.
 */
export function spend(cost: number, where: string): void {
  left -= cost;
  if (left < 0) throw InputError.of("too_large", { name: where }, "simpler patterns, shorter lengths or fewer of them");
}

/** One more step of an automaton: -1 where there is none. */
export function step(dfa: Dfa, state: number, byte: number): number {
  return dfa.next[state * dfa.classes + dfa.classOf[byte]!]!;
}

/** Bytes parted where ranges begin and end; `cuts` are bytes with which a range begins, or that follow its end. */
export function alphabetOf(cuts: Iterable<number>): Alphabet {
  const sorted = [...new Set(cuts)].filter((cut) => cut > 0 && cut < 256).sort((a, b) => a - b);
  const classOf = new Uint8Array(256);
  sorted.forEach((cut, i) => classOf.fill(i + 1, cut));
  return { classOf, classes: sorted.length + 1 };
}

/**
 * The automaton of a machine: the states that can be reached, without those from which no text can end.
 *
 * @param where What a message begins with.
 * @returns null where it accepts nothing.
 * @throws {InputError} if it has too many states, or costs too much.
 */
export function explore<S>(machine: Machine<S>, { classOf, classes }: Alphabet, where: string): Dfa | null {
  const states: S[] = [machine.start], indices = new Map([[machine.key(machine.start), 0]]);
  const next: number[] = [];
  for (let at = 0; at < states.length; at++) {
    spend(classes, where);
    for (let c = 0; c < classes; c++) {
      const to = machine.step(states[at]!, c);
      if (to === null) {
        next.push(-1);
        continue;
      }
      const key = machine.key(to);
      let index = indices.get(key);
      if (index === undefined) {
        index = states.length;
        if (index >= MAX_STATES) {
          throw InputError.of("too_large", { name: where }, `an automaton of at most ${MAX_STATES} states`, "more");
        }
        indices.set(key, index);
        states.push(to);
      }
      next.push(index);
    }
  }
  const accepts = Uint8Array.from(states, (state) => machine.accepts(state) ? 1 : 0);
  return alive({ classOf, classes, next: Int32Array.from(next), accepts });
}

/** The automaton without states from which no text can end; null where that is so from the start. */
export function alive({ classOf, classes, next, accepts }: Dfa): Dfa | null {
  const count = accepts.length, before: number[][] = Array.from({ length: count }, () => []);
  next.forEach((to, i) => to >= 0 && before[to]!.push(Math.floor(i / classes)));
  const lives = new Uint8Array(count), open: number[] = [];
  const reach = (state: number) => {
    if (lives[state] === 0) lives[state] = 1, open.push(state);
  };
  accepts.forEach((accepting, state) => accepting === 1 && reach(state));
  for (let state = open.pop(); state !== undefined; state = open.pop()) before[state]!.forEach(reach);
  if (lives[0] === 0) return null;
  const renamed = new Int32Array(count).fill(-1);
  let kept = 0;
  for (let state = 0; state < count; state++) if (lives[state] === 1) renamed[state] = kept++;
  if (kept === count) return { classOf, classes, next, accepts };
  const table = new Int32Array(kept * classes), ends = new Uint8Array(kept);
  for (let state = 0; state < count; state++) {
    const to = renamed[state]!;
    if (to < 0) continue;
    ends[to] = accepts[state]!;
    for (let c = 0; c < classes; c++) {
      const target = next[state * classes + c]!;
      table[to * classes + c] = target < 0 ? -1 : renamed[target]!;
    }
  }
  return { classOf, classes, next: table, accepts: ends };
}

/** Exactly these texts, in UTF-8; at least one. */
export function textsOf(texts: readonly string[], where: string): Dfa {
  const all = texts.map((text) => new TextEncoder().encode(text)), used = new Uint8Array(256);
  for (const bytes of all) for (const byte of bytes) used[byte] = 1;
  // Class 0 are the bytes that no text has.
  let classes = 1;
  const classOf = used.map((is) => is === 1 ? classes++ : 0), next: number[] = [], accepts: number[] = [];
  const state = () => {
    spend(classes, where);
    for (let c = 0; c < classes; c++) next.push(-1);
    return accepts.push(0) - 1;
  };
  state();
  for (const bytes of all) {
    let at = 0;
    for (const byte of bytes) {
      const place = at * classes + classOf[byte]!;
      if (next[place]! < 0) next[place] = state();
      at = next[place]!;
    }
    accepts[at] = 1;
  }
  return { classOf, classes, next: Int32Array.from(next), accepts: Uint8Array.from(accepts), listed: true };
}

/** The texts that both automata accept; with `without`, those that only the first accepts. Null: there are none. */
export function combined(a: Dfa, b: Dfa, how: "both" | "without", where: string): Dfa | null {
  const pairs = new Map<number, number>(), classOf = new Uint8Array(256), firsts: number[] = [];
  for (let byte = 0; byte < 256; byte++) {
    const pair = a.classOf[byte]! * b.classes + b.classOf[byte]!;
    if (!pairs.has(pair)) pairs.set(pair, pairs.size), firsts.push(byte);
    classOf[byte] = pairs.get(pair)!;
  }
  return explore<readonly [number, number]>(
    {
      start: [0, 0],
      step: ([x, y], c) => {
        const byte = firsts[c]!, nextX = step(a, x, byte), nextY = y < 0 ? -1 : step(b, y, byte);
        return nextX < 0 || (nextY < 0 && how === "both") ? null : [nextX, nextY];
      },
      accepts: ([x, y]) => a.accepts[x] === 1 && (y >= 0 && b.accepts[y] === 1) === (how === "both"),
      key: ([x, y]) => x * (b.accepts.length + 1) + y + 1,
    },
    { classOf, classes: pairs.size },
    where,
  );
}

/**
 * Between `min` and `max` texts of an automaton one after the other; `max` may be Infinity. No text of it may be the
 * beginning of another, nor empty, as is so for the characters of a string.
 */
export function counted(unit: Dfa, min: number, max: number, where: string): Dfa {
  const levels = max === Infinity ? min : max, inside = unit.accepts.length, { classOf, classes } = unit;
  const states = (levels + 1) * inside;
  if (states > MAX_COUNTED) {
    throw InputError.of("too_large", { name: where }, `an automaton of at most ${MAX_COUNTED} states`, states);
  }
  spend(states * classes, where);
  // State: how many are complete, and where in the next one. Ends of units are the starts of the next.
  const next = new Int32Array(states * classes).fill(-1), accepts = new Uint8Array(states);
  for (let level = 0; level <= levels; level++) {
    if (level >= min) accepts[level * inside] = 1;
    if (level === levels && max !== Infinity) break;
    for (let i = 0; i < inside * classes; i++) {
      const to = unit.next[i]!;
      if (to < 0) continue;
      const following = Math.min(level + 1, levels) * inside;
      next[level * inside * classes + i] = unit.accepts[to] === 1 ? following : level * inside + to;
    }
  }
  // From every state that can be reached an end can be reached too, as within one text.
  return { classOf, classes, next, accepts };
}

/** The texts of an automaton between two quotes; in them a quote stands after a backslash only. */
export function quoted(content: Dfa): Dfa {
  const quote = 0x22, count = content.accepts.length, classes = content.classes + 1, close = count + 1;
  const classOf = content.classOf.slice();
  classOf[quote] = content.classes;
  const next = new Int32Array((count + 2) * classes).fill(-1), accepts = new Uint8Array(count + 2);
  next[content.classes] = 1;
  for (let state = 0; state < count; state++) {
    const row = (state + 1) * classes;
    for (let c = 0; c < content.classes; c++) {
      const to = content.next[state * content.classes + c]!;
      if (to >= 0) next[row + c] = to + 1;
    }
    const escaped = step(content, state, quote);
    if (escaped >= 0) next[row + content.classes] = escaped + 1;
    else if (content.accepts[state] === 1) next[row + content.classes] = close;
  }
  accepts[close] = 1;
  return { classOf, classes, next, accepts };
}

/** Whether an automaton accepts bytes, as a whole. */
export function matches(dfa: Dfa, bytes: Uint8Array): boolean {
  let state = 0;
  for (const byte of bytes) if ((state = step(dfa, state, byte)) < 0) return false;
  return dfa.accepts[state] === 1;
}
