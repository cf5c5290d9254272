/**
 * The shared control block through which one driving thread hands operations to worker threads.
 *
 * Protocol: the driver writes the fields of an operation, opens the gate (odd value) and wakes sleepers; every thread,
 * the driver too, takes units by `next += grain` until none are left. A worker that joins counts itself in `active`,
 * then looks whether the gate still shows the value it saw, and only then touches the fields; the driver closes the
 * gate (even value) when the units are gone and waits for `active` to reach 0. A worker that wakes late therefore never
 * delays an operation, and fields are never rewritten under a reader.
 */
import { instantiate, type Kernel } from "../../wasm.ts";

/** Int32 indices into the control block. */
export const GATE = 0;
export const NEXT = 1;
export const ACTIVE = 2;
export const UNITS = 3;
export const GRAIN = 4;
export const KERNEL = 5;
export const MEMORY = 6;
export const DESCRIPTOR = 7;
export const FAILED = 8;
export const FAILURE_LENGTH = 9;
/** UTF-8 text of the first failure, from this byte on. */
export const FAILURE_BYTE = 64;
export const FAILURE_CAPACITY = 448;
export const CONTROL_BYTES = FAILURE_BYTE + FAILURE_CAPACITY;

/** Gate value that tells workers to end. */
export const STOP = -1;

/** The kernels of the WASM module, in the order of their numbers in the control block. */
export const KERNELS = [
  "embed",
  "rms_norm",
  "prepare",
  "linear",
  "rotate",
  "store",
  "attention",
  "add",
  "route",
  "swiglu",
  "combine",
] as const;
export type KernelName = (typeof KERNELS)[number];

/** What a worker thread is sent once, when it starts. */
export interface WorkerSetup {
  readonly control: SharedArrayBuffer;
  readonly module: WebAssembly.Module;
  readonly memories: readonly WebAssembly.Memory[];
  /** Top of this thread's stack, the same address in every memory. */
  readonly stackTop: number;
  /** Scratch of this thread, the same address in every memory. */
  readonly scratch: number;
}

/** The kernels over one memory for one thread, in the order of {@linkcode KERNELS}. */
export function numberedKernels(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  stackTop: number,
): Kernel[] {
  return KERNELS.map(instantiate(module, memory, stackTop));
}

/** Takes units of the current operation until none are left. */
export function takeUnits(control: Int32Array, kernel: Kernel, scratch: number): void {
  const units = control[UNITS]!, grain = control[GRAIN]!, descriptor = control[DESCRIPTOR]!;
  while (true) {
    const start = Atomics.add(control, NEXT, grain);
    if (start >= units) return;
    kernel(descriptor, start, Math.min(start + grain, units), scratch);
  }
}
