/** Squared errors of what tokens have, by whole sequence and by block of tokens. */
import type { RowSums } from "./error_sums.ts";
import {
  APART_TEXTS,
  asNeighbours,
  BLOCK,
  type Estimate,
  type Groupings,
  type Observation,
  type Origin,
} from "./intervals.ts";
import type { Interval } from "./statistics.ts";

/** Adds up squared sums of rows. */
export class ObservedErrors {
  readonly #sequences = new Map<number, RowSums>();
  readonly #blocks = new Map<string, RowSums>();

  /** @param origin Of the sequences. */
  constructor(readonly origin: Origin = APART_TEXTS) {}

  /** @param position Of the row's token in its sequence. */
  add(sequence: number, position: number, row: RowSums): void {
    addTo(this.#sequences, sequence, row);
    addTo(this.#blocks, `${sequence} ${Math.floor(position / BLOCK)}`, row);
  }

  /** Squares of the error, and of what it is relative to; both are 0 where nothing was compared. */
  groups(): Groupings {
    const groups = [this.#sequences, this.#blocks].map((sums) =>
      Array.from(sums.values(), ({ signal, error }: RowSums): Observation => ({ sum: error, weight: signal }))
    );
    return asNeighbours(groups, this.origin);
  }

  /**
   * The 95% interval of the relative error; null where there are too few tokens for one, or no finite error.
   *
   * @param ratio Of sums: how few tokens may own it.
   */
  interval(ratio: (groups: Groupings) => Estimate): Interval | null {
    const { low, high } = ratio(withoutEmpty(this.groups()));
    return Number.isFinite(high) ? { low: Math.sqrt(low), high: Math.sqrt(high) } : null;
  }
}

/** Observations of which there is anything: others say nothing of how sure a ratio is. */
export function withoutEmpty(groups: Groupings): Groupings {
  return groups.map((observations) => observations.filter(({ sum, weight }) => weight > 0 || sum > 0));
}

/** Adds to the sums of a key. */
export function addTo<K>(sums: Map<K, RowSums>, key: K, { signal, error }: RowSums): void {
  const before = sums.get(key) ?? { signal: 0, error: 0 };
  sums.set(key, { signal: before.signal + signal, error: before.error + error });
}
