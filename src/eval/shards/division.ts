/** The division of what a run asks into shards, which several processes answer, on one machine or on many. */
import { InputError } from "../../errors.ts";
import { type ReadVariable, type World, WORLD_VARIABLES, worldOf } from "../../parallel/world.ts";
import { option, words } from "../../words.ts";

/** One part of several. */
export interface Shard {
  /** From 1, as people count. */
  readonly number: number;
  readonly of: number;
}

/** A shard, with who says that it is this process's. */
export interface FoundShard extends Shard {
  /** In words, for instance `Slurm array task 12`. */
  readonly from: string;
}

/** Most shards that a run may be divided into. */
export const MOST_SHARDS = 100_000;

/** How people and directories write a shard. */
export const shardName = ({ number, of }: Shard): string => `${number}/${of}`;

/**
 * The places of what is asked that belong to a shard: a stretch, so that neighbours stay together, and stretches differ
 * by one place at most.
 *
 * @returns The first place, and the first after the last.
 */
export function stretchOf({ number, of }: Shard, asked: number): [from: number, to: number] {
  // Exact: both factors are whole and small.
  const start = (shards: number) => Math.floor(asked * shards / of);
  return [start(number - 1), start(number)];
}

/** Slurm's variables of a task of a job array. */
const ARRAY = {
  task: "SLURM_ARRAY_TASK_ID",
  first: "SLURM_ARRAY_TASK_MIN",
  last: "SLURM_ARRAY_TASK_MAX",
  step: "SLURM_ARRAY_TASK_STEP",
  count: "SLURM_ARRAY_TASK_COUNT",
} as const;
/** The number of a pod among those of an Indexed Job, which Kubernetes sets. */
const POD = "JOB_COMPLETION_INDEX";
/** How many shards there are: Kubernetes tells no pod, and whoever repeats a few tasks of an array has to say it. */
const TOTAL = "MXOSS_SHARDS";

/** Every variable that is read here. */
export const SHARD_VARIABLES: readonly string[] = [...Object.values(ARRAY), POD, TOTAL, ...WORLD_VARIABLES];

/**
 * The shard that the environment gives this process: that of a Slurm array task or of a pod of an Indexed Job; where
 * there is neither, that of an srun task or an MPI or torchrun process. It may be the only one: 1 of 1. Null where
 * nothing starts several: in a shell, in sbatch's script, in the shell that salloc gives.
 *
 * @throws {InputError} naming variables that are incomplete, or contradict each other.
 */
export function shardOf(read: ReadVariable): FoundShard | null {
  const total = numberOf(TOTAL, read, 1, MOST_SHARDS);
  const found = [arrayTask(read), pod(read, total)].filter((one) => one !== null);
  const [first, second] = found;
  if (second !== undefined) {
    throw InputError.saying(
      "contradiction",
      { name: `${ARRAY.task} and ${POD}` },
      words`a Slurm array task and a pod of a Kubernetes Job at once; give ${option("shard")}`,
    );
  }
  const shard = first ?? processShard(worldOf(read));
  if (total === null || shard?.of === total) return shard;
  if (shard === null) {
    const problem = words`says that there are ${total} shards, but nothing which is this one; give ${option("shard")}`;
    throw InputError.saying("contradiction", { name: TOTAL }, problem);
  }
  throw InputError.saying(
    "contradiction",
    { name: TOTAL },
    words`says that there are ${total} shards, ${shard.from} is ${shard.number} of ${shard.of}; give ${
      option("shard")
    }`,
  );
}

/** Whether this process has the shard of a job, whatever processes the job consists of. */
export function isJobDivided(read: ReadVariable): boolean {
  return read(ARRAY.task) !== undefined || read(POD) !== undefined;
}

function arrayTask(read: ReadVariable): FoundShard | null {
  const task = numberOf(ARRAY.task, read, 0);
  if (task === null) return null;
  const need = (name: string, from: number): number => {
    const value = numberOf(name, read, from);
    if (value === null) throw InputError.of("missing", { name }, `a number beside ${ARRAY.task}`, "none");
    return value;
  };
  const first = need(ARRAY.first, 0), last = need(ARRAY.last, 0), of = need(ARRAY.count, 1);
  const step = numberOf(ARRAY.step, read, 1) ?? 1, place = (task - first) / step;
  // A list with holes, as `--array=2,5`, tells no task which of how many it is.
  const even = (last - first) / step === of - 1, inside = Number.isInteger(place) && place >= 0 && place < of;
  if (even && inside) return { number: place + 1, of, from: `Slurm array task ${task}` };
  throw InputError.saying(
    "contradiction",
    { name: ARRAY.task },
    words`task ${task} of the ${of} from ${first} to ${last} is no shard of even steps; give ${option("shard")}`,
  );
}

function pod(read: ReadVariable, total: number | null): FoundShard | null {
  const index = numberOf(POD, read, 0);
  if (index === null) return null;
  if (total === null) {
    const expected = `the number of pods (completions of the Job), of which ${POD} says this is one`;
    throw InputError.of("missing", { name: TOTAL }, expected, "none");
  }
  if (index < total) return { number: index + 1, of: total, from: `pod ${index} of a Kubernetes Job` };
  throw InputError.of("wrong_value", { name: POD }, `less than ${total}, which ${TOTAL} says`, index);
}

function processShard(world: World | null): FoundShard | null {
  if (world === null) return null;
  const kind = world.source === "Slurm" ? "Slurm task" : `${world.source} process`;
  return { number: world.rank + 1, of: world.size, from: `${kind} ${world.rank}` };
}

function numberOf(name: string, read: ReadVariable, from: number, most = 2 ** 32 - 1): number | null {
  const text = read(name);
  if (text === undefined) return null;
  const value = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
  if (value >= from && value <= most) return value;
  throw InputError.of("wrong_value", { name }, `a whole number from ${from} to ${most}`, JSON.stringify(text));
}
