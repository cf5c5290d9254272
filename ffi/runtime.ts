/**
 * One view of a GPU for HIP (AMD) and CUDA (NVIDIA): devices, memory, streams, events, modules, launches, graphs,
 * pinned staging.
 *
 * Nothing here shows an address. What lies on a device is named by a {@linkcode DeviceRange}, and only the code in
 * `ffi/` turns it into a number, when it writes kernel arguments. Everything that is allocated is an owner to be
 * disposed of (`using`); disposing twice is harmless. Disposing never throws: a failed release is kept in
 * {@linkcode GpuDevice.releaseFailures}, because it would otherwise hide the error that led to it.
 */

/** The two libraries. */
export type GpuKind = "hip" | "cuda";

/** An opened GPU library. */
export interface GpuRuntime extends Disposable {
  readonly kind: GpuKind;
  /** What was loaded, as it was named to the system. */
  readonly library: string;
  /** Version of the runtime (HIP) or driver (CUDA), for instance "6.2.41134" or "13.0". */
  readonly version: string;
  /** @throws {GpuError} where there is no device or the driver does not work. */
  deviceCount(): number;
  /** @throws {FailureError} naming the first of some ordinals that no device has. */
  refuseAbsent(devices: readonly number[]): void;
  /** Facts about a device, read without opening it. */
  properties(device: number): DeviceProperties;
  /**
   * Opens a device and makes it current on this thread.
   *
   * @throws {FailureError} if there is no such device.
   */
  open(device: number): GpuDevice;
}

/** Facts about a device. */
export interface DeviceProperties {
  readonly index: number;
  readonly name: string;
  /** Architecture as compilers name it: "gfx942", "sm_90". */
  readonly arch: string;
  /** What follows the architecture in AMD's full name, for instance ":sramecc+:xnack-"; empty elsewhere. */
  readonly features: string;
  readonly totalBytes: number;
  /** Compute units or streaming multiprocessors. */
  readonly multiprocessors: number;
  /** Lanes of a wave (AMD) or warp. */
  readonly waveSize: number;
  /** Most dynamic shared memory (LDS) that a block may have, in bytes. */
  readonly sharedBytesPerBlock: number;
}

/** Memory of a device, in bytes. */
export interface MemoryInfo {
  readonly freeBytes: number;
  readonly totalBytes: number;
}

/** Is called every now and then during a wait, with how long it has lasted, in milliseconds. */
export type Watcher = (waited: number) => void;

/** A device in use; every owner below belongs to one. */
export interface GpuDevice extends Disposable {
  readonly runtime: GpuRuntime;
  readonly properties: DeviceProperties;
  /** Errors of releases, as one line each; empty unless something is wrong. */
  readonly releaseFailures: readonly string[];
  memory(): MemoryInfo;
  /**
   * Lets somebody look while this device is waited for, and end that by throwing: without a watcher, whoever waits for
   * work that needs another device waits for ever if that one fails.
   */
  watch(watcher: Watcher | null): void;
  /**
   * Allocates device memory; its contents are undefined. At least 256-byte aligned.
   *
   * @throws {GpuError} when there is not enough.
   */
  allocate(bytes: number): DeviceBuffer;
  /** Allocates page-locked host memory, which the device copies from and to without a detour. */
  allocatePinned(bytes: number): PinnedBuffer;
  /**
   * Lets kernels of this device reach the memory of another one, which threads of this process have open.
   *
   * @returns False where they cannot.
   */
  reach(other: number): boolean;
  /** Whether all of several devices are joined by links that bring 128 bytes which are stored together as one. */
  joined(devices: readonly number[]): boolean;
  /** What threads of this process that have other devices open reach a range by. */
  share(range: DeviceRange): SharedMemory;
  /** Memory that another thread shares, on a device that this one reaches; it must not be used once that is freed. */
  borrow(memory: SharedMemory): DeviceBuffer;
  /** What tells this device from all others, in every process; null where the library says nothing of the kind. */
  readonly identity: string | null;
  /** The ordinal of a device that this one reaches in the same machine, by its identity; null where there is none. */
  reachable(identity: string): number | null;
  /** What other processes reach a range by; null where they cannot. */
  export(range: DeviceRange): ExportedMemory | null;
  /**
   * Memory that another process exports, of a device that this one reaches; null where it cannot be mapped. That one
   * must not free it before {@linkcode returnImported}.
   */
  import(memory: ExportedMemory): DeviceRange | null;
  /** Unmaps all that was imported. */
  returnImported(): void;
  /**
   * Never frees the buffer of a range, nor lets go of the device: another one may write there at any time, and what the
   * program has there next would be wrong.
   */
  keep(range: DeviceRange): void;
  createStream(): Stream;
  createEvent(): GpuEvent;
  /**
   * Loads a code object or PTX.
   *
   * @param image The file's bytes.
   * @param name For messages.
   */
  loadModule(image: Uint8Array<ArrayBuffer>, name: string): Module;
  /** A writer for kernel arguments or device records; it may be reused after {@linkcode ArgumentWriter.reset}. */
  createArguments(): ArgumentWriter;
  /** Waits for all work on the device. */
  synchronize(): void;
}

/** Memory of a device on its way to another thread of this process. */
export interface SharedMemory {
  readonly address: bigint;
  readonly bytes: number;
}

/** Memory of a device on its way to another process: a part of an allocation, and what that is opened by. */
export interface ExportedMemory {
  readonly allocation: Uint8Array<ArrayBuffer>;
  readonly allocationBytes: number;
  readonly offset: number;
  readonly bytes: number;
}

/** Device memory. */
export interface DeviceBuffer extends Disposable {
  readonly bytes: number;
  /** A part of the buffer. @throws {RangeError} if it would leave the buffer. */
  range(offset?: number, bytes?: number): DeviceRange;
}

/** A part of a device buffer. */
export interface DeviceRange {
  readonly buffer: DeviceBuffer;
  readonly offset: number;
  readonly bytes: number;
}

/** Page-locked host memory. `view` must not be used after disposal. */
export interface PinnedBuffer extends Disposable {
  readonly bytes: number;
  readonly view: Uint8Array<ArrayBuffer>;
}

/** Grid and block of a launch. */
export interface LaunchShape {
  readonly grid: readonly [x: number, y: number, z: number];
  /** Threads of a block along x; blocks are one-dimensional. */
  readonly threads: number;
  /** Dynamic shared memory in bytes. */
  readonly sharedBytes: number;
  /**
   * Whether the launch may begin before the launch ahead of it has ended, where the platform can do that. Only for
   * kernels that wait for it themselves before they touch memory (`mx_follow` of kernels/common/platform.h), but for
   * what no launch of the step writes or what comes with marks, which the one ahead must do as well.
   */
  readonly overlaps?: boolean;
  /**
   * Whether the blocks along x, at most eight, are a cluster: they run at the same time and can write into each other's
   * shared memory. Only for kernels that only NVIDIA GPUs of sm_90 and later have.
   */
  readonly cluster?: boolean;
}

/**
 * An ordered queue of work. Copies from and to pinned memory return at once; the memory must stay as it is until they
 * are done.
 */
export interface Stream extends Disposable {
  launch(kernel: Kernel, shape: LaunchShape, args: ArgumentWriter): void;
  /** Copies `bytes` from `source` at `offset` to the start of `target`. */
  upload(target: DeviceRange, source: PinnedBuffer, offset: number, bytes: number): void;
  /** Copies the start of `source` to `target` at `offset`. */
  download(target: PinnedBuffer, offset: number, source: DeviceRange, bytes: number): void;
  /** Copies inside the device. */
  copy(target: DeviceRange, source: DeviceRange, bytes: number): void;
  /**
   * Copies records that an {@linkcode ArgumentWriter} wrote (they may hold device addresses), and waits until they are
   * there.
   */
  uploadRecords(target: DeviceRange, records: ArgumentWriter): void;
  /** Fills a range with a byte. */
  fill(target: DeviceRange, byte: number): void;
  record(event: GpuEvent): void;
  /** Later work of this stream waits for the event. */
  wait(event: GpuEvent): void;
  synchronize(): void;
  /**
   * Records the work that `enqueue` puts on this stream instead of doing it.
   *
   * If `enqueue` throws, the capture is ended and dropped.
   */
  capture(enqueue: () => void): Graph;
  /** Replays a recording. */
  replay(graph: Graph): void;
}

/** A point in a stream, with the time at which it was reached. */
export interface GpuEvent extends Disposable {
  /** Whether everything before the event's last recording is done. */
  done(): boolean;
  synchronize(): void;
  /** Milliseconds from another event, which came first, to this one; both must be done. */
  millisecondsSince(earlier: GpuEvent): number;
}

/** A loaded code object. */
export interface Module extends Disposable {
  readonly name: string;
  /** @throws {GpuError} if the module has no such entry point. */
  kernel(entry: string): Kernel;
}

/** An entry point; lives as long as its module. */
export interface Kernel {
  readonly name: string;
  /** Permits launches with this much dynamic shared memory, where the platform asks for permission. */
  allowSharedBytes(bytes: number): void;
  /**
   * Says how much of the memory that is L1 and shared memory should be shared memory where this kernel runs. What the
   * kernel needs is given all the same; other platforms than CUDA are not told.
   */
  preferSharedPercent(percent: number): void;
}

/** Work that was recorded and can be replayed. */
export interface Graph extends Disposable {
  /** Launches and copies in the recording, as they were counted while it was made. */
  readonly nodes: number;
}

/**
 * Writes the arguments of a launch, or records for device memory, with C layout: every number is aligned to its own
 * size.
 *
 * Outside `struct` .. `end` each call adds one argument. Between them calls add members of one by-value struct, which
 * is aligned to 8 bytes and padded to a multiple of 8.
 */
export interface ArgumentWriter {
  /** Forgets what was written. */
  reset(): this;
  /** Address of a range, or null. */
  pointer(range: DeviceRange | null): this;
  i32(value: number): this;
  i64(value: number): this;
  f32(value: number): this;
  struct(): this;
  end(): this;
  /** Bytes written so far. */
  readonly bytes: number;
}
