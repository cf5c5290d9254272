/**
 * Ownership of what a GPU library hands out, written once over {@linkcode Driver}. Addresses of memory stay in private
 * fields of the owners in `memory.ts`, handles in `module.ts` and `stream.ts`.
 */
import type { Driver } from "./driver.ts";
import type { Watcher } from "./runtime.ts";

/** What an owner needs of its device. */
export interface OwnerDevice {
  readonly driver: Driver;
  /** See `GpuDevice.watch`. */
  readonly watcher: Watcher | null;
  /** Notes an owner that the device must dispose of before it is closed. */
  adopt(owner: Disposable): void;
  /** Forgets an owner that was disposed of. */
  abandon(owner: Disposable): void;
  /** Runs a release, and notes its failure instead of throwing it. */
  attempt(release: () => void): void;
}

/**
 * Something of the library that must be given back. A failed release is noted on the device and not thrown.
 */
export abstract class Owner implements Disposable {
  #live = true;

  constructor(readonly device: OwnerDevice) {
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
