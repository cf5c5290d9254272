/** The runtime over a library's driver, and the devices that it opens: each owns what was made on it. */
import { FailureError, reason } from "../src/errors.ts";
import { option, words } from "../src/words.ts";
import { PackedArguments } from "./arguments.ts";
import type { Driver } from "./driver.ts";
import { GpuError } from "./errors.ts";
import { Borrowed, Buffer, Imported, Pinned } from "./memory.ts";
import { CodeModule } from "./module.ts";
import type { OwnerDevice } from "./owner.ts";
import type {
  ArgumentWriter,
  DeviceProperties,
  DeviceRange,
  ExportedMemory,
  GpuDevice,
  GpuKind,
  GpuRuntime,
  MemoryInfo,
  SharedMemory,
  Watcher,
} from "./runtime.ts";
import { Mark, Queue } from "./stream.ts";

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

  refuseAbsent(devices: readonly number[]): void {
    const count = this.deviceCount(), absent = devices.find((device) => !(device >= 0 && device < count));
    if (absent === undefined) return;
    throw new FailureError(
      words`${option("backend")}=${this.kind}: device ${absent} was asked for, but there ${
        count === 1 ? "is 1" : `are ${count}`
      }`,
    );
  }

  open(device: number): GpuDevice {
    this.refuseAbsent([device]);
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

class Device implements GpuDevice, OwnerDevice {
  readonly properties: DeviceProperties;
  readonly #failures: string[] = [];
  /** In order of creation; given back in reverse. */
  readonly #owners = new Set<Disposable>();
  #open = true;
  #kept = false;
  /** By what another process said of its allocation. */
  readonly #imported = new Map<string, Imported>();
  watcher: Watcher | null = null;

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

  adopt(owner: Disposable): void {
    this.#owners.add(owner);
  }

  abandon(owner: Disposable): void {
    this.#owners.delete(owner);
  }

  attempt(release: () => void): void {
    try {
      release();
    } catch (thrown) {
      this.#failures.push(reason(thrown));
    }
  }

  watch(watcher: Watcher | null): void {
    this.watcher = watcher;
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

  reach(other: number): boolean {
    return this.driver.reach(this.index, other);
  }

  joined(devices: readonly number[]): boolean {
    return devices.every((a) => devices.every((b) => a === b || this.driver.joined(a, b)));
  }

  share(range: DeviceRange): SharedMemory {
    return { address: Buffer.addressOf(range), bytes: range.bytes };
  }

  borrow({ address, bytes }: SharedMemory): Borrowed {
    return new Borrowed(this, bytes, address);
  }

  get identity(): string | null {
    return this.driver.identity(this.index);
  }

  reachable(identity: string): number | null {
    for (let other = 0; other < this.runtime.deviceCount(); other++) {
      if (other === this.index || this.driver.identity(other) !== identity) continue;
      return this.driver.reaches(this.index, other) ? other : null;
    }
    return null;
  }

  export({ buffer, offset, bytes }: DeviceRange): ExportedMemory | null {
    const allocation = orNull(() => this.driver.exportMemory(Buffer.addressOf(buffer.range())));
    return allocation && { allocation, allocationBytes: buffer.bytes, offset, bytes };
  }

  import({ allocation, allocationBytes, offset, bytes }: ExportedMemory): DeviceRange | null {
    // An allocation is opened once.
    const key = allocation.toHex();
    let imported = this.#imported.get(key);
    if (imported === undefined) {
      const address = orNull(() => this.driver.importMemory(allocation));
      if (address === null) return null;
      this.#imported.set(key, imported = new Imported(this, allocationBytes, address));
    }
    return imported.range(offset, bytes);
  }

  returnImported(): void {
    for (const imported of this.#imported.values()) imported[Symbol.dispose]();
    this.#imported.clear();
  }

  keep({ buffer }: DeviceRange): void {
    this.#kept = true;
    (buffer as Buffer).keep();
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
    if (!this.#kept) this.attempt(() => this.driver.release(this.index));
    this.onClose(this);
  }
}

/** What a call of the library gives; null where it returned an error code. */
function orNull<T>(call: () => T): T | null {
  try {
    return call();
  } catch (thrown) {
    if (thrown instanceof GpuError) return null;
    throw thrown;
  }
}
