/** Every setting of a matrix against the first: predictions on many sequences, operations on the first few of them. */
import type { DivergenceResult } from "./divergence_schema.ts";
import { compareCells, type LoadSetting } from "./compare_cells.ts";
import { type Amount, openPredictions, type PredictionOutcome, runPredictions } from "./prediction_run.ts";
import { summarizePredictions } from "./prediction_summary.ts";
import type { ForcedSequence } from "./predictions.ts";
import { type KeyedPredictions, predictionsResult, rankingOf } from "./predictions_result.ts";
import { SCHEMA_VERSION } from "./results_schema.ts";
import type { OpenStore } from "./stores.ts";
import type { Common, RunCell } from "./task.ts";

/** Most sequences that are compared operation by operation: a defect shows on the first, and each takes 3 passes. */
export const LAYERED = 8;

/** The first line of a journal of comparisons, given what the answers of both cells belong to. */
export function comparedHeader(kind: string, first: unknown, other: unknown) {
  return { schema: `mxoss.${kind}`, version: SCHEMA_VERSION, first, other };
}

/** How to compare. */
export interface CompareOptions {
  /** Where journals are. */
  readonly open: OpenStore;
  /** Sequences on which the predictions of each cell are compared with those of the first; 0: none. */
  readonly divergence: Amount;
  /** Relative error above which an operation is named. */
  readonly alarm: number;
  readonly load: LoadSetting;
  readonly watcher: {
    /** A piece of work begins that may take long. */
    progress(label: string, unit: string): Disposable & {
      update(done: number, total: number, aside?: string): void;
    };
  };
}

/** What came of it. */
export interface Compared extends Pick<Common, "divergences" | "ranking"> {
  readonly predictions: readonly KeyedPredictions[];
}

/**
 * Compares every further cell with the first.
 *
 * @param header What a cell's answers belong to.
 */
export async function compareAll(
  first: RunCell,
  others: readonly RunCell[],
  sequences: readonly ForcedSequence[],
  header: (cell: RunCell) => unknown,
  options: CompareOptions,
): Promise<Compared> {
  const { divergence: amount } = options;
  const { settings, stopped } = await comparePredictions(first, others, sequences, header, options);
  const layers = await compareLayers(first, others, sequences.slice(0, layeredCount(amount)), header, options);
  const divergences = others.map(({ key }, i) => ({
    key,
    predictions: predictionsResult(summarizePredictions(settings[i]!.sequences)),
    stopped,
    divergence: layers[i]!,
  }));
  return { divergences, ranking: rankingOf(settings), predictions: settings };
}

/** How many sequences at most are compared operation by operation: the first. */
export function layeredCount(amount: Amount): number {
  return typeof amount === "number" ? Math.min(amount, LAYERED) : LAYERED;
}

/** The first line of the journal of a comparison operation by operation. */
export function layersHeader(first: unknown, other: unknown, indices: readonly number[], alarm: number) {
  return { ...comparedHeader("divergence", first, other), sequences: indices, alarm };
}

/** Compares operation by operation, every setting with the first. */
export async function compareLayers(
  first: RunCell,
  others: readonly RunCell[],
  sequences: readonly ForcedSequence[],
  header: (cell: RunCell) => unknown,
  { open, alarm, load, watcher }: Omit<CompareOptions, "divergence">,
): Promise<DivergenceResult[]> {
  const found: DivergenceResult[] = [], indices = sequences.map(({ index }) => index);
  for (const other of others) {
    const progress = (unit: string) =>
      watcher.progress(`${other.label}: ${unit === "tokens" ? "layers" : "weights"}`, unit);
    const kept = {
      open,
      name: `divergence.${other.key}`,
      header: layersHeader(header(first), header(other), indices, alarm),
    };
    const settings = [first.setting, other.setting] as const;
    found.push(await compareCells({ settings, sequences: () => sequences, alarm, progress, kept }, load));
  }
  return found;
}

/** Predictions of every setting beside those of the first; see {@linkcode runPredictions}. */
export async function comparePredictions(
  first: RunCell,
  others: readonly RunCell[],
  sequences: readonly ForcedSequence[],
  header: (cell: RunCell) => unknown,
  { open, divergence: amount, load, watcher }: Omit<CompareOptions, "alarm">,
): Promise<PredictionOutcome> {
  const identity = (other: RunCell) => comparedHeader("predictions", header(first), header(other));
  using journals = new DisposableStack();
  return await runPredictions({
    first,
    others,
    sequences,
    amount,
    load,
    open: (cell) => journals.use(openPredictions({ open, name: `predictions.${cell.key}` }, identity(cell))),
    progress: (cell) => watcher.progress(`${cell.label}: predictions`, "tokens"),
  });
}
