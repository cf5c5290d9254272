/**
 * Token divergences whose truth is known: a population of sequences, of which samples are drawn. They are as bad as
 * real ones: nearly all tokens have a divergence of next to nothing, a few in a thousand, which come in clusters and in
 * some sequences more than in others, have a million times as much.
 */
import { Random } from "../../src/session/random.ts";

/** Values of one sequence's tokens. */
export interface SimulatedSequence {
  /** Divergences under two settings. */
  readonly a: Float64Array;
  readonly b: Float64Array;
  /** 1 where the likeliest token is the same. */
  readonly agrees: Float64Array;
  /** A difference of log probabilities, of either sign. */
  readonly change: Float64Array;
}

/** What divergences are like. */
export interface Shape {
  /** Share of tokens that a setting is unsure of. */
  readonly unsure: number;
  /** Median divergence of those, and the standard deviation of its logarithm. */
  readonly median: number;
  readonly spread: number;
  /** Part of that deviation that the two settings do not share. */
  readonly own: number;
  /** How many times as large the second setting's divergences are. */
  readonly factor: number;
  /** Median of the other tokens. */
  readonly floor: number;
  readonly floorSpread: number;
  /**
   * Standard deviation of the logarithm of lengths, of which the mean is 55 tokens: the longer, the farther, by the
   * root of the length. Without it lengths are 33 to 120, and do not matter.
   */
  readonly uneven?: number;
}

/** Like replies of the embedded model to problems that it errs on: one of 906 tokens often holds half of the sum. */
export const RARE: Shape = {
  unsure: 0.006,
  median: 0.03,
  spread: 1.5,
  own: 0.8,
  factor: 1,
  floor: 2e-9,
  floorSpread: 2.3,
};
/** Smooth, without rare tokens: the case in which a rule that stops early does. */
export const SMOOTH: Shape = { ...RARE, unsure: 0, floor: 1e-3, floorSpread: 1.5 };

/** Largest divergence that there is. */
const MOST = 2;

/** Standard normal numbers. */
export class Normal {
  constructor(readonly random: Random) {}

  next(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.random.fraction()));
    return radius * Math.cos(2 * Math.PI * this.random.fraction());
  }
}

/** Sequences of 33 to 120 tokens. */
export function population(count: number, shape: Shape, seed = 1n): SimulatedSequence[] {
  const random = new Random(seed), normal = new Normal(random);
  const { uneven } = shape;
  return Array.from({ length: count }, () => {
    if (uneven === undefined) return simulatedSequence(33 + Math.floor(88 * random.fraction()), shape, normal);
    const length = Math.max(5, Math.floor(55 * Math.exp(uneven * normal.next()))), factor = Math.sqrt(length / 55);
    return simulatedSequence(length, { ...shape, unsure: shape.unsure * factor, floor: shape.floor * factor }, normal);
  });
}

function simulatedSequence(length: number, shape: Shape, normal: Normal): SimulatedSequence {
  const { unsure, median, spread, own, factor, floor, floorSpread } = shape;
  const shared = Math.sqrt(spread * spread - own * own);
  // Some sequences have more unsure tokens, and others are less sure throughout.
  const rate = unsure * Math.exp(0.7 * normal.next() - 0.245), level = Math.exp(0.3 * normal.next());
  const made = { a: [] as number[], b: [] as number[], agrees: [] as number[], change: [] as number[] };
  let state = normal.next();
  for (let t = 0; t < length; t++) {
    state = 0.5 * state + Math.sqrt(0.75) * normal.next();
    const drift = normal.next();
    if (state > threshold(rate)) {
      const common = Math.log(median) + shared * drift;
      made.a.push(Math.min(MOST, Math.exp(common + own * normal.next())));
      made.b.push(Math.min(MOST, factor * Math.exp(common + own * normal.next())));
      made.agrees.push(normal.next() > 1 ? 0 : 1);
    } else {
      const common = 0.7 * state + 0.7 * drift;
      made.a.push(level * floor * Math.exp(floorSpread * common));
      made.b.push(level * factor * floor * Math.exp(floorSpread * (0.7 * state + 0.7 * normal.next())));
      made.agrees.push(1);
    }
    made.change.push(Math.sqrt(made.a.at(-1)!) * normal.next());
  }
  return {
    a: Float64Array.from(made.a),
    b: Float64Array.from(made.b),
    agrees: Float64Array.from(made.agrees),
    change: Float64Array.from(made.change),
  };
}

/** What a standard normal number exceeds with this small probability: bisection on Abramowitz and Stegun's 26.2.17. */
function threshold(probability: number): number {
  if (probability <= 0) return Infinity;
  let low = 0, high = 8;
  for (let i = 0; i < 40; i++) {
    const x = (low + high) / 2, k = 1 / (1 + 0.2316419 * x);
    const series = k *
      (0.31938153 + k * (-0.356563782 + k * (1.781477937 + k * (-1.821255978 + k * 1.330274429))));
    if (Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI) * series > probability) low = x;
    else high = x;
  }
  return low;
}

/** A sample of sequences, each of which may come several times. */
export function sample<T>(all: readonly T[], count: number, random: Random): T[] {
  return Array.from({ length: count }, () => all[Math.floor(all.length * random.fraction())]!);
}

/** Sequences of these lengths with values of no pattern, many of them small; other programs can make them, too. */
export function cubes(lengths: readonly number[]): Float64Array[] {
  return lengths.map((length, s) =>
    Float64Array.from({ length }, (_, i) => ((7919 * (s + 1) + 104729 * (i + 1)) % 1009 + 1) ** 3 / 1e9 * (1 + s % 3))
  );
}

/** Lengths of {@linkcode cubes} by name: nine sequences, a long one, and two and four, which are few. */
export const LENGTHS = {
  nine: Array.from({ length: 9 }, (_, s) => 40 + 13 * s),
  one: [700],
  two: [90, 150],
  few: [20, 9, 31, 14],
} as const;
