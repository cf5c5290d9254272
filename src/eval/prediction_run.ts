/**
 * Predictions of every setting beside those of the first: in rounds of ever more sequences until enough is known, each
 * setting with a journal from which an interrupted run goes on.
 */
import { refuseChanged } from "../checkpoint/identity.ts";
import type { Room } from "../session/open.ts";
import type { LoadSetting } from "./compare_cells.ts";
import type { Kept } from "./stores.ts";
import { type ForcedSequence, predictSequence, ReferenceLogits, SequencePredictions } from "./predictions.ts";
import type { Stopped } from "./predictions_schema.ts";
import { type KeyedPredictions, rankPredictions } from "./predictions_result.ts";
import { klGroups } from "./prediction_summary.ts";
import { rareRatio } from "./intervals.ts";
import type { RunCell, Store } from "./task.ts";
import { largest } from "../largest.ts";
import { reading } from "../validate.ts";

/** How many sequences to compute: a number, or as many as intervals of that half width need, relative to the mean. */
export type Amount = number | { readonly precision: number };

/** Sequences of the first round, where their number is not given. */
export const FIRST_ROUND = 16;

/** What to compute. */
export interface PredictionRun {
  /** What all settings are compared with. */
  readonly first: RunCell;
  readonly others: readonly RunCell[];
  /** All that could be computed. */
  readonly sequences: readonly ForcedSequence[];
  readonly amount: Amount;
  readonly load: LoadSetting;
  /** Opens the store of a setting; the caller closes it. */
  readonly open: (cell: RunCell) => Store<SequencePredictions>;
  /** Shows how many tokens of a setting are done. */
  readonly progress: (cell: RunCell) => Disposable & { update(done: number, total: number): void };
}

/** What was computed. */
export interface PredictionOutcome {
  /** By setting, in the order of the others. */
  readonly settings: readonly KeyedPredictions[];
  readonly stopped: Stopped;
}

/** Computes what the stores do not hold yet. */
export async function runPredictions(run: PredictionRun): Promise<PredictionOutcome> {
  const { first, others, sequences, amount, load, open } = run;
  const stores = others.map((cell) => ({ cell, store: open(cell) }));
  const room = { slots: 1, context: largest(sequences.map(({ tokens }) => tokens.length)) };
  await using reference = new ReferenceLogits(() => load(first.setting, room));
  const upTo = (count: number) =>
    stores.map(({ cell: { key }, store }): KeyedPredictions => ({
      key,
      sequences: sequences.slice(0, count).map(({ index }) => store.entries.get(index)!),
    }));
  const compute = async (count: number) => {
    for (const { cell, store } of stores) {
      await predictMissing(run, cell, store, sequences.slice(0, count), reference, room);
      // Only logits are kept for the next setting: two models at a time are enough.
      await reference.release();
    }
    return upTo(count);
  };
  if (typeof amount === "number") {
    return { settings: await compute(Math.min(amount, sequences.length)), stopped: "asked" };
  }
  for (const count of rounds(sequences.length)) {
    const settings = await compute(count), stopped = stopsAt(settings, amount.precision);
    if (stopped !== null) return { settings, stopped };
    if (count === sequences.length) return { settings, stopped: "spent" };
  }
  throw new RangeError("nothing to compare");
}

/** Numbers of sequences after which is decided whether they are enough; the last is all of them. */
export function* rounds(sequences: number): Generator<number> {
  for (let count = FIRST_ROUND; count < sequences; count *= 2) yield count;
  if (sequences > 0) yield sequences;
}

async function predictMissing(
  { load, progress, first }: PredictionRun,
  cell: RunCell,
  store: Store<SequencePredictions>,
  sequences: readonly ForcedSequence[],
  reference: ReferenceLogits,
  room: Room,
): Promise<void> {
  const missing = sequences.filter(({ index }) => !store.entries.has(index));
  if (missing.length === 0) return;
  const total = sequences.reduce((sum, { tokens }) => sum + tokens.length, 0);
  let done = total - missing.reduce((sum, { tokens }) => sum + tokens.length, 0);
  const session = await load(cell.setting, room);
  try {
    using bar = progress(cell);
    bar.update(done, total);
    for (const sequence of missing) {
      const predictions = await predictSequence(reference, session, sequence, (part) => bar.update(done + part, total));
      for (const { setting } of [first, cell]) refuseChanged(setting.checkpoint.identity);
      store.append(predictions);
      done += sequence.tokens.length;
      bar.update(done, total);
    }
  } finally {
    await session.close();
  }
}

/**
 * p-value below which settings count as told apart before the last round: that of three standard errors. Each look at
 * the tokens is a chance to take luck for a difference; of looks as strict as these all together hardly add to the
 * chance of the last one (Haybittle, Peto), which is the 5% that a ranking allows.
 */
export const SETTLED = 0.0027;

/**
 * Why runs that were made apart have no more sequences, as far as that holds of all their settings together: each saw
 * its own settings only, and of one that has more sequences than another the first ones are what is left.
 *
 * @param settings Their predictions, on the sequences that all have in common.
 * @param runs Why each setting's run ended, and after how many sequences.
 */
export function stoppedTogether(
  settings: readonly KeyedPredictions[],
  runs: readonly { readonly stopped: Stopped; readonly sequences: number }[],
): Stopped {
  const common = settings[0]!.sequences.length, reasons = new Set(runs.map(({ stopped }) => stopped));
  if (reasons.has("asked") || runs.some(({ sequences }) => sequences > common)) return "asked";
  if (allApart(rankPredictions(settings))) return "settled";
  // One has all there are, and the others have as many.
  if (reasons.has("spent")) return "spent";
  // What was precise enough for a run that told its settings apart is not known.
  return reasons.has("settled") ? "asked" : "precise";
}

/** Whether typical divergence tells all settings apart, before there are no more sequences. */
function allApart({ typical: { pairs } }: ReturnType<typeof rankPredictions>): boolean {
  return pairs.length > 0 && pairs.every(({ pHolm }) => pHolm < SETTLED);
}

/**
 * Why enough is known: all settings are told apart by typical divergence, or the interval of every mean is as narrow as
 * wanted. A mean without a spread counts as known.
 */
export function stopsAt(
  settings: readonly KeyedPredictions[],
  precision: number,
): "settled" | "precise" | null {
  const rankings = rankPredictions(settings), { part } = rankings;
  if (allApart(rankings)) return "settled";
  const precise = settings.every(({ sequences }) => {
    const { value, low, high } = rareRatio(klGroups(sequences, part));
    return value === 0 || high - low <= 2 * precision * value;
  });
  return precise ? "precise" : null;
}

/** The store of a setting's predictions; what belongs to something else is computed anew. */
export function openPredictions({ open, name }: Kept, header: unknown): Store<SequencePredictions> & Disposable {
  return open(name, header, reading(SequencePredictions), "replace");
}
