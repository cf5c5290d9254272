/**
 * Processes with GPUs of the test library as real launchers start them: torchrun (MXOSS_PYTHON names a Python that has
 * torch), mpirun and srun; as processes of several hosts, see hosts_soak_test.ts.
 */
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { FreePort } from "../../tools/free_port.ts";
import { libraryVariables, onTestLibrary, PROGRAM } from "../cli/rank_processes.ts";
import { withoutKernelCompiler } from "../hip_host/kernels.ts";
import { SOAK, soakedWhere } from "../soak.ts";
import { Bench, type Ended, installed } from "./processes.ts";
import { Slurm, SLURM_PROGRAMS } from "./slurm.ts";

const PYTHON = Deno.env.get("MXOSS_PYTHON") ?? "python3";

function succeeds(program: string, ...args: string[]): boolean {
  try {
    return new Deno.Command(program, { args, stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
}

const KERNELS = SOAK && !await withoutKernelCompiler();
const test = (name: string, there: boolean, missing: string, fn: () => Promise<void>) =>
  Deno.test({
    name: `${name}${soakedWhere(KERNELS && there, KERNELS ? missing : "no compiler for kernels")}`,
    ignore: !KERNELS || !there,
    fn,
  });

/** The words that ask so many ranks in so many groups. */
function asking(tp: number, ep: number): string[] {
  const ranks = ["--tp", `${tp}`, "--ep", `${ep}`];
  return [...PROGRAM, ...onTestLibrary(), ...ranks, "--max-tokens", "4", "--json", "How many?"];
}

let answered: Promise<number[]> | null = null;

/** What one process answers. */
function expected(): Promise<number[]> {
  return answered ??= (async () => {
    using bench = new Bench(await libraryVariables(1));
    return idsOf(await bench.run(asking(1, 1)));
  })();
}

function idsOf({ code, stdout, stderr }: Ended, size = 1): number[] {
  assertEquals(code, 0, stderr);
  // One process speaks.
  const { token_ids: ids, protocol } = JSON.parse(stdout);
  if (size > 1) assertMatch(protocol["engine"], new RegExp(`, ${size} processes, sums by RCCL`));
  return ids;
}

const TORCH = KERNELS && succeeds(PYTHON, "-c", "import torch.distributed.run");

test("torchrun starts two and four ranks, of which one answers", TORCH, "no Python with torch", async () => {
  const one = await expected();
  using bench = new Bench(await libraryVariables(4));
  for (const size of [2, 4]) {
    const launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", `${size}`, "--no-python"];
    assertEquals(idsOf(await bench.run([PYTHON, ...launch, ...asking(2, size / 2)]), size), one);
  }
  // It starts no processes of MPI, by which ranks on the processor would sum.
  const launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python"];
  const refused = await bench.run([PYTHON, ...launch, ...PROGRAM, "--tp", "2", "Hi"]);
  assert(refused.code !== 0);
  assertEquals(refused.stderr.split("\n").filter((line) => line.startsWith("error: ")).length, 1, refused.stderr);
});

test("mpirun starts ranks", installed("mpirun"), "Debian's openmpi-bin is not installed", async () => {
  using port = new FreePort();
  const one = await expected(), place = { MASTER_ADDR: "localhost", MASTER_PORT: `${port.number}` };
  using bench = new Bench({ ...await libraryVariables(2), ...place });
  assertEquals(idsOf(await bench.run(["mpirun", "-n", "2", "--bind-to", "none", ...asking(2, 1)]), 2), one);
  const twice = await bench.run(["mpirun", "-n", "2", ...asking(1, 1)]);
  assertEquals(twice.code, 2);
  assertEquals(twice.stdout, "");
  assertEquals(twice.stderr.split("\n").filter((line) => line.startsWith("error: ")).length, 1, twice.stderr);
});

const SLURM = installed(...SLURM_PROGRAMS);

test("srun starts ranks", SLURM, "Debian's slurm-wlm and munge are not installed", async () => {
  const one = await expected();
  await using slurm = await Slurm.start(2);
  using port = new FreePort();
  const env = { ...await libraryVariables(2), MASTER_ADDR: "localhost", MASTER_PORT: `${port.number}` };
  assertEquals(idsOf(await slurm.run(["srun", "-n", "2", ...asking(2, 1)], env), 2), one);
});
