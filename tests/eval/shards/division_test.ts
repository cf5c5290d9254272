import { InputError } from "../../../src/errors.ts";
import { type FoundShard, SHARD_VARIABLES, shardOf, stretchOf } from "../../../src/eval/shards/division.ts";
import { COMMAND_LINE } from "../../../src/cli/spelling.ts";
import { assert, assertEquals, assertThrows } from "../../assert.ts";

type Variables = Readonly<Record<string, string>>;

function shard(variables: Variables): FoundShard | null {
  return shardOf((name) => {
    assert(SHARD_VARIABLES.includes(name), `${name} is read, but not in the list of those that are`);
    return variables[name];
  });
}

const numbers = (variables: Variables) => {
  const { number, of, from } = shard(variables)!;
  return `${number}/${of} ${from}`;
};

/** Variables of a task of `sbatch --array=first-last:step`. */
function array(task: number, first: number, last: number, step: number, count: number) {
  return {
    SLURM_ARRAY_JOB_ID: "4",
    SLURM_ARRAY_TASK_ID: `${task}`,
    SLURM_ARRAY_TASK_MIN: `${first}`,
    SLURM_ARRAY_TASK_MAX: `${last}`,
    SLURM_ARRAY_TASK_STEP: `${step}`,
    SLURM_ARRAY_TASK_COUNT: `${count}`,
    // Of the batch script, which is not started by srun.
    SLURM_PROCID: "0",
    SLURM_NTASKS: "1",
  };
}

const SRUN = { SLURM_STEP_ID: "0", SLURM_STEP_NUM_TASKS: "8", SLURM_PROCID: "5", SLURM_NTASKS: "8" };
const OPEN_MPI = { OMPI_COMM_WORLD_RANK: "3", OMPI_COMM_WORLD_SIZE: "4" };

Deno.test("stretches of all shards hold every place once, and differ by one place at most", () => {
  for (const asked of [0, 1, 7, 8, 1319, 100_000]) {
    for (const parts of [1, 2, 7, 8, 1000]) {
      let next = 0;
      for (let number = 1; number <= parts; number++) {
        const [from, to] = stretchOf({ number, of: parts }, asked);
        assertEquals(from, next);
        assert(
          [Math.floor(asked / parts), Math.ceil(asked / parts)].includes(to - from),
          `${asked} in ${parts}: ${to - from}`,
        );
        next = to;
      }
      assertEquals(next, asked);
    }
  }
});

Deno.test("a process finds its shard in what started it", () => {
  assertEquals(numbers(array(0, 0, 7, 1, 8)), "1/8 Slurm array task 0");
  assertEquals(numbers(array(7, 0, 7, 1, 8)), "8/8 Slurm array task 7");
  assertEquals(numbers(array(10, 4, 13, 3, 4)), "3/4 Slurm array task 10");
  assertEquals(numbers({ JOB_COMPLETION_INDEX: "2", MXOSS_SHARDS: "8" }), "3/8 pod 2 of a Kubernetes Job");
  assertEquals(numbers(SRUN), "6/8 Slurm task 5");
  assertEquals(numbers(OPEN_MPI), "4/4 Open MPI process 3");
  assertEquals(numbers({ RANK: "0", WORLD_SIZE: "2", MXOSS_SHARDS: "2" }), "1/2 torchrun process 0");
  // Ranks of a process group inside of an array task share its model, not its problems.
  assertEquals(numbers({ ...array(1, 0, 7, 1, 8), ...OPEN_MPI }), "2/8 Slurm array task 1");
  // A task that is repeated alone, or a shell that srun gives.
  assertEquals(numbers(array(3, 3, 3, 1, 1)), "1/1 Slurm array task 3");
});

Deno.test("nobody has a shard in a shell, in sbatch's script, or in salloc's shell", () => {
  assertEquals(shard({}), null);
  assertEquals(shard({ SLURM_JOB_ID: "9", SLURM_NTASKS: "8", SLURM_PROCID: "0" }), null);
  assertEquals(shard({ ...SRUN, SLURM_STEP_ID: "4294967290", SLURM_STEP_NUM_TASKS: "1", SLURM_PROCID: "0" }), null);
});

Deno.test("shards that the environment does not settle are refused in one line", () => {
  const refused = (variables: Variables) => {
    const line = assertThrows(() => shard(variables), InputError).line(COMMAND_LINE);
    assertEquals(line.split("\n").length, 1);
    return line;
  };
  assertEquals(
    refused(array(5, 2, 5, 1, 2)),
    "SLURM_ARRAY_TASK_ID: task 5 of the 2 from 2 to 5 is no shard of even steps; give --shard",
  );
  assertEquals(
    refused({ SLURM_ARRAY_TASK_ID: "1" }),
    "SLURM_ARRAY_TASK_MIN: expected a number beside SLURM_ARRAY_TASK_ID, got none",
  );
  assertEquals(
    refused({ JOB_COMPLETION_INDEX: "2" }),
    "MXOSS_SHARDS: expected the number of pods (completions of the Job), of which JOB_COMPLETION_INDEX says this is " +
      "one, got none",
  );
  assertEquals(
    refused({ JOB_COMPLETION_INDEX: "8", MXOSS_SHARDS: "8" }),
    "JOB_COMPLETION_INDEX: expected less than 8, which MXOSS_SHARDS says, got 8",
  );
  assertEquals(
    refused({ ...array(3, 3, 3, 1, 1), MXOSS_SHARDS: "8" }),
    "MXOSS_SHARDS: says that there are 8 shards, Slurm array task 3 is 1 of 1; give --shard",
  );
  assertEquals(
    refused({ MXOSS_SHARDS: "8" }),
    "MXOSS_SHARDS: says that there are 8 shards, but nothing which is this one; give --shard",
  );
  assertEquals(
    refused({ ...array(0, 0, 7, 1, 8), JOB_COMPLETION_INDEX: "0", MXOSS_SHARDS: "8" }),
    "SLURM_ARRAY_TASK_ID and JOB_COMPLETION_INDEX: a Slurm array task and a pod of a Kubernetes Job at once; give " +
      "--shard",
  );
  assertEquals(
    refused({ JOB_COMPLETION_INDEX: "-1", MXOSS_SHARDS: "8" }),
    'JOB_COMPLETION_INDEX: expected a whole number from 0 to 4294967295, got "-1"',
  );
  assertEquals(
    refused({ MXOSS_SHARDS: "0" }),
    'MXOSS_SHARDS: expected a whole number from 1 to 100000, got "0"',
  );
});
