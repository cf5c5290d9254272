/** Two numbers of threads that take turns, and which of them is faster. */
import { median } from "../../median.ts";

/** How a trial is made. */
export interface Manner {
  /** Steps until it is the other number's turn, and how many of them do not count, the first: they wake threads. */
  readonly turn: number;
  readonly wakes: number;
  /** Pairs of turns. */
  readonly pairs: number;
  /**
   * After each pair but the last: above which quotient of times, in every pair, the other number is given up, and below
   * which it is taken.
   */
  readonly slower: readonly number[];
  readonly faster: readonly number[];
  /** Quotient above which the other number's turn is not even waited for to its end. */
  readonly hopeless: number;
}

/**
 * As soon as a program computes tokens, a number that is a twelfth slower costs five or eight steps of them. Threads
 * that were asleep need some fifteen steps until they are as fast as they get, so that many of them look worse here
 * than they are: {@linkcode CAREFUL} looks again.
 */
export const QUICK: Manner = {
  ...{ turn: 8, wakes: 3, pairs: 3 },
  ...{ slower: [1.08, 1.04], faster: [0, 0.96], hopeless: 1.3 },
};

/** Where the number in use was found by a trial, or by what was measured on other machines. */
export const CAREFUL: Manner = {
  ...{ turn: 24, wakes: 12, pairs: 2 },
  ...{ slower: [1.05], faster: [0], hopeless: 1.12 },
};

/** Part of its time that the other number must stay below in the end, or luck would decide between equals. */
const GAIN = 0.98;
/** Steps after those that wake threads from which on a number can be hopeless: the fastest of them, as luck has it. */
const LOOKED_AT = 2;
/** Steps that wake nobody, as the other number is smaller, and yet are not like others. */
const FEWER_WAKE = 3;

/** Turns go by as in A B B A A B, so that a machine that becomes slower bit by bit favours none. */
export class Trial {
  readonly #manner: Manner;
  readonly #more: boolean;
  /** Turns that are over, and milliseconds of the steps of this one. */
  #turns = 0;
  #times: number[] = [];
  /** Medians of the last turn of the number in use, and of the other one. */
  #own = 0;
  #others = 0;
  /** Of each pair of turns, the other number's time for that of the number in use. */
  readonly #quotients: number[] = [];

  /** @param more Whether the other number is the larger one. */
  constructor(manner: Manner, more: boolean) {
    this.#manner = manner;
    this.#more = more;
  }

  /** Whether the step that comes is one of the other number. */
  get others(): boolean {
    return this.#turns % 4 === 1 || this.#turns % 4 === 2;
  }

  /**
   * A step took so long.
   *
   * @returns Whether the other number is faster; null: not known yet.
   */
  add(milliseconds: number): boolean | null {
    const { turn, wakes } = this.#manner, times = this.#times;
    times.push(milliseconds);
    if (this.#isHopeless()) return false;
    if (times.length < turn) return null;
    const time = median(times.slice(wakes));
    if (this.others) this.#others = time;
    else this.#own = time;
    this.#times = [];
    if (++this.#turns % 2 === 1) return null;
    this.#quotients.push(this.#others / this.#own);
    return this.#decide();
  }

  #isHopeless(): boolean {
    const { wakes, hopeless } = this.#manner, from = this.#more ? wakes : FEWER_WAKE;
    return this.others && this.#times.length >= from + LOOKED_AT &&
      Math.min(...this.#times.slice(from)) > hopeless * this.#own;
  }

  #decide(): boolean | null {
    const { pairs, slower, faster } = this.#manner, quotients = this.#quotients, done = quotients.length;
    if (done === pairs) return median(quotients) < GAIN;
    if (Math.min(...quotients) > slower[done - 1]!) return false;
    return Math.max(...quotients) < faster[done - 1]! ? true : null;
  }
}
