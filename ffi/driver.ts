/**
 * What devices and owners (`ffi/device.ts`, `ffi/owner.ts`) ask a GPU library for. `ffi/hip.ts` and `ffi/cuda.ts`
 * implement it, call by call, so that ownership is written once. Handles and addresses are numbers here; this interface
 * does not leave `ffi/`.
 */
import type { DeviceProperties, GpuKind, LaunchShape, MemoryInfo } from "./runtime.ts";

/** A `void *`-sized handle or address of the library. */
export type Handle = bigint;

/** One GPU library. Every method throws a {@linkcode GpuError} when the library returns an error code. */
export interface Driver {
  readonly kind: GpuKind;
  readonly path: string;
  version(): string;
  deviceCount(): number;
  properties(device: number): DeviceProperties;
  /** Makes the device current on this thread; returns what {@linkcode release} needs. */
  retain(device: number): Handle;
  release(device: number): void;
  memory(): MemoryInfo;
  /** Lets kernels of a device reach another one's memory, which is retained as well; false where they cannot. */
  reach(device: number, other: number): boolean;
  /** Whether two devices are joined by NVLink. */
  joined(device: number, other: number): boolean;
  /** Whether kernels of a device can reach another one's memory. */
  reaches(device: number, other: number): boolean;
  /** What tells a device from all others, in every process; null where the library says nothing of the kind. */
  identity(device: number): string | null;
  synchronize(): void;

  /** What other processes open an allocation by; null where the library has nothing of the kind. */
  exportMemory(address: Handle): Uint8Array<ArrayBuffer> | null;
  /** Maps what another process has exported, for the current device. */
  importMemory(exported: Uint8Array<ArrayBuffer>): Handle;
  closeImported(address: Handle): void;

  allocate(bytes: number): Handle;
  free(address: Handle): void;
  allocateHost(bytes: number): Handle;
  freeHost(address: Handle): void;
  copyToDevice(target: Handle, source: Handle, bytes: number, stream: Handle): void;
  copyToHost(target: Handle, source: Handle, bytes: number, stream: Handle): void;
  copyOnDevice(target: Handle, source: Handle, bytes: number, stream: Handle): void;
  fill(target: Handle, byte: number, bytes: number, stream: Handle): void;

  createStream(): Handle;
  destroyStream(stream: Handle): void;
  synchronizeStream(stream: Handle): void;
  waitEvent(stream: Handle, event: Handle): void;

  createEvent(): Handle;
  destroyEvent(event: Handle): void;
  recordEvent(event: Handle, stream: Handle): void;
  synchronizeEvent(event: Handle): void;
  eventDone(event: Handle): boolean;
  elapsedMilliseconds(start: Handle, end: Handle): number;

  loadModule(image: Uint8Array<ArrayBuffer>, name: string): Handle;
  unloadModule(module: Handle): void;
  function(module: Handle, entry: string): Handle;
  allowSharedBytes(kernel: Handle, bytes: number): void;
  preferSharedPercent(kernel: Handle, percent: number): void;
  launch(
    kernel: Handle,
    name: string,
    shape: LaunchShape,
    stream: Handle,
    parameters: BigUint64Array<ArrayBuffer>,
  ): void;

  beginCapture(stream: Handle): void;
  /** Ends a capture; 0 where the library dropped it. */
  endCapture(stream: Handle): Handle;
  instantiate(graph: Handle): Handle;
  launchGraph(executable: Handle, stream: Handle): void;
  destroyGraph(graph: Handle): void;
  destroyExecutable(executable: Handle): void;

  /** Unloads the library. */
  close(): void;
}
