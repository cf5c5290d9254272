/** A part of an evaluation, from the directory that all parts share to the line that says what comes next. */
import { makeDirectory } from "../../checkpoint/directories.ts";
import type { Interrupted } from "../../eval/cell_run.ts";
import type { Indexed } from "../../eval/journal.ts";
import { adopting, attempts, type ShardDirectory, shardDirectory, shardsIn } from "../../eval/shards/attempts.ts";
import { type FoundShard, shardName } from "../../eval/shards/division.ts";
import { otherRun, readNote, runsOf, type ShardNote, writeNote } from "../../eval/shards/note.ts";
import { placesOf, runShard, type ShardOptions } from "../../eval/shards/run_shard.ts";
import { inDirectory, type OpenStore } from "../../eval/stores.ts";
import { type Asked, cellResult, type ResultsHead, type RunCell, type Task } from "../../eval/task.ts";
import { EXIT_INTERRUPTED } from "../interrupt.ts";
import { quotedPath, UsageError } from "../spelling.ts";
import { note, writeLines } from "../terminal.ts";
import { VERSION } from "../version.ts";
import type { EvalOptions } from "./cells.ts";

/** Where hashes and measured scales are kept beside the parts; null: nowhere. One part takes what another found. */
export function keptBeside(out: string | null, shard: FoundShard | null): OpenStore | null {
  if (out === null) return null;
  return shard === null ? inDirectory(out) : attempts(out);
}

/** Answers a part. No results are made of one part: `mxoss report` makes them of all. */
export async function runPart<
  Work extends Asked<Results["protocol"]>,
  Entry extends Indexed,
  Results extends ResultsHead,
>(
  task: Task<never, Work, Entry, Results>,
  work: Work,
  cells: readonly RunCell[],
  shard: FoundShard,
  { out, args, bandwidth }: EvalOptions & { readonly out: string },
  how: Omit<ShardOptions, "open">,
  printing: { interrupted(outcome: Interrupted): string },
): Promise<number> {
  const asked = work.indices.length, [from, to] = placesOf(shard, asked, cells.length, how.divergence);
  const { number, of } = shard, dir = shardDirectory(out, shard), own = work.indices.slice(from, to);
  const begun = shardsIn(out);
  const said: ShardNote = {
    schema: "mxoss.shard",
    version: 1,
    mxoss: VERSION,
    task: task.schema,
    protocol: work.protocol,
    bandwidth: bandwidth ?? null,
    divergence: how.divergence,
    alarm: how.alarm,
    cells: cells.map((cell) => cellResult(cell)) as ShardNote["cells"],
    shard: { number, of },
    places: { from, to },
    indices: runsOf(own),
    command: withoutShard(args),
  };
  refuseOtherRun(begun, dir, (before) => otherRun(before, said));
  makeDirectory(dir);
  writeNote(dir, said);
  note(`part ${shardName(shard)} (${shard.from}): ${to - from} of ${asked}, kept in ${dir}`);
  // Parts of this division have nothing in common with this one.
  const others = begun.filter((other) => other.shard.of !== of), wanted = new Set(own);
  const byIndex = [task.journal.name, "predictions", "samples", "worst"];
  const wants = (name: string, index: number) =>
    byIndex.every((kind) => !name.startsWith(`${kind}.`)) || wanted.has(index);
  const outcome = await runShard(task, work, cells, shard, {
    ...how,
    open: adopting(attempts(dir), others, out, wants),
  });
  if (outcome.kind === "interrupted") {
    note(printing.interrupted(outcome));
    return EXIT_INTERRUPTED;
  }
  await writeLines([
    `part ${shardName(shard)} is done; when all are, mxoss report ${quotedPath(out)} gives the results`,
  ]);
  return 0;
}

/**
 * Refuses to mix runs in one directory: this part must be of the run that it was of before, and of the run that one of
 * the others is of; all others are compared when they are joined.
 */
export function refuseOtherRun(
  begun: readonly ShardDirectory[],
  own: string,
  difference: (before: ShardNote) => string | null,
): void {
  for (const { dir } of [...begun.filter(({ dir }) => dir === own), ...begun.slice(0, 1)]) {
    const before = readNote(dir), differs = before === null ? null : difference(before);
    if (differs === null) continue;
    const problem = `was written with other settings (${differs} as there); choose another --out`;
    throw UsageError.saying("occupied", { file: `${dir}/shard.json` }, problem);
  }
}

/** A command line without its shard. */
function withoutShard(args: readonly string[]): string[] {
  const kept: string[] = [];
  for (let i = 0; i < args.length; i++) {
    if (args[i] === "--shard") i++;
    else if (!args[i]!.startsWith("--shard=")) kept.push(args[i]!);
  }
  return kept;
}
