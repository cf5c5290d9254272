/** The result of a comparison of two settings, and what is compared. */
import type { RouterSummary } from "./router_flips.ts";
import type { Changes } from "./quantized_changes.ts";
import type { PredictionSummary } from "./prediction_summary.ts";
import type { SequencePredictions } from "./predictions.ts";
import type { QuantizedCounts } from "./quantized_tensors.ts";
import type { Estimate } from "./intervals.ts";
import type { Largest } from "./largest_of.ts";
import type { Interval } from "./statistics.ts";
import type { ErrorSummary, OutlierChannel } from "./error_sums.ts";
import type { OperationName } from "../model/operations.ts";
import type { KvFormat } from "../formats/format.ts";
import type { ModelSource } from "../checkpoint/source.ts";
import type { ModelConfig } from "../checkpoint/model_config.ts";
import type { Session } from "../session/session.ts";
import type { Numerics } from "./noise.ts";
/** One of the two settings, opened. */
export interface Side extends Numerics {
  readonly session: Session;
  readonly config: ModelConfig;
  /** The weights and what happens to the inputs of linears, as the session computes them. */
  readonly source: ModelSource;
  readonly kvFormat: KvFormat;
}

/** A distance, and how sure it is. */
export interface MeasuredError extends ErrorSummary {
  /** 95% interval of the relative error; null where there are too few tokens for one. */
  readonly interval: Interval | null;
}

/** Distance of one operation's results. */
export interface OperationDivergence {
  readonly layer: number;
  readonly operation: OperationName;
  /** Each side on its own: errors of earlier operations included. */
  readonly total: MeasuredError;
  /** Rows of an expert operation that have no counterpart, because a token went to other experts. */
  readonly unmatchedRows: number;
  /** The operation alone, on equal inputs; null where neither side can be given the other's. */
  readonly own: MeasuredError | null;
  /** Relative error that the declared difference of the settings' number formats accounts for. */
  readonly explained: number;
  /** Channels of the result that stand out, by their own error where it is known. */
  readonly outliers: readonly OutlierChannel[];
}

/** Distance of the predictions. */
export interface LogitsDivergence {
  readonly summary: PredictionSummary;
  /** Token by token; the summary is made of them. */
  readonly sequences: readonly SequencePredictions[];
}

/** A tensor that is quantized on either side. */
export interface TensorCounts {
  readonly name: string;
  readonly layer: number;
  /** Null where that side leaves the tensor as it is. */
  readonly a: QuantizedCounts | null;
  readonly b: QuantizedCounts | null;
  /** What differs between the sides' scales and codes; null where they have none in common. */
  readonly changes: Changes | null;
}

/** An operation that is likely to be wrong, or that bears more than its share of the error. */
export interface Suspect {
  readonly layer: number;
  readonly operation: OperationName;
  /** Own relative error; where own errors are not known, the total one. */
  readonly error: number;
  readonly explained: number;
  /** How many times the error is what the settings explain; Infinity where they leave no room for any. */
  readonly excess: number;
  /** `own`: measured on equal inputs. `estimated`: concluded from the errors of the operation's inputs. */
  readonly evidence: "own" | "estimated";
  /** What is known besides, in words. */
  readonly hints: readonly string[];
}

/** Where in the pass the most is of something. */
export interface LargestPlace extends Largest {
  /** Relative errors of operations, and of quantizing inputs of linears; share of these that becomes zero. */
  readonly what: "own_error" | "total_error" | "input_error" | "input_to_zero";
  /** The operation whose layers are compared; null: all operations. */
  readonly among: string | null;
}

/** A share of the inputs of a linear in all layers together. */
export interface PooledShare extends Estimate {
  readonly what: "to_zero" | "at_max";
  readonly operation: string;
}

/** The whole comparison. */
export interface Divergence {
  readonly tokens: number;
  readonly sequences: number;
  readonly logits: LogitsDivergence;
  readonly alarm: number;
  /** The first operation of the pass whose total error exceeds the alarm line. */
  readonly firstAboveAlarm: { layer: number; operation: OperationName; relativeError: number } | null;
  /** In the order of the pass. */
  readonly operations: readonly OperationDivergence[];
  /** Operations whose own error is far above what the settings explain, in the order of the pass. */
  readonly suspects: readonly Suspect[];
  readonly router: RouterSummary;
  readonly tensors: readonly TensorCounts[];
  readonly largest: readonly LargestPlace[];
  readonly pooled: readonly PooledShare[];
}

/** What is known about the rows of an operation besides its sums. */
export interface RowDetails {
  /** Lowest position whose own error is more than can be explained, or null. */
  readonly firstPosition: number | null;
  /** Share of such rows, and its 95% interval; null where there are none. */
  readonly affectedRows: number;
  readonly affectedInterval: Interval | null;
  /** Own relative error per expert, for operations inside the experts. */
  readonly experts: ReadonlyMap<number, number>;
}
