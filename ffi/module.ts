/** Owners of loaded code, and its entry points. */
import type { Driver, Handle } from "./driver.ts";
import { Owner, type OwnerDevice } from "./owner.ts";
import type { Kernel, Module } from "./runtime.ts";

/** A code object that is loaded on the device. */
export class CodeModule extends Owner implements Module {
  readonly #handle: Handle;

  constructor(device: OwnerDevice, readonly name: string, handle: Handle) {
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

/** A kernel of a loaded module. */
export class EntryPoint implements Kernel {
  constructor(readonly driver: Driver, readonly name: string, readonly handle: Handle) {}

  allowSharedBytes(bytes: number): void {
    this.driver.allowSharedBytes(this.handle, bytes);
  }

  preferSharedPercent(percent: number): void {
    this.driver.preferSharedPercent(this.handle, percent);
  }
}
