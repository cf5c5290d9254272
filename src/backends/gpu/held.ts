/** What an opened GPU backend owns. */
import type { GpuDevice, GpuRuntime } from "../../../ffi/runtime.ts";

/** Everything that a backend must give back, in reverse order of acquisition. */
export class Held implements Disposable {
  readonly #stack = new DisposableStack();

  constructor(readonly device: GpuDevice, readonly runtime: GpuRuntime) {
    this.#stack.use(runtime);
    this.#stack.use(device);
  }

  /** Takes over something that the backend owns from now on. */
  own<T extends Disposable>(owned: T): T {
    return this.#stack.use(owned);
  }

  /**
   * Does work with things of the device that are given back afterwards; where it fails, with all else: to give them
   * back waits for what was queued, which may wait for other ranks.
   */
  borrowing<T>(work: (made: DisposableStack) => T): T {
    const made = new DisposableStack();
    let result: T;
    try {
      result = work(made);
    } catch (thrown) {
      this.own(made);
      throw thrown;
    }
    made.dispose();
    return result;
  }

  [Symbol.dispose](): void {
    this.#stack.dispose();
  }
}
