/**
 * Commands in several processes: the first one runs the command and speaks; the others lend it threads and devices, and
 * say nothing. A failure anywhere ends all, with one line.
 */
import { environment } from "../../ffi/library.ts";
import { setCurrentProcesses, setCurrentWorld } from "../parallel/current.ts";
import type { RunKey } from "../parallel/handshake.ts";
import type { Lending } from "../parallel/lend_threads.ts";
import type { Link } from "../parallel/link.ts";
import { ownDevices } from "../parallel/own_devices.ts";
import type { Processes } from "../parallel/processes.ts";
import type { World } from "../parallel/world.ts";
import { isGpu } from "../session/setting.ts";
import type { Introduction } from "../parallel/introduction.ts";
import { runKey } from "./run_secret.ts";
import { ownWorld, type Shared, type Sharing } from "./sharing.ts";

/** What processes join by; made while the environment may still be read, and files written. */
export interface Joining extends Sharing {
  /** Null where MPI brings them together. */
  readonly key: RunKey | null;
  readonly models: readonly Shared[];
}

/**
 * Remembers which of several processes this is, and what they prove themselves by, where they meet.
 *
 * @throws {InputError} where there is no secret, or others could know it.
 */
export function prepareJoining(sharing: Sharing | null, models: readonly Shared[]): Joining | null {
  if (models.some(({ backend }) => isGpu(backend))) setCurrentWorld(ownWorld(environment));
  if (sharing === null) return null;
  return { ...sharing, models, key: sharing.place === null ? null : runKey(sharing.world) };
}

const LIBC = {
  // unsigned alarm(unsigned seconds)
  alarm: { parameters: ["u32"], result: "u32" },
} as const satisfies Deno.ForeignLibraryInterface;
/** Seconds within which a process ends after it noticed that something failed in it or in another one. */
const END_SECONDS = 3;
/** How long a command may take to end by a failure that it notices itself, in milliseconds. */
const NOTICE_MS = 1000;
/** How long processes that are not the first wait for it to say what is wrong with all, in milliseconds. */
export const QUIET_MS = 2000;

/**
 * Has the system end this process if it does not end by itself: while a thread waits in a driver for a process that is
 * no more, what drivers do at the end of a process may wait for that thread.
 */
function endSoon(): void {
  try {
    const libc = Deno.dlopen("libc.so.6", LIBC);
    libc.symbols.alarm(END_SECONDS);
    libc.close();
  } catch {
    // Without it the process ends as soon as the driver lets it.
  }
}

/** The processes that share a model, once they have joined. */
let joined: Processes | null = null;

/**
 * Runs a command in the first process, or lends to it.
 *
 * @returns The exit code.
 */
export async function runTogether(joining: Joining, run: () => Promise<number>): Promise<number> {
  const link = await join(joining), { Processes } = await import("../parallel/processes.ts");
  const processes = new Processes(link, { own: await introduction() }), failed = Promise.withResolvers<never>();
  joined = processes;
  setCurrentProcesses(processes);
  if (processes.rank > 0) {
    leaveSignalsToFirst(processes);
    const { lendThreads } = await import("../parallel/lend_threads.ts");
    return await lendThreads(processes, await lendingOf(joining));
  }
  processes.onFailure = (cause) => {
    processes.onFailure = null;
    endSoon();
    // Where nothing is being computed nobody notices.
    setTimeout(() => failed.reject(cause), NOTICE_MS);
  };
  await processes.introduced();
  return await Promise.race([run(), failed.promise]);
}

/** What this process says of itself, beside whatever else may make numbers differ. */
async function introduction(): Promise<Introduction> {
  const { hostName } = await import("../parallel/introduction.ts"), { versionReport } = await import("./version.ts");
  const report = await versionReport(), deno = `deno ${Deno.version.deno}`;
  return { program: [...report.trim().split("\n"), deno].join(", "), host: hostName() };
}

async function join({ world, place, key }: Joining): Promise<Link> {
  const { rank, size } = world;
  if (place !== null) return await (await import("../parallel/meeting.ts")).meet(place, { rank, size, key: key! });
  return (await import("../parallel/mpi_link.ts")).MpiLink.join(world);
}

async function lendingOf({ world, models }: { world: World; models: readonly Shared[] }): Promise<Lending> {
  const { openGpuLibrary } = await import("../backends/gpu/devices.ts");
  const { device, hipLibrary, collectivesLibrary } = models.find(({ backend }) => isGpu(backend)) ?? {};
  return {
    devices: (kind, ranks) => {
      using runtime = openGpuLibrary(kind, hipLibrary);
      runtime.refuseAbsent(device === undefined ? [] : [device].flat());
      return ownDevices({ device, world }, ranks, runtime.deviceCount()).map((ordinal) => ({
        kind,
        ordinal,
        library: hipLibrary,
        collectivesLibrary,
      }));
    },
    onFailure: endSoon,
  };
}

/** Milliseconds after which a process that alone was told to end does so. */
const LEFT_ALONE_MS = 10_000;

/** Ctrl-C and what ends a job reach all processes; the first one ends the others when it is done. */
function leaveSignalsToFirst(processes: Processes): void {
  Deno.addSignalListener("SIGINT", () => {});
  for (const signal of ["SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(signal, () => {
      setTimeout(
        () => processes.tell({ kind: "broken", text: `was told to end (${signal})`, mistake: null }),
        LEFT_ALONE_MS,
      );
    });
  }
}

/** Ends the processes with which this one shares a model, if any, with its exit code; gives the code. */
export async function endProcesses(code: number): Promise<number> {
  const ending = joined;
  joined = null;
  if (ending !== null && code !== 0) endSoon();
  await ending?.end(code);
  return code;
}
