/** Progress of work that may take hours: done, rate, time left. */
import { eraseLine, note, redraw } from "../terminal.ts";

/** Least time between two drawings on a terminal, in milliseconds. */
const REDRAW_MS = 200;
/** Time between two lines where stderr is no terminal, in milliseconds. */
const LINE_MS = 30_000;
/** The rate is that of about so long a time before, in milliseconds. */
const MEMORY_MS = 20_000;
const WIDTH = 24;

/** Shows how far work has come: on a terminal in one line, else as a line now and then. */
export class RateBar implements Disposable {
  readonly #terminal = Deno.stderr.isTerminal();
  readonly #history: { at: number; done: number }[] = [];
  #drawn = -Infinity;

  /** @param unit What is counted, for instance "problems". */
  constructor(readonly label: string, readonly unit: string) {}

  /**
   * Shows that `done` of `total` is done.
   *
   * @param aside Appended, for instance a preliminary result.
   */
  update(done: number, total: number, aside = ""): void {
    const now = performance.now();
    if (this.#history.length === 0) this.#drawn = this.#terminal ? -Infinity : now;
    this.#history.push({ at: now, done });
    while (this.#history.length > 2 && now - this.#history[0]!.at > MEMORY_MS) this.#history.shift();
    if (now - this.#drawn < (this.#terminal ? REDRAW_MS : LINE_MS)) return;
    this.#drawn = now;
    const first = this.#history[0]!;
    const rate = now > first.at ? (done - first.done) / (now - first.at) * 1000 : 0;
    const line = rateLine({ label: this.label, unit: this.unit, done, total, rate, aside });
    (this.#terminal ? redraw : note)(line);
  }

  /** Removes the line from a terminal. */
  [Symbol.dispose](): void {
    if (this.#terminal && this.#drawn > 0) eraseLine();
  }
}

/** What a line of progress says; `rate` is per second. */
export interface RateLine {
  readonly label: string;
  readonly unit: string;
  readonly done: number;
  readonly total: number;
  readonly rate: number;
  readonly aside: string;
}

/**
 * The text of a line, for instance `w_mxfp4 [######      ] 120/1000 problems, 11.2/s, 1 min 19 s left, 99.2% right`.
 */
export function rateLine({ label, unit, done, total, rate, aside }: RateLine): string {
  const bar = "#".repeat(Math.round(done / total * WIDTH)).padEnd(WIDTH);
  const speed = rate > 0 ? `, ${rate.toPrecision(3)}/s, ${durationText((total - done) / rate)} left` : "";
  return `${label} [${bar}] ${done}/${total} ${unit}${speed}${aside === "" ? "" : `, ${aside}`}`;
}

/** A time in words: `45 s`, `12 min 5 s`, `3 h 20 min`. */
export function durationText(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
