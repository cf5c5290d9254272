/**
 * How many of the threads compute a step of one token, found by trying.
 *
 * Such a step reads its weights once and waits for all threads some two hundred times. How many of them are needed to
 * read as fast as memory gives, what more of them cost, and how often one is kept from its processor by what else the
 * machine does, no loop shows as the steps themselves do. So now and then two numbers of threads take turns, and the
 * faster one stays. Results are the same whatever the number.
 */
import { median } from "../../median.ts";

/** Threads that are all of use on the machines that were measured. */
const FEW_THREADS = 32;
/** Steps before the first trial: short answers have none. */
const FIRST_STEPS = 100;
/** Steps of a trial in which its threads are started, before it is given up: some models are too small for so many. */
const STARTS = 64;
/** Steps until it is the other number's turn, and how many of them count, the last: threads that were asleep have come
 * to lie on processors of their own by then. */
const TURN = 24, COUNTED = 12;
/** Turns of each number in a trial. */
const TURNS = 2;
/** Part of its time that the other number must stay below, or luck would decide between equals. */
const GAIN = 0.97;
/** Steps between trials: what else a machine does changes. */
const REST = 1000;

/**
 * Numbers of threads that may compute a step: all, and of many also three quarters and half.
 *
 * @returns Ascending.
 */
export function threadCounts(all: number): number[] {
  const parts = [all / 2, all * 3 / 4].map((part) => Math.max(FEW_THREADS, Math.ceil(part)));
  return [...new Set([...parts.filter((part) => part < all), all])];
}

/** Two numbers of threads that take turns. */
interface Trial {
  /** Place of the one that is not in use. */
  readonly other: number;
  /** Milliseconds of steps that count: with the number in use, and with the other one. */
  readonly times: readonly [number[], number[]];
  steps: number;
  /** Steps in which threads were started. */
  starts: number;
}

export class ThreadChoice {
  /** Ascending. */
  readonly #counts: readonly number[];
  readonly #now: () => number;
  /** Place of the number in use: at first the last but one, which leaves a processor to whoever needs one. */
  #at: number;
  #trial: Trial | null = null;
  /** Steps until the next trial. */
  #rest = FIRST_STEPS;
  /** Where the next trial looks: at more threads, or at fewer. */
  #direction: 1 | -1 = 1;
  /** When the step began; null: it does not count. */
  #began: number | null = null;

  constructor(counts: readonly number[], now: () => number = () => performance.now()) {
    this.#counts = counts;
    this.#at = Math.max(0, counts.length - 2);
    this.#now = now;
  }

  /**
   * A step begins.
   *
   * @param started Threads that were started.
   * @returns How many compute it at most.
   */
  begin(started: number): number {
    if (this.#counts.length === 1) return this.#counts[0]!;
    if (this.#trial === null && this.#rest <= 0) this.#trial = this.#nextTrial();
    const trial = this.#trial, threads = this.#counts[trial !== null && isOthers(trial) ? trial.other : this.#at]!;
    if (trial !== null && started < threads && ++trial.starts > STARTS) this.#end(trial, false);
    this.#began = started < threads ? null : this.#now();
    return threads;
  }

  /** The step that began last is done. */
  end(): void {
    const trial = this.#trial, began = this.#began;
    this.#began = null;
    if (trial === null) this.#rest--;
    else if (began !== null) {
      if (trial.steps % TURN >= TURN - COUNTED) trial.times[isOthers(trial) ? 1 : 0].push(this.#now() - began);
      if (++trial.steps === 2 * TURNS * TURN) this.#end(trial, median(trial.times[1]) < GAIN * median(trial.times[0]));
    }
  }

  #nextTrial(): Trial {
    if (this.#counts[this.#at + this.#direction] === undefined) this.#direction = -this.#direction as 1 | -1;
    return { other: this.#at + this.#direction, times: [[], []], steps: 0, starts: 0 };
  }

  /** Where the other number was faster, the one beyond it is tried at once; else the next trial looks the other way. */
  #end({ other }: Trial, faster: boolean): void {
    this.#trial = null;
    this.#rest = REST;
    if (faster) {
      this.#at = other;
      if (this.#counts[other + this.#direction] !== undefined) this.#rest = 0;
    } else this.#direction = -this.#direction as 1 | -1;
  }
}

const isOthers = ({ steps }: Trial): boolean => Math.floor(steps / TURN) % 2 === 1;
