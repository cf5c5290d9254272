/**
 * Least privilege: after the command line is parsed and before its command runs, the process gives up every permission
 * that the command does not need.
 *
 * The launchers (the tasks of deno.json, both kinds of standalone binary) cannot know what a command line will need, so
 * they pass what any command may need and this narrows it. It only ever takes away: what was not granted is not asked
 * for here.
 */
import { bracketed } from "../../ffi/addresses.ts";
import { dirname, resolve } from "node:path";
import { FETCHED } from "../assets.ts";
import { temporaryName } from "../checkpoint/atomic.ts";
import { HUB_VARIABLES } from "../checkpoint/hub/environment.ts";
import { SHARD_VARIABLES } from "../eval/shards/division.ts";
import { SECRET_VARIABLES } from "./run_secret.ts";
import { AGENT_STORE_VARIABLE, type Shared } from "./sharing.ts";
import { SELF_TESTS_VARIABLE, selfTestsOf } from "./self_tests.ts";
import { type Choices, uses } from "../session/setting.ts";

/** Where GPU libraries lie. */
export const GPU_VARIABLES: readonly string[] = ["ROCM_PATH", "HIP_PATH"];

/** Where the library lies by which several GPUs sum. */
const COLLECTIVES_VARIABLES: readonly string[] = ["NCCL_HOME", "NCCL_ROOT"];

/** A key that lets in who brings it to `mxoss serve`. */
export const API_KEY_VARIABLE = "MXOSS_API_KEY";

/**
 * Environment variables that the program reads: whether errors are traced, what the terminal is, where GPU libraries
 * and the Hugging Face cache lie, whether self-tests are kept, and which of several processes this is. The launchers
 * permit these and no others.
 */
export const VARIABLES: readonly string[] = [
  "MXOSS_TRACE",
  API_KEY_VARIABLE,
  "TERM",
  ...GPU_VARIABLES,
  ...COLLECTIVES_VARIABLES,
  SELF_TESTS_VARIABLE,
  ...HUB_VARIABLES,
  ...SHARD_VARIABLES,
  AGENT_STORE_VARIABLE,
  ...SECRET_VARIABLES,
];

/** Kinds of permission that no command uses. A program that is fetched imports its own files from where it lies. */
const NEVER = ["run", "sys", ...(FETCHED ? [] : ["import"] as const)] as const;

/**
 * What the launchers permit to listen on: every IPv4 address, and of IPv6 this machine's own and all together. Deno can
 * narrow these to one address and port, and cannot narrow a blanket `--allow-net`.
 */
export const ADDRESSES: readonly string[] = ["0.0.0.0/0", "[::1]", "[::]"];

/** What is left of the permissions that a command line can make use of, beside reading files. */
export interface Privileges {
  /** Calling libraries: libc to map weight files, or a GPU's. Deno cannot restrict pointers to one library. */
  readonly ffi: boolean;
  /** Reading {@linkcode VARIABLES}. */
  readonly env: boolean;
  /** Paths that may be written, with everything below them. */
  readonly write: readonly string[];
  /** Addresses and ports to listen on or to connect to, as `127.0.0.1:8080`. */
  readonly net: readonly string[];
}

/** An address and a port. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** What a parsed command line has a use for. */
export interface Needs {
  /** Whether it calls libraries. */
  readonly libraries: boolean;
  /** Whether it matters which of several processes this is. */
  readonly shares?: boolean;
  /** What it computes; absent: as its options say. */
  readonly models?: readonly Shared[];
  /** Whether each of several processes computes that for itself, rather than all share it. */
  readonly divided?: boolean;
  /** `--out`: the one path that it writes. */
  readonly out?: string | undefined;
  /** File in which it keeps what a GPU's self-tests found; with its folder, the one other path that it writes. */
  readonly selfTests?: string | null;
  /** Where it listens for clients. */
  readonly listen?: Address | undefined;
  /** Where processes that share a model meet. */
  readonly meets?: readonly Address[];
  /** Whether it looks into the Hugging Face cache, whose place is asked for before the environment is given up. */
  readonly hub?: boolean;
}

/** Whether a way to compute calls libraries: libc to map weight files, or a GPU's. */
export function callsLibraries({ backend, weights }: Pick<Choices, "backend" | "weights">): boolean {
  return backend === "emulate" ? weights !== "read" : uses(backend, "device");
}

/** What a command that computes has a use for, whatever else it does. */
export function computing(choices: Pick<Choices, "backend" | "weights">): Pick<Needs, "libraries" | "selfTests"> {
  return { libraries: callsLibraries(choices), selfTests: selfTestsOf(choices) };
}

/** The privileges that a command line needs; null where only a help text or the version is printed. */
export function privileges(needs: Needs | null): Privileges {
  if (needs === null) return { ffi: false, env: false, write: [], net: [] };
  const { libraries, shares = false, out, selfTests = null, listen, meets = [] } = needs;
  // A file is written under a temporary name beside its own, see src/checkpoint/atomic.ts.
  return {
    ffi: libraries,
    env: libraries || shares || listen !== undefined,
    write: [
      ...(out === undefined ? [] : [resolve(out), temporaryName(resolve(out))]),
      ...(selfTests === null ? [] : [dirname(selfTests)]),
    ],
    net: [...(listen === undefined ? [] : [listen]), ...meets].map(({ host, port }) => `${bracketed(host)}:${port}`),
  };
}

/**
 * Gives up every permission beyond reading files and the given privileges. Workers that are started later inherit what
 * is left.
 *
 * A blanket `--allow-write` cannot be narrowed to a path; `--allow-write=/`, which the launchers pass, can.
 */
export function confine({ ffi, env, write, net }: Privileges): void {
  for (const name of NEVER) Deno.permissions.revokeSync({ name });
  confineNet(net);
  // MXOSS_TRACE was read before.
  if (!ffi) Deno.permissions.revokeSync({ name: "ffi" });
  if (!env) Deno.permissions.revokeSync({ name: "env" });
  if (write.length === 0) Deno.permissions.revokeSync({ name: "write" });
  for (const path of write) {
    const descriptor = { name: "write", path } as const;
    // Where it is granted, asking for it asks nobody, and makes it an entry of its own that outlives that of a
    // directory above.
    if (Deno.permissions.querySync(descriptor).state === "granted") Deno.permissions.requestSync(descriptor);
  }
  for (const path of write) {
    const above = dirname(path);
    // Takes away every granted path that contains the directory, which one that is asked for itself may do.
    if (!write.some((whole) => contains(whole, above))) Deno.permissions.revokeSync({ name: "write", path: above });
  }
}

/** Whether an absolute path is a directory or lies below it. */
function contains(directory: string, path: string): boolean {
  return path === directory || path.startsWith(directory.endsWith("/") ? directory : `${directory}/`);
}

/** Leaves addresses with a port to listen on, where they are granted, which also permits to connect to them. */
function confineNet(net: readonly string[]): void {
  if (net.length === 0) return void Deno.permissions.revokeSync({ name: "net" });
  for (const host of net) {
    const descriptor = { name: "net", host } as const;
    if (Deno.permissions.querySync(descriptor).state === "granted") Deno.permissions.requestSync(descriptor);
  }
  // Takes away every granted address, or set of them, that has one of these in it and no port.
  for (const host of ["0.0.0.0", "[::1]", "[::]", ...net.map((address) => address.replace(/:\d+$/, ""))]) {
    Deno.permissions.revokeSync({ name: "net", host });
  }
}
