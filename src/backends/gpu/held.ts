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

  [Symbol.dispose](): void {
    this.#stack.dispose();
  }
}
