/** The driving side of the worker threads; see `control.ts` for the protocol. */
import type { Kernel } from "../../wasm.ts";
import { asset } from "../../assets.ts";
import { FailureError, reason } from "../../errors.ts";
import { startThread } from "../../thread.ts";
import type { Reading } from "./reading.ts";
import { threadCounts } from "./thread_choice.ts";
import { type AlikeUnits, startOfShare, writeBounds } from "./shares.ts";
import {
  BOUNDS,
  boundsOf,
  controlBytes,
  DESCRIPTOR,
  DRIVER_SLEEPS,
  FAILED,
  FAILURE_BYTE,
  FAILURE_LENGTH,
  gateAt,
  joined,
  KERNEL,
  type KernelName,
  KERNELS,
  LOADED,
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

/**
 * Multiply-adds after which one more worker is worth its start, where they are not all started at once: a start takes
 * some 23 ms of a processor, a core makes some 5 a nanosecond. So a short answer of a small model waits for none.
 */
const WORTH_STARTING = 100e6;

/**
 * Workers that are started before the first operation where many are wanted at once. A start keeps the thread that
 * makes it for 10 to 25 ms; it makes the others while these compute.
 */
const FIRST_WORKERS = 3;

/**
 * Multiply-adds for each thread beside which one more worker is started, as long as there are few. A core makes three
 * times as many in the time of a start, so the others may wait for the one that makes it; one worker more in all that
 * follows is worth that.
 */
const WORTH_BESIDE = 20e6;
/** The same where there are 32 threads: what a core makes in the time of a start, so that none waits. */
const WORTH_BESIDE_MANY = 60e6, MANY = 32;

/** Whether an operation of so many multiply-adds is one beside which one more worker than there are is started. */
export function isWorthOneMore(work: number, workers: number): boolean {
  return work >= (workers + 1 < MANY ? WORTH_BESIDE : WORTH_BESIDE_MANY) * (workers + 1);
}

/** As {@linkcode WORTH_STARTING}, where others wait for the start: some hundred milliseconds of a few threads. */
const WORTH_WAITING = 1e9;

const NUMBER_OF = Object.fromEntries(KERNELS.map((name, i) => [name, i])) as Record<KernelName, number>;

/** How a pool begins. */
export interface PoolStart {
  /**
   * Whether some workers are started now, and the others beside the first large operations; all others are one by one,
   * as work is worth them.
   */
  readonly atOnce?: boolean;
  /** What each of them reads first, as long as something is left of it. */
  readonly reading?: Pick<Reading, "shared"> | null;
  /** For tests: numbers of threads that operations ask at most, ascending, the last one all of them. */
  readonly counts?: readonly number[] | undefined;
}

/** Where threads wait, from one number on to that of the next gate. */
interface Gate {
  readonly first: number;
  readonly word: number;
}

/** A set of threads, the calling one included, that run kernels over one or more memories. */
export class Pool {
  readonly #control: Int32Array;
  readonly #kernels: Kernel[][];
  readonly #workers: Worker[] = [];
  readonly #scratch: number;
  readonly #atOnce: boolean;
  readonly #gates: readonly Gate[];
  /** Numbers of threads that operations ask at most, ascending. */
  readonly counts: readonly number[];
  readonly #setup: (number: number) => WorkerSetup;
  /** Multiply-adds so far of operations beside which no worker is started. */
  #work = 0;
  /** Operations so far. */
  #serial = 0;
  #closed = false;
  #startFailure: string | undefined;

  /**
   * @param threads Threads in all, at least 1: `threads - 1` workers, which load while the caller goes on.
   */
  constructor(
    readonly threads: number,
    module: WebAssembly.Module,
    memories: readonly WebAssembly.Memory[],
    areas: ThreadAreas,
    start: PoolStart = {},
  ) {
    const { atOnce = true, reading = null, counts = threadCounts(threads) } = start;
    this.#atOnce = atOnce;
    this.counts = counts;
    this.#gates = counts.map((_, i) => ({ first: counts[i - 1] ?? 0, word: gateAt(threads, i) }));
    const control = new SharedArrayBuffer(controlBytes(threads, counts.length));
    this.#control = new Int32Array(control);
    const stackTop = (thread: number) => areas.stacks + (thread + 1) * areas.stackBytes;
    this.#kernels = memories.map((memory) => numberedKernels(module, memory, stackTop(0)));
    this.#scratch = areas.scratch;
    this.#setup = (number) => ({
      ...{ control, module, memories, reading: reading?.shared ?? null, number, stackTop: stackTop(number) },
      gate: this.#gates.findLast(({ first }) => first <= number)!.word,
      scratch: areas.scratch + number * areas.scratchBytes,
    });
    if (atOnce) this.#startWorkers(FIRST_WORKERS);
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
   * Runs units 0..units of a kernel on all threads that were started and returns when they are done.
   *
   * @param work Multiply-adds of all units, by which more workers are started.
   * @param parts All units, where they are not alike; null: they are.
   * @param most Threads that are asked, and started, at most.
   * @throws {FailureError} if a thread trapped, or one could not be started.
   */
  run(
    name: KernelName,
    memory: number,
    descriptor: number,
    units: number,
    work = Infinity,
    parts: readonly AlikeUnits[] | null = null,
    most = MOST_THREADS,
  ): void {
    const crew = Math.min(most, this.threads) - 1;
    const beside = this.#atOnce && this.workers < crew && isWorthOneMore(work, this.workers);
    if (!beside) {
      this.#work += work;
      const [first, worth] = this.#atOnce ? [FIRST_WORKERS, WORTH_WAITING] : [0, WORTH_STARTING];
      this.#startWorkers(Math.min(crew, first + Math.floor(this.#work / worth)));
    }
    if (this.workers === 0 || units < 2) return this.runHere(name, memory, descriptor, units);
    if (this.#startFailure !== undefined) {
      throw new FailureError(`a worker thread could not start: ${this.#startFailure}`);
    }
    const control = this.#control;
    const number = NUMBER_OF[name];
    const asked = Math.min(this.workers + 1, units, most, MOST_THREADS), gate = openGate(this.#serial++, asked);
    control[UNITS] = units;
    control[THREADS] = asked;
    control[KERNEL] = number;
    control[MEMORY] = memory;
    control[DESCRIPTOR] = descriptor;
    const bounds = boundsOf(this.threads, this.#gates.length);
    control[BOUNDS] = parts !== null && writeBounds(parts, asked, control, bounds) ? bounds : 0;
    Atomics.store(control, NEXT, 0);
    this.#show(gate, asked);
    const refused = beside ? this.#startBeside(units, work, crew) : null;
    try {
      takeUnits(control, this.#kernels[memory]![number]!, this.#scratch);
    } catch (thrown) {
      throw new FailureError(`the kernel ${name} failed: ${reason(thrown)}`);
    } finally {
      this.#show(gate & ~1, asked);
      this.#awaitWorkers(asked);
    }
    if (refused !== null) {
      this.close();
      throw refused;
    }
    if (Atomics.load(control, FAILED) !== 0) {
      const text = new Uint8Array(control.buffer, FAILURE_BYTE, Atomics.load(control, FAILURE_LENGTH)).slice();
      throw new FailureError(`a worker thread failed in ${name}: ${new TextDecoder().decode(text)}`);
    }
  }

  /** Shows a value at the gates of the first `asked` threads; where these open, or it is the end, wakes who sleeps. */
  #show(value: number, asked: number): void {
    const control = this.#control;
    for (const { first, word } of this.#gates) if (first < asked) Atomics.store(control, word, value);
    if ((value & 1) === 0) return;
    for (const { first, word } of this.#gates) if (first < asked) Atomics.notify(control, word);
  }

  /**
   * Starts workers while others compute, as long as these have enough to do, until there are `crew`.
   *
   * @returns Why that failed, for when the operation is done; null: it did not.
   */
  #startBeside(units: number, work: number, crew: number): FailureError | null {
    const control = this.#control, threads = control[THREADS]!;
    const left = () => work * (1 - startOfShare(Atomics.load(control, NEXT), units, threads) / units);
    try {
      while (
        this.workers < crew && Atomics.load(control, LOADED) > 0 && isWorthOneMore(left(), this.workers)
      ) this.#startWorker();
      return null;
    } catch (thrown) {
      if (thrown instanceof FailureError) return thrown;
      throw thrown;
    }
  }

  /** Starts workers until there are so many, or all; if the system has none left, those that were started end. */
  #startWorkers(count: number): void {
    try {
      while (this.workers < Math.min(count, this.threads - 1)) this.#startWorker();
    } catch (thrown) {
      this.close();
      throw thrown;
    }
  }

  /** Starts one more worker; false: all are started. */
  startOne(): boolean {
    this.#startWorkers(this.workers + 1);
    return this.workers < this.threads - 1;
  }

  #startWorker(): void {
    const number = this.workers + 1, which = `thread ${number + 1} of ${this.threads}`;
    const worker = startThread(asset("src/backends/emulate/worker.ts"), `mxoss-${number}`, which);
    worker.onerror = (event) => {
      event.preventDefault();
      this.#startFailure ??= event.message;
    };
    worker.postMessage(this.#setup(number));
    this.#workers.push(worker);
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
    this.#show(STOP, Infinity);
  }

  /** Worker threads that were started. */
  get workers(): number {
    return this.#workers.length;
  }
}
