/** Where the time of a batch goes, seen through taps: each is called as an operation's result is there. */
import type { Tap } from "../model/gpt_oss.ts";
import { operation, type OperationName } from "../model/operations.ts";
import type { Share } from "./figures.ts";
import { spreadOf } from "./spread.ts";

/** Operations of one batch and the time that each took, in milliseconds. */
export type OperationTimes = ReadonlyMap<string, number>;

/**
 * Operations that are computed together, by the last of them, as their results come at once; the writing of the cache
 * has no result of its own and comes before attention's.
 */
const TOGETHER: Partial<Record<OperationName, string>> = {
  q_proj: "q, k, v_proj",
  k_proj: "q, k, v_proj",
  v_proj: "q, k, v_proj",
  "rotary.q": "rotary",
  "rotary.k": "rotary",
  attention: "cache and attention",
};

/** Measures one batch. */
export class Stopwatch {
  readonly #times = new Map<string, number>();
  readonly #chosen: number[] = [];
  #last = performance.now();

  /** Looks at when results come, and at which experts were chosen. */
  readonly tap: Tap = ({ layer, operation: name, experts }) => {
    this.lap(TOGETHER[name] ?? name);
    if (experts === undefined) return;
    this.#chosen[layer] = new Set(experts()).size;
    // Reading them is nobody's work.
    this.#last = performance.now();
  };

  /** Counts the time since the last lap for an operation. */
  lap(name: string): void {
    const now = performance.now();
    this.#times.set(name, (this.#times.get(name) ?? 0) + now - this.#last);
    this.#last = now;
  }

  /** Ends the batch: the time since the last tap is that of the head. */
  stop(): this {
    this.lap(operation("lm_head").name);
    return this;
  }

  /** What was measured. */
  get times(): OperationTimes {
    return this.#times;
  }

  /** Experts that were chosen at least once, per layer. */
  get experts(): readonly number[] {
    return this.#chosen;
  }
}

/**
 * A run of several batches as one: a long prompt's chunks differ by where they stand in it and by their length, so that
 * they are parts of one measurement and no repetitions of it.
 */
export function together(batches: readonly OperationTimes[]): OperationTimes {
  const all = new Map<string, number>();
  for (const times of batches) for (const [name, time] of times) all.set(name, (all.get(name) ?? 0) + time);
  return all;
}

/**
 * Parts of the whole, the largest first.
 *
 * @param runs Each all of its batches {@linkcode together}.
 */
export function sharesOf(runs: readonly OperationTimes[]): Share[] {
  const names = new Set(runs.flatMap((times) => [...times.keys()]));
  const parts = runs.map((times) => {
    const whole = times.values().reduce((sum, time) => sum + time, 0);
    return (name: string) => (times.get(name) ?? 0) / whole;
  });
  return [...names]
    .map((name) => ({ operation: name, share: spreadOf(parts.map((part) => part(name))) }))
    .sort((a, b) => b.share.median - a.share.median);
}
