/**
 * Chooses the next token from logits, to which bias and penalties come first (adjustments.ts): greedily, or at random
 * by temperature, top-k, top-p and min-p, in this order, which is that of transformers.
 *
 * Sampling is reproducible: equal logits, options and seed give equal tokens, here and on a GPU (kernels/pick.hip).
 * Probabilities are integers, see {@linkcode weightOf}, whose sums no order of additions can change; a token is drawn
 * by walking the kept ones in the order of their ids. Every token takes one random number, also where a GPU draws many.
 */
import { FailureError } from "../errors.ts";
import type { Sampling } from "../model/engine.ts";
import type { Picker } from "./generate.ts";
import { Adjustments, LARGEST_FLOAT32, LEAST_FLOAT32 } from "./adjustments.ts";
import { fraction, weightOf } from "./probability.ts";
import { parseSeed, Random } from "./random.ts";
import { checked, type SamplerOptions } from "./sampler_options.ts";

export type { SamplerOptions } from "./sampler_options.ts";

const { fround } = Math;
/** More tokens than any vocabulary has, in float32, as an engine gets `topK`. */
const MOST_TOKENS = 2 ** 24;
/** Weight of the likeliest token. */
const LARGEST_WEIGHT = weightOf(0);

/**
 * What a draw works with. One for all samplers, since a draw is never interrupted: many sequences at once would have
 * megabytes each.
 */
const work = {
  /**
   * Candidates by slot, in the order of ids: id, logit, weight of (logit - largest) / temperature; length V, or `topK`.
   */
  ids: new Int32Array(0),
  logits: new Float32Array(0),
  weights: new Float64Array(0),
  /** A permutation of slots, for selection by top-p. */
  order: new Int32Array(0),
};

/**
 * Draws tokens. Buffers are kept between calls: after the first, nothing is allocated that grows with the vocabulary.
 */
export class Sampler implements Picker {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  /** The seed in use, for reports. */
  readonly seed: bigint;

  /** Least weight that is kept. */
  readonly #least: number;
  readonly #adjustments: Adjustments | null;
  readonly #random: Random;
  /** 1 / temperature. */
  readonly #inverse: number;
  /** The largest logits seen, as a heap of ids with the least of them on top; length `topK`. */
  #heap = new Int32Array(0);

  /**
   * @param prompt Tokens before the reply, which `repetitionPenalty` is about as well.
   * @throws {InputError} if an option is out of range.
   */
  constructor(options: SamplerOptions = {}, prompt: ArrayLike<number> = []) {
    const { temperature, topK, topP, minP, seed } = checked(options);
    this.#adjustments = Adjustments.of(options, prompt);
    this.#least = fround(minP) * LARGEST_WEIGHT;
    // As an engine gets them, which refuses what is out of range, as rounding would leave the largest and the least.
    this.temperature = Math.min(fround(temperature), LARGEST_FLOAT32);
    this.topK = Math.min(topK, MOST_TOKENS);
    this.topP = Math.max(fround(topP), LEAST_FLOAT32);
    this.#inverse = Math.min(fround(1 / this.temperature), LARGEST_FLOAT32);
    this.seed = seed === undefined ? crypto.getRandomValues(new BigUint64Array(1))[0]! : parseSeed(seed);
    this.#random = new Random(this.seed);
  }

  /**
   * The id of the next token.
   *
   * @param logits Float32 [V]; -Infinity excludes a token.
   * @param likeliest The token of the largest, where it is known.
   * @throws {FailureError} if a logit is NaN or +Infinity, or all are -Infinity: the computation before went wrong.
   */
  sample(logits: Float32Array, likeliest?: number): number {
    if (likeliest !== undefined && this.temperature === 0 && this.#adjustments === null) return likeliest;
    const id = this.pick(logits, this.temperature === 0 ? 0 : this.#random.fraction());
    this.#adjustments?.took(id);
    return id;
  }

  /**
   * The id of the next token for a given random number in [0, 1), float32; otherwise as {@linkcode Sampler.sample}.
   *
   * @throws {FailureError} as `sample` does.
   */
  pick(logits: Float32Array, uniform: number): number {
    this.#adjustments?.apply(logits);
    try {
      const largest = argmax(logits);
      return this.temperature === 0 ? largest : this.#pick(logits, largest, uniform);
    } finally {
      this.#adjustments?.undo(logits);
    }
  }

  /** Absent where bias, penalties or min-p are asked for, of which engines know nothing. */
  get sampling(): ((tokens: number) => Sampling) | undefined {
    if (this.#adjustments !== null || (this.#least > 0 && this.temperature > 0)) return undefined;
    const { temperature, topP, topK } = this;
    return (tokens) => ({ temperature, topP, topK, uniforms: this.upcoming(tokens) });
  }

  /** The random numbers of the next tokens, which stay the next ones until {@linkcode Sampler.skip} takes them. */
  upcoming(tokens: number): Float32Array {
    const random = this.#random.clone();
    return Float32Array.from({ length: this.temperature === 0 ? 0 : tokens }, () => random.fraction());
  }

  skip(tokens: number): void {
    for (let i = 0; i < tokens && this.temperature > 0; i++) this.#random.word();
  }

  #pick(logits: Float32Array, largest: number, uniform: number): number {
    const kept = this.#candidates(logits, logits[largest]!);
    return work.ids[this.#draw(kept, uniform)]!;
  }

  /** Fills the slots with the tokens that top-k and top-p leave, and returns how many they are. */
  #candidates(logits: Float32Array, largest: number): number {
    const vocab = logits.length;
    const limited = this.topK > 0 && this.topK < vocab;
    const room = limited ? this.topK : vocab;
    if (work.ids.length < room) {
      work.ids = new Int32Array(room);
      work.logits = new Float32Array(room);
      work.weights = new Float64Array(room);
    }
    const least = limited ? this.#leastOfTop(logits) : -1;
    const bound = limited ? logits[least]! : -Infinity;
    let count = 0;
    let mass = 0;
    for (let id = 0; id < vocab; id++) {
      const logit = logits[id]!;
      if (logit < bound || (limited && logit === bound && id > least)) continue;
      const weight = weightOf(fround(fround(logit - largest) * this.#inverse));
      work.ids[count] = id;
      work.logits[count] = logit;
      work.weights[count] = weight;
      mass += weight;
      count++;
    }
    const kept = this.topP < 1 ? this.#nucleus(count, mass) : count;
    return this.#least > 0 ? this.#compact(kept, (slot) => work.weights[slot]! >= this.#least) : kept;
  }

  /** Id of the `topK`-th token in the order of descending logits, then ascending ids. */
  #leastOfTop(logits: Float32Array): number {
    const k = this.topK;
    if (this.#heap.length !== k) this.#heap = new Int32Array(k);
    const heap = this.#heap;
    // Whether token a comes after token b.
    const after = (a: number, b: number) => logits[a]! < logits[b]! || (logits[a]! === logits[b]! && a > b);
    const sink = (from: number) => {
      const id = heap[from]!;
      let at = from;
      while (true) {
        let child = 2 * at + 1;
        if (child >= k) break;
        if (child + 1 < k && after(heap[child + 1]!, heap[child]!)) child++;
        if (!after(heap[child]!, id)) break;
        heap[at] = heap[child]!;
        at = child;
      }
      heap[at] = id;
    };
    for (let i = 0; i < k; i++) heap[i] = i;
    for (let i = (k >> 1) - 1; i >= 0; i--) sink(i);
    for (let id = k; id < logits.length; id++) {
      // Ids ascend, so that an equal logit never displaces.
      if (logits[id]! > logits[heap[0]!]!) {
        heap[0] = id;
        sink(0);
      }
    }
    return heap[0]!;
  }

  /**
   * Keeps of `count` slots the likeliest that reach `topP` of `mass`, by quickselect on cumulative weight: linear time
   * on average, where sorting 201,088 candidates would not be.
   */
  #nucleus(count: number, mass: number): number {
    const target = Math.max(1, fraction(mass, this.topP));
    // Tokens this unlikely hold less than 1 - topP even together, so that the set is complete before the first of them.
    const negligible = (0.5 * (1 - this.topP) * mass) / count;
    const kept = this.#compact(count, (slot) => work.weights[slot]! >= negligible);
    const last = this.#lastOfNucleus(kept, target);
    const bound = work.logits[last]!;
    return this.#compact(kept, (slot) => work.logits[slot]! > bound || (work.logits[slot] === bound && slot <= last));
  }

  /** The slot with which the cumulative weight, likeliest first, reaches `target`. */
  #lastOfNucleus(count: number, target: number): number {
    if (work.order.length < count) work.order = new Int32Array(count);
    const order = work.order;
    for (let slot = 0; slot < count; slot++) order[slot] = slot;
    let low = 0;
    let high = count;
    let need = target;
    while (high - low > 1) {
      const middle = this.#partition(low, high);
      let before = 0;
      for (let i = low; i < middle; i++) before += work.weights[order[i]!]!;
      const withPivot = before + work.weights[order[middle]!]!;
      if (before >= need) {
        high = middle;
      } else if (withPivot >= need) {
        return order[middle]!;
      } else {
        need -= withPivot;
        low = middle + 1;
      }
    }
    return order[low]!;
  }

  /**
   * Puts what comes before a pivot in front of it and returns its place; the order is descending logits, then ascending
   * slots.
   */
  #partition(low: number, high: number): number {
    const order = work.order;
    const logits = work.logits;
    const before = (a: number, b: number) => logits[a]! > logits[b]! || (logits[a]! === logits[b]! && a < b);
    const swap = (i: number, j: number) => {
      const slot = order[i]!;
      order[i] = order[j]!;
      order[j] = slot;
    };
    // Median of three, moved to the end.
    const middle = (low + high) >> 1;
    const last = high - 1;
    if (before(order[middle]!, order[low]!)) swap(middle, low);
    if (before(order[last]!, order[low]!)) swap(last, low);
    if (before(order[middle]!, order[last]!)) swap(middle, last);
    const pivot = order[last]!;
    let place = low;
    for (let i = low; i < last; i++) {
      if (before(order[i]!, pivot)) swap(i, place++);
    }
    swap(place, last);
    return place;
  }

  /** Moves the slots that satisfy a condition to the front, in order, and returns how many they are. */
  #compact(count: number, keeps: (slot: number) => boolean): number {
    let kept = 0;
    for (let slot = 0; slot < count; slot++) {
      if (!keeps(slot)) continue;
      work.ids[kept] = work.ids[slot]!;
      work.logits[kept] = work.logits[slot]!;
      work.weights[kept] = work.weights[slot]!;
      kept++;
    }
    return kept;
  }

  /** The first slot below `count` whose running sum of weights exceeds this part of the sum of all. */
  #draw(count: number, uniform: number): number {
    let mass = 0;
    for (let slot = 0; slot < count; slot++) mass += work.weights[slot]!;
    let rest = fraction(mass, uniform), slot = 0;
    for (; rest >= work.weights[slot]!; slot++) rest -= work.weights[slot]!;
    return slot;
  }
}

/** Id of the largest logit, the lowest of several. */
function argmax(logits: Float32Array): number {
  let largest = -Infinity;
  let at = -1;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    if (logit <= largest) continue;
    if (!(logit < Infinity)) throw new FailureError(`logits: expected numbers, got ${logit} for token ${id}`);
    largest = logit;
    at = id;
  }
  if (at < 0) throw new FailureError(`logits: expected a token that is possible, got ${logits.length} times -Infinity`);
  return at;
}
