/** Runs kernel cases on a device: memory for each buffer, the launch, and what it left there. */
import type { ArgumentWriter, DeviceBuffer as Memory, PinnedBuffer, Stream } from "../../ffi/runtime.ts";
import { SHARED_BYTES } from "../backends/gpu/calls.ts";
import type { KernelSet } from "../backends/gpu/kernels.ts";
import {
  buffersOf,
  type DeviceBuffer,
  type Job,
  launchesOf,
  ldsOfJob,
  type Machine,
  type Pointer,
} from "./cases/job.ts";

/** Page-locked memory that is more than the largest buffer of a case. */
const STAGING_BYTES = 8 << 20;

/** A GPU as a machine for jobs. */
export class GpuMachine implements Machine, Disposable {
  readonly #stream: Stream;
  readonly #staging: PinnedBuffer;

  /** @param kernels They stay the caller's. */
  constructor(readonly kernels: KernelSet) {
    using made = new DisposableStack();
    this.#stream = made.use(kernels.device.createStream());
    this.#staging = made.use(kernels.device.allocatePinned(STAGING_BYTES));
    made.move();
  }

  get name(): string {
    return this.kernels.arch;
  }

  run(jobs: readonly Job[]): Promise<void> {
    for (const job of jobs) this.launch(job);
    return Promise.resolve();
  }

  /**
   * Runs one job to its end.
   *
   * @throws {FailureError} if the device cannot load or run the kernel.
   */
  launch(job: Job): void {
    for (const one of launchesOf(job)) this.#launch(one);
  }

  #launch(job: Job): void {
    const { kernel, traits } = this.kernels.get(job.entry), { device } = this.kernels, buffers = buffersOf(job);
    const lds = ldsOfJob(job, traits);
    using held = new DisposableStack();
    const memory = new Map(
      buffers.map((buffer) => [buffer, held.use(device.allocate(Math.max(16, buffer.bytes.length)))]),
    );
    for (const [buffer, target] of memory) this.#upload(buffer, target, memory);
    const writer = device.createArguments();
    for (const argument of job.arguments) {
      if (argument.kind === "struct") {
        writer.struct();
        words(writer, argument.bytes, argument.pointers, memory);
        writer.end();
      } else if (argument.kind === "pointer") {
        writer.pointer(argument.to && memory.get(argument.to)!.range());
      } else {
        writer[argument.kind](argument.value);
      }
    }
    // Less needs no permission; and what is permitted here also bounds others' launches of the same kernel.
    if (lds > SHARED_BYTES) kernel.allowSharedBytes(lds);
    const { grid, threads, cluster = false } = job;
    this.#stream.launch(kernel, { grid, threads, sharedBytes: lds, cluster }, writer);
    for (const [buffer, source] of memory) {
      if (buffer.constant || buffer.bytes.length === 0) continue;
      this.#stream.download(this.#staging, 0, source.range(), buffer.bytes.length);
      this.#stream.synchronize();
      buffer.bytes.set(this.#staging.view.subarray(0, buffer.bytes.length));
    }
    this.#stream.synchronize();
  }

  /** Whether the device still works: after an illegal access it does not, until the process ends. */
  alive(): boolean {
    try {
      this.#stream.synchronize();
      return true;
    } catch {
      return false;
    }
  }

  #upload(buffer: DeviceBuffer, target: Memory, memory: ReadonlyMap<DeviceBuffer, Memory>): void {
    if (buffer.pointers.length > 0) {
      const records = this.kernels.device.createArguments();
      words(records, buffer.bytes, buffer.pointers, memory);
      this.#stream.uploadRecords(target.range(), records);
    } else if (buffer.bytes.length > 0) {
      this.#staging.view.set(buffer.bytes);
      this.#stream.upload(target.range(), this.#staging, 0, buffer.bytes.length);
      this.#stream.synchronize();
    }
  }

  [Symbol.dispose](): void {
    this.#staging[Symbol.dispose]();
    this.#stream[Symbol.dispose]();
  }
}

/** Writes bytes, with pointers in their places. */
function words(
  writer: ArgumentWriter,
  bytes: Uint8Array<ArrayBuffer>,
  pointers: readonly Pointer[],
  memory: ReadonlyMap<DeviceBuffer, Memory>,
): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < bytes.length; at += 4) {
    const pointer = pointers.find(({ offset }) => offset === at);
    if (!pointer) {
      writer.i32(view.getInt32(at, true));
      continue;
    }
    writer.pointer(memory.get(pointer.to)!.range());
    at += 4;
  }
}
