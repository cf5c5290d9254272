/** Opens the library of a kind of GPUs. */
import { openCuda } from "./cuda.ts";
import { openHip } from "./hip.ts";
import type { GpuKind, GpuRuntime } from "./runtime.ts";

/**
 * Opens a GPU library.
 *
 * @param library Its path or name; without it those that are looked for.
 * @throws {FailureError} with one line that says why it cannot be used.
 */
export function openRuntime(kind: GpuKind, library?: string): GpuRuntime {
  return kind === "hip" ? openHip(library) : openCuda(library);
}
