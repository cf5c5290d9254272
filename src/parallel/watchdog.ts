/** Gives ranks up that come no further, and says which. */
import { FailureError } from "../errors.ts";
import type { RankState, RunControl } from "./control.ts";
import type { Ranks } from "./ranks.ts";

/** Milliseconds without progress of any rank after which they are given up, where nothing else is asked for. */
const PATIENCE_MS = 60_000;
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
  async during<T>(question: () => Promise<T>): Promise<T> {
    let states = this.#states(), idle = 0;
    // Looks since each rank was last seen to move.
    let still = states.map(() => 0);
    const timer = setInterval(() => {
      const now = this.#states(), waits = this.#asides > 0;
      idle = waits || now.some(({ steps }, rank) => steps !== states[rank]!.steps) ? 0 : idle + 1;
      still = now.map(({ beats }, rank) => waits || beats !== states[rank]!.beats ? 0 : still[rank]! + 1);
      states = now;
      if (idle === LOOKS) this.ranks.fail(new FailureError(this.#describe(now, still)));
    }, this.patience / LOOKS);
    try {
      return await question();
    } finally {
      clearInterval(timer);
    }
  }

  #states(): readonly RankState[] {
    return Array.from({ length: this.ranks.count }, (_, rank) => this.control.stateOf(rank));
  }

  /** Who is missing: ranks that do not move at all, or that are behind the others. */
  #describe(states: readonly RankState[], still: readonly number[]): string {
    const all = states.map((_, rank) => rank), furthest = Math.max(...states.map(({ steps }) => steps));
    const stuck = all.filter((rank) => still[rank]! >= LOOKS / 2);
    const behind = all.filter((rank) => states[rank]!.steps < furthest);
    const missing = stuck.length > 0 && stuck.length < all.length ? stuck : behind.length > 0 ? behind : all;
    const names = `rank${missing.length === 1 ? "" : "s"} ${missing.join(", ")} of ${all.length}`;
    const seconds = this.patience / 1000;
    return missing === all
      ? `${names}: no one came further in ${seconds} s, each waits for another`
      : `${names}: came no further in ${seconds} s, while the others wait`;
  }
}
