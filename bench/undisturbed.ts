/**
 * How long work would have taken had this machine had nothing else to do: by the processor time of this process, and by
 * how long its threads were ready and waited, as others ran. On a quiet machine that is the time as it goes by, be the
 * threads idle or not; what other programs take away does not count.
 */
import process from "node:process";

/** What went by, in milliseconds. */
export interface Account {
  readonly wall: number;
  /** Processor time of all threads. */
  readonly processor: number;
  /** For how long threads were ready and waited for a processor, all of them together. */
  readonly waited: number;
}

/**
 * Milliseconds of an account without what others took: never less than the processor time, shared out among threads.
 * Threads that wait do so at the same time, or one after the other, each time for the next to come.
 */
export function undisturbed({ wall, processor, waited }: Account, threads: number): number {
  return Math.min(wall, Math.max(processor / threads, wall - waited));
}

/** How often it is looked how long threads have waited, as a thread that has ended tells nothing more; milliseconds. */
const LOOK_MS = 20;

/** Keeps account of this process until disposed of. */
export class Accounts implements Disposable {
  /** Nanoseconds that each thread has waited, ever, those that have ended too. */
  readonly #waited = new Map<string, number>();
  readonly #timer = setInterval(() => this.#look(), LOOK_MS);
  #last = this.#now();

  /** What went by since the last call. */
  lap(): Account {
    const before = this.#last, now = this.#last = this.#now();
    return {
      wall: now.wall - before.wall,
      processor: now.processor - before.processor,
      waited: now.waited - before.waited,
    };
  }

  #now(): Account {
    this.#look();
    const { user, system } = process.cpuUsage();
    const waited = this.#waited.values().reduce((sum, one) => sum + one, 0) / 1e6;
    return { wall: performance.now(), processor: (user + system) / 1000, waited };
  }

  /** Where the system does not tell, threads have not waited. */
  #look(): void {
    try {
      for (const { name } of Deno.readDirSync("/proc/self/task")) this.#lookAt(name);
    } catch {
      // Not Linux.
    }
  }

  #lookAt(thread: string): void {
    try {
      const [, waited] = Deno.readTextFileSync(`/proc/self/task/${thread}/schedstat`).split(" ");
      this.#waited.set(thread, Number(waited));
    } catch {
      // It has just ended.
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
