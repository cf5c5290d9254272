/**
 * A progress bar on stderr, for work that takes long enough to wonder about.
 *
 * It is our own. deno-std 1.4.0, the npm form of Deno's standard library, has none. cli-progress 3.12.0 was tried in a
 * terminal of 80 columns, in a pipe and in a window made narrower: its bar keeps its width, so that the window cuts off
 * the numbers after it; it switches the terminal's line wrap off, which stays off where the process is killed; and it
 * writes to the stream itself, past what makes text printable (terminal.ts).
 */
import { durationText, rateText } from "../amounts.ts";
import { drawsOver, eraseLine, lineColumns, note, redraw } from "./terminal.ts";
import { cutTo, widthOf } from "./width.ts";

/** Work that ends sooner than this shows no bar, in milliseconds, unless its parts are counted and take longer each. */
const PATIENCE_MS = 300;
/** Least time between two drawings on a terminal, in milliseconds. */
const REDRAW_MS = 100;
/** Time between two lines where stderr is not a terminal, in milliseconds. */
const LINE_MS = 30_000;
/** The rate is that of about so long a time before, in milliseconds. */
const MEMORY_MS = 20_000;
/** Widths of the bar where the window has room, in characters: the line with counts says more beside it. */
const WIDTH = 28, COUNTED_WIDTH = 24;
/** A bar that would be narrower than this says nothing. */
const LEAST_WIDTH = 4;

/**
 * Shows how far work has come: on a terminal in one line that is drawn over itself, which is never wider than the
 * window. Elsewhere work whose parts are counted, which may take hours, writes a line now and then, and other work
 * nothing.
 */
export class ProgressBar implements Disposable {
  readonly #terminal = drawsOver();
  readonly #started = performance.now();
  readonly #history: { at: number; done: number }[] = [];
  /** Time of the last drawing or line. */
  #written: number | null = null;

  /** @param unit What is counted, for instance "problems"; null where the part that is done says enough. */
  constructor(readonly label: string, readonly unit: string | null = null) {}

  /**
   * Shows that `done` of `total` is done, in any unit.
   *
   * @param aside Appended where parts are counted, for instance a preliminary result.
   */
  update(done: number, total: number, aside = ""): void {
    if (!(total > 0) || (!this.#terminal && this.unit === null)) return;
    const now = performance.now();
    if (this.unit !== null) this.#remember(now, done);
    if (!this.#isDue(now)) return;
    this.#written = now;
    // A pipe has no width.
    const columns = this.#terminal ? lineColumns() : Infinity;
    const line = this.unit === null
      ? progressLine(this.label, done / total, now - this.#started, columns)
      : rateLine({ label: this.label, unit: this.unit, done, total, rate: this.#rate(), aside }, columns);
    (this.#terminal ? redraw : note)(line);
  }

  /** Removes the bar from a terminal; lines elsewhere stay. */
  [Symbol.dispose](): void {
    if (this.#terminal && this.#written !== null) eraseLine();
    this.#written = null;
  }

  #isDue(now: number): boolean {
    if (!this.#terminal) return now - (this.#written ?? this.#started) >= LINE_MS;
    // What begins is said at once where its first part may take minutes, so that no silence is left unexplained.
    if (this.#written === null) return this.unit !== null || now - this.#started >= PATIENCE_MS;
    return now - this.#written >= REDRAW_MS;
  }

  #remember(at: number, done: number): void {
    this.#history.push({ at, done });
    while (this.#history.length > 2 && at - this.#history[0]!.at > MEMORY_MS) this.#history.shift();
  }

  /** Parts done per second, over the last {@linkcode MEMORY_MS}. */
  #rate(): number {
    const first = this.#history[0]!, last = this.#history.at(-1)!;
    return last.at > first.at ? (last.done - first.done) / (last.at - first.at) * 1000 : 0;
  }
}

/**
 * The text of a bar: `label [#####     ] 42% (13s left)`.
 *
 * @param fraction Part of the work that is done, 0 to 1.
 * @param elapsed Time that it took, in milliseconds.
 * @param columns That a line may take. Where they are few the bar gets shorter, and then is left out.
 */
export function progressLine(label: string, fraction: number, elapsed: number, columns = Infinity): string {
  const part = Math.min(1, Math.max(0, fraction));
  const left = part > 0 ? ` (${durationText(elapsed * (1 - part) / part / 1000)} left)` : "";
  return withBar(label, part, `${Math.floor(part * 100)}%${left}`, WIDTH, columns);
}

/** What a line of progress says where parts are counted; `rate` is per second. */
export interface RateLine {
  readonly label: string;
  readonly unit: string;
  readonly done: number;
  readonly total: number;
  readonly rate: number;
  readonly aside: string;
}

/**
 * The text of such a line, for instance
 * `w_mxfp4 [###                     ] 120/1000 problems, 11.2/s, 1m 19s left, 119 right`.
 *
 * @param columns As for {@linkcode progressLine}.
 */
export function rateLine({ label, unit, done, total, rate, aside }: RateLine, columns = Infinity): string {
  const left = rate > 0 ? `, ${durationText((total - done) / rate)} left` : "";
  const speed = rate > 0 ? `, ${rateText(rate)}/s${left}` : "";
  const counts = `${done}/${total} ${unit}`, asides = aside === "" ? [] : aside.split(", ");
  const beside = asides.map((_, i) => asides.slice(0, asides.length - i).map((one) => `, ${one}`).join(""));
  // What is said beside counts goes first where there is no room, the last of it before the rest, then the rate.
  const choices = [...beside.map((more) => speed + more), ...beside.slice(-1).map((more) => left + more), speed, left];
  const said = counts + (choices.find((more) => widthOf(`${label} ${counts}${more}`) <= columns) ?? left);
  return withBar(label, Math.min(1, Math.max(0, done / total)), said, COUNTED_WIDTH, columns);
}

function withBar(label: string, part: number, said: string, most: number, columns: number): string {
  const width = Math.min(most, columns - widthOf(`${label} [] ${said}`));
  if (width < LEAST_WIDTH) {
    const room = columns - widthOf(` ${said}`);
    return room >= widthOf(label) ? `${label} ${said}` : room > 1 ? `${cutTo(label, room - 1)}… ${said}` : said;
  }
  return `${label} [${"#".repeat(Math.round(part * width)).padEnd(width)}] ${said}`;
}
