/** How much memory a setting's device has, before it is opened. */
import type { Choices } from "./setting.ts";
import { isGpu } from "./setting.ts";
import { FailureError } from "../errors.ts";

/** Bytes of the setting's first device; null where it computes on the processor, or no device can be asked. */
export async function deviceBytes({ backend, device, hipLibrary }: Choices): Promise<number | null> {
  if (!isGpu(backend)) return null;
  const { openGpuLibrary } = await import("../backends/gpu/devices.ts");
  try {
    using runtime = openGpuLibrary(backend, hipLibrary);
    return runtime.properties([device ?? []].flat()[0] ?? 0).totalBytes;
  } catch (thrown) {
    // Who opens the device says what is wrong with it.
    if (thrown instanceof FailureError) return null;
    throw thrown;
  }
}
