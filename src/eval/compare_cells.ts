/** Two settings operation by operation, from opening them to the result; and such results on disk. */
import { DivergenceResult } from "./divergence_schema.ts";
import { z } from "zod";
import { refuseChanged } from "../checkpoint/identity.ts";
import { type ComparedTokens, compareSides } from "./divergence.ts";
import { toResult } from "./divergence_result.ts";
import type { SequencePredictions } from "./predictions.ts";
import type { Kept } from "./stores.ts";
import { projectionsOf } from "./projections.ts";
import { sideOf } from "./side.ts";
import { compareWeights } from "./weight_errors.ts";
import type { Room } from "../session/open.ts";
import type { Session } from "../session/session.ts";
import type { PlannedSetting } from "../session/setting.ts";
import { largest } from "../largest.ts";
import { reading } from "../validate.ts";

/** Tokens of one piece of a comparison: every intermediate result of so many tokens is held at once. */
const CHUNK = 32;

/** Loads a setting; the caller closes the session. */
export type LoadSetting = (setting: PlannedSetting, room: Room) => Promise<Session>;

/** How far a part of a comparison is. */
export interface PartProgress extends Disposable {
  update(done: number, total: number): void;
}

/** Shows a part of a comparison: the computing of tokens, then the weights themselves. */
export type ShowPart = (unit: "tokens" | "matrices") => PartProgress;

/** Receives the predictions of a comparison, token by token, of which its result holds the numbers only. */
export type TakePredictions = (sequences: readonly SequencePredictions[]) => void;

/**
 * Opens two settings, compares B with A, and closes both.
 *
 * @param alarm Relative error above which an operation is named.
 * @param progress Called for each part once both are open.
 * @param predicted Called once tokens are computed.
 */
export async function compareSettings(
  settings: readonly [PlannedSetting, PlannedSetting],
  sequences: readonly ComparedTokens[],
  alarm: number,
  load: LoadSetting,
  progress: ShowPart,
  predicted: TakePredictions = () => {},
): Promise<DivergenceResult> {
  const result = await computeBoth(settings, sequences, alarm, load, progress, predicted);
  const [a, b] = settings;
  using bar = progress("matrices");
  const weights = await compareWeights(a.planned.source, b.planned.source, (...part) => bar.update(...part));
  return { ...result, projections: projectionsOf(result, weights) };
}

async function computeBoth(
  [a, b]: readonly [PlannedSetting, PlannedSetting],
  sequences: readonly ComparedTokens[],
  alarm: number,
  load: LoadSetting,
  progress: ShowPart,
  predicted: TakePredictions,
): Promise<Omit<DivergenceResult, "projections">> {
  // The second slot is for the pass on equal inputs.
  const room = { slots: 2, context: largest(sequences.map(({ tokens }) => tokens.length)), chunk: CHUNK };
  const first = await load(a, room);
  try {
    const second = await load(b, room);
    try {
      using bar = progress("tokens");
      const divergence = await compareSides(sideOf(a, first), sideOf(b, second), sequences, {
        alarm,
        onProgress: (done, total) => bar.update(done, total),
      });
      predicted(divergence.logits.sequences);
      return toResult(divergence);
    } finally {
      await second.close();
    }
  } finally {
    await first.close();
  }
}

/**
 * A comparison on disk: a journal of one entry, so that it is computed once, and again where anything that it depends
 * on is another one.
 */
export const KeptDivergence = z.strictObject({ index: z.literal(0), divergence: DivergenceResult });

/** Two settings to compare. */
export interface CellPair {
  readonly settings: readonly [PlannedSetting, PlannedSetting];
  /** Given when they are needed; what they are must follow from the header of `kept`. */
  readonly sequences: () => readonly ComparedTokens[];
  readonly alarm: number;
  readonly progress: ShowPart;
  /** Called where the comparison is computed, before it is kept. */
  readonly predicted?: TakePredictions;
  /** Where the comparison is kept, and what it belongs to. */
  readonly kept: Kept & { readonly header: unknown };
}

/** Compares, or reads what was compared before. */
export async function compareCells(
  { settings, sequences, alarm, progress, predicted, kept }: CellPair,
  load: LoadSetting,
): Promise<DivergenceResult> {
  using journal = kept.open(kept.name, kept.header, reading(KeptDivergence), "replace");
  const before = journal.entries.get(0);
  if (before !== undefined) return before.divergence;
  const divergence = await compareSettings(settings, sequences(), alarm, load, progress, predicted);
  for (const { checkpoint } of settings) refuseChanged(checkpoint.identity);
  journal.append({ index: 0, divergence });
  return divergence;
}
