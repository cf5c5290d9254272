/** How far an evaluation is as a whole: which setting of how many, and how long it and those after it will take. */
import { durationText } from "../../amounts.ts";

/** Counts pieces of work that are alike, one for each setting, and learns from each how long the next will take. */
export class Overall {
  readonly #phases = new Map<string, { begun: number; took: number[] }>();

  /**
   * @param settings Number of settings of the evaluation.
   * @param now Milliseconds of a clock.
   */
  constructor(readonly settings: number, readonly now: () => number = () => performance.now()) {}

  /**
   * A piece of work begins.
   *
   * @param label Of the setting; after a colon, what is done with it: the first setting is only answered.
   */
  begin(label: string): { aside(done: number, total: number): string; end(): void } {
    const [, phase = ""] = /: ([^:]*)$/.exec(label) ?? [], of = phase === "" ? this.settings : this.settings - 1;
    const known = this.#phases.get(phase) ?? { begun: 0, took: [] };
    this.#phases.set(phase, known);
    const place = ++known.begun, started = this.now();
    return {
      aside: (done, total) => {
        // Rounds that are repeated with more sequences are no further settings.
        if (of < 2 || place > of) return "";
        const spent = this.now() - started;
        const own = done > 0 ? spent * total / done : null;
        const typical = [...known.took, ...(own === null ? [] : [own])];
        const mean = typical.reduce((sum, ms) => sum + ms, 0) / typical.length;
        if (typical.length === 0) return `${place} of ${of} settings`;
        const left = Math.max(0, (own ?? mean) - spent) + (of - place) * mean;
        return `${place} of ${of} settings: ${durationText(left / 1000)} left`;
      },
      end: () => void known.took.push(this.now() - started),
    };
  }
}
