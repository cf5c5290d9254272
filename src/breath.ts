/** Pauses of long work, in which the event loop runs timers, signals and writes. */

/** How long the event loop may be kept waiting, in milliseconds; bounds the delay of Ctrl-C. */
const BREATHE_MS = 40;

/** When some work paused last. */
export class Breath {
  #last = performance.now();

  /** Whether the event loop has been kept waiting for too long. */
  get due(): boolean {
    return performance.now() - this.#last >= BREATHE_MS;
  }

  /** Pauses. */
  async take(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 0));
    this.#last = performance.now();
  }
}
