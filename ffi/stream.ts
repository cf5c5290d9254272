/** Owners of what runs in order on a device: streams, the events in them, and recorded graphs. */
import type { PackedArguments } from "./arguments.ts";
import type { Handle } from "./driver.ts";
import { Buffer, checkFits, Pinned } from "./memory.ts";
import type { EntryPoint } from "./module.ts";
import { Owner, type OwnerDevice } from "./owner.ts";
import type {
  ArgumentWriter,
  DeviceRange,
  GpuEvent,
  Graph,
  Kernel,
  LaunchShape,
  PinnedBuffer,
  Stream,
  Watcher,
} from "./runtime.ts";

/** A stream. */
export class Queue extends Owner implements Stream {
  readonly #handle: Handle;
  /** Launches and copies since the capture began. */
  #recorded = 0;
  /** An event at the end of what was queued, made by the first wait that is watched. */
  #end: Handle | null = null;
  /** Ordinary memory that copies may still read, where waiting for them failed. */
  readonly #read = new Set<Uint8Array>();

  constructor(device: OwnerDevice, handle: Handle) {
    super(device);
    this.#handle = handle;
  }

  /** The library's stream; for what else queues work on it. */
  static handleOf(this: void, queue: Queue): Handle {
    return queue.#handle;
  }

  launch(kernel: Kernel, shape: LaunchShape, args: ArgumentWriter): void {
    const parameters = (args as PackedArguments).parameterTable();
    const { handle, name } = kernel as EntryPoint;
    this.device.driver.launch(handle, name, shape, this.#handle, parameters);
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
    // The library knows an address only, which keeps nothing from being collected.
    this.#read.add(bytes);
    this.device.driver.copyToDevice(Buffer.addressOf(target), from, bytes.length, this.#handle);
    // The source is ordinary memory that the caller may write to at once.
    this.synchronize();
    this.#read.delete(bytes);
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
    const { driver, watcher } = this.device;
    if (watcher === null) return driver.synchronizeStream(this.#handle);
    const end = this.#end ??= driver.createEvent();
    driver.recordEvent(end, this.#handle);
    waitFor(() => driver.eventDone(end), watcher);
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
    try {
      if (this.#end !== null) this.device.driver.destroyEvent(this.#end);
    } finally {
      this.device.driver.destroyStream(this.#handle);
    }
  }
}

/** Looks between two calls of the watcher. */
const LOOKS = 16;
/** After so many milliseconds each such turn naps for a thousandth of the time that was waited, within limits. */
const RESTLESS_MS = 5, SHORTEST_NAP_MS = 0.05, LONGEST_NAP_MS = 5;
const nobody = new Int32Array(new SharedArrayBuffer(4));

/** Waits, and lets a watcher end that by throwing. */
function waitFor(done: () => boolean, watcher: Watcher): void {
  const started = performance.now();
  for (let looks = 1; !done(); looks++) {
    if (looks % LOOKS !== 0) continue;
    const waited = performance.now() - started;
    watcher(waited);
    const nap = Math.min(Math.max(waited / 1000, SHORTEST_NAP_MS), LONGEST_NAP_MS);
    if (waited > RESTLESS_MS) Atomics.wait(nobody, 0, 0, nap);
  }
}

/** An event. */
export class Mark extends Owner implements GpuEvent {
  constructor(device: OwnerDevice, readonly handle: Handle) {
    super(device);
  }

  done(): boolean {
    return this.device.driver.eventDone(this.handle);
  }

  synchronize(): void {
    const { driver, watcher } = this.device;
    if (watcher === null) return driver.synchronizeEvent(this.handle);
    waitFor(() => driver.eventDone(this.handle), watcher);
  }

  millisecondsSince(earlier: GpuEvent): number {
    return this.device.driver.elapsedMilliseconds((earlier as Mark).handle, this.handle);
  }

  protected override release(): void {
    this.device.driver.destroyEvent(this.handle);
  }
}

/** Keeps the recorded graph beside what was made of it: early HIP runtimes refer back to it. */
class Recording extends Owner implements Graph {
  readonly #graph: Handle;

  constructor(device: OwnerDevice, graph: Handle, readonly handle: Handle, readonly nodes: number) {
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
