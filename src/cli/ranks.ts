/** Ranks in several processes: whether this process is one of them, and what it then does. */
import { environment } from "../../ffi/library.ts";
import { InputError } from "../errors.ts";
import { setCurrentProcesses } from "../parallel/current.ts";
import { PROCESSOR_BACKENDS } from "../parallel/open_backend.ts";
import { type World, worldOf } from "../parallel/world.ts";

/** Whether a command line shares one model among all processes that were started with it. */
export function sharesModel(options: Readonly<Record<string, unknown>>): boolean {
  return "tp" in options && PROCESSOR_BACKENDS.some((name) => name === options["backend"]);
}

/** The processes that share a model; null where this one is alone. */
export function worldOfRanks(shares: boolean): World | null {
  const world = shares ? worldOf(environment) : null;
  return world === null || world.size === 1 ? null : world;
}

/** Whether another process says what is wrong with the command line, which all of them have. */
export function elsewhereSaid(): boolean {
  try {
    return (worldOf(environment)?.rank ?? 0) > 0;
  } catch (thrown) {
    if (thrown instanceof InputError) return false;
    throw thrown;
  }
}

/**
 * Ends all processes with a code: set while they share a model. Nobody waits for a process that failed.
 */
let endAll: ((code: number) => void) | null = null;

/** Runs a command in the first process, to which the others lend their threads; gives the exit code. */
export async function runInProcesses(world: World, run: () => Promise<number>): Promise<number> {
  const { Processes } = await import("../parallel/processes.ts"), processes = Processes.join(world);
  setCurrentProcesses(processes);
  endAll = (code) => processes.end(code);
  if (processes.rank === 0) return await run();
  return await (await import("../parallel/lend_threads.ts")).lendThreads(processes);
}

/** Ends the processes with which this one shares a model, if any, with its exit code; gives the code. */
export function endProcesses(code: number): number {
  const end = endAll;
  endAll = null;
  end?.(code);
  return code;
}
