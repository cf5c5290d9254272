/** Every further cell of a matrix against the first, operation by operation. */
import { z } from "zod";
import { refuseChanged } from "../../checkpoint/identity.ts";
import { toResult } from "../../eval/divergence_result.ts";
import { compareSides } from "../../eval/divergence.ts";
import { Journal } from "../../eval/journal.ts";
import { DivergenceResult } from "../../eval/results_schema.ts";
import { sideOf } from "../../eval/side.ts";
import type { PlannedSetting } from "../../session/setting.ts";
import { loadSetting } from "../settings.ts";
import { RateBar } from "./progress.ts";

/**
 * A comparison on disk: a journal of one entry, so that it is computed once, and again where other problems or another
 * alarm line are asked for. That it is of the same settings is known by then: their answers would have been refused.
 */
const Entry = z.strictObject({ index: z.literal(0), divergence: DivergenceResult });

/** What to compare. */
export interface DivergenceTask {
  readonly first: PlannedSetting;
  readonly other: PlannedSetting;
  /** What the other one is called in the progress bar. */
  readonly label: string;
  /** Given when it is needed; what it gives must follow from `header`. */
  readonly sequences: () => readonly Int32Array[];
  readonly alarm: number;
  readonly chunk: number;
  /** Where the comparison is kept, and what it belongs to; null: nowhere. */
  readonly kept: { readonly path: string; readonly header: unknown } | null;
}

/** Compares, or reads what was compared before. */
export async function divergenceOf(task: DivergenceTask): Promise<DivergenceResult> {
  using journal = task.kept === null
    ? null
    : Journal.open(task.kept.path, task.kept.header, (value) => Entry.parse(value), "replace");
  const before = journal?.entries.get(0);
  if (before !== undefined) return before.divergence;
  const divergence = await compute(task);
  for (const { checkpoint } of [task.first, task.other]) refuseChanged(checkpoint.identity);
  journal?.append({ index: 0, divergence });
  return divergence;
}

async function compute(
  { first, other, label, sequences: make, alarm, chunk }: DivergenceTask,
): Promise<DivergenceResult> {
  const sequences = make();
  // The second slot is for the pass on equal inputs.
  const room = { slots: 2, context: Math.max(...sequences.map((s) => s.length)), chunk };
  const a = sideOf(first, await loadSetting(first, room));
  try {
    const b = sideOf(other, await loadSetting(other, room));
    try {
      using bar = new RateBar(`${label}: layers`, "tokens");
      return toResult(
        await compareSides(a, b, sequences, { alarm, onProgress: (done, total) => bar.update(done, total) }),
      );
    } finally {
      await b.session.close();
    }
  } finally {
    await a.session.close();
  }
}

/** Tokens of one piece of a comparison: every intermediate result of so many tokens is held at once. */
export const COMPARE_CHUNK = 32;
