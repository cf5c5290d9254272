/** Every setting of a matrix against the first: predictions on many sequences, operations on the first few of them. */
import { compareCells, type LoadSetting } from "./compare_cells.ts";
import { MemoryStore } from "./journal.ts";
import { type Amount, openPredictions, runPredictions } from "./prediction_run.ts";
import { summarizePredictions } from "./prediction_summary.ts";
import type { ForcedSequence, SequencePredictions } from "./predictions.ts";
import { type KeyedPredictions, predictionsResult, rankingOf } from "./predictions_result.ts";
import { SCHEMA_VERSION } from "./results_schema.ts";
import type { Common, RunCell, Store } from "./task.ts";

/** Most sequences that are compared operation by operation: a defect shows on the first, and each takes 3 passes. */
export const LAYERED = 8;

/** The first line of a journal of comparisons, given what the answers of both cells belong to. */
export function comparedHeader(kind: string, first: unknown, other: unknown) {
  return { schema: `mxoss.${kind}`, version: SCHEMA_VERSION, first, other };
}

/** How to compare. */
export interface CompareOptions {
  /** Directory of journals, which is there; null: nothing is kept. */
  readonly out: string | null;
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
 * Compares.
 *
 * @param header What a cell's answers belong to.
 */
export async function compareAll(
  first: RunCell,
  others: readonly RunCell[],
  sequences: readonly ForcedSequence[],
  header: (cell: RunCell) => unknown,
  { out, divergence: amount, alarm, load, watcher }: CompareOptions,
): Promise<Compared> {
  const identity = (kind: string, other: RunCell) => comparedHeader(kind, header(first), header(other));
  using journals = new DisposableStack();
  const { settings, stopped } = await runPredictions({
    first,
    others,
    sequences,
    amount,
    load,
    open: (cell): Store<SequencePredictions> => {
      if (out === null) return new MemoryStore<SequencePredictions>();
      return journals.use(openPredictions(`${out}/predictions.${cell.key}.jsonl`, identity("predictions", cell)));
    },
    progress: (cell) => watcher.progress(`${cell.label}: predictions`, "tokens"),
  });
  const layered = sequences.slice(0, typeof amount === "number" ? Math.min(amount, LAYERED) : LAYERED);
  const divergences: Common["divergences"] = [];
  for (const [i, other] of others.entries()) {
    const kept = out === null ? null : {
      path: `${out}/divergence.${other.key}.jsonl`,
      header: { ...identity("divergence", other), sequences: layered.map(({ index }) => index), alarm },
    };
    const progress = (unit: string) =>
      watcher.progress(`${other.label}: ${unit === "tokens" ? "layers" : "weights"}`, unit);
    divergences.push({
      key: other.key,
      predictions: predictionsResult(summarizePredictions(settings[i]!.sequences)),
      stopped,
      divergence: await compareCells({
        settings: [first.setting, other.setting],
        sequences: () => layered,
        alarm,
        progress,
        kept,
      }, load),
    });
  }
  return { divergences, ranking: rankingOf(settings), predictions: settings };
}
