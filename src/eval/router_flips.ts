/** Tokens that went to other experts. */
import type { ModelConfig } from "../checkpoint/model_config.ts";
import { APART_TEXTS, asNeighbours, blocksOf, type Groupings, type Observation, type Origin } from "./intervals.ts";
import type { Pair } from "./lockstep.ts";
import { shareOfGroups } from "./shares.ts";
import type { Interval } from "./statistics.ts";

/** One token in one layer whose experts differ. */
export interface RouterFlip {
  readonly layer: number;
  readonly sequence: number;
  readonly position: number;
  /** The token's id. */
  readonly token: number;
  /** Experts that only A chose, and that only B chose. */
  readonly lost: readonly number[];
  readonly gained: readonly number[];
  /**
   * How much larger A's smallest router logit among the lost is than the largest among the gained: near 0 it was a near
   * tie.
   */
  readonly margin: number;
}

/** Flips of a whole comparison. */
export interface RouterSummary {
  /** Tokens times layers. */
  readonly decisions: number;
  readonly flipped: number;
  /** 95% interval of their share; null where there are no tokens. */
  readonly interval: Interval | null;
  /** Share of tokens per layer whose set of experts differs, and its interval likewise. */
  readonly perLayer: readonly number[];
  readonly perLayerIntervals: readonly (Interval | null)[];
  /** The first {@linkcode MOST_FLIPS}, in order of sequence, piece and layer. */
  readonly flips: readonly RouterFlip[];
}

/** Most flips that a report lists one by one. */
const MOST_FLIPS = 1000;

/** Where the tokens of a piece stand. */
export interface PieceOrigin {
  readonly sequence: number;
  readonly start: number;
  /** All tokens of the sequence. */
  readonly tokens: Int32Array;
}

/** Counts and lists flips. */
export class RouterFlips {
  readonly #flipped: number[];
  readonly #tokens: number[];
  readonly #flips: RouterFlip[] = [];
  /** Decisions and flips of each layer, by whole sequence and by block of tokens. */
  readonly #observed: readonly (readonly [Map<string, Observation>, Map<string, Observation>])[];
  /** Where blocks of sequences of this length begin. */
  #starts: { readonly length: number; readonly of: readonly number[] } = { length: 0, of: [] };

  /** @param origin Of the sequences. */
  constructor(
    readonly config: Pick<ModelConfig, "layers" | "topK" | "experts">,
    readonly origin: Origin = APART_TEXTS,
  ) {
    this.#flipped = new Array<number>(config.layers).fill(0);
    this.#tokens = new Array<number>(config.layers).fill(0);
    this.#observed = Array.from({ length: config.layers }, () => [new Map(), new Map()] as const);
  }

  /**
   * Adds the routing of one layer for one piece.
   *
   * @param logits A's router logits, [tokens, experts].
   */
  add(pair: Pair, logits: Float32Array, { sequence, start, tokens }: PieceOrigin): void {
    const { topK, experts } = this.config;
    for (let t = 0; t < pair.rows; t++) {
      const a = pair.expertsA!.subarray(t * topK, (t + 1) * topK);
      const b = pair.expertsB!.subarray(t * topK, (t + 1) * topK);
      this.#tokens[pair.layer]!++;
      const lost = [...a].filter((e) => !b.includes(e)), gained = [...b].filter((e) => !a.includes(e));
      const within = [`${sequence}`, `${sequence} ${this.#blockOf(start + t, tokens.length)}`];
      this.#observe(pair.layer, within, lost.length > 0);
      if (lost.length === 0) continue;
      this.#flipped[pair.layer]!++;
      if (this.#flips.length >= MOST_FLIPS) continue;
      const logit = (e: number) => logits[t * experts + e]!;
      this.#flips.push({
        layer: pair.layer,
        sequence,
        position: start + t,
        token: tokens[start + t]!,
        lost,
        gained,
        margin: Math.min(...lost.map(logit)) - Math.max(...gained.map(logit)),
      });
    }
  }

  #observe(layer: number, keys: readonly string[], flipped: boolean): void {
    this.#observed[layer]!.forEach((observations, i) => {
      const { sum, weight } = observations.get(keys[i]!) ?? { sum: 0, weight: 0 };
      observations.set(keys[i]!, { sum: sum + Number(flipped), weight: weight + 1 });
    });
  }

  /** The block of a sequence that a position is in. */
  #blockOf(position: number, length: number): number {
    if (this.#starts.length !== length) this.#starts = { length, of: blocksOf(length).map(([start]) => start) };
    return this.#starts.of.findLastIndex((start) => start <= position);
  }

  /** Decisions about one token go alike from layer to layer, so that tokens are what is counted, not decisions. */
  #interval(): Interval | null {
    const { layers } = this.config, joined = [new Map<string, Observation>(), new Map<string, Observation>()];
    for (const observed of this.#observed) {
      observed.forEach((observations, i) => {
        for (const [key, { sum, weight }] of observations) {
          const before = joined[i]!.get(key) ?? { sum: 0, weight: 0 };
          joined[i]!.set(key, { sum: before.sum + sum / layers, weight: before.weight + weight / layers });
        }
      });
    }
    return intervalOf(joined, this.origin);
  }

  summary(): RouterSummary {
    const sum = (values: readonly number[]) => values.reduce((total, x) => total + x, 0);
    return {
      decisions: sum(this.#tokens),
      flipped: sum(this.#flipped),
      interval: this.#interval(),
      perLayerIntervals: this.#observed.map((observed) => intervalOf(observed, this.origin)),
      perLayer: this.#flipped.map((flipped, l) => flipped / Math.max(1, this.#tokens[l]!)),
      flips: this.#flips,
    };
  }
}

/** Null where there are no tokens. */
function intervalOf(observed: readonly ReadonlyMap<string, Observation>[], origin: Origin): Interval | null {
  const groups: Groupings = observed.map((observations) => [...observations.values()]);
  if (groups[0]!.length === 0) return null;
  const { low, high } = shareOfGroups(asNeighbours(groups, origin));
  return { low, high };
}
