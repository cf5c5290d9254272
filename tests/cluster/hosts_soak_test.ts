/**
 * Several hosts, made of namespaces (hosts.ts): what users start on them by mpirun or by torchrun's variables, and what
 * may be wrong with hosts: other files, another program on the port, one that comes late, one that goes.
 */
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { writeExecutable } from "../executable.ts";
import { libraryVariables, onTestLibrary, PROGRAM } from "../cli/rank_processes.ts";
import { withoutKernelCompiler } from "../hip_host/kernels.ts";
import { buildHipHost } from "../hip_host/build.ts";
import { hostLibrary } from "../kernels/host_machine.ts";
import { assertPromised } from "../quickly.ts";
import { SOAK, soakedWhere } from "../soak.ts";
import { assertSameResults } from "./evaluation.ts";
import { canMakeHosts, Hosts, NO_HOSTS } from "./hosts.ts";
import { Bench, type Ended, exists, installed, until } from "./processes.ts";
import { Slurm, SLURM_PROGRAMS } from "./slurm.ts";

const HOSTS = SOAK && canMakeHosts(), KERNELS = HOSTS && !await withoutKernelCompiler();
const test = (name: string, there: boolean, missing: string, fn: () => Promise<void>) =>
  Deno.test({
    name: `${name}${soakedWhere(HOSTS && there, HOSTS ? missing : NO_HOSTS)}`,
    ignore: !SOAK || !HOSTS || !there,
    fn,
  });

/** What the program said on stderr, without what mpirun says about its processes. */
const errors = (stderr: string) => stderr.split("\n").filter((line) => line.startsWith("error: "));
const idsOf = ({ code, stdout, stderr }: Ended): number[] => {
  assertEquals(code, 0, stderr);
  return JSON.parse(stdout)["token_ids"];
};

/**
 * The words by which mpirun starts processes on hosts, round and round, by an agent that enters them as ssh would.
 *
 * @param processes In all.
 */
function mpirun(bench: Bench, hosts: Hosts, processes: number): string[] {
  const agent = `${bench.path}/agent`, names = hosts.names;
  const cases = names.map((name, i) => `${name}) exec ${hosts.enter(i).join(" ")} sh -c "$*" ;;`);
  const script = ["#!/bin/sh", "host=$1", "shift", "case $host in", ...cases, "esac", ""].join("\n");
  writeExecutable(agent, script);
  const network = (["oob", "btl"] as const).flatMap((layer) => ["--mca", `${layer}_tcp_if_include`, hosts.network]);
  const slots = names.map((name) => `${name}:${processes}`).join(",");
  const where = ["-H", slots, "--map-by", "node", "--bind-to", "none", "--mca", "plm_rsh_agent", agent, ...network];
  return hosts.atHead(["mpirun", "-n", `${processes}`, ...where]);
}

/** A copy of the model for each host, the last host's with other weights of the same shape below the same path. */
async function withOtherWeights(bench: Bench, hosts: Hosts): Promise<string> {
  const model = `${bench.path}/model`, other = `${bench.path}/other`, file = `${other}/model.safetensors`;
  for (const copy of [model, other]) assertEquals((await bench.run(["cp", "-rL", bench.env["MODEL"]!, copy])).code, 0);
  const bytes = Deno.readFileSync(file), header = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  for (let i = 8 + header; i < bytes.length; i += 2) bytes[i]! ^= 1;
  Deno.writeFileSync(file, bytes);
  const { code, stderr } = await bench.run(hosts.on(hosts.names.length - 1, ["mount", "--bind", other, model]));
  assertEquals(code, 0, stderr);
  return model;
}

const MPI = installed("mpirun"), NO_MPI = "Debian's openmpi-bin is not installed";

test("mpirun's ranks of two hosts answer as one process does, and refuse other weights", MPI, NO_MPI, async () => {
  using bench = new Bench();
  await using hosts = await Hosts.make({ count: 2, shared: [bench.path] });
  const ask = ["--max-tokens", "6", "--threads", "1", "--json", "How many?"];
  const started = (processes: number, ...args: string[]) =>
    bench.run([...mpirun(bench, hosts, processes), "mxoss", ...args, ...ask]);
  const one = idsOf(await bench.run(["mxoss", ...ask]));
  assertEquals(idsOf(await started(2, "--tp", "2")), one);
  assertEquals(idsOf(await started(4, "--tp", "2", "--ep", "2")), one);
  const model = await withOtherWeights(bench, hosts), refused = await started(2, "--tp", "2", "--model", model);
  assertEquals([refused.code, refused.stdout], [2, ""]);
  const file = `${model}/model.safetensors`, got = "another one for rank 1 on hostb: its contents differ";
  assertEquals(errors(refused.stderr), [`error: ${file}: expected the same file for all ranks, got ${got}`]);
});

test("parts of an evaluation on two hosts join to the file of one process, shared disk or not", true, "", async () => {
  using bench = new Bench();
  await using hosts = await Hosts.make({ count: 2, shared: [bench.path] });
  const { MODEL, DATA } = bench.env;
  const size = ["--limit", "6", "--max-tokens", "8", "--sequences", "2", "--threads", "1"], one = `${bench.path}/one`;
  const given = ["mxoss", "eval", "gsm8k", "--model", MODEL!, "--data", DATA!, ...size];
  const succeeding = async (command: readonly string[], env: Readonly<Record<string, string>> = {}) => {
    const { code, stderr } = await bench.run(command, env);
    assertEquals(code, 0, stderr);
  };
  const parts = (out: string) =>
    Promise.all(hosts.names.map((_, i) => {
      const world = { RANK: `${i}`, WORLD_SIZE: "2", LOCAL_RANK: "0", MASTER_ADDR: "hosta" };
      return succeeding(hosts.on(i, [...given, "--out", out]), world);
    }));
  const report = async (...dirs: string[]) => {
    await succeeding(["mxoss", "report", ...dirs, "--out", dirs[0]!]);
    assertSameResults(dirs[0]!, one);
  };
  await Promise.all([succeeding([...given, "--out", one]), parts(`${bench.path}/shared`)]);
  await report(`${bench.path}/shared`);
  // Each below its own /tmp, of the same name; then brought together.
  await parts("/tmp/own");
  const brought = await Promise.all(hosts.names.map(async (name, i) => {
    await succeeding(hosts.on(i, ["cp", "-r", "/tmp/own", `${bench.path}/${name}`]));
    return `${bench.path}/${name}`;
  }));
  assert(brought.every((dir, i) => exists(`${dir}/shards/${i + 1}-of-2`) && !exists(`${dir}/shards/${2 - i}-of-2`)));
  await report(...brought);
});

/** Hosts with a GPU of the test library each, whose sums go through memory that stands for NCCL's network. */
async function withGpus(
  count: number,
  use: (
    hosts: Hosts,
    start: (rank: number, args: readonly string[], address?: string) => Promise<Ended>,
    bench: Bench,
  ) => Promise<void>,
): Promise<void> {
  using bench = new Bench(await libraryVariables(1));
  const memory = `${bench.path}/memory`;
  Deno.mkdirSync(memory);
  const libraries = [buildHipHost(), await hostLibrary()].map((path) => path.slice(0, path.lastIndexOf("/")));
  const below = [...new Set(libraries)].filter((path) => path.startsWith("/tmp/"));
  await using hosts = await Hosts.make({ count, shared: [bench.path, ...below], memory });
  // Launchers permit to listen on all IPv6 addresses, and to connect to the one that MASTER_ADDR names.
  const members = PROGRAM.map((word) => word.startsWith("--allow-net=") ? `${word},[${hosts.addressesV6[0]}]` : word);
  const start = (rank: number, args: readonly string[], address = hosts.addresses[0]!) => {
    const world = { WORLD_SIZE: `${count}`, RANK: `${rank}`, LOCAL_RANK: "0", LOCAL_WORLD_SIZE: "1" };
    const master = { MASTER_ADDR: address, MASTER_PORT: "4321" };
    return bench.run(hosts.on(rank, [...rank === 0 ? PROGRAM : members, ...args]), { ...world, ...master });
  };
  await use(hosts, start, bench);
}

const ask = (
  tp: number,
  ep: number,
  ...more: readonly string[]
) => [...onTestLibrary(), "--tp", `${tp}`, "--ep", `${ep}`, "--max-tokens", "4", "--json", ...more, "How many?"];
const gpuTest = (name: string, fn: () => Promise<void>) => test(name, KERNELS, "no compiler for kernels", fn);

gpuTest("GPU ranks of two and four hosts meet by address and by name, also where the first comes late", async () => {
  let one: number[] | undefined;
  for (const [count, tp, ep] of [[2, 2, 1], [4, 2, 2]] as const) {
    await withGpus(count, async (hosts, start, bench) => {
      one ??= idsOf(await bench.run([...PROGRAM, ...ask(1, 1)]));
      const all = async (address: string, late: boolean) => {
        if (late) hosts.cable(0, false);
        const ends = Promise.all(hosts.names.map((_, rank) => start(rank, ask(tp, ep), address)));
        // Longer than the system asks for who has an address, after which there is no way to it.
        if (late) setTimeout(() => hosts.cable(0, true), 5000);
        const [first, ...others] = await ends;
        assertEquals(idsOf(first!), one);
        for (const other of others) assertEquals(other, { code: 0, stdout: "", stderr: "" });
      };
      if (count === 2) await all(hosts.addresses[0]!, true);
      await all("hosta", false);
      // The test library needs no network: what sums is not tried here.
      if (count === 2) { for (const v6 of [`[${hosts.addressesV6[0]}]`, "hosta6"]) await all(v6, false); }
    });
  }
});

const PYTHON = Deno.env.get("MXOSS_PYTHON") ?? "python3";
const TORCH = KERNELS && await hasTorch();

async function hasTorch(): Promise<boolean> {
  using bench = new Bench();
  return await bench.run([PYTHON, "-c", "import torch.distributed.run"]).then(({ code }) => code === 0, () => false);
}

test("torchrun starts ranks on two hosts, which meet beside its own store", TORCH, "no Python with torch", async () => {
  await withGpus(2, async (hosts, _, bench) => {
    const one = idsOf(await bench.run([...PROGRAM, ...ask(1, 1)]));
    const there = ["--nnodes", "2", "--nproc-per-node", "2", "--rdzv-backend", "c10d", "--rdzv-endpoint", "hosta:4400"];
    const torchrun = [PYTHON, "-m", "torch.distributed.run", ...there, "--no-python", ...PROGRAM, ...ask(2, 2)];
    const own = { HIP_HOST_DEVICES: "2" };
    const [first, second] = await Promise.all([0, 1].map((host) => bench.run(hosts.on(host, torchrun), own)));
    // Which of the hosts has rank 0 is torchrun's choice.
    assertEquals([first!.code, second!.code], [0, 0], first!.stderr + second!.stderr);
    const spoke = [first!, second!].filter(({ stdout }) => stdout !== "");
    assertEquals(spoke.map(idsOf), [one]);
  });
});

const SLURM = KERNELS && installed(...SLURM_PROGRAMS), NO_SLURM = "Debian's slurm-wlm and munge are not installed";

test("srun starts ranks on two hosts", SLURM, NO_SLURM, async () => {
  await withGpus(2, async (hosts, _, bench) => {
    const one = idsOf(await bench.run([...PROGRAM, ...ask(1, 1)]));
    await using slurm = await Slurm.start(1, hosts, bench);
    const started = (...more: string[]) =>
      slurm.run(["srun", "-N", "2", "-n", "2", ...PROGRAM, ...ask(2, 1, ...more)], { MASTER_ADDR: "hosta" });
    assertEquals(idsOf(await started()), one);
    const refused = await started("--model", await withOtherWeights(bench, hosts));
    assertEquals([refused.code, refused.stdout, errors(refused.stderr).length], [2, "", 1], refused.stderr);
    assertMatch(refused.stderr, /another one for rank 1 on hostb: its contents differ\n/);
  });
});

gpuTest("hosts that differ or go are named in one line: other weights, a port that is taken, no power", async () => {
  await withGpus(2, async (hosts, start, bench) => {
    const model = await withOtherWeights(bench, hosts);
    const [first, second] = await Promise.all([0, 1].map((rank) => start(rank, ask(2, 1, "--model", model))));
    assertEquals([first!.code, first!.stdout, second], [2, "", { code: 2, stdout: "", stderr: "" }]);
    assertMatch(first!.stderr, /^error: \S+model\.safetensors: [^\n]+ another one for rank 1 on hostb: [^\n]+\n$/);

    const web =
      'const hostname = "10.77.0.1"; Deno.serve({ hostname, port: 4321 }, () => new Response("no".repeat(99)))';
    const own = ["sh", "-c", 'echo $$ >server; exec "$@"', "sh", Deno.execPath(), "eval", web];
    const server = bench.command(hosts.on(0, own)).output();
    await until("the port is taken", async () => {
      const listening = await bench.run(hosts.on(0, ["cat", "/proc/net/tcp"]));
      return listening.stdout.includes(":10E1 ");
    });
    const [taken, other] = await Promise.all([0, 1].map((rank) => start(rank, ask(2, 1))));
    assertMatch(taken!.stderr, /^error: rank 0 cannot listen at 10\.77\.0\.1:4321: Address already in use[^\n]*\n$/);
    assertMatch(other!.stderr, /^error: rank 1: who listens at 10\.77\.0\.1:4321 is not rank 0, [^\n]+\n$/);
    await bench.run(hosts.on(0, ["sh", "-c", "kill -9 $(cat server)"]));
    await server;

    const { DATA } = bench.env, out = `${bench.path}/out`;
    const long = ["--data", DATA!, "--max-tokens", "400", "--sequences", "1", "--shard", "none", "--out", out];
    const evaluating = [0, 1].map((rank) => start(rank, ["eval", "gsm8k", ...onTestLibrary(), "--tp", "2", ...long]));
    await until("they have answered something", () => exists(`${out}/answers.as-stored.kv-auto.tp2.jsonl`));
    const killed = performance.now();
    hosts.powerOff(1);
    const left = await evaluating[0]!;
    assertPromised(killed, 5, "the end of the others");
    assertEquals([left.code, errors(left.stderr)], [1, ["error: rank 1 of 2: its process ended without a word"]]);
    await evaluating[1];
  });
});
