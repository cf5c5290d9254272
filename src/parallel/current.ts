/** The processes that this one shares a model with; apart from processes.ts, which only such a process loads. */
import type { Processes } from "./processes.ts";

let current: Processes | null = null;

/** The processes that this one was started with and joined; null: it is alone. */
export function currentProcesses(): Processes | null {
  return current;
}

/** This process has joined others. */
export function setCurrentProcesses(joined: Processes): void {
  current = joined;
}
