/**
 * A Slurm of one node with several slots, or of hosts made of namespaces, in a folder of its own and without systemd.
 */
import { freePort } from "../../tools/free_port.ts";
import type { Hosts } from "./hosts.ts";
import { Bench, exists, Server, until } from "./processes.ts";

/** What it needs: Debian's slurm-wlm and munge. */
export const SLURM_PROGRAMS = ["munged", "slurmctld", "slurmd", "sbatch", "srun", "sinfo"] as const;

/** A host of it. */
interface Node {
  readonly name: string;
  readonly address: string;
  /** The words that run a command there. */
  readonly on: (command: readonly string[]) => string[];
}

/** Slurm's configuration. Its daemons are the current user's. */
function configuration(path: string, control: Node, user: string, slots: number, nodes: readonly Node[]): string {
  return `
ClusterName=test
SlurmctldHost=${control.name}(${control.address})
SlurmUser=${user}
SlurmdUser=${user}
AuthType=auth/munge
AuthInfo=socket=${path}/munge.socket
CredType=cred/munge
SlurmctldPort=${freePort()}
SlurmdPort=${freePort()}
SlurmctldPidFile=${path}/slurmctld.pid
SlurmdPidFile=${path}/slurmd-%n.pid
StateSaveLocation=${path}/state
SlurmdSpoolDir=${path}/spool-%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=1
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
KillWait=1
${nodes.map(({ name, address }) => `NodeName=${name} NodeAddr=${address} CPUs=${slots} State=UNKNOWN`).join("\n")}
PartitionName=all Nodes=${nodes.map(({ name }) => name).join(",")} Default=YES MaxTime=INFINITE State=UP
`;
}

/** A cluster that runs until it is disposed of. */
export class Slurm implements AsyncDisposable {
  readonly #servers = new AsyncDisposableStack();

  private constructor(readonly bench: Bench, readonly control: Node) {}

  /**
   * @param slots Tasks that a node runs at once, however many processors it has.
   * @param hosts Which are its nodes, and have their folder from `shared`, which the caller disposes of after it; else
   *   this machine is the only one.
   */
  static async start(slots: number, hosts: Hosts | null = null, shared: Bench | null = null): Promise<Slurm> {
    const name = Deno.hostname().split(".")[0]!, here = (command: readonly string[]) => [...command];
    const control: Node = hosts === null
      ? { name, address: "127.0.0.1", on: here }
      : { name, address: hosts.head, on: (command) => hosts.atHead(command) };
    const nodes = hosts === null ? [control] : hosts.names.map((name, i): Node => {
      return { name, address: hosts.addresses[i]!, on: (command) => hosts.on(i, command) };
    });
    // Sockets have short paths.
    const bench = shared ?? new Bench(), { path } = bench, slurm = new Slurm(bench, control);
    const { stdout } = await bench.run(["id", "-un"]);
    for (const folder of ["state", ...nodes.map(({ name }) => `spool-${name}`)]) Deno.mkdirSync(`${path}/${folder}`);
    if (shared === null) slurm.#servers.defer(() => bench[Symbol.dispose]());
    Deno.writeFileSync(`${path}/key`, crypto.getRandomValues(new Uint8Array(128)), { mode: 0o600 });
    const conf = `${path}/slurm.conf`;
    Deno.writeTextFileSync(conf, configuration(path, control, stdout.trim(), slots, nodes));
    const start = (...command: string[]) => slurm.#servers.use(new Server(bench, command));
    try {
      const munge = ["socket", "pid-file", "log-file", "seed-file"].map((name) =>
        `--${name}=${path}/munge.${name.split("-")[0]}`
      );
      start("munged", "--foreground", "--force", `--key-file=${path}/key`, ...munge);
      await until("munged answers", () => exists(`${path}/munge.socket`));
      start(...control.on(["slurmctld", "-D", "-f", conf]));
      for (const { name, on } of nodes) {
        start(...on(["slurmd", "-D", "-f", conf, "-N", name]));
        // What enters a host passes no signals on.
        const end = on(["sh", "-c", `kill $(cat ${path}/slurmd-${name}.pid)`]);
        slurm.#servers.defer(async () => void await bench.run(end));
      }
      const idle = `${nodes.length} idle\n`;
      await until("nodes are idle", async () => (await slurm.run(["sinfo", "-h", "-o", "%D %T"])).stdout === idle);
      return slurm;
    } catch (thrown) {
      await slurm[Symbol.asyncDispose]();
      throw thrown;
    }
  }

  /** Runs one of Slurm's commands. */
  run(command: readonly string[], env: Readonly<Record<string, string>> = {}) {
    return this.bench.run(this.control.on(command), { SLURM_CONF: `${this.bench.path}/slurm.conf`, ...env });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.run(["scancel", "--full", "--signal=KILL", "--state=RUNNING"]);
    await this.#servers.disposeAsync();
  }
}
