/**
 * Owners of what a GPU library hands out. Written once over {@linkcode Driver}; addresses and handles stay in private
 * fields.
 */
import { FailureError, reason } from "../src/errors.ts";
import { PackedArguments } from "./arguments.ts";
import type { Driver, Handle } from "./driver.ts";
import type {
  ArgumentWriter,
  DeviceBuffer,
  DeviceProperties,
  DeviceRange,
  GpuDevice,
  GpuEvent,
  GpuKind,
  GpuRuntime,
  Graph,
  Kernel,
  LaunchShape,
  MemoryInfo,
  Module,
  PinnedBuffer,
  Stream,
} from "./runtime.ts";
import { option, words } from "../src/words.ts";

/** A runtime over a library's driver. */
export class Runtime implements GpuRuntime {
  readonly #driver: Driver;
  readonly #devices = new Set<Device>();
  #closed = false;

  constructor(driver: Driver) {
    this.#driver = driver;
  }

  get kind(): GpuKind {
    return this.#driver.kind;
  }

  get library(): string {
    return this.#driver.path;
  }

  get version(): string {
    return this.#driver.version();
  }

  deviceCount(): number {
    return this.#driver.deviceCount();
  }

  properties(device: number): DeviceProperties {
    return this.#driver.properties(device);
  }

  open(device: number): GpuDevice {
    const count = this.deviceCount();
    if (!(device >= 0 && device < count)) {
      throw new FailureError(
        words`${option("backend")}=${this.kind}: device ${device} was asked for, but there ${
          count === 1 ? "is 1" : `are ${count}`
        }`,
      );
    }
    const opened = new Device(this, this.#driver, device, (d) => this.#devices.delete(d));
    this.#devices.add(opened);
    return opened;
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const device of this.#devices) device[Symbol.dispose]();
    this.#driver.close();
  }
}

/**
 * Something of the library that must be given back. A failed release is noted on the device and not thrown.
 */
abstract class Owner implements Disposable {
  #live = true;

  constructor(readonly device: Device) {
    device.adopt(this);
  }

  protected abstract release(): void;

  get disposed(): boolean {
    return !this.#live;
  }

  [Symbol.dispose](): void {
    if (!this.#live) return;
    this.#live = false;
    this.device.abandon(this);
    this.device.attempt(() => this.release());
  }
}

class Device implements GpuDevice {
  readonly properties: DeviceProperties;
  readonly #failures: string[] = [];
  /** In order of creation; given back in reverse. */
  readonly #owners = new Set<Owner>();
  #open = true;

  constructor(
    readonly runtime: GpuRuntime,
    readonly driver: Driver,
    readonly index: number,
    readonly onClose: (device: Device) => void,
  ) {
    this.properties = driver.properties(index);
    driver.retain(index);
  }

  get releaseFailures(): readonly string[] {
    return this.#failures;
  }

  adopt(owner: Owner): void {
    this.#owners.add(owner);
  }

  abandon(owner: Owner): void {
    this.#owners.delete(owner);
  }

  attempt(release: () => void): void {
    try {
      release();
    } catch (thrown) {
      this.#failures.push(reason(thrown));
    }
  }

  memory(): MemoryInfo {
    return this.driver.memory();
  }

  allocate(bytes: number): Buffer {
    return new Buffer(this, bytes, this.driver.allocate(bytes));
  }

  allocatePinned(bytes: number): Pinned {
    return new Pinned(this, bytes, this.driver.allocateHost(bytes));
  }

  createStream(): Queue {
    return new Queue(this, this.driver.createStream());
  }

  createEvent(): Mark {
    return new Mark(this, this.driver.createEvent());
  }

  loadModule(image: Uint8Array<ArrayBuffer>, name: string): CodeModule {
    return new CodeModule(this, name, this.driver.loadModule(image, name));
  }

  createArguments(): ArgumentWriter {
    return new PackedArguments(Buffer.addressOf);
  }

  synchronize(): void {
    this.driver.synchronize();
  }

  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    for (const owner of [...this.#owners].reverse()) owner[Symbol.dispose]();
    this.attempt(() => this.driver.release(this.index));
    this.onClose(this);
  }
}

class Buffer extends Owner implements DeviceBuffer {
  readonly #address: Handle;

  constructor(device: Device, readonly bytes: number, address: Handle) {
    super(device);
    this.#address = address;
  }

  range(offset = 0, bytes = this.bytes - offset): DeviceRange {
    if (!(offset >= 0 && bytes >= 0 && offset + bytes <= this.bytes)) {
      throw new RangeError(`range ${offset} + ${bytes} leaves a buffer of ${this.bytes} bytes`);
    }
    return { buffer: this, offset, bytes };
  }

  /** The address of a range; the range must be of a live buffer. */
  static addressOf(this: void, { buffer, offset }: DeviceRange): Handle {
    const owner = buffer as Buffer;
    if (owner.disposed) throw new Error("a range of a device buffer was used after the buffer was freed");
    return owner.#address + BigInt(offset);
  }

  protected override release(): void {
    this.device.driver.free(this.#address);
  }
}

class Pinned extends Owner implements PinnedBuffer {
  readonly #address: Handle;
  readonly view: Uint8Array<ArrayBuffer>;

  constructor(device: Device, readonly bytes: number, address: Handle) {
    super(device);
    this.#address = address;
    const pointer = Deno.UnsafePointer.create(address)!;
    this.view = new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(pointer, bytes));
  }

  static addressOf(pinned: PinnedBuffer, offset: number, bytes: number): Handle {
    const owner = pinned as Pinned;
    if (owner.disposed) throw new Error("a pinned buffer was used after it was freed");
    if (!(offset >= 0 && bytes >= 0 && offset + bytes <= owner.bytes)) {
      throw new RangeError(`range ${offset} + ${bytes} leaves a pinned buffer of ${owner.bytes} bytes`);
    }
    return owner.#address + BigInt(offset);
  }

  protected override release(): void {
    // Detaches the view, so that a late use sees an empty array and not memory of somebody else.
    this.view.buffer.transfer();
    this.device.driver.freeHost(this.#address);
  }
}

class Queue extends Owner implements Stream {
  readonly #handle: Handle;
  /** Launches and copies since the capture began. */
  #recorded = 0;

  constructor(device: Device, handle: Handle) {
    super(device);
    this.#handle = handle;
  }

  launch(kernel: Kernel, { grid, threads, sharedBytes }: LaunchShape, args: ArgumentWriter): void {
    const parameters = (args as PackedArguments).parameterTable();
    const { handle, name } = kernel as EntryPoint;
    this.device.driver.launch(handle, name, grid, threads, sharedBytes, this.#handle, parameters);
    this.#recorded++;
  }

  upload(target: DeviceRange, source: PinnedBuffer, offset: number, bytes: number): void {
    checkFits(target, bytes);
    const from = Pinned.addressOf(source, offset, bytes);
    this.device.driver.copyToDevice(Buffer.addressOf(target), from, bytes, this.#handle);
    this.#recorded++;
  }

  download(target: PinnedBuffer, offset: number, source: DeviceRange, bytes: number): void {
    checkFits(source, bytes);
    const to = Pinned.addressOf(target, offset, bytes);
    this.device.driver.copyToHost(to, Buffer.addressOf(source), bytes, this.#handle);
    this.#recorded++;
  }

  copy(target: DeviceRange, source: DeviceRange, bytes: number): void {
    checkFits(target, bytes);
    checkFits(source, bytes);
    this.device.driver.copyOnDevice(Buffer.addressOf(target), Buffer.addressOf(source), bytes, this.#handle);
    this.#recorded++;
  }

  uploadRecords(target: DeviceRange, records: ArgumentWriter): void {
    const bytes = (records as PackedArguments).contents();
    checkFits(target, bytes.length);
    const from = BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes)));
    this.device.driver.copyToDevice(Buffer.addressOf(target), from, bytes.length, this.#handle);
    // The source is ordinary memory that the caller may write to at once.
    this.synchronize();
  }

  fill(target: DeviceRange, byte: number): void {
    if (target.bytes > 0) this.device.driver.fill(Buffer.addressOf(target), byte, target.bytes, this.#handle);
    this.#recorded++;
  }

  record(event: GpuEvent): void {
    this.device.driver.recordEvent((event as Mark).handle, this.#handle);
  }

  wait(event: GpuEvent): void {
    this.device.driver.waitEvent(this.#handle, (event as Mark).handle);
  }

  synchronize(): void {
    this.device.driver.synchronizeStream(this.#handle);
  }

  capture(enqueue: () => void): Graph {
    const { driver } = this.device;
    driver.beginCapture(this.#handle);
    this.#recorded = 0;
    try {
      enqueue();
    } catch (thrown) {
      // The library must leave capture mode whatever happened; what it then says of the capture does not matter.
      this.device.attempt(() => {
        const dropped = driver.endCapture(this.#handle);
        if (dropped !== 0n) driver.destroyGraph(dropped);
      });
      throw thrown;
    }
    const graph = driver.endCapture(this.#handle);
    try {
      return new Recording(this.device, graph, driver.instantiate(graph), this.#recorded);
    } catch (thrown) {
      this.device.attempt(() => driver.destroyGraph(graph));
      throw thrown;
    }
  }

  replay(graph: Graph): void {
    this.device.driver.launchGraph((graph as Recording).handle, this.#handle);
  }

  protected override release(): void {
    this.device.driver.destroyStream(this.#handle);
  }
}

class Mark extends Owner implements GpuEvent {
  constructor(device: Device, readonly handle: Handle) {
    super(device);
  }

  done(): boolean {
    return this.device.driver.eventDone(this.handle);
  }

  synchronize(): void {
    this.device.driver.synchronizeEvent(this.handle);
  }

  millisecondsSince(earlier: GpuEvent): number {
    return this.device.driver.elapsedMilliseconds((earlier as Mark).handle, this.handle);
  }

  protected override release(): void {
    this.device.driver.destroyEvent(this.handle);
  }
}

class CodeModule extends Owner implements Module {
  readonly #handle: Handle;

  constructor(device: Device, readonly name: string, handle: Handle) {
    super(device);
    this.#handle = handle;
  }

  kernel(entry: string): Kernel {
    return new EntryPoint(this.device.driver, entry, this.device.driver.function(this.#handle, entry));
  }

  protected override release(): void {
    this.device.driver.unloadModule(this.#handle);
  }
}

class EntryPoint implements Kernel {
  constructor(readonly driver: Driver, readonly name: string, readonly handle: Handle) {}

  allowSharedBytes(bytes: number): void {
    this.driver.allowSharedBytes(this.handle, bytes);
  }
}

/** Keeps the recorded graph beside what was made of it: early HIP runtimes refer back to it. */
class Recording extends Owner implements Graph {
  readonly #graph: Handle;

  constructor(device: Device, graph: Handle, readonly handle: Handle, readonly nodes: number) {
    super(device);
    this.#graph = graph;
  }

  protected override release(): void {
    try {
      this.device.driver.destroyExecutable(this.handle);
    } finally {
      this.device.driver.destroyGraph(this.#graph);
    }
  }
}

function checkFits(range: DeviceRange, bytes: number): void {
  if (bytes > range.bytes) throw new RangeError(`${bytes} bytes do not fit a range of ${range.bytes}`);
}
