/** The driving side of the worker threads; see `control.ts` for the protocol. */
import type { Kernel } from "../../wasm.ts";
import { asset } from "../../assets.ts";
import { FailureError, reason } from "../../errors.ts";
import { startThread } from "../../thread.ts";
import {
  controlBytes,
  DESCRIPTOR,
  DRIVER_SLEEPS,
  FAILED,
  FAILURE_BYTE,
  FAILURE_LENGTH,
  GATE,
  joined,
  KERNEL,
  type KernelName,
  KERNELS,
  MEMORY,
  MOST_THREADS,
  NEXT,
  numberedKernels,
  openGate,
  STOP,
  takeUnits,
  THREADS,
  UNITS,
  type WorkerSetup,
} from "./control.ts";

/** Where the threads' stacks and scratch areas lie; the same addresses in every memory. */
export interface ThreadAreas {
  readonly stacks: number;
  readonly stackBytes: number;
  readonly scratch: number;
  readonly scratchBytes: number;
}

/** Reads of workers' words before the driver stops spinning and sleeps until the last worker is done. */
const SPINS = 5000;

const NUMBER_OF = Object.fromEntries(KERNELS.map((name, i) => [name, i])) as Record<KernelName, number>;

/** A fixed set of threads, the calling one included, that run kernels over one or more memories. */
export class Pool {
  readonly #control: Int32Array;
  readonly #kernels: Kernel[][];
  readonly #workers: Worker[];
  readonly #scratch: number;
  /** Operations so far. */
  #serial = 0;
  #closed = false;
  #startFailure: string | undefined;

  /**
   * @param threads Threads in all, at least 1; `threads - 1` workers are started. They load while the caller goes on.
   */
  constructor(
    readonly threads: number,
    module: WebAssembly.Module,
    memories: readonly WebAssembly.Memory[],
    areas: ThreadAreas,
  ) {
    this.#control = new Int32Array(new SharedArrayBuffer(controlBytes(threads)));
    const stackTop = (thread: number) => areas.stacks + (thread + 1) * areas.stackBytes;
    this.#kernels = memories.map((memory) => numberedKernels(module, memory, stackTop(0)));
    this.#scratch = areas.scratch;
    this.#workers = [];
    for (let i = 0; i < threads - 1; i++) {
      const worker = this.#start(i + 1);
      const setup: WorkerSetup = {
        control: this.#control.buffer as SharedArrayBuffer,
        module,
        memories,
        number: i + 1,
        stackTop: stackTop(i + 1),
        scratch: areas.scratch + (i + 1) * areas.scratchBytes,
      };
      worker.onerror = (event) => {
        event.preventDefault();
        this.#startFailure ??= event.message;
      };
      worker.postMessage(setup);
      this.#workers.push(worker);
    }
  }

  /** Runs units 0..units of a kernel on the calling thread. */
  runHere(name: KernelName, memory: number, descriptor: number, units: number): void {
    if (units <= 0) return;
    try {
      this.#kernels[memory]![NUMBER_OF[name]]!(descriptor, 0, units, this.#scratch);
    } catch (thrown) {
      throw new FailureError(`the kernel ${name} failed: ${reason(thrown)}`);
    }
  }

  /**
   * Runs units 0..units of a kernel on all threads and returns when they are done.
   *
   * @throws {FailureError} if a thread trapped.
   */
  run(name: KernelName, memory: number, descriptor: number, units: number): void {
    if (this.threads === 1 || units < 2) return this.runHere(name, memory, descriptor, units);
    if (this.#startFailure !== undefined) {
      throw new FailureError(`a worker thread could not start: ${this.#startFailure}`);
    }
    const control = this.#control;
    const number = NUMBER_OF[name];
    const asked = Math.min(this.threads, units, MOST_THREADS), gate = openGate(this.#serial++, asked);
    control[UNITS] = units;
    control[THREADS] = asked;
    control[KERNEL] = number;
    control[MEMORY] = memory;
    control[DESCRIPTOR] = descriptor;
    Atomics.store(control, NEXT, 0);
    Atomics.store(control, GATE, gate);
    Atomics.notify(control, GATE);
    try {
      takeUnits(control, this.#kernels[memory]![number]!, this.#scratch);
    } catch (thrown) {
      throw new FailureError(`the kernel ${name} failed: ${reason(thrown)}`);
    } finally {
      Atomics.store(control, GATE, gate & ~1);
      this.#awaitWorkers(asked);
    }
    if (Atomics.load(control, FAILED) !== 0) {
      const text = new Uint8Array(control.buffer, FAILURE_BYTE, Atomics.load(control, FAILURE_LENGTH)).slice();
      throw new FailureError(`a worker thread failed in ${name}: ${new TextDecoder().decode(text)}`);
    }
  }

  /** Starts a thread; if the system has none left, those that were started end. */
  #start(number: number): Worker {
    try {
      const which = `thread ${number + 1} of ${this.threads}`;
      return startThread(asset("src/backends/emulate/worker.ts"), `mxoss-${number}`, which);
    } catch (thrown) {
      this.close();
      throw thrown;
    }
  }

  /** Returns when none of the workers that were asked is at work. */
  #awaitWorkers(asked: number): void {
    const control = this.#control;
    let thread = 1;
    for (let spin = 0; spin < SPINS; spin++) {
      while (thread < asked && Atomics.load(control, joined(thread)) === 0) thread++;
      if (thread === asked) return;
      Atomics.pause();
    }
    Atomics.store(control, DRIVER_SLEEPS, 1);
    for (; thread < asked; thread++) {
      while (Atomics.load(control, joined(thread)) !== 0) Atomics.wait(control, joined(thread), 1);
    }
    Atomics.store(control, DRIVER_SLEEPS, 0);
  }

  /**
   * Lets the workers end. A worker that has not finished loading yet still gets its setup message and then sees the
   * gate. So every worker ends, and `terminate()`, which hangs on a waiting worker, is never needed.
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    Atomics.store(this.#control, GATE, STOP);
    Atomics.notify(this.#control, GATE);
  }

  /** Worker threads that were started. */
  get workers(): number {
    return this.#workers.length;
  }
}
