/** Time of processors: on a machine that others use, too, less in doubt than what passed. */
import process from "node:process";

/** Seconds of processor time, of the program and of the system for it, that a function takes. */
export function processorSeconds(run: () => void): number {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}
