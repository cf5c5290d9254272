/**
 * Which of several processes this one is, by the environment variables of whatever started them: torchrun, mpirun of
 * any MPI, or srun. Nothing is asked of a network or a file here.
 */
import { InputError } from "../errors.ts";

/** What starts several processes together, and sets variables that say so. */
export type Starter = "torchrun" | "Open MPI" | "MPI" | "Slurm";

/** A process among those that were started together. */
export interface World {
  /** From 0. */
  readonly rank: number;
  /** Processes in all; 1 where one was started. */
  readonly size: number;
  /** Rank among the processes of this host, and how many they are; null where the starter does not say. */
  readonly localRank: number | null;
  readonly localSize: number | null;
  /** Who says so. */
  readonly source: Starter;
  /** Where the first process can be reached, if somebody said. */
  readonly master: { readonly address: string; readonly port: number } | null;
}

/** A variable of the environment; undefined where it is not set. */
export type ReadVariable = (name: string) => string | undefined;

/** The variables of one starter. */
interface Source {
  readonly source: Starter;
  readonly rank: string;
  readonly size: string;
  readonly localRank: string;
  readonly localSize: string | null;
}

/**
 * From the innermost to the outermost. srun may start an mpirun or a torchrun on each host, and mpirun a torchrun, and
 * processes inherit the variables of all of them; the other way round nobody starts anything.
 *
 * `MPI` are the variables of the PMI process managers: MPICH's and Intel's hydra, Cray's PALS, srun with pmi2.
 */
const SOURCES: readonly Source[] = [
  {
    source: "torchrun",
    rank: "RANK",
    size: "WORLD_SIZE",
    localRank: "LOCAL_RANK",
    localSize: "LOCAL_WORLD_SIZE",
  },
  {
    source: "Open MPI",
    rank: "OMPI_COMM_WORLD_RANK",
    size: "OMPI_COMM_WORLD_SIZE",
    localRank: "OMPI_COMM_WORLD_LOCAL_RANK",
    localSize: "OMPI_COMM_WORLD_LOCAL_SIZE",
  },
  { source: "MPI", rank: "PMI_RANK", size: "PMI_SIZE", localRank: "MPI_LOCALRANKID", localSize: "MPI_LOCALNRANKS" },
  // SLURM_NTASKS is no size: salloc and sbatch set it for the tasks that are yet to be started.
  { source: "Slurm", rank: "SLURM_PROCID", size: "SLURM_STEP_NUM_TASKS", localRank: "SLURM_LOCALID", localSize: null },
];

/** A job step of srun; sbatch's script and salloc's shell have none, or one with a number from here on. */
const STEP = "SLURM_STEP_ID";
const FIRST_SPECIAL_STEP = 0xffff_fff0;
/** Host of this task among those of the step, and how many tasks each has: `4(x2),3`. */
const NODE = "SLURM_NODEID";
const TASKS_PER_NODE = "SLURM_STEP_TASKS_PER_NODE";
const MASTER_ADDRESS = "MASTER_ADDR";
const MASTER_PORT = "MASTER_PORT";
/** torch.distributed's own default. */
const DEFAULT_PORT = 29500;

/** Every variable that is read here. */
export const WORLD_VARIABLES: readonly string[] = [
  ...SOURCES.flatMap((
    { rank, size, localRank, localSize },
  ) => [rank, size, localRank, ...localSize ? [localSize] : []]),
  STEP,
  NODE,
  TASKS_PER_NODE,
  MASTER_ADDRESS,
  MASTER_PORT,
];

/**
 * Which process this is, as the innermost starter says; null where nobody started several, as in a plain shell, in
 * sbatch's script or in salloc's shell.
 *
 * @throws {InputError} naming the variable that is missing or no such number, or the two that contradict each other.
 */
export function worldOf(read: ReadVariable): World | null {
  const found = SOURCES.flatMap((source) => processOf(source, read) ?? []);
  const [inner, ...outer] = found;
  if (inner === undefined) return null;
  for (const other of outer) refuseContradiction(inner, other);
  return { ...inner.process, source: inner.names.source, master: masterOf(read) };
}

/** What one starter says. */
interface Said {
  readonly names: Source;
  readonly process: Omit<World, "source" | "master">;
}

function processOf(names: Source, read: ReadVariable): Said | null {
  if (names.source === "Slurm" && !inStep(read)) return null;
  const given = (name: string) => read(name) !== undefined;
  if (!given(names.rank) && !given(names.size)) return null;
  const [missing, there] = given(names.rank) ? [names.size, names.rank] : [names.rank, names.size];
  if (!given(missing)) throw InputError.of("missing", { name: missing }, `a number beside ${there}`, "none");
  const size = numberOf(names.size, read, 1)!;
  const localSize = names.localSize === null ? slurmLocalSize(read) : numberOf(names.localSize, read, 1, size + 1);
  return {
    names,
    process: {
      rank: numberOf(names.rank, read, 0, size)!,
      size,
      localRank: numberOf(names.localRank, read, 0, localSize ?? size),
      localSize,
    },
  };
}

function inStep(read: ReadVariable): boolean {
  const step = numberOf(STEP, read, 0);
  return step !== null && step < FIRST_SPECIAL_STEP;
}

/** Tasks of this task's host. */
function slurmLocalSize(read: ReadVariable): number | null {
  const node = numberOf(NODE, read, 0), text = read(TASKS_PER_NODE);
  if (node === null || text === undefined) return null;
  const counts = text.split(",").map((part) => /^(\d{1,9})(?:\(x(\d{1,9})\))?$/.exec(part));
  let before = 0;
  for (const count of counts) {
    if (count === null) break;
    before += Number(count[2] ?? 1);
    if (node < before) return Number(count[1]);
  }
  throw InputError.of("wrong_value", { name: TASKS_PER_NODE }, `tasks of host ${node}, as in 4(x2),3`, text);
}

/**
 * Refuses what is no nesting: an outer starter of as many processes means the same ones, and one of more would have
 * started several of the inner ones, each of which takes itself for the only one.
 */
function refuseContradiction(inner: Said, outer: Said): void {
  const [a, b] = [inner.process, outer.process];
  if (b.size === 1 || b.size < a.size || (b.size === a.size && b.rank === a.rank)) return;
  throw InputError.saying(
    "contradiction",
    { name: `${inner.names.rank} and ${outer.names.rank}` },
    `${inner.names.source} says that this is process ${a.rank} of ${a.size}, ` +
      `${outer.names.source} that it is ${b.rank} of ${b.size}`,
  );
}

function masterOf(read: ReadVariable): World["master"] {
  const address = read(MASTER_ADDRESS);
  if (address === undefined || address === "") return null;
  return { address, port: numberOf(MASTER_PORT, read, 1, 1 << 16) ?? DEFAULT_PORT };
}

/**
 * @param end The first number that is too large.
 */
function numberOf(name: string, read: ReadVariable, from: number, end = 2 ** 32): number | null {
  const text = read(name);
  if (text === undefined) return null;
  const value = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
  if (value >= from && value < end) return value;
  throw InputError.of("wrong_value", { name }, `a whole number from ${from} to ${end - 1}`, JSON.stringify(text));
}
