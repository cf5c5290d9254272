/** `--shard`: which part of an evaluation this process answers. */
import { z } from "zod";
import { shardsIn } from "../../eval/shards/attempts.ts";
import {
  type FoundShard,
  isJobDivided,
  MOST_SHARDS,
  type Shard,
  shardName,
  shardOf,
} from "../../eval/shards/division.ts";
import type { ReadVariable } from "../../parallel/world.ts";
import { environment } from "../../../ffi/library.ts";
import { currentProcesses } from "../../parallel/current.ts";
import { isGpu } from "../../session/setting.ts";
import { ownWorld, type Shared } from "../sharing.ts";
import { type Option, option } from "../options.ts";
import { UsageError } from "../spelling.ts";

/** What can be given. */
export type ShardChoice = Shard | "auto" | "none";

function shardChoice() {
  return z.string().transform((given, context): ShardChoice => {
    if (given === "auto" || given === "none") return given;
    const [, number, of] = /^(\d{1,6})\/(\d{1,6})$/.exec(given)?.map(Number) ?? [];
    if (number! >= 1 && number! <= of! && of! <= MOST_SHARDS) return { number: number!, of: of! };
    context.addIssue({ code: "custom", message: "expected auto, none or I/N with I from 1 to N, such as 3/8" });
    return z.NEVER;
  });
}

/** The option. */
export const SHARD_OPTION: Option<ShardChoice | undefined> = option(
  "I/N",
  shardChoice().optional(),
  "answer the I-th of N parts, which mxoss report joins (needs --out); auto: as Slurm, Kubernetes or MPI say, and " +
    "refused where none does; none: all (default: auto where several processes were started together that share no " +
    "model on GPUs, else none)",
);

/** Options of `mxoss eval` that a part has to do with. */
interface Options {
  readonly shard?: ShardChoice | undefined;
  readonly out?: string | undefined;
  readonly json?: boolean;
  readonly format?: unknown;
  readonly export?: unknown;
  readonly "dry-run"?: boolean;
}

/**
 * The part that this process answers; null: all.
 *
 * @throws {InputError} where the environment contradicts itself or the parts that were begun, where parts would be
 *   lost, or where an option has no meaning for a part.
 */
export function chosenShard(options: Options, read: ReadVariable = environment): FoundShard | null {
  const { shard = null, out } = options;
  if (shard === "none") return null;
  // Processes that share the models have no part each.
  if (shard === null && currentProcesses() !== null && !isJobDivided(read)) return null;
  const given = shard !== null && shard !== "auto";
  const found: FoundShard | null = given ? { ...shard, from: "as --shard says" } : shardOf(read);
  if (found === null) {
    if (shard === null) return null;
    const starters = "a Slurm job array or step, an Indexed Job of Kubernetes, or processes of MPI or torchrun";
    throw UsageError.of("missing", { option: "shard", value: "auto" }, starters, "none of them");
  }
  if (!given) {
    refuseOtherDivision(found, out);
    if (found.of === 1) return null;
  }
  const name = `${shardName(found)} (${found.from})`;
  if (out === undefined && !options["dry-run"]) {
    const expected = `a directory that all parts share, as this is part ${name}`;
    // Processes that were started together do not answer everything each, but share what ranks a model has.
    const without = given || isJobDivided(read) ? "answers everything" : "has the processes share one model's ranks";
    throw UsageError.of("missing", { option: "out" }, expected, `none; --shard none ${without}`);
  }
  for (const other of ["json", "format", "export"] as const) {
    if (options[other] === undefined || options[other] === false || options["dry-run"]) continue;
    throw UsageError.of("contradiction", { option: other }, "a run that answers everything", `part ${name}`);
  }
  return found;
}

/**
 * Whether processes that were started together answer a part each, rather than share models: as is said, else unless
 * a model has as many ranks on GPUs as there are processes.
 */
export function dividesProcesses(
  { shard }: Pick<Options, "shard">,
  models: readonly Shared[],
  read: ReadVariable = environment,
): boolean {
  if (shard !== undefined && shard !== "auto" || isJobDivided(read)) return false;
  const size = shard === "auto" ? null : ownWorld(read)?.size;
  return !models.some(({ backend, tp, ep }) => isGpu(backend) && tp * ep === size);
}

/**
 * Refuses a division that nobody gave, where the parts that were begun are of others: a task of an array that is
 * repeated alone takes itself for the only one.
 */
function refuseOtherDivision(found: FoundShard, out: string | undefined): void {
  const begun = out === undefined ? [] : shardsIn(out);
  if (begun.length === 0 || begun.some(({ shard }) => shard.of === found.of)) return;
  throw UsageError.of(
    "contradiction",
    { option: "out", file: out! },
    `one of ${begun[0]!.shard.of} parts, as those that are there; give --shard I/N, or none for everything`,
    `part ${shardName(found)} (${found.from})`,
  );
}
