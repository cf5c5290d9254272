/** Runs jobs on a real GPU, through ffi/. */
import { openCuda } from "../../ffi/cuda.ts";
import { openHip } from "../../ffi/hip.ts";
import type {
  ArgumentWriter,
  DeviceBuffer as Memory,
  GpuDevice,
  GpuRuntime,
  Module,
  PinnedBuffer,
  Stream,
} from "../../ffi/runtime.ts";
import type { Manifest } from "../../kernels/manifest.ts";
import { buffersOf, type DeviceBuffer, type Job, type Machine, type Pointer } from "./job.ts";

const BUILD = new URL("../../kernels/build/", import.meta.url);
const STAGING_BYTES = 8 << 20;

/** The first GPU of the machine, or why there is none. */
export function openFirstGpu(): GpuRuntime | string {
  const reasons: string[] = [];
  for (const open of [openCuda, openHip]) {
    try {
      const runtime = open();
      if (runtime.deviceCount() > 0) return runtime;
      runtime[Symbol.dispose]();
      reasons.push(`${runtime.kind}: no device`);
    } catch (error) {
      reasons.push(error instanceof Error ? error.message.split("\n")[0]! : String(error));
    }
  }
  return reasons.join("; ");
}

/** A GPU as a machine for jobs. */
export class GpuMachine implements Machine, Disposable {
  readonly name: string;
  readonly device: GpuDevice;
  readonly #stream: Stream;
  readonly #staging: PinnedBuffer;
  readonly #modules = new Map<string, Module>();

  constructor(
    readonly runtime: GpuRuntime,
    readonly manifest: Manifest,
    readonly read = (arch: string, file: string) => Deno.readFileSync(new URL(`${arch}/${file}`, BUILD)),
  ) {
    this.device = runtime.open(0);
    this.name = this.device.properties.arch;
    this.#stream = this.device.createStream();
    this.#staging = this.device.allocatePinned(STAGING_BYTES);
  }

  run(jobs: readonly Job[]): Promise<void> {
    for (const job of jobs) this.#launch(job);
    return Promise.resolve();
  }

  #launch(job: Job): void {
    const entry = this.manifest.architectures[this.name]?.entries[job.entry];
    if (!entry) throw new Error(`${job.entry}: not compiled for ${this.name}`);
    let module = this.#modules.get(entry.file);
    if (!module) {
      module = this.device.loadModule(this.read(this.name, entry.file), entry.file);
      this.#modules.set(entry.file, module);
    }
    const kernel = module.kernel(job.entry), buffers = buffersOf(job);
    const memory = new Map(buffers.map((buffer) => [buffer, this.device.allocate(Math.max(16, buffer.bytes.length))]));
    try {
      for (const [buffer, target] of memory) this.#upload(buffer, target, memory);
      const writer = this.device.createArguments();
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
      if (job.lds > 0) kernel.allowSharedBytes(job.lds);
      this.#stream.launch(kernel, { grid: job.grid, threads: job.threads, sharedBytes: job.lds }, writer);
      for (const [buffer, source] of memory) {
        if (buffer.constant || buffer.bytes.length === 0) continue;
        this.#stream.download(this.#staging, 0, source.range(), buffer.bytes.length);
        this.#stream.synchronize();
        buffer.bytes.set(this.#staging.view.subarray(0, buffer.bytes.length));
      }
      this.#stream.synchronize();
    } finally {
      for (const own of memory.values()) own[Symbol.dispose]();
    }
  }

  #upload(buffer: DeviceBuffer, target: Memory, memory: ReadonlyMap<DeviceBuffer, Memory>): void {
    if (buffer.pointers.length > 0) {
      const records = this.device.createArguments();
      words(records, buffer.bytes, buffer.pointers, memory);
      this.#stream.uploadRecords(target.range(), records);
    } else if (buffer.bytes.length > 0) {
      this.#staging.view.set(buffer.bytes);
      this.#stream.upload(target.range(), this.#staging, 0, buffer.bytes.length);
      this.#stream.synchronize();
    }
  }

  [Symbol.dispose](): void {
    for (const module of this.#modules.values()) module[Symbol.dispose]();
    this.#staging[Symbol.dispose]();
    this.#stream[Symbol.dispose]();
    this.device[Symbol.dispose]();
    this.runtime[Symbol.dispose]();
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
