/** Regular expressions as data, and automata made of them. */
import { InputError } from "../errors.ts";
import { alphabetOf, type Dfa, explore, spend } from "./dfa.ts";
import type { Range } from "./utf8.ts";

/** A regular expression over bytes. */
export type Expression =
  /** One byte of a range. */
  | { readonly kind: "byte"; readonly range: Range }
  /** One of several sequences of bytes, each byte of a range: the characters of a set in UTF-8. */
  | { readonly kind: "bytes"; readonly sequences: readonly (readonly Range[])[] }
  | { readonly kind: "sequence"; readonly items: readonly Expression[] }
  | { readonly kind: "choice"; readonly items: readonly Expression[] }
  /** `max` may be Infinity. */
  | { readonly kind: "repeat"; readonly item: Expression; readonly min: number; readonly max: number }
  /** What an automaton accepts. */
  | { readonly kind: "dfa"; readonly dfa: Dfa }
  /** The empty text, but only at the start or at the end of the whole. */
  | { readonly kind: "start" | "end" };

/** One expression after the other. */
export const sequence = (...items: Expression[]): Expression => ({ kind: "sequence", items });
/** One of several expressions. */
export const choice = (items: readonly Expression[]): Expression => ({ kind: "choice", items });
/** An expression several times; without `max` any number of times. */
export const repeat = (item: Expression, min = 0, max = Infinity): Expression => ({ kind: "repeat", item, min, max });
/** A byte of a range. */
export const byte = (first: number, last = first): Expression => ({ kind: "byte", range: [first, last] });
/** This text, in UTF-8. */
export const literal = (text: string): Expression =>
  sequence(...Array.from(new TextEncoder().encode(text), (value) => byte(value)));

/** States of the automaton before it is made deterministic: repetitions are written out. */
const MAX_STATES = 60_000;

/** Edges that are looked at in the time of one step of a set. */
const EDGES_A_STEP = 8;
/** What a state costs, in the unit of {@linkcode spend}. */
const COST_OF_STATE = 10;

/** The nondeterministic automaton, by Thompson's construction. */
class Builder {
  /** By state: the states after a byte from `first` to `last`. */
  readonly edges: { first: number; last: number; to: number }[][] = [];
  /** By state: the states that are reached without a byte; anywhere, at the start of the text, at its end. */
  readonly free: number[][] = [];
  readonly atStart: number[][] = [];
  readonly atEnd: number[][] = [];

  constructor(readonly where: string) {}

  state(): number {
    if (this.edges.length >= MAX_STATES) {
      throw InputError.of("too_large", { name: this.where }, `an expression of at most ${MAX_STATES} states`, "more");
    }
    spend(COST_OF_STATE, this.where);
    this.free.push([]);
    this.atStart.push([]);
    this.atEnd.push([]);
    return this.edges.push([]) - 1;
  }

  /** Adds the expression after a state, and returns the state after it. */
  add(expression: Expression, from: number): number {
    switch (expression.kind) {
      case "byte": {
        const to = this.state(), [first, last] = expression.range;
        this.edges[from]!.push({ first, last, to });
        return to;
      }
      case "bytes": {
        const to = this.state();
        this.#addTree(expression.sequences, from, to, new Map());
        return to;
      }
      case "sequence":
        return expression.items.reduce((at, item) => this.add(item, at), from);
      case "choice": {
        const to = this.state();
        for (const item of expression.items) {
          const begin = this.state();
          this.free[from]!.push(begin);
          this.free[this.add(item, begin)]!.push(to);
        }
        return to;
      }
      case "repeat": {
        let at = from;
        for (let i = 0; i < expression.min; i++) at = this.add(expression.item, at);
        const to = this.state();
        if (expression.max === Infinity) {
          const loop = this.state();
          this.free[at]!.push(loop);
          this.free[this.add(expression.item, loop)]!.push(loop);
          this.free[loop]!.push(to);
          return to;
        }
        for (let i = expression.min; i < expression.max; i++) {
          this.free[at]!.push(to);
          at = this.add(expression.item, at);
        }
        this.free[at]!.push(to);
        return to;
      }
      case "dfa":
        return this.#addDfa(expression.dfa, from);
      case "start":
      case "end": {
        const to = this.state();
        (expression.kind === "start" ? this.atStart : this.atEnd)[from]!.push(to);
        return to;
      }
    }
  }

  #addDfa({ next, classes, classOf, accepts }: Dfa, from: number): number {
    const states = Array.from(accepts, () => this.state()), end = this.state();
    this.free[from]!.push(states[0]!);
    states.forEach((state, i) => {
      if (accepts[i] === 1) this.free[state]!.push(end);
      for (let first = 0, last: number; first < 256; first = last + 1) {
        for (last = first; classOf[last + 1] === classOf[first];) last++;
        const to = next[i * classes + classOf[first]!]!;
        if (to >= 0) this.edges[state]!.push({ first, last, to: states[to]! });
      }
    });
    return end;
  }

  /**
   * Adds sequences as a tree whose equal branches are shared: a set of a thousand ranges takes a few hundred states,
   * and a text is in one of them at a time.
   */
  #addTree(sequences: readonly (readonly Range[])[], from: number, to: number, known: Map<string, number>): void {
    spend(sequences.length, this.where);
    const cuts = [...new Set(sequences.flatMap(([range]) => [range![0], range![1] + 1]))].sort((a, b) => a - b);
    for (let i = 0; i + 1 < cuts.length; i++) {
      const first = cuts[i]!, last = cuts[i + 1]! - 1;
      const rests = sequences.filter(([range]) => range![0] <= first && last <= range![1]).map((one) => one.slice(1));
      if (rests.length === 0) continue;
      if (rests.some((rest) => rest.length === 0)) this.edges[from]!.push({ first, last, to });
      const longer = rests.filter((rest) => rest.length > 0);
      if (longer.length === 0) continue;
      const key = JSON.stringify(longer);
      let branch = known.get(key);
      if (branch === undefined) {
        known.set(key, branch = this.state());
        this.#addTree(longer, branch, to, known);
      }
      this.edges[from]!.push({ first, last, to: branch });
    }
  }
}

/**
 * The automaton of an expression.
 *
 * @param where What messages begin with.
 * @returns null where no text matches.
 * @throws {InputError} if it becomes too large.
 */
export function compile(expression: Expression, where: string): Dfa | null {
  const nfa = new Builder(where), start = nfa.state(), end = nfa.add(expression, start);
  const count = nfa.edges.length, edges = nfa.edges.flat();
  const alphabet = alphabetOf(edges.flatMap(({ first, last }) => [first, last + 1]));
  const firsts = Array.from({ length: alphabet.classes }, (_, c) => alphabet.classOf.indexOf(c));
  /** A state that passed an `end` has a number from `count` on, and takes no byte any more. */
  const closureOf = (seed: number, atStart: boolean): number[] => {
    const seen = new Set<number>(), open = [seed];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      if (seen.has(at)) continue;
      seen.add(at);
      const ended = at >= count ? count : 0, state = at - ended;
      for (const to of nfa.free[state]!) open.push(to + ended);
      for (const to of nfa.atEnd[state]!) open.push(to + count);
      if (atStart) { for (const to of nfa.atStart[state]!) open.push(to + ended); }
    }
    // Only states that take a byte or end the text make a difference.
    return [...seen].filter((at) => at % count === end || (at < count && nfa.edges[at]!.length > 0));
  };
  const closures: (number[] | undefined)[] = [];
  const byNumber = (a: number, b: number) => a - b;
  return explore<readonly number[]>(
    {
      start: closureOf(start, true).sort(byNumber),
      step: (states, c) => {
        const value = firsts[c]!, reached = new Set<number>();
        let looked = 0;
        for (const state of states) {
          if (state >= count) continue;
          looked += nfa.edges[state]!.length;
          for (const { first, last, to } of nfa.edges[state]!) {
            if (first > value || value > last) continue;
            for (const at of closures[to] ??= closureOf(to, false)) reached.add(at);
          }
        }
        spend(states.length + reached.size + Math.floor(looked / EDGES_A_STEP), where);
        return reached.size === 0 ? null : [...reached].sort(byNumber);
      },
      accepts: (states) => states.some((state) => state % count === end),
      key: (states) => states.join(),
    },
    alphabet,
    where,
  );
}
