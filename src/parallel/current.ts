/** What a process knows of those that it was started with; apart from processes.ts, which only such a process loads. */
import type { Processes } from "./processes.ts";
import type { World } from "./world.ts";

let current: Processes | null = null;
let world: World | null = null;

/** The processes that this one shares a model with; null: it is alone. */
export function currentProcesses(): Processes | null {
  return current;
}

/** This process has joined others. */
export function setCurrentProcesses(joined: Processes): void {
  current = joined;
}

/** Which of several processes this is, that share a model or have one each; null: it was started alone. */
export function currentWorld(): World | null {
  return world;
}

/** What its starter says has been read. */
export function setCurrentWorld(found: World | null): void {
  world = found;
}
