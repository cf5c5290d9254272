/** A Slurm of one node with several slots, in a folder of its own and without systemd. */
import { Bench, exists, Server, until } from "./processes.ts";

/** What it needs: Debian's slurm-wlm and munge. */
export const SLURM_PROGRAMS = ["munged", "slurmctld", "slurmd", "sbatch", "srun", "sinfo"] as const;

/** A port that nobody listens on. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Slurm's configuration. Its two daemons are the current user's. */
function configuration(path: string, host: string, user: string, slots: number): string {
  return `
ClusterName=test
SlurmctldHost=${host}(127.0.0.1)
SlurmUser=${user}
SlurmdUser=${user}
AuthType=auth/munge
AuthInfo=socket=${path}/munge.socket
CredType=cred/munge
SlurmctldPort=${freePort()}
SlurmdPort=${freePort()}
SlurmctldPidFile=${path}/slurmctld.pid
SlurmdPidFile=${path}/slurmd.pid
StateSaveLocation=${path}/state
SlurmdSpoolDir=${path}/spool
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
NodeName=${host} NodeAddr=127.0.0.1 CPUs=${slots} State=UNKNOWN
PartitionName=all Nodes=${host} Default=YES MaxTime=INFINITE State=UP
`;
}

/** A cluster that runs until it is disposed of. */
export class Slurm implements AsyncDisposable {
  readonly #servers = new AsyncDisposableStack();

  private constructor(readonly bench: Bench) {}

  /** @param slots Tasks that the node runs at once, however many processors it has. */
  static async start(slots: number): Promise<Slurm> {
    // Sockets have short paths.
    const bench = new Bench(), { path } = bench, slurm = new Slurm(bench);
    const host = Deno.hostname().split(".")[0]!, { stdout } = await bench.run(["id", "-un"]);
    Deno.mkdirSync(`${path}/state`), Deno.mkdirSync(`${path}/spool`);
    Deno.writeFileSync(`${path}/key`, crypto.getRandomValues(new Uint8Array(128)), { mode: 0o600 });
    const conf = `${path}/slurm.conf`;
    Deno.writeTextFileSync(conf, configuration(path, host, stdout.trim(), slots));
    const start = (...command: string[]) => slurm.#servers.use(new Server(bench, command));
    try {
      const munge = ["socket", "pid-file", "log-file", "seed-file"].map((name) =>
        `--${name}=${path}/munge.${name.split("-")[0]}`
      );
      start("munged", "--foreground", "--force", `--key-file=${path}/key`, ...munge);
      await until("munged answers", () => exists(`${path}/munge.socket`));
      start("slurmctld", "-D", "-f", conf);
      start("slurmd", "-D", "-f", conf, "-N", host);
      await until("the node is idle", async () => (await slurm.run(["sinfo", "-h", "-o", "%T"])).stdout === "idle\n");
      return slurm;
    } catch (thrown) {
      await slurm[Symbol.asyncDispose]();
      throw thrown;
    }
  }

  /** Runs one of Slurm's commands. */
  run(command: readonly string[], env: Readonly<Record<string, string>> = {}) {
    return this.bench.run(command, { SLURM_CONF: `${this.bench.path}/slurm.conf`, ...env });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.run(["scancel", "--full", "--signal=KILL", "--state=RUNNING"]);
    await this.#servers.disposeAsync();
    this.bench[Symbol.dispose]();
  }
}
