/**
 * Times launches of single kernels on a GPU: data that is larger than the caches, launches recorded in a graph, device
 * events.
 */
import type {
  ArgumentWriter,
  DeviceBuffer,
  DeviceRange,
  GpuDevice,
  GpuEvent,
  Graph,
  Stream,
} from "../../ffi/runtime.ts";
import type { LaunchTraits } from "../../kernels/manifest.ts";
import type { KernelSet } from "../../src/backends/gpu/kernels.ts";

/** A launch that is to be timed. */
export interface Launch {
  readonly entry: string;
  readonly grid: readonly [number, number, number];
  readonly lds: number;
  /** Whether it may begin before the one ahead has ended, as launches of a step do on NVIDIA. */
  readonly overlaps?: true;
  readonly args: (w: ArgumentWriter) => void;
}

/** What a kernel (or a chain of them) took. */
export interface Timing {
  readonly name: string;
  /** Median over repetitions of the mean over a graph's launches. */
  readonly microseconds: number;
  /** Bytes that it must move, by its shapes. */
  readonly bytes: number;
  /** Multiply-adds that it must do. */
  readonly macs: number;
}

/** Timings that are made together, and their name. */
export type Part = readonly [name: string, run: () => Iterable<Timing>];

/** A device with everything that timing needs. */
export class Harness implements Disposable {
  readonly stream: Stream;
  readonly #events: [GpuEvent, GpuEvent];
  readonly #buffers: DeviceBuffer[] = [];

  /** @param filter Only parts with this in their name are timed. */
  constructor(readonly device: GpuDevice, readonly kernels: KernelSet, readonly filter: string) {
    this.stream = device.createStream();
    this.#events = [device.createEvent(), device.createEvent()];
  }

  has(entry: string): boolean {
    return this.kernels.has(entry);
  }

  traits(entry: string): LaunchTraits {
    return this.kernels.traits(entry);
  }

  /** Device memory with the given contents, repeated until it is full. */
  memory(bytes: number, pattern?: Uint8Array): DeviceRange {
    const buffer = this.device.allocate(bytes);
    this.#buffers.push(buffer);
    if (pattern) {
      using staging = this.device.allocatePinned(pattern.length);
      staging.view.set(pattern);
      for (let at = 0; at < bytes; at += pattern.length) {
        const size = Math.min(pattern.length, bytes - at);
        this.stream.upload(buffer.range(at, size), staging, 0, size);
      }
      this.stream.synchronize();
    } else {
      this.stream.fill(buffer.range(), 0);
    }
    return buffer.range();
  }

  /** Device records. */
  records(bytes: number, write: (w: ArgumentWriter) => void): DeviceRange {
    const buffer = this.device.allocate(bytes), writer = this.device.createArguments();
    this.#buffers.push(buffer);
    write(writer);
    this.stream.uploadRecords(buffer.range(), writer);
    return buffer.range();
  }

  /** Frees the memory that was taken since the last call. */
  release(): void {
    this.device.synchronize();
    for (const buffer of this.#buffers.splice(0)) buffer[Symbol.dispose]();
  }

  /** Timings of the parts that are asked for; memory is freed between. */
  *timings(parts: readonly Part[]): Generator<Timing> {
    for (const [name, run] of parts) {
      if (!name.includes(this.filter)) continue;
      const timings = [...run()];
      this.release();
      yield* timings;
    }
  }

  enqueue(launch: Launch): void {
    const writer = this.device.createArguments(), { kernel } = this.kernels.get(launch.entry);
    launch.args(writer);
    if (launch.lds > 48 * 1024) kernel.allowSharedBytes(launch.lds);
    this.stream.launch(kernel, {
      grid: launch.grid,
      threads: this.traits(launch.entry).threads,
      sharedBytes: launch.lds,
      overlaps: launch.overlaps ?? false,
    }, writer);
  }

  /**
   * Times chains of launches.
   *
   * @param chains One or more chains that do the same on different data, so that no data is in the caches when its turn
   *   comes.
   */
  time(name: string, chains: readonly (readonly Launch[])[], bytes: number, macs = 0, repeat = 7): Timing {
    // Loads modules and sets limits before the recording.
    for (const launch of chains[0]!) this.enqueue(launch);
    this.stream.synchronize();
    using graph = this.stream.capture(() => chains.forEach((chain) => chain.forEach((launch) => this.enqueue(launch))));
    this.stream.replay(graph);
    this.stream.synchronize();
    const times = Array.from({ length: repeat }, () => this.#timed(graph, 1) / chains.length).sort((a, b) => a - b);
    return { name, microseconds: times[repeat >> 1]!, bytes, macs };
  }

  /** Microseconds of a recording, of some replays in a row after one more. */
  replay(graph: Graph, replays: number): number {
    this.stream.replay(graph);
    return this.#timed(graph, replays);
  }

  #timed(graph: Graph, replays: number): number {
    const [start, end] = this.#events;
    this.stream.record(start);
    for (let i = 0; i < replays; i++) this.stream.replay(graph);
    this.stream.record(end);
    end.synchronize();
    return end.millisecondsSince(start) * 1e3 / replays;
  }

  [Symbol.dispose](): void {
    this.release();
    for (const event of this.#events) event[Symbol.dispose]();
    this.stream[Symbol.dispose]();
  }
}

/** Random bytes; as bf16 or float32 they are numbers around 1, as codes and e8m0 scales anything harmless. */
export function pattern(kind: "codes" | "scales" | "bf16" | "f32", bytes: number): Uint8Array {
  const out = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at += 65536) crypto.getRandomValues(out.subarray(at, Math.min(bytes, at + 65536)));
  if (kind === "scales") return out.map((b) => 118 + (b & 7));
  if (kind === "bf16") {
    const words = new Uint16Array(out.buffer);
    for (let i = 0; i < words.length; i++) words[i] = (words[i]! & 0x80ff) | 0x3e00;
  }
  if (kind === "f32") {
    // bf16 numbers, as activations are in dtype bf16.
    const words = new Uint32Array(out.buffer);
    for (let i = 0; i < words.length; i++) words[i] = (words[i]! & 0x80ff0000) | 0x3e000000;
  }
  return out;
}
