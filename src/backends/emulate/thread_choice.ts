/**
 * How many of the threads compute a step of one token, found by trying.
 *
 * Such a step reads its weights once and waits for all threads some two hundred times. How many of them are needed to
 * read as fast as memory gives, what more of them cost, and how often one is kept from its processor by what else the
 * machine does, no loop shows as the steps themselves do. So two numbers of threads take turns now and then, and the
 * faster one stays: soon after the first steps in short turns, from one number to the next as long as that gains, and
 * later in long ones, which are surer. Results are the same whatever the number.
 */
import { CAREFUL, QUICK, Trial } from "./thread_trial.ts";

/** Threads of which there is nothing to choose, and those that are all of use on the machines that were measured. */
const FEWEST_THREADS = 7, FEW_THREADS = 32;
/**
 * Steps before the first trial, with many threads and with few. Many lose soon as much as a trial costs where half of
 * them are the wrong number; few were the faster the more they were, wherever that was measured.
 */
const FIRST_STEPS = 6, FIRST_OF_FEW = 32;
/** Steps of a trial in which its threads are started, before it is given up: some models are too small for so many. */
const STARTS = 64;
/** Steps between trials, which double from one to the next up to a limit: what else a machine does changes. */
const REST = 96, LONGEST_REST = 1000;

/**
 * Numbers of threads that may compute a step: all, and of more than seven also three quarters, half, and a quarter.
 *
 * @returns Ascending.
 */
export function threadCounts(all: number): number[] {
  if (all <= FEWEST_THREADS) return [all];
  const parts = [Math.ceil(all / 4), halfOf(all), Math.ceil(all * 3 / 4)];
  return [...new Set([...parts.filter((part) => part < all), all])].sort((a, b) => a - b);
}

/** Half of the threads, but no fewer than are of use. */
const halfOf = (all: number): number => Math.max(Math.ceil(all / 2), all > FEW_THREADS ? FEW_THREADS : 0);

export class ThreadChoice {
  /** Ascending. */
  readonly #counts: readonly number[];
  readonly #now: () => number;
  /** Place of the number in use: at first all of a few, and half of many, as little is lost by that if it is wrong. */
  #at: number;
  /** The trial under way; the place of its other number, and steps of it in which threads were started. */
  #trial: Trial | null = null;
  #other = 0;
  #starts = 0;
  /** Steps until the next trial, and those until the one after that. */
  #wait: number;
  #rest = REST;
  /** Where the next trial looks: at more threads, or at fewer. */
  #direction: 1 | -1 = 1;
  /** Whether trials are quick ones still; whether one of them gained; whether they looked into the second direction. */
  #quick = true;
  #gained = false;
  #turned = false;
  /** When the step began; null: it does not count. */
  #began: number | null = null;

  constructor(counts: readonly number[], now: () => number = () => performance.now()) {
    const all = counts.at(-1)!;
    this.#counts = counts;
    this.#at = all > FEW_THREADS ? counts.findIndex((count) => count >= halfOf(all)) : counts.length - 1;
    this.#wait = all > FEW_THREADS ? FIRST_STEPS : FIRST_OF_FEW;
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
    if (this.#trial === null && this.#wait <= 0) this.#try(started);
    const threads = this.#counts[this.#trial?.others ? this.#other : this.#at]!;
    if (this.#trial !== null && started < threads && ++this.#starts > STARTS) this.#end(false);
    this.#began = started < threads ? null : this.#now();
    return threads;
  }

  /** The step that began last is done. */
  end(): void {
    const began = this.#began;
    this.#began = null;
    if (began === null) return;
    if (this.#trial === null) this.#wait--;
    else {
      const faster = this.#trial.add(this.#now() - began);
      if (faster !== null) this.#end(faster);
    }
  }

  /** Begins a trial, but no quick one that would have to start threads: a start takes as long as half a step. */
  #try(started: number): void {
    if (!this.#has(this.#direction)) this.#direction = -this.#direction as 1 | -1;
    this.#other = this.#at + this.#direction;
    if (this.#quick && started < this.#counts[this.#other]!) return this.#end(false);
    this.#starts = 0;
    this.#trial = new Trial(this.#quick ? QUICK : CAREFUL, this.#direction > 0);
  }

  #has(direction: 1 | -1): boolean {
    return this.#counts[this.#at + direction] !== undefined;
  }

  /**
   * Where the other number was faster, the one beyond it is tried at once. Else the next trial looks the other way: at
   * once too, where a quick one has gained nothing.
   */
  #end(faster: boolean): void {
    this.#trial = null;
    if (faster) {
      this.#at = this.#other;
      this.#gained = true;
      if (this.#has(this.#direction)) {
        this.#wait = 0;
        return;
      }
    }
    this.#direction = -this.#direction as 1 | -1;
    if (this.#quick && !this.#gained && !this.#turned && this.#has(this.#direction)) {
      this.#turned = true;
      this.#wait = 0;
      return;
    }
    // Of more threads short turns show less than they can do.
    if (this.#quick) this.#direction = 1;
    this.#quick = false;
    this.#wait = this.#rest;
    this.#rest = Math.min(LONGEST_REST, 2 * this.#rest);
  }
}
