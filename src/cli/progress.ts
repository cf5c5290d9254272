/** A progress bar on stderr, for work that takes long enough to wonder about. */
import { eraseLine, redraw } from "./terminal.ts";

/** Work that ends sooner than this shows no bar, in milliseconds. */
const PATIENCE_MS = 300;
/** Least time between two drawings, in milliseconds. */
const REDRAW_MS = 80;
/** Width of the bar, in characters. */
const WIDTH = 28;

/** Draws `label [#####     ] 42% (12.3 s left)` over itself; does nothing where stderr is not a terminal. */
export class ProgressBar implements Disposable {
  readonly #started = performance.now();
  readonly #enabled = Deno.stderr.isTerminal();
  #drawn = -Infinity;

  constructor(readonly label: string) {}

  /** Shows that `done` of `total` is done, in any unit. */
  update(done: number, total: number): void {
    const now = performance.now();
    if (!this.#enabled || now - this.#started < PATIENCE_MS || now - this.#drawn < REDRAW_MS || total <= 0) return;
    this.#drawn = now;
    redraw(progressLine(this.label, done / total, now - this.#started));
  }

  /** Removes the bar. */
  [Symbol.dispose](): void {
    if (this.#drawn > 0) eraseLine();
    this.#drawn = -Infinity;
  }
}

/**
 * The text of a bar.
 *
 * @param fraction Part of the work that is done, 0 to 1.
 * @param elapsed Time that it took, in milliseconds.
 */
export function progressLine(label: string, fraction: number, elapsed: number): string {
  const part = Math.min(1, Math.max(0, fraction));
  const bar = "#".repeat(Math.round(part * WIDTH)).padEnd(WIDTH);
  const left = part > 0 ? ` (${(elapsed * (1 - part) / part / 1000).toFixed(1)} s left)` : "";
  return `${label} [${bar}] ${Math.floor(part * 100)}%${left}`;
}
