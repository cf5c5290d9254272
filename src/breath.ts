/** Pauses of long work, in which the event loop runs timers, signals and writes. */

/** How long the event loop may be kept waiting, in milliseconds; bounds the delay of Ctrl-C. */
const BREATHE_MS = 40;

/**
 * Waits, so that timers, signals and writes of others come first.
 *
 * @param milliseconds 0: only as long as they take.
 */
export function pause(milliseconds = 0): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Waits for a promise, so many milliseconds at most. */
export async function within(promise: Promise<void>, milliseconds: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  await Promise.race([promise, new Promise<void>((resolve) => timer = setTimeout(resolve, milliseconds))]);
  clearTimeout(timer);
}

/**
 * Turns of the event loop in a breath. Deno looks for what comes from outside (sockets, pipes, signals) in every 61st
 * turn, as long as there is always another one; 64 take some 0.1 ms, where the shortest timer takes more than 2.
 */
const TURNS = 64;

/** When some work paused last. */
export class Breath {
  #last = performance.now();

  /** Whether the event loop has been kept waiting for too long. */
  get due(): boolean {
    return performance.now() - this.#last >= BREATHE_MS;
  }

  /** Lets the event loop have some turns, and no longer than they take. */
  async take(): Promise<void> {
    await new Promise<void>((resolve) => {
      let turns = 0;
      const turn = () => ++turns < TURNS ? void setImmediate(turn) : resolve();
      setImmediate(turn);
    });
    this.#last = performance.now();
  }
}

/** What is done step by step, with pauses between them. */
export type Work<T> = Generator<undefined, T>;

/** Does all of it. */
export function atOnce<T>(work: Work<T>): T {
  while (true) {
    const { done, value } = work.next();
    if (done) return value;
  }
}

/** Does all of it; others have their turns in its pauses. */
export async function byTurns<T>(work: Work<T>): Promise<T> {
  const breath = new Breath();
  while (true) {
    const { done, value } = work.next();
    if (done) return value;
    if (breath.due) await breath.take();
  }
}
