/** Owners of memory: on the device, and page-locked on the host. */
import type { Handle } from "./driver.ts";
import { Owner, type OwnerDevice } from "./owner.ts";
import type { DeviceBuffer, DeviceRange, PinnedBuffer } from "./runtime.ts";

/** Memory of the device. */
export class Buffer extends Owner implements DeviceBuffer {
  readonly #address: Handle;
  #kept = false;

  constructor(device: OwnerDevice, readonly bytes: number, address: Handle) {
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

  /** See `GpuDevice.keep`. */
  keep(): void {
    this.#kept = true;
  }

  protected override release(): void {
    if (!this.#kept) this.device.driver.free(this.#address);
  }
}

/** Memory of another device, which somebody else frees. */
export class Borrowed extends Buffer {
  protected override release(): void {}
}

/** Memory of another process's device, which is mapped. */
export class Imported extends Buffer {
  readonly #mapped: Handle;

  constructor(device: OwnerDevice, bytes: number, mapped: Handle) {
    super(device, bytes, mapped);
    this.#mapped = mapped;
  }

  protected override release(): void {
    this.device.driver.closeImported(this.#mapped);
  }
}

/** Page-locked memory of the host, with a view of it. */
export class Pinned extends Owner implements PinnedBuffer {
  readonly #address: Handle;
  readonly view: Uint8Array<ArrayBuffer>;

  constructor(device: OwnerDevice, readonly bytes: number, address: Handle) {
    super(device);
    this.#address = address;
    const pointer = Deno.UnsafePointer.create(address)!;
    this.view = new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(pointer, bytes));
  }

  /** The address of a part of a live buffer. */
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

/** @throws {RangeError} if a range has fewer bytes than a copy. */
export function checkFits(range: DeviceRange, bytes: number): void {
  if (bytes > range.bytes) throw new RangeError(`${bytes} bytes do not fit a range of ${range.bytes}`);
}
