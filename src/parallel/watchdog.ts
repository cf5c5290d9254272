/** Gives ranks up that come no further, and says which. */
import { FailureError } from "../errors.ts";
import { LOADED, type RankState, type RunControl } from "./control.ts";
import type { Ranks } from "./ranks.ts";

/** Milliseconds without progress of any rank after which they are given up, where nothing else is asked for. */
const PATIENCE_MS = 60_000;
/** The same while they load: files may lie on other machines, and drivers compile. */
const LOADING_PATIENCE_MS = 600_000;
/** Looks during that time. */
const LOOKS = 8;

/** Watches ranks while they work. */
export class Watchdog {
  /** Others that ranks wait for at the moment. */
  #asides = 0;

  constructor(
    readonly ranks: Ranks,
    readonly control: RunControl,
    readonly patience: number = PATIENCE_MS,
  ) {}

  /** Waits for what is no rank's work, during which none has to come further. */
  async aside<T>(work: () => T | Promise<T>): Promise<T> {
    this.#asides++;
    try {
      return await work();
    } finally {
      this.#asides--;
    }
  }

  /** Watches while the ranks work at a question. */
  during<T>(question: () => Promise<T>): Promise<T> {
    return this.#watch(question, this.patience, (states, still) => this.#describe(states, still));
  }

  /** Watches while the ranks load, of which each may take as long as it comes further. */
  loading<T>(question: () => Promise<T>, patience = LOADING_PATIENCE_MS): Promise<T> {
    return this.#watch(question, patience, (states) => {
      const missing = states.flatMap(({ steps }, rank) => steps < LOADED ? [rank] : []);
      return `${this.#named(missing)}: loaded nothing more in ${patience / 1000} s`;
    });
  }

  async #watch<T>(
    question: () => Promise<T>,
    patience: number,
    describe: (states: readonly RankState[], still: readonly number[]) => string,
  ): Promise<T> {
    let states = this.#states(), idle = 0;
    // Looks since each rank was last seen to move.
    let still = states.map(() => 0);
    const timer = setInterval(() => {
      const now = this.#states(), waits = this.#asides > 0;
      idle = waits || now.some(({ steps }, rank) => steps !== states[rank]!.steps) ? 0 : idle + 1;
      still = now.map(({ beats }, rank) => waits || beats !== states[rank]!.beats ? 0 : still[rank]! + 1);
      states = now;
      if (idle === LOOKS) this.ranks.fail(new FailureError(describe(now, still)));
    }, patience / LOOKS);
    try {
      return await question();
    } finally {
      clearInterval(timer);
    }
  }

  #states(): readonly RankState[] {
    return Array.from({ length: this.ranks.count }, (_, rank) => this.control.stateOf(rank));
  }

  #named(ranks: readonly number[]): string {
    return `rank${ranks.length === 1 ? "" : "s"} ${ranks.join(", ")} of ${this.ranks.count}`;
  }

  /** Who is missing: ranks that do not move at all, or that are behind the others. */
  #describe(states: readonly RankState[], still: readonly number[]): string {
    const all = states.map((_, rank) => rank), furthest = Math.max(...states.map(({ steps }) => steps));
    const stuck = all.filter((rank) => still[rank]! >= LOOKS / 2);
    const behind = all.filter((rank) => states[rank]!.steps < furthest);
    const missing = stuck.length > 0 && stuck.length < all.length ? stuck : behind.length > 0 ? behind : all;
    const names = this.#named(missing), seconds = this.patience / 1000;
    return missing === all
      ? `${names}: no one came further in ${seconds} s, each waits for another`
      : `${names}: came no further in ${seconds} s, while the others wait`;
  }
}
