/** The first GPU of this machine, for tests that are skipped where there is none. */
import { openCuda } from "../../ffi/cuda.ts";
import { openHip } from "../../ffi/hip.ts";
import type { GpuRuntime } from "../../ffi/runtime.ts";
import { committedKernels, KernelSet } from "../../src/backends/gpu/kernels.ts";
import { GpuMachine } from "../../src/verify/machine.ts";

/** The first GPU, or why there is none. */
export function openFirstGpu(): GpuRuntime | string {
  const reasons: string[] = [];
  for (const open of [openCuda, openHip]) {
    try {
      const runtime = open();
      if (runtime.deviceCount() > 0) return runtime;
      runtime[Symbol.dispose]();
      reasons.push(`${runtime.kind}: no device`);
    } catch (error) {
      reasons.push(error instanceof Error ? error.message.split("\n")[0]! : String(error));
    }
  }
  return reasons.join("; ");
}

/** Its first device with the committed kernels. The runtime owns what is on it. */
export const machineOn = (runtime: GpuRuntime): GpuMachine =>
  new GpuMachine(new KernelSet(runtime.open(0), committedKernels()));
