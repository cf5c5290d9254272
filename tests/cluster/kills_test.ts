/**
 * Processes that share a model, of which one is killed while they compute: the same that tools/kill_ranks.ts does
 * twenty times, on the test library by torchrun's variables, and on the processor by a real MPI.
 */
import { killOnce, type KillOptions, problemsOf } from "../../tools/kill_ranks.ts";
import { assertEquals } from "../assert.ts";
import { libraryVariables, onTestLibrary, PROGRAM } from "../cli/rank_processes.ts";
import { withoutKernelCompiler } from "../hip_host/kernels.ts";
import { assertPromised } from "../quickly.ts";
import { ONLY_SOAKED, SOAK, soakedWhere } from "../soak.ts";
import { Bench, installed } from "./processes.ts";

/** Kills a process of each rank. */
async function killEach(options: Omit<KillOptions, "processes" | "random" | "within">): Promise<void> {
  for (const rank of [0, 1]) {
    const draws = [(rank + 0.5) / 2, Math.random()];
    const killed = await killOnce({ ...options, processes: 2, within: 1500, random: () => draws.shift()! });
    // The tool promises seconds of a machine that does nothing else.
    assertPromised(performance.now() - killed.milliseconds, 5, "the end of the others");
    assertEquals(problemsOf({ ...killed, milliseconds: 0 }, options.by), [], JSON.stringify(killed));
    assertEquals(killed.victim, rank);
  }
}

Deno.test({
  name: `a rank with a GPU that is killed while it computes ends all, with one line, and leaves nothing${ONLY_SOAKED}`,
  ignore: !SOAK || await withoutKernelCompiler(),
  fn: async () => {
    const env = await libraryVariables(2), args = [...onTestLibrary(), "--tp", "2"];
    await killEach({ by: "torchrun", program: PROGRAM, args, env });
  },
});

const THERE = installed("mpirun");

Deno.test({
  name: `a rank of MPI that is killed while it computes ends all, and leaves nothing${
    soakedWhere(THERE, "Debian's openmpi-bin is not installed")
  }`,
  ignore: !SOAK || !THERE,
  fn: async () => {
    using bench = new Bench();
    await killEach({ by: "mpirun", program: PROGRAM, args: ["--tp", "2", "--threads", "2"], env: bench.env });
  },
});
