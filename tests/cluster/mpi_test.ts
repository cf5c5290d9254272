/** An evaluation by processes of a real MPI: examples/mpirun.sh, with a rank that is killed. */
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { SOAK, soakedWhere } from "../soak.ts";
import { answersOf, ARGS, assertSameResults, inOneProcess, processesWith } from "./evaluation.ts";
import { Bench, example, installed, until } from "./processes.ts";

const THERE = installed("mpirun");
const SKIPPED = soakedWhere(THERE, "Debian's openmpi-bin is not installed");

Deno.test({
  name: `MPI ranks give the results of one process, with a rank killed and all started again${SKIPPED}`,
  ignore: !SOAK || !THERE,
  fn: async () => {
    using bench = new Bench();
    const one = await inOneProcess(bench), out = `${bench.path}/mpi`;
    const env = { OUT: out, ARGS: `${ARGS} --threads 1` }, command = [example("mpirun.sh"), "-n", "2"];
    const killed = bench.command(command, env).output();
    await until("the second rank has answered something", () => answersOf(`${out}/shards/2-of-2`) > 0);
    const [pid] = processesWith({ OUT: out, OMPI_COMM_WORLD_RANK: "1" });
    Deno.kill(pid!, "SIGKILL");
    assert(!(await killed).success, "mpirun ends with an error where a rank was killed");
    const missing = await bench.run(["mxoss", "report", out]);
    assertEquals(missing.code, 2);
    assertMatch(missing.stderr, /^mxoss eval gsm8k --model \S+ .* --shard [12]\/2 {2}# \d+ of 12 done\n/);

    const again = await bench.run(command, env);
    assertEquals(again.code, 0, again.stderr);
    assertMatch(again.stderr, /part 2\/2 \(Open MPI process 1\): 12 of 24/);
    assertSameResults(out, one);
  },
});
