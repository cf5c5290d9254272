/** Answers one shard of what a run asks, and compares its cells as far as that can be done shard by shard. */
import { answerCell, finish, type Interrupted, journalHeader, openRuns, type Watcher } from "../cell_run.ts";
import { compareLayers, type CompareOptions, comparePredictions, layeredCount } from "../compare_all.ts";
import type { Indexed } from "../journal.ts";
import type { Amount } from "../prediction_run.ts";
import type { Asked, ResultsHead, RunCell, Task } from "../task.ts";
import { keepSamples } from "../samples.ts";
import type { SettingProtocol } from "../setting_schema.ts";
import { type Shard, stretchOf } from "./division.ts";

/** How to run. */
export interface ShardOptions extends CompareOptions {
  readonly watcher: Watcher;
  /** Interrupts: the run ends at once, and what still computes is left to the end of the process. */
  readonly signal: AbortSignal;
}

/** What became of a shard. */
export type ShardOutcome = { readonly kind: "done" } | Interrupted;

/**
 * The places that a shard answers: its stretch, and in the first shard at least those that are compared operation by
 * operation, which one process must see in their order.
 *
 * @param cells Number of cells.
 */
export function placesOf(shard: Shard, asked: number, cells: number, amount: Amount): [from: number, to: number] {
  const [from, to] = stretchOf(shard, asked);
  return [from, shard.number > 1 || cells === 1 ? to : Math.max(to, Math.min(asked, layeredCount(amount)))];
}

/**
 * Runs. Results are the union of all shards' stores: see join.ts.
 *
 * @param work All that the run asks; what is answered is the shard's part of it.
 * @throws {InputError} as {@linkcode runTask}.
 */
export async function runShard<
  Work extends Asked<Results["protocol"]>,
  Entry extends Indexed,
  Results extends ResultsHead,
>(
  task: Task<never, Work, Entry, Results>,
  work: Work,
  cells: readonly RunCell[],
  shard: Shard,
  options: ShardOptions,
): Promise<ShardOutcome> {
  const { divergence: amount, signal } = options;
  const [from, to] = placesOf(shard, work.indices.length, cells.length, amount);
  // More shards than there is to ask.
  if (from === to) return { kind: "done" };
  const part = task.part(work, from, to);
  using journals = new DisposableStack();
  const runs = openRuns(task, work.protocol, cells, options.open, journals);
  const header = ({ protocol }: { readonly protocol: SettingProtocol }) =>
    journalHeader(task.journal.name, task.header(work.protocol), protocol);
  const all = async () => {
    for (const run of runs) await answerCell(task, part, run, options);
    const [first, ...others] = runs;
    if (others.length === 0) return {};
    const answered = runs.map(({ cell, store }) => ({
      cell,
      entries: part.indices.map((index) => store.entries.get(index)!),
    }));
    const sequences = task.compared(part, answered[0]!.entries), cellsBeside = others.map(({ cell }) => cell);
    // Where statistics decide how many are enough, only all shards together can tell: each gives what it has.
    const count = typeof amount === "number"
      ? Math.min(sequences.length, Math.max(0, amount - from))
      : sequences.length;
    const compared = { ...options, divergence: count };
    const { settings: predictions } = count === 0
      ? { settings: [] }
      : await comparePredictions(first!.cell, cellsBeside, sequences, header, compared);
    keepSamples(task.samples, part, answered, { sequences, predictions }, header, options.open);
    if (shard.number === 1 && amount !== 0) {
      await compareLayers(first!.cell, cellsBeside, sequences.slice(0, layeredCount(amount)), header, options);
    }
    return {};
  };
  const done = await finish(all(), runs, part, signal);
  return done.kind === "interrupted" ? done : { kind: "done" };
}
