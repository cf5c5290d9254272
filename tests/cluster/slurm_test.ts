/** An evaluation on a real Slurm: examples/slurm.sh as a job array, with a task that is killed, and srun. */
import { assertEquals, assertMatch } from "../assert.ts";
import { SOAK, soakedWhere } from "../soak.ts";
import { answersOf, ARGS, assertSameResults, inOneProcess, processesWith } from "./evaluation.ts";
import { example, exists, installed, until } from "./processes.ts";
import { Slurm, SLURM_PROGRAMS } from "./slurm.ts";

const THERE = installed(...SLURM_PROGRAMS);
const SKIPPED = soakedWhere(THERE, "Debian's slurm-wlm and munge are not installed");

Deno.test({
  name: `a Slurm array and srun give the results of one process, with a task killed and repeated${SKIPPED}`,
  ignore: !SOAK || !THERE,
  fn: async () => {
    await using slurm = await Slurm.start(8);
    const { bench } = slurm, one = await inOneProcess(bench);

    const out = `${bench.path}/array`, log = `${bench.path}/task-%a.txt`;
    const submit = ["sbatch", "--parsable", "--array=0-3", `--output=${log}`, example("slurm.sh")];
    const { stdout: job, stderr } = await slurm.run(submit, { OUT: out, ARGS });
    assertMatch(job, /^\d+\n$/, stderr);
    const id = job.trim();
    const part = `${out}/shards/3-of-4`;
    await until("the third task has answered something", () => answersOf(part) > 0);
    const [pid, ...others] = processesWith({ SLURM_ARRAY_JOB_ID: id, SLURM_ARRAY_TASK_ID: "2" });
    assertEquals([typeof pid, others], ["number", []]);
    Deno.kill(pid!, "SIGKILL");
    const state = async (task: number) =>
      (await slurm.run(["squeue", "-h", "-t", "all", "-o", "%T", "-j", `${id}_${task}`]))
        .stdout.trim();
    await until("Slurm knows that it failed", async () => await state(2) === "FAILED");
    const before = answersOf(part);
    // Requeued, it would start two minutes later, as a node refuses what was ended there in the same second.
    await new Promise((resolve) => setTimeout(resolve, 3000));
    for (const order of [["requeue", `${id}_2`], ["update", `JobId=${id}_2`, "StartTime=now"]]) {
      const { code, stderr } = await slurm.run(["scontrol", ...order]);
      assertEquals(code, 0, stderr);
    }
    await until("the job after the array has joined its parts", () => exists(`${out}/report.html`));
    assertSameResults(out, one);
    // The second attempt went on: a file of its own beside that of the first.
    assertEquals(before > 0, true);
    assertMatch(
      Deno.readTextFileSync(`${bench.path}/task-2.txt`),
      /part 3\/4 \(Slurm array task 2\)[^]*part 3\/4 \(Slurm array task 2\)[^]*part 3\/4 is done/,
    );

    // A task of an array that is repeated alone is not taken for all of it.
    const alone = await slurm.run(
      ["sbatch", "--wait", "--array=2", `--output=${bench.path}/alone.txt`, example("slurm.sh")],
      { OUT: out, ARGS },
    );
    assertEquals(alone.code, 2);
    assertMatch(
      Deno.readTextFileSync(`${bench.path}/alone.txt`),
      /error: --out: .* expected one of 4 parts, .*--shard I\/N.* got part 1\/1 \(Slurm array task 2\)/,
    );

    const steps = `${bench.path}/srun`, given = ["--model", bench.env["MODEL"]!, "--data", bench.env["DATA"]!];
    const command = ["mxoss", "eval", "gsm8k", ...given, "--out", steps, "--threads", "1", ...ARGS.split(" ")];
    const tasks = await slurm.run(["srun", "-n", "2", ...command]);
    assertEquals(tasks.code, 0, tasks.stderr);
    assertMatch(tasks.stderr, /part 2\/2 \(Slurm task 1\): 12 of 24/);
    // In the shell of an allocation nobody is a part: what is there is joined, and nothing is left to compute.
    const shell = await slurm.run(["salloc", "-Q", "--ntasks=4", ...command]);
    assertEquals(shell.code, 0, shell.stderr);
    assertSameResults(steps, one);
  },
});
