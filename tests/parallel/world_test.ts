import { InputError } from "../../src/errors.ts";
import { type World, WORLD_VARIABLES, worldOf } from "../../src/parallel/world.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";

type Variables = Readonly<Record<string, string>>;

function world(variables: Variables): World | null {
  return worldOf((name) => {
    assert(WORLD_VARIABLES.includes(name), `${name} is read, but not in the list of those that are`);
    return variables[name];
  });
}

const TORCHRUN = {
  RANK: "5",
  WORLD_SIZE: "8",
  LOCAL_RANK: "1",
  LOCAL_WORLD_SIZE: "4",
  MASTER_ADDR: "host-0",
  MASTER_PORT: "29400",
};
const OPEN_MPI = {
  OMPI_COMM_WORLD_RANK: "2",
  OMPI_COMM_WORLD_SIZE: "4",
  OMPI_COMM_WORLD_LOCAL_RANK: "0",
  OMPI_COMM_WORLD_LOCAL_SIZE: "2",
};
/** What sbatch's script has, and what salloc's shell has with LaunchParameters=use_interactive_step. */
const BATCH = { SLURM_JOB_ID: "7", SLURM_NTASKS: "8", SLURM_PROCID: "0", SLURM_LOCALID: "0", SLURM_NODEID: "0" };
const INTERACTIVE = { ...BATCH, SLURM_STEP_ID: "4294967290", SLURM_STEP_NUM_TASKS: "1" };
const SRUN = {
  ...BATCH,
  SLURM_STEP_ID: "0",
  SLURM_STEP_NUM_TASKS: "11",
  SLURM_PROCID: "9",
  SLURM_LOCALID: "1",
  SLURM_NODEID: "2",
  SLURM_STEP_TASKS_PER_NODE: "4(x2),3",
};

Deno.test("a process knows its place from whatever started it", () => {
  assertEquals(world(TORCHRUN), {
    rank: 5,
    size: 8,
    localRank: 1,
    localSize: 4,
    source: "torchrun",
    master: { address: "host-0", port: 29400 },
  });
  assertEquals(world(OPEN_MPI), {
    rank: 2,
    size: 4,
    localRank: 0,
    localSize: 2,
    source: "Open MPI",
    master: null,
  });
  assertEquals(world({ PMI_RANK: "1", PMI_SIZE: "2", MPI_LOCALRANKID: "1", MPI_LOCALNRANKS: "2" }), {
    rank: 1,
    size: 2,
    localRank: 1,
    localSize: 2,
    source: "MPI",
    master: null,
  });
  assertEquals(world({ ...SRUN, MASTER_ADDR: "host-0" }), {
    rank: 9,
    size: 11,
    localRank: 1,
    localSize: 3,
    source: "Slurm",
    master: { address: "host-0", port: 29500 },
  });
  assertEquals(world({ PMI_RANK: "0", PMI_SIZE: "1" })!.localSize, null);
});

Deno.test("nobody is one of several in a shell, in sbatch's script, or in salloc's shell", () => {
  assertEquals(world({}), null);
  assertEquals(world(BATCH), null);
  assertEquals(world(INTERACTIVE), null);
  assertEquals(world({ MASTER_ADDR: "host-0", MASTER_PORT: "29400" }), null);
});

Deno.test("the innermost of nested starters counts", () => {
  const placeOf = (variables: Variables) => {
    const { rank, size, source } = world(variables)!;
    return [rank, size, source];
  };
  // mpirun and torchrun, started by srun once a host.
  const twoHosts = { ...SRUN, SLURM_STEP_NUM_TASKS: "2", SLURM_PROCID: "1", SLURM_NODEID: "0" };
  assertEquals(placeOf({ ...twoHosts, ...OPEN_MPI }), [2, 4, "Open MPI"]);
  assertEquals(placeOf({ ...twoHosts, ...TORCHRUN }), [5, 8, "torchrun"]);
  assertEquals(placeOf({ ...BATCH, ...OPEN_MPI }), [2, 4, "Open MPI"]);
  // srun --mpi=pmi2 speaks for the same processes.
  assertEquals(placeOf({ ...SRUN, PMI_RANK: "9", PMI_SIZE: "11" }), [9, 11, "MPI"]);
});

Deno.test("variables that contradict each other are refused in one line", () => {
  const refused = (variables: Variables) => {
    const { message } = assertThrows(() => world(variables), InputError);
    assertEquals(message.split("\n").length, 1);
    return message;
  };
  assertEquals(
    refused({ ...OPEN_MPI, RANK: "3", WORLD_SIZE: "4" }),
    "RANK and OMPI_COMM_WORLD_RANK: torchrun says that this is process 3 of 4, Open MPI that it is 2 of 4",
  );
  // Each of eight tasks runs an mpirun of one process, which takes itself for the only one.
  assertEquals(
    refused({ ...SRUN, OMPI_COMM_WORLD_RANK: "0", OMPI_COMM_WORLD_SIZE: "1" }),
    "OMPI_COMM_WORLD_RANK and SLURM_PROCID: Open MPI says that this is process 0 of 1, Slurm that it is 9 of 11",
  );
  assertEquals(refused({ RANK: "3" }), "WORLD_SIZE: expected a number beside RANK, got none");
  assertEquals(refused({ PMI_SIZE: "3" }), "PMI_RANK: expected a number beside PMI_SIZE, got none");
  assertEquals(refused({ RANK: "8", WORLD_SIZE: "8" }), 'RANK: expected a whole number from 0 to 7, got "8"');
  assertEquals(
    refused({ RANK: "-1", WORLD_SIZE: "two\nthree" }),
    'WORLD_SIZE: expected a whole number from 1 to 4294967295, got "two\\nthree"',
  );
  assertEquals(
    refused({ ...TORCHRUN, LOCAL_RANK: "4" }),
    'LOCAL_RANK: expected a whole number from 0 to 3, got "4"',
  );
  assertEquals(
    refused({ ...TORCHRUN, MASTER_PORT: "65536" }),
    'MASTER_PORT: expected a whole number from 1 to 65535, got "65536"',
  );
  assertEquals(
    refused({ ...SRUN, SLURM_NODEID: "3" }),
    "SLURM_STEP_TASKS_PER_NODE: expected tasks of host 3, as in 4(x2),3, got 4(x2),3",
  );
});
