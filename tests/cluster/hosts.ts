/**
 * Hosts made of Linux namespaces: each has a network, a name, processes, /tmp and /dev/shm of its own, and a cable to
 * a switch, which is one more network and from which a starter like mpirun reaches them all. They share the kernel, its
 * clock, its processors, and every file outside of those folders.
 */
import { assert } from "../assert.ts";
import { installed, until } from "./processes.ts";

function run(program: string, ...args: string[]): boolean {
  try {
    return new Deno.Command(program, { args, stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
}

const PROGRAMS = ["ip", "unshare", "nsenter", "mount"];

/** Whether such hosts can be made: by trying. */
export function canMakeHosts(): boolean {
  const name = `mxoss-${Deno.pid}`;
  if (!installed(...PROGRAMS) || !run("ip", "netns", "add", name)) return false;
  const made = run("ip", "-n", name, "link", "add", "try", "type", "bridge") &&
    run("ip", "netns", "exec", name, ...OWN, "mount", "-t", "tmpfs", "tmpfs", "/tmp");
  run("ip", "netns", "delete", name);
  return made;
}

/** Why they cannot, for the names of tests. */
export const NO_HOSTS = "no namespaces can be made here: that needs root and Debian's iproute2";

/** What a host has of its own beside its network. */
const OWN = ["unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"];

/**
 * What a host's first process does: `$1` is its name, `$2` its /etc/hosts, `$3` the file that says that it is up, `$4`
 * the folder that is its /dev/shm or "", and what follows are folders below /tmp that all hosts share. What it mounts
 * nobody else sees. It ends with the test, however that ends.
 */
const FIRST = `
hostname "$1"
mount --bind "$2" /etc/hosts
up=$3 memory=$4
shift 4
mount -t tmpfs tmpfs /run
number=0
for folder; do
  number=$((number + 1))
  mkdir /run/$number
  mount --bind "$folder" /run/$number
done
if [ -n "$memory" ]; then mount --bind "$memory" /dev/shm; else mount -t tmpfs tmpfs /dev/shm; fi
mount -t tmpfs tmpfs /tmp
number=0
for folder; do
  number=$((number + 1))
  mkdir -p "$folder"
  mount --move /run/$number "$folder"
done
: >"$up"
exec cat
`;

/** The checkout, where it lies below /tmp: hosts run what is in it. */
const CHECKOUT = [new URL("../../", import.meta.url).pathname.replace(/\/$/, "")].filter((path) =>
  path.startsWith("/tmp/")
);

/** What a host is made with. */
export interface HostsOptions {
  readonly count: number;
  /** Folders below /tmp that all hosts share, beside the checkout; in the first they say that they are up. */
  readonly shared: readonly [string, ...string[]];
  /** A folder that is /dev/shm of all: what stands for a network of GPUs between hosts. */
  readonly memory?: string;
}

/** Some hosts on one switch. */
export class Hosts implements AsyncDisposable {
  /** hosta, hostb, ... */
  readonly names: readonly string[];
  readonly addresses: readonly string[];
  /** IPv6 addresses; by these alone hosts know one another as hosta6, hostb6, ... */
  readonly addressesV6: readonly string[];
  /** Address of the switch's own network, and that network. */
  readonly head: string;
  readonly network = "10.77.0.0/24";
  readonly #switch = `mxoss-${Deno.pid}-net`;
  readonly #holders: Deno.ChildProcess[] = [];
  /** Process ids of the hosts' first processes, as this machine sees them. */
  readonly #firsts: number[] = [];

  private constructor(readonly options: HostsOptions) {
    const letters = Array.from({ length: options.count }, (_, i) => "abcdefgh"[i]!);
    this.names = letters.map((letter) => `host${letter}`);
    const address = (i: number) => `10.77.0.${i + 1}`;
    this.addresses = letters.map((_, i) => address(i));
    this.addressesV6 = letters.map((_, i) => `fd77::${i + 1}`);
    this.head = address(99);
  }

  static async make(options: HostsOptions): Promise<Hosts> {
    const hosts = new Hosts(options);
    try {
      await hosts.#begin();
    } catch (thrown) {
      await hosts[Symbol.asyncDispose]();
      throw thrown;
    }
    return hosts;
  }

  async #begin(): Promise<void> {
    const { shared, memory = "" } = this.options;
    const ip = (...args: string[]) => assert(run("ip", ...args), `ip ${args.join(" ")}`);
    const add = (netns: string, address: string, device: string) =>
      ip("-n", netns, "addr", "add", `${address}/24`, "dev", device);
    ip("netns", "add", this.#switch);
    ip("-n", this.#switch, "link", "set", "lo", "up");
    ip("-n", this.#switch, "link", "add", "switch", "type", "bridge");
    ip("-n", this.#switch, "link", "set", "switch", "up");
    add(this.#switch, this.head, "switch");
    this.#known(this.#switch, -1);
    for (const [i, name] of this.names.entries()) {
      const netns = this.netns(i), port = `port-${name}`;
      ip("netns", "add", netns);
      ip("link", "add", "cable", "netns", netns, "type", "veth", "peer", "name", port, "netns", this.#switch);
      ip("-n", this.#switch, "link", "set", port, "master", "switch", "up");
      ip("-n", netns, "link", "set", "lo", "up");
      add(netns, this.addresses[i]!, "cable");
      // Nobody else has it: nothing need be asked for before it is used.
      ip("-n", netns, "addr", "add", `${this.addressesV6[i]}/64`, "dev", "cable", "nodad");
      ip("-n", netns, "link", "set", "cable", "up");
      this.#known(netns, i);
      const up = `${shared[0]}/up-${netns}`;
      // `ip netns exec` would hide what is mounted below /sys, which Slurm wants.
      const first = [...OWN, "sh", "-ec", FIRST, "sh", name, knownTo(netns), up, memory, ...CHECKOUT, ...shared];
      const args = [`--net=/run/netns/${netns}`, "--", ...first];
      const holder = new Deno.Command("nsenter", { args, stdin: "piped", stdout: "null", stderr: "null" }).spawn();
      this.#holders.push(holder);
      await until(`${name} is up`, () => fileAt(up));
      Deno.removeSync(up);
      // `nsenter` became `unshare`, whose child is the first process.
      const children = Deno.readTextFileSync(`/proc/${holder.pid}/task/${holder.pid}/children`);
      this.#firsts.push(Number(children.split(" ")[0]));
    }
  }

  /** Writes an /etc/hosts: Debian's own installer has a host know itself as 127.0.1.1. */
  #known(netns: string, self: number): void {
    Deno.mkdirSync(`/etc/netns/${netns}`, { recursive: true });
    const all = this.names.map((name, i) => `${i === self ? "127.0.1.1" : this.addresses[i]} ${name}`);
    const v6 = this.names.map((name, i) => `${this.addressesV6[i]} ${name}6`);
    Deno.writeTextFileSync(knownTo(netns), `${["127.0.0.1 localhost", ...all, ...v6].join("\n")}\n`);
  }

  netns(host: number): string {
    return `mxoss-${Deno.pid}-${this.names[host]}`;
  }

  /** The words that run a command on a host. */
  on(host: number, command: readonly string[]): string[] {
    return [...this.enter(host), ...command];
  }

  /** The words before such a command. */
  enter(host: number): string[] {
    return [
      "nsenter",
      "-t",
      `${this.#firsts[host]}`,
      "-m",
      "-u",
      "-i",
      "-n",
      "-p",
      `-w${this.options.shared[0]}`,
      "--",
    ];
  }

  /** The words that run a command where the switch is, which has this machine's files, name and processes. */
  atHead(command: readonly string[]): string[] {
    return ["ip", "netns", "exec", this.#switch, ...command];
  }

  /** Pulls the cable of a host, or plugs it in: both of its ends notice. */
  cable(host: number, plugged: boolean): void {
    const port = `port-${this.names[host]}`;
    assert(run("ip", "-n", this.#switch, "link", "set", port, plugged ? "up" : "down"), port);
  }

  /** Has the switch swallow what a host sends and is sent, which nobody notices, or no more. */
  swallow(host: number, swallows: boolean): void {
    const how = swallows ? ["nomaster"] : ["master", "switch"];
    assert(run("ip", "-n", this.#switch, "link", "set", `port-${this.names[host]}`, ...how), `${how}`);
  }

  /** Kills all processes of a host, without a word to others where its cable was pulled before. */
  powerOff(host: number): void {
    Deno.kill(this.#firsts[host]!, "SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const [i, holder] of this.#holders.entries()) {
      if (this.#firsts[i] !== undefined) run("kill", "-9", `${this.#firsts[i]}`);
      else holder.kill("SIGKILL");
      await holder.status;
      await holder.stdin.close().catch(() => {});
    }
    for (const netns of [this.#switch, ...this.names.map((_, i) => this.netns(i))]) {
      run("ip", "netns", "delete", netns);
      run("rm", "-rf", `/etc/netns/${netns}`);
    }
    // Empty where nobody else has such.
    run("rmdir", "/etc/netns");
  }
}

/** The file that `ip netns exec` puts in place of /etc/hosts. */
const knownTo = (netns: string): string => `/etc/netns/${netns}/hosts`;

function fileAt(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
