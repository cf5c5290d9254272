/** What HIP and CUDA do alike: every method is one call of a function that both have. */
import type { Driver, Handle } from "./driver.ts";
import type { GpuError } from "./errors.ts";
import type { DeviceProperties, GpuKind, LaunchShape, MemoryInfo } from "./runtime.ts";
import type { SharedCall, SharedFunctions, SharedNames } from "./symbols.ts";

/** STREAM_NON_BLOCKING of both. */
const STREAM_NON_BLOCKING = 1;
/** Other threads (ranks) may go on allocating while one records. */
const CAPTURE_MODE_THREAD_LOCAL = 1;
/** ERROR_NOT_READY of both. */
const NOT_READY = 600;

/** Numbers that the libraries know device attributes by. */
export interface Attributes {
  readonly multiprocessorCount: number;
  readonly sharedBytesPerBlock: number;
  readonly warpSize: number;
}

/** A launch in words. */
export function launchText(name: string, [x, y, z]: readonly [number, number, number], threads: number): string {
  return `${name}, grid ${x}x${y}x${z}, ${threads} threads`;
}

/** A driver over {@linkcode SharedFunctions}; what differs is abstract. */
export abstract class LibraryDriver implements Driver {
  abstract readonly kind: GpuKind;
  protected abstract readonly attributes: Attributes;
  readonly #c: SharedFunctions;
  /** Receives one handle, pointer or size. */
  protected readonly out = new BigUint64Array(new ArrayBuffer(16));
  /** The same memory as int and float. */
  protected readonly outInt = new Int32Array(this.out.buffer);
  readonly #outFloat = new Float32Array(this.out.buffer);

  constructor(
    functions: SharedFunctions,
    readonly names: SharedNames,
    readonly path: string,
    readonly close: () => void,
  ) {
    this.#c = functions;
  }

  /** The error of a call that returned `code`. */
  protected abstract error(call: string, code: number, detail: string): GpuError;
  /** The library's version in words, of the number that it gives. */
  protected abstract versionText(version: number): string;
  /** What the library's functions know a device by. */
  protected abstract device(ordinal: number): number;
  /** The architecture of a device, and what follows it in AMD's full name. */
  protected abstract architecture(device: number): Pick<DeviceProperties, "arch" | "features">;

  abstract retain(device: number): Handle;
  abstract release(device: number): void;
  abstract copyToDevice(target: Handle, source: Handle, bytes: number, stream: Handle): void;
  abstract copyToHost(target: Handle, source: Handle, bytes: number, stream: Handle): void;
  abstract copyOnDevice(target: Handle, source: Handle, bytes: number, stream: Handle): void;
  abstract fill(target: Handle, byte: number, bytes: number, stream: Handle): void;
  abstract loadModule(image: Uint8Array<ArrayBuffer>, name: string): Handle;
  abstract allowSharedBytes(kernel: Handle, bytes: number): void;
  abstract preferSharedPercent(kernel: Handle, percent: number): void;
  abstract instantiate(graph: Handle): Handle;

  /** Every return code passes here. */
  protected unwrap(call: string, code: number, detail = ""): void {
    if (code !== 0) throw this.error(call, code, detail);
  }

  #check(call: SharedCall, code: number, detail = ""): void {
    if (code !== 0) throw this.error(this.names[call], code, detail);
  }

  /** Starts the library; called once, before all else. */
  protected init(): void {
    this.#check("init", this.#c.init(0));
  }

  version(): string {
    this.#check("version", this.#c.version(this.out));
    return this.versionText(this.outInt[0]!);
  }

  deviceCount(): number {
    this.#check("deviceCount", this.#c.deviceCount(this.out));
    return this.outInt[0]!;
  }

  properties(index: number): DeviceProperties {
    const device = this.device(index), name = new Uint8Array(new ArrayBuffer(256));
    this.#check("deviceName", this.#c.deviceName(name, name.length, device));
    this.#check("totalMemory", this.#c.totalMemory(this.out, device));
    const totalBytes = Number(this.out[0]);
    return {
      index,
      name: new TextDecoder().decode(name.subarray(0, name.indexOf(0))),
      ...this.architecture(device),
      totalBytes,
      multiprocessors: this.attribute(this.attributes.multiprocessorCount, device),
      waveSize: this.attribute(this.attributes.warpSize, device),
      sharedBytesPerBlock: this.attribute(this.attributes.sharedBytesPerBlock, device),
    };
  }

  protected attribute(attribute: number, device: number): number {
    this.#check("attribute", this.#c.attribute(this.out, attribute, device), `attribute ${attribute}`);
    return this.outInt[0]!;
  }

  memory(): MemoryInfo {
    const total = this.out.subarray(1);
    this.#check("memory", this.#c.memory(this.out, total));
    return { freeBytes: Number(this.out[0]), totalBytes: Number(total[0]) };
  }

  /** Memory that HIP devices share while kernels run would have to be allocated for that. */
  reach(_device: number, _other: number): boolean {
    return false;
  }

  joined(_device: number, _other: number): boolean {
    return false;
  }

  reaches(_device: number, _other: number): boolean {
    return false;
  }

  identity(_device: number): string | null {
    return null;
  }

  exportMemory(_address: Handle): Uint8Array<ArrayBuffer> | null {
    return null;
  }

  importMemory(_exported: Uint8Array<ArrayBuffer>): Handle {
    throw new Error("memory of another process was to be mapped by a library that exports none");
  }

  closeImported(_address: Handle): void {}

  synchronize(): void {
    this.#check("synchronize", this.#c.synchronize());
  }

  allocate(bytes: number): Handle {
    this.#check("allocate", this.#c.allocate(this.out, BigInt(bytes)), `${bytes} bytes`);
    return this.out[0]!;
  }

  free(address: Handle): void {
    this.#check("free", this.#c.free(address));
  }

  allocateHost(bytes: number): Handle {
    this.#check("allocateHost", this.#c.allocateHost(this.out, BigInt(bytes), 0), `${bytes} bytes`);
    return this.out[0]!;
  }

  freeHost(address: Handle): void {
    this.#check("freeHost", this.#c.freeHost(address));
  }

  createStream(): Handle {
    this.#check("createStream", this.#c.createStream(this.out, STREAM_NON_BLOCKING));
    return this.out[0]!;
  }

  destroyStream(stream: Handle): void {
    this.#check("destroyStream", this.#c.destroyStream(stream));
  }

  synchronizeStream(stream: Handle): void {
    this.#check("synchronizeStream", this.#c.synchronizeStream(stream));
  }

  waitEvent(stream: Handle, event: Handle): void {
    this.#check("waitEvent", this.#c.waitEvent(stream, event, 0));
  }

  createEvent(): Handle {
    this.#check("createEvent", this.#c.createEvent(this.out, 0));
    return this.out[0]!;
  }

  destroyEvent(event: Handle): void {
    this.#check("destroyEvent", this.#c.destroyEvent(event));
  }

  recordEvent(event: Handle, stream: Handle): void {
    this.#check("recordEvent", this.#c.recordEvent(event, stream));
  }

  synchronizeEvent(event: Handle): void {
    this.#check("synchronizeEvent", this.#c.synchronizeEvent(event));
  }

  eventDone(event: Handle): boolean {
    const code = this.#c.queryEvent(event);
    if (code === NOT_READY) return false;
    this.#check("queryEvent", code);
    return true;
  }

  elapsedMilliseconds(start: Handle, end: Handle): number {
    this.#check("elapsedTime", this.#c.elapsedTime(this.out, start, end));
    return this.#outFloat[0]!;
  }

  unloadModule(module: Handle): void {
    this.#check("unloadModule", this.#c.unloadModule(module));
  }

  function(module: Handle, entry: string): Handle {
    const name = new TextEncoder().encode(entry + "\0");
    this.#check("function", this.#c.function(this.out, module, name), entry);
    return this.out[0]!;
  }

  launch(
    kernel: Handle,
    name: string,
    { grid: [x, y, z], threads, sharedBytes }: LaunchShape,
    stream: Handle,
    parameters: BigUint64Array<ArrayBuffer>,
  ): void {
    const code = this.#c.launch(kernel, x, y, z, threads, 1, 1, sharedBytes, stream, parameters, 0n);
    if (code !== 0) this.#check("launch", code, launchText(name, [x, y, z], threads));
  }

  beginCapture(stream: Handle): void {
    this.#check("beginCapture", this.#c.beginCapture(stream, CAPTURE_MODE_THREAD_LOCAL));
  }

  endCapture(stream: Handle): Handle {
    this.out[0] = 0n;
    this.#check("endCapture", this.#c.endCapture(stream, this.out));
    return this.out[0]!;
  }

  launchGraph(executable: Handle, stream: Handle): void {
    this.#check("launchGraph", this.#c.launchGraph(executable, stream));
  }

  destroyGraph(graph: Handle): void {
    this.#check("destroyGraph", this.#c.destroyGraph(graph));
  }

  destroyExecutable(executable: Handle): void {
    this.#check("destroyExecutable", this.#c.destroyExecutable(executable));
  }
}
