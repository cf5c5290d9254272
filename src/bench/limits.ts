/**
 * What this machine can do at most with so many threads: bytes that it reads from memory, and multiply-adds, by plain
 * loops in the same WebAssembly that `emulate` computes with.
 */
import { asset } from "../assets.ts";
import { compileKernels, heapBase, WASM_PAGE } from "../wasm.ts";
import { availableMemory } from "../memory.ts";
import { startThread } from "../thread.ts";
import {
  MACS_PER_ROUND,
  type Probe,
  type ProbeRun,
  type ProbeSetup,
  type ProbeTimes,
  STREAMS,
  UNIT_BYTES,
  UNIT_ROUNDS,
} from "./probe_messages.ts";
import { type Spread, spreadOf } from "./spread.ts";

/** Limits per second, of all threads together. */
export interface Limits {
  readonly threads: number;
  /** Bytes that are read from memory, by the fastest of the plain loops. */
  readonly read: Spread;
  /** Stretches of memory that each thread of that loop reads side by side. */
  readonly read_streams: number;
  /** Multiply-adds of float32. */
  readonly float32: Spread;
  /** Multiply-adds of bytes with sums of 32 bits. */
  readonly int8: Spread;
}

/** Part of the available memory that may be taken for the bytes that are read. */
const MEMORY_SHARE = 1 / 8;
const STACK_BYTES = 64 << 10;
/** Bytes set aside for a thread's stack, descriptor and scratch. */
const THREAD_BYTES = STACK_BYTES + 4096;
/** Runs of each loop, and of each one of which the fastest is chosen. */
const RUNS = 7, READ_RUNS = 3;

/** How thoroughly limits are measured. */
export interface Thoroughness {
  /** How long a run of a loop shall take. */
  readonly milliseconds: number;
  /** Bytes that are read over and over. */
  readonly bytes: number;
}
/**
 * More bytes than the caches of most machines hold. Cores bring caches of their own: 64 threads and 512 MB would find
 * most of it in those of 32 cores (2 MB each) and of their socket (300 MB).
 */
const MOST_CACHED = 512 << 20, EACH = 56 << 20;
const thorough = (threads: number): Thoroughness => ({
  milliseconds: 60,
  bytes: Math.min(Math.max(MOST_CACHED, threads * EACH), MOST_BYTES),
});
/** What one WASM memory has room for beside stacks. */
const MOST_BYTES = 3.5 * 2 ** 30;

/**
 * Measures the limits.
 *
 * @param threads How many compute at once.
 * @throws {FailureError} when threads cannot be had.
 */
export async function measureLimits(threads: number, how = thorough(threads)): Promise<Limits> {
  const module = await compileKernels(), crew = await Crew.gather(module, threads, how);
  try {
    const [read, read_streams] = await crew.fastestRead(), float32 = await crew.measure("probe_float");
    return { threads, read, read_streams, float32, int8: await crew.measure("probe_integer") };
  } finally {
    crew.dismiss();
  }
}

/** What a unit of a loop counts. */
const perUnit = (probe: Probe): number => probe === "probe_read" ? UNIT_BYTES : UNIT_ROUNDS * MACS_PER_ROUND[probe];

/** Milliseconds from the first thread's beginning to the last one's end. */
const span = (times: readonly ProbeTimes[]): number =>
  Math.max(...times.map(({ ended }) => ended)) - Math.min(...times.map(({ began }) => began));

/** What threads counted in a second, all together, where each did so many units of a loop. */
export function rateOf(probe: Probe, units: number, times: readonly ProbeTimes[]): number {
  return times.length * units * perUnit(probe) / span(times) * 1000;
}

/** The threads. */
class Crew {
  readonly #workers: readonly Worker[];
  readonly #milliseconds: number;

  private constructor(workers: readonly Worker[], milliseconds: number) {
    this.#workers = workers;
    this.#milliseconds = milliseconds;
  }

  static async gather(module: WebAssembly.Module, threads: number, how: Thoroughness): Promise<Crew> {
    const base = Math.ceil(heapBase(module) / 4096) * 4096, start = base + threads * THREAD_BYTES;
    const wanted = Math.min(how.bytes, (availableMemory()?.bytes ?? Infinity) * MEMORY_SHARE);
    const units = Math.max(1, Math.floor(wanted / threads / UNIT_BYTES));
    const pages = Math.ceil((start + threads * units * UNIT_BYTES) / WASM_PAGE);
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    const gate = new SharedArrayBuffer(4), workers: Worker[] = [];
    const crew = new Crew(workers, how.milliseconds);
    try {
      for (let i = 0; i < threads; i++) {
        const worker = startThread(asset("src/bench/probe_worker.ts"), `probe-${i}`, `thread ${i + 1} of ${threads}`);
        workers.push(worker);
        const own = base + i * THREAD_BYTES, stackTop = own + STACK_BYTES;
        const setup: ProbeSetup = {
          ...{ module, memory, gate, threads, stackTop, units },
          descriptor: stackTop,
          scratch: stackTop + 64,
          address: start + i * units * UNIT_BYTES,
        };
        worker.postMessage(setup);
      }
      await crew.#answers();
    } catch (thrown) {
      crew.dismiss();
      throw thrown;
    }
    return crew;
  }

  /** The rate of the fastest plain loop that reads, and the number of its streams. */
  async fastestRead(): Promise<[Spread, number]> {
    const found: [Spread, number][] = [];
    for (const streams of STREAMS) found.push([await this.measure("probe_read", streams, READ_RUNS), streams]);
    const [, streams] = found.toSorted(([a], [b]) => b.median - a.median)[0]!;
    // Measured again: the best of several that vary is too good.
    return [await this.measure("probe_read", streams), streams];
  }

  /** Figures per second of a loop, of several runs of a length that the first ones show. */
  async measure(probe: Probe, streams = 1, runs = RUNS): Promise<Spread> {
    let units = 1;
    for (let elapsed = 0; elapsed < this.#milliseconds / 2;) {
      elapsed = span(await this.#run(probe, units, streams));
      units = Math.ceil(units * Math.min(16, Math.max(1, this.#milliseconds / Math.max(elapsed, 0.1))));
    }
    const rates: number[] = [];
    for (let i = 0; i < runs; i++) rates.push(rateOf(probe, units, await this.#run(probe, units, streams)));
    return spreadOf(rates);
  }

  async #run(probe: Probe, units: number, streams: number): Promise<ProbeTimes[]> {
    const run: ProbeRun = { probe, units, streams };
    for (const worker of this.#workers) worker.postMessage(run);
    return await this.#answers();
  }

  #answers(): Promise<ProbeTimes[]> {
    return Promise.all(this.#workers.map((worker) =>
      new Promise<ProbeTimes>((resolve, reject) => {
        worker.onmessage = ({ data }: MessageEvent<ProbeTimes>) => resolve(data);
        worker.onerror = (event) => {
          event.preventDefault();
          reject(new Error(event.message));
        };
      })
    ));
  }

  dismiss(): void {
    for (const worker of this.#workers) worker.terminate();
  }
}
