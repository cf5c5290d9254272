/** Error sums of one operation of one layer, over all rows that the two settings' tokens have in common. */
import type { OperationDivergence, RowDetails } from "./comparison.ts";
import type { ModelConfig } from "../checkpoint/model_config.ts";
import type { Pair } from "./lockstep.ts";
import { operation, type OperationName } from "../model/operations.ts";
import { ErrorSums, relativeErrorOf, type RowSums } from "./error_sums.ts";
import { type Estimate, FEWEST, type Groupings, type Origin, skewedRatio } from "./intervals.ts";
import { addTo, ObservedErrors } from "./observed_errors.ts";
import { ObservedShares } from "./observed_shares.ts";

/**
 * A ratio that few tokens may own because they went to other experts: settings that are close to one another differ
 * little elsewhere. Of few blocks its upper end is as far again from the ratio, as a factor, or less where it is near:
 * errors that all tokens have alike have none like these.
 */
export function reroutedRatio(groups: Groupings): Estimate {
  const estimate = skewedRatio(groups), far = estimate.high / estimate.value;
  if (groups[1]!.length >= FEWEST.squares || !Number.isFinite(far)) return estimate;
  return { ...estimate, high: estimate.high * far ** Math.min(1, NEAR * (far - 1)) };
}

/** One over the part of itself that a ratio may be above its estimate where that is near. */
const NEAR = 4;

/** What a row without a counterpart adds. */
const NOTHING: RowSums = { signal: 0, error: 0 };

/** Sums of one operation in one layer. */
export class OperationSums {
  readonly #free: ErrorSums;
  readonly #forced: ErrorSums;
  /** Without channels: there are many experts. */
  readonly #perExpert = new Map<number, RowSums>();
  readonly #freeObserved: ObservedErrors;
  readonly #forcedObserved: ObservedErrors;
  readonly #affectedObserved: ObservedShares<"affected">;
  #unmatched = 0;
  #affected = 0;
  #firstPosition: number | null = null;

  /**
   * @param tolerance Own relative error from which a row is not explained.
   * @param origin Of the sequences.
   */
  constructor(
    readonly layer: number,
    readonly operation: OperationName,
    readonly width: number,
    readonly explained: number,
    readonly tolerance: number,
    origin?: Origin,
  ) {
    this.#free = new ErrorSums(width);
    this.#forced = new ErrorSums(width);
    this.#freeObserved = new ObservedErrors(origin);
    this.#forcedObserved = new ObservedErrors(origin);
    this.#affectedObserved = new ObservedShares(["affected"], origin);
  }

  /** @param sequence Number of the sequence that the rows are of. */
  addFree(pair: Pair, config: ModelConfig, sequence: number): void {
    const perToken = this.#rowsPerToken(config);
    forEachRow(pair, config, (atA, atB, a, b, row) => {
      const position = pair.start + Math.floor(row / perToken);
      if (atB === null) {
        this.#unmatched++;
        // So that a block of which nothing is left still stands beside that of another operation.
        this.#freeObserved.add(sequence, position, NOTHING);
      } else this.#freeObserved.add(sequence, position, this.#free.add(a, atA, b, atB));
    });
  }

  /** @param sequence Number of the sequence that the rows are of. */
  addForced(pair: Pair, config: ModelConfig, sequence: number): void {
    const perToken = this.#rowsPerToken(config);
    forEachRow(pair, config, (atA, atB, a, b, row) => {
      if (atB === null) return;
      const sums = this.#forced.add(a, atA, b, atB), position = pair.start + Math.floor(row / perToken);
      this.#forcedObserved.add(sequence, position, sums);
      if (perToken > 1) this.#addExpert(pair.expertsA![row]!, sums);
      const explained = relativeErrorOf(sums) <= this.tolerance;
      this.#affectedObserved.add({ sequence, start: pair.start, perToken }, row, { affected: explained ? 0 : 1 });
      if (explained) return;
      this.#affected++;
      this.#firstPosition = Math.min(this.#firstPosition ?? position, position);
    });
  }

  #addExpert(expert: number, { signal, error }: RowSums): void {
    addTo(this.#perExpert, expert, { signal, error });
  }

  /**
   * Squares of the errors of all that came before, and of its own; null where that is not known. All operations on the
   * same tokens have the same observations, also where nothing of one was compared.
   */
  observed(): { readonly total: Groupings; readonly own: Groupings | null } {
    return { total: this.#freeObserved.groups(), own: this.#forced.rows > 0 ? this.#forcedObserved.groups() : null };
  }

  result(): OperationDivergence {
    const own = this.#forced.rows > 0 ? this.#forced : null;
    return {
      layer: this.layer,
      operation: this.operation,
      total: { ...this.#free.summary(), interval: this.#freeObserved.interval(reroutedRatio) },
      unmatchedRows: this.#unmatched,
      own: own === null ? null : { ...own.summary(), interval: this.#forcedObserved.interval(skewedRatio) },
      explained: this.explained,
      outliers: (own !== null && own.summary().relativeError > 0 ? own : this.#free).outliers(),
    };
  }

  #rowsPerToken({ topK }: ModelConfig): number {
    return operation(this.operation).rows === "slot" ? topK : 1;
  }

  details(): RowDetails {
    return {
      firstPosition: this.#firstPosition,
      affectedRows: this.#forced.rows === 0 ? 0 : this.#affected / this.#forced.rows,
      affectedInterval: this.#affectedObserved.interval("affected"),
      experts: new Map([...this.#perExpert].map(([expert, sums]) => [expert, relativeErrorOf(sums)])),
    };
  }
}

/** Calls `use` with the offsets of every row of A and of its counterpart in B, null where there is none. */
function forEachRow(
  pair: Pair,
  { topK, experts }: ModelConfig,
  use: (atA: number, atB: number | null, a: Float32Array, b: Float32Array, row: number) => void,
): void {
  const { a, b, width, rows, expertsA, expertsB } = pair;
  if (pair.operation === "route") {
    // As weights of all experts, most of them zero: the same choice in another order is not a difference.
    const left = new Float32Array(experts), right = new Float32Array(experts);
    for (let t = 0; t < rows; t++) {
      left.fill(0);
      right.fill(0);
      for (let k = 0; k < topK; k++) {
        left[expertsA![t * topK + k]!] = a[t * topK + k]!;
        right[expertsB![t * topK + k]!] = b[t * topK + k]!;
      }
      use(0, 0, left, right, t);
    }
    return;
  }
  const slots = operation(pair.operation).rows === "slot";
  for (let row = 0; row < rows; row++) {
    let other: number | null = row;
    if (slots) {
      const first = row - row % topK;
      const k = expertsB!.subarray(first, first + topK).indexOf(expertsA![row]!);
      other = k < 0 ? null : first + k;
    }
    use(row * width, other === null ? null : other * width, a, b, row);
  }
}
