/** Shares of what tokens have, such as elements that become zero: by whole sequence, and by block of tokens. */
import { APART_TEXTS, asNeighbours, BLOCK, type Groupings, type Observation, type Origin } from "./intervals.ts";
import { shareOfGroups } from "./shares.ts";
import type { Interval } from "./statistics.ts";

/** Where rows of a tensor stand. */
export interface RowOrigin {
  readonly sequence: number;
  /** Position of the first row's token in it. */
  readonly start: number;
  /** Rows that each token has: one after the other. */
  readonly perToken: number;
}

/** Several shares of the same tokens. */
export class ObservedShares<Name extends string> {
  /** By whole sequence, and by block of tokens: tokens, and the sums of their shares. */
  readonly #sums = [new Map<string, Float64Array>(), new Map<string, Float64Array>()] as const;

  /** @param origin Of the sequences. */
  constructor(readonly names: readonly Name[], readonly origin: Origin = APART_TEXTS) {}

  /** Adds a row; its shares are those of its own elements. */
  add({ sequence, start, perToken }: RowOrigin, row: number, shares: Readonly<Record<Name, number>>): void {
    const block = Math.floor((start + Math.floor(row / perToken)) / BLOCK);
    for (const [sums, key] of [[this.#sums[0], `${sequence}`], [this.#sums[1], `${sequence} ${block}`]] as const) {
      let own = sums.get(key);
      if (own === undefined) sums.set(key, own = new Float64Array(1 + this.names.length));
      own[0]! += 1 / perToken;
      this.names.forEach((name, i) => own[i + 1]! += shares[name] / perToken);
    }
  }

  /** What a share is of, token by token. */
  groups(name: Name): Groupings {
    const at = 1 + this.names.indexOf(name);
    const groups = this.#sums.map((sums) =>
      Array.from(sums.values(), (own): Observation => ({ sum: own[at]!, weight: own[0]! }))
    );
    return asNeighbours(groups, this.origin);
  }

  /** The 95% interval of a share; null where there are no rows. */
  interval(name: Name): Interval | null {
    const groups = this.groups(name);
    if (groups[0]!.length === 0) return null;
    const { low, high } = shareOfGroups(groups);
    return { low, high };
  }
}
