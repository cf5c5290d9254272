/**
 * Giving memory back between two sessions. V8 does not see how large the memories of a closed session are, so that it
 * lets several of them lie about; where each holds a model, the second one need not fit.
 */
import { pause } from "../breath.ts";
import v8 from "node:v8";
import vm from "node:vm";

/** Time in which threads that were told to end do so, and let go of memories, in milliseconds. */
const THREADS_END_MS = 50;

/** Collects all garbage that there is, of ended threads too. */
export async function collectGarbage(): Promise<void> {
  await pause(THREADS_END_MS);
  // The collector has no other name in a process that was started without a flag for it.
  v8.setFlagsFromString("--expose-gc");
  const collect: unknown = vm.runInNewContext("gc");
  if (typeof collect === "function") collect();
  await pause();
}
