/** Sums over the elements of two tensors that should be equal, from which every measure of their distance follows. */

/** A channel (column of a tensor) that is far louder than the others, or bears much of the error. */
export interface OutlierChannel {
  readonly channel: number;
  /** RMS of the channel over the RMS of the tensor. */
  readonly magnitude: number;
  /** Its part of the squared error, 0 to 1. */
  readonly errorShare: number;
}

/** Distance of a tensor from the reference, which is the first one. */
export interface ErrorSummary {
  /** Rows compared. */
  readonly rows: number;
  /** ||b - a|| / ||a|| over all elements; Infinity where a is all zeros and b is not. */
  readonly relativeError: number;
  /** Signal to noise, 10 log10(||a||^2 / ||b - a||^2) in dB; Infinity for equal tensors. */
  readonly sqnrDb: number;
  readonly maxError: number;
  /** Elements that are NaN or infinite in one tensor and not the same in the other; they are in no sum. */
  readonly nonFinite: number;
  /** Of those, the ones that are so in the first tensor, and in the second. */
  readonly nonFiniteIn: { readonly a: number; readonly b: number };
}

/** Magnitude from which a channel counts as an outlier: what static and per-token scales are stretched by. */
const OUTLIER_MAGNITUDE = 4;
/** Part of the squared error from which a channel counts as an outlier, also in wide tensors. */
const OUTLIER_SHARE = 0.05;
/** Most channels that are named. */
const MOST_CHANNELS = 8;

/** Squared sums of one row; `error` is Infinity where an element is not finite. */
export interface RowSums {
  readonly signal: number;
  readonly error: number;
}

/** Relative error that squared sums come to. */
export function relativeErrorOf({ signal, error }: RowSums): number {
  return error === 0 ? 0 : Math.sqrt(error / signal);
}

/** Adds up two tensors row by row. */
export class ErrorSums {
  readonly #signal: Float64Array;
  readonly #error: Float64Array;
  #rows = 0;
  #maxError = 0;
  #nonFinite = 0;
  #nonFiniteA = 0;
  #nonFiniteB = 0;

  /** @param width Columns of the tensors. */
  constructor(readonly width: number) {
    this.#signal = new Float64Array(width);
    this.#error = new Float64Array(width);
  }

  get rows(): number {
    return this.#rows;
  }

  /**
   * Adds one row of each.
   *
   * @param a Where the row of the first tensor begins is `atA`.
   */
  add(a: Float32Array, atA: number, b: Float32Array, atB: number): RowSums {
    const signal = this.#signal, error = this.#error;
    let rowSignal = 0, rowError = 0, bad = 0;
    for (let i = 0; i < this.width; i++) {
      const x = a[atA + i]!, y = b[atB + i]!;
      const d = y - x;
      // NaN and infinities of either fail this comparison, no others do; equal ones are no error.
      if (!(Math.abs(d) < Infinity)) {
        if (Object.is(x, y)) continue;
        bad++;
        if (!Number.isFinite(x)) this.#nonFiniteA++;
        if (!Number.isFinite(y)) this.#nonFiniteB++;
        continue;
      }
      const x2 = x * x, d2 = d * d;
      signal[i]! += x2;
      error[i]! += d2;
      rowSignal += x2;
      rowError += d2;
      if (d > this.#maxError) this.#maxError = d;
      else if (-d > this.#maxError) this.#maxError = -d;
    }
    this.#rows++;
    this.#nonFinite += bad;
    return { signal: rowSignal, error: bad > 0 ? Infinity : rowError };
  }

  summary(): ErrorSummary {
    const signal = sum(this.#signal), error = sum(this.#error);
    return {
      rows: this.#rows,
      relativeError: this.#nonFinite > 0 ? Infinity : relativeErrorOf({ signal, error }),
      sqnrDb: this.#nonFinite > 0 ? -Infinity : error === 0 ? Infinity : 10 * Math.log10(signal / error),
      maxError: this.#maxError,
      nonFinite: this.#nonFinite,
      nonFiniteIn: { a: this.#nonFiniteA, b: this.#nonFiniteB },
    };
  }

  /** Channels that stand out, those with most of the error first. */
  outliers(): OutlierChannel[] {
    const signal = sum(this.#signal), error = sum(this.#error);
    const channels = Array.from({ length: this.width }, (_, channel): OutlierChannel => ({
      channel,
      magnitude: signal === 0 ? 0 : Math.sqrt(this.#signal[channel]! * this.width / signal),
      errorShare: error === 0 ? 0 : this.#error[channel]! / error,
    }));
    const share = Math.max(OUTLIER_SHARE, 8 / this.width);
    return channels
      .filter((c) => c.magnitude >= OUTLIER_MAGNITUDE || c.errorShare >= share)
      .sort((a, b) => b.errorShare - a.errorShare || b.magnitude - a.magnitude)
      .slice(0, MOST_CHANNELS);
  }
}

function sum(values: Float64Array): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i]!;
  return total;
}
