/** Ranks as processes: a command line that torchrun, mpirun or srun starts once for each rank of a model on GPUs. */
import { FailureError, InputError, reason } from "../errors.ts";
import type { MeetingPlace } from "../parallel/leader.ts";
import { type World, worldOf } from "../parallel/world.ts";
import type { ModelOrder, OwnPlace } from "../session/processes.ts";
import { AGENT_STORE_VARIABLE } from "./permissions.ts";
import { environment } from "../../ffi/library.ts";

/** torch.distributed's default, for processes that are all on one host and are given no port. */
const DEFAULT_PORT = 29500;

/** Which of the processes this is, and where they meet. */
export interface Meeting {
  readonly world: World;
  readonly place: MeetingPlace;
}

/**
 * Where this process meets the others of its command line; null where it is none of as many processes as the command
 * line has ranks on GPUs.
 *
 * @throws {InputError} where the environment is incomplete, contradicts itself, or says no address.
 */
export function meetingOf(options: Readonly<Record<string, unknown>>, read = environment): Meeting | null {
  const { backend, tp, ep } = options;
  if (backend !== "hip" && backend !== "cuda" || typeof tp !== "number" || typeof ep !== "number") return null;
  if (tp * ep === 1) return null;
  const world = worldOf(read);
  if (world === null || world.size !== tp * ep) return null;
  return { world, place: placeOf(world, read(AGENT_STORE_VARIABLE) === "True") };
}

function placeOf({ master, localSize, size, source }: World, agentStore: boolean): MeetingPlace {
  if (master === null) {
    if (localSize === size) return { host: "127.0.0.1", port: DEFAULT_PORT };
    const expected = `the address of rank 0, where ${source} started processes on several hosts`;
    throw InputError.of("missing", { name: "MASTER_ADDR" }, expected, "none");
  }
  const host = master.address === "localhost" ? "127.0.0.1" : master.address;
  if (!/^\d{1,3}(\.\d{1,3}){3}$/.test(host)) {
    throw InputError.of("wrong_value", { name: "MASTER_ADDR" }, "an IPv4 address, or localhost", host);
  }
  return { host, port: master.port + (agentStore ? 1 : 0) };
}

const LIBC = {
  // unsigned alarm(unsigned seconds)
  alarm: { parameters: ["u32"], result: "u32" },
} as const satisfies Deno.ForeignLibraryInterface;
/** Seconds within which a process ends after something failed in it or in another one. */
const END_SECONDS = 4;

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

/**
 * Runs a command as rank 0, or computes for the one that does.
 *
 * @returns The exit code.
 */
export async function runTogether(
  { world, place }: Meeting,
  { device, "hip-library": hipLibrary, "collectives-library": collectivesLibrary }: Readonly<Record<string, unknown>>,
  run: () => Promise<number>,
): Promise<number> {
  const { joinLeader, Leader } = await import("../parallel/leader.ts");
  const { follow, lead } = await import("../session/processes.ts");
  const own = { device, hipLibrary, collectivesLibrary, world } as OwnPlace;
  if (world.rank > 0) {
    // Ctrl-C reaches all processes; the first one ends the others.
    Deno.addSignalListener("SIGINT", () => {});
    const { openGpuLibrary } = await import("../backends/gpu/devices.ts");
    return await follow(await joinLeader(place, world), own, (kind) => {
      using runtime = openGpuLibrary(kind, own.hipLibrary);
      return runtime.deviceCount();
    }, endSoon);
  }
  const leader = await Leader.meet<ModelOrder>(place, world.size);
  leader.onLost = endSoon;
  lead(leader, own);
  try {
    const code = await run();
    await leader.end(code === 0 ? null : `exit code ${code}`);
    return code;
  } catch (thrown) {
    await leader.end(thrown instanceof FailureError ? thrown.text : reason(thrown));
    throw thrown;
  }
}
