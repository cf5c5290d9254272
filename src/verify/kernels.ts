/** Every case of every kernel that a device has, one after the other. */
import { pause } from "../breath.ts";
import { reason } from "../errors.ts";
import { FAMILIES } from "./cases/all.ts";
import type { KernelCase } from "./cases/check.ts";
import type { GpuMachine } from "./machine.ts";
import type { CaseResult } from "./results.ts";

/** A device that an error has left unable to work: nothing more can be run in this process. */
export class DeadDevice extends Error {
  override readonly name = "DeadDevice";
}

/**
 * The cases of the kernels that a device has, made family by family.
 *
 * @param filter What their names have to contain; null: all.
 */
export async function casesOf({ kernels }: GpuMachine, filter: string | null = null): Promise<KernelCase[]> {
  const found: KernelCase[] = [];
  // Where the filter names kernels, other families, some of which take a second, need not be made.
  const named = filter === null ? [] : kernels.entries.filter((entry) => entry.includes(filter));
  for (const { entries, make } of FAMILIES) {
    if (named.length > 0 && !named.some((entry) => entries.test(entry))) continue;
    for (const one of make()) if (kernels.has(one.job.entry) && one.name.includes(filter ?? "")) found.push(one);
    await pause();
  }
  return found;
}

/**
 * Runs a case and compares.
 *
 * @throws {DeadDevice} where the device works no more, after the result was taken down by `onResult`.
 */
export function runCase(
  machine: GpuMachine,
  { name, job, check }: KernelCase,
  onResult: (r: CaseResult) => void,
): void {
  const said = { case: name, kernel: job.entry };
  try {
    machine.launch(job);
  } catch (thrown) {
    onResult({ ...said, error: null, agrees: false, problem: reason(thrown) });
    if (!machine.alive()) throw new DeadDevice(name);
    return;
  }
  const error = check();
  onResult({ ...said, error: Number.isFinite(error) ? error : null, agrees: error <= 1, problem: null });
}
