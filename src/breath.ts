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

/** When some work paused last. */
export class Breath {
  #last = performance.now();

  /** Whether the event loop has been kept waiting for too long. */
  get due(): boolean {
    return performance.now() - this.#last >= BREATHE_MS;
  }

  /** Pauses. */
  async take(): Promise<void> {
    await pause();
    this.#last = performance.now();
  }
}
