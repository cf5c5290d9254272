/**
 * HIP (AMD) through libamdhip64, from ROCm 5.2 to 7.
 *
 * Only calls whose C signatures and enumeration values are the same in all of these versions are used.
 * `hipDeviceProp_t` is not one of them (it changed its layout with ROCm 6, and its entry point its name), so numbers
 * come from `hipDeviceGetAttribute`, and the one thing that only the structure holds, the architecture's name, is found
 * in it by its form (see {@linkcode findArchitecture}).
 */
import { FailureError } from "../src/errors.ts";
import type { Driver, Handle } from "./driver.ts";
import { HipError } from "./errors.ts";
import { environment, openLibrary } from "./library.ts";
import { HIP_SYMBOLS } from "./hip_symbols.ts";
import { Runtime } from "./owners.ts";
import type { DeviceProperties, GpuRuntime, MemoryInfo } from "./runtime.ts";

/** hipDeviceAttribute_t: the same values in the headers of ROCm 5.2, 6.2 and 7. */
const ATTRIBUTE = { multiprocessorCount: 63, maxSharedMemoryPerBlock: 74, warpSize: 87 } as const;
/** hipMemcpyKind */
const HOST_TO_DEVICE = 1, DEVICE_TO_HOST = 2, DEVICE_TO_DEVICE = 3;
const HIP_STREAM_NON_BLOCKING = 1;
/** Other threads (ranks) may go on allocating while one records. */
const CAPTURE_MODE_THREAD_LOCAL = 1;
const HIP_ERROR_NOT_READY = 600;
/** Both layouts of hipDeviceProp_t are shorter (at most 1,480 bytes in ROCm 7). */
const PROPERTIES_BYTES = 16_384;

/**
 * Where libamdhip64 is looked for. A bare name that was asked for is the loader's to find, or a file in the working
 * directory.
 */
export function hipCandidates(explicit?: string): readonly string[] {
  if (explicit !== undefined) return explicit.includes("/") ? [explicit] : [explicit, `./${explicit}`];
  const roots = [...new Set(["ROCM_PATH", "HIP_PATH"].map(environment).filter((root) => root !== undefined))];
  return [
    ...roots.map((root) => `${root}/lib/libamdhip64.so`),
    ...["", ".7", ".6", ".5"].map((version) => `libamdhip64.so${version}`),
    "/opt/rocm/lib/libamdhip64.so",
  ];
}

/**
 * Opens libamdhip64 and starts it.
 *
 * @param explicit The library of `--hip-library`; nothing else is tried then.
 * @throws {GpuLibraryError} where it is missing, not permitted or too old.
 * @throws {HipError} where it finds no usable device.
 */
export function openHip(explicit?: string): GpuRuntime {
  const { library, path } = openLibrary({
    title: "libamdhip64 (HIP)",
    candidates: hipCandidates(explicit),
    symbols: HIP_SYMBOLS,
    advice: "install ROCm, or name the library with --hip-library or ROCM_PATH",
    needs: "ROCm 5.2 or newer",
  });
  try {
    return new Runtime(new HipDriver(library, path));
  } catch (thrown) {
    library.close();
    throw thrown;
  }
}

/**
 * The architecture in a `hipDeviceProp_t` of any layout: the last NUL-terminated text of the form
 * "gfx942:sramecc+:xnack-". The device's own name comes first and may have the same form.
 *
 * @throws {FailureError} if there is none.
 */
export function findArchitecture(properties: Uint8Array): { arch: string; features: string } {
  const text = new TextDecoder("latin1").decode(properties);
  const found = [...text.matchAll(/(?<![0-9A-Za-z_])(gfx[0-9a-f]{3,5}(?:-[a-z0-9-]+)?)((?::[a-z]+[+-])*)\0/g)].at(-1);
  if (!found) throw new FailureError("HIP names no gfx architecture for this device: update ROCm");
  return { arch: found[1]!, features: found[2]! };
}

class HipDriver implements Driver {
  readonly kind = "hip";
  readonly #library: Deno.DynamicLibrary<typeof HIP_SYMBOLS>;
  readonly #c: Deno.DynamicLibrary<typeof HIP_SYMBOLS>["symbols"];
  /** Receives one handle, pointer or size. */
  readonly #out = new BigUint64Array(new ArrayBuffer(16));
  readonly #outInt = new Int32Array(this.#out.buffer);
  readonly #outFloat = new Float32Array(this.#out.buffer);

  constructor(library: Deno.DynamicLibrary<typeof HIP_SYMBOLS>, readonly path: string) {
    this.#library = library;
    this.#c = library.symbols;
    this.#unwrap("hipInit", this.#c.hipInit(0));
  }

  /** Every return code passes here. */
  #unwrap(call: keyof typeof HIP_SYMBOLS, code: number, detail = ""): void {
    if (code === 0) return;
    const name = this.#c.hipGetErrorName(code);
    throw new HipError(call, code, name === null ? "unknown" : Deno.UnsafePointerView.getCString(name), detail);
  }

  version(): string {
    this.#unwrap("hipRuntimeGetVersion", this.#c.hipRuntimeGetVersion(this.#out));
    const version = this.#outInt[0]!;
    return `${Math.floor(version / 1e7)}.${Math.floor(version / 1e5) % 100}.${version % 1e5}`;
  }

  deviceCount(): number {
    this.#unwrap("hipGetDeviceCount", this.#c.hipGetDeviceCount(this.#out));
    return this.#outInt[0]!;
  }

  properties(device: number): DeviceProperties {
    const c = this.#c;
    const name = new Uint8Array(new ArrayBuffer(256));
    this.#unwrap("hipDeviceGetName", c.hipDeviceGetName(name, name.length, device));
    this.#unwrap("hipDeviceTotalMem", c.hipDeviceTotalMem(this.#out, device));
    const totalBytes = Number(this.#out[0]);
    const structure = new Uint8Array(new ArrayBuffer(PROPERTIES_BYTES));
    if (c.hipGetDevicePropertiesR0600) {
      this.#unwrap("hipGetDevicePropertiesR0600", c.hipGetDevicePropertiesR0600(structure, device));
    } else if (c.hipGetDeviceProperties) {
      this.#unwrap("hipGetDeviceProperties", c.hipGetDeviceProperties(structure, device));
    }
    return {
      index: device,
      name: new TextDecoder().decode(name.subarray(0, name.indexOf(0))),
      ...findArchitecture(structure),
      totalBytes,
      multiprocessors: this.#attribute(ATTRIBUTE.multiprocessorCount, device),
      waveSize: this.#attribute(ATTRIBUTE.warpSize, device),
      sharedBytesPerBlock: this.#attribute(ATTRIBUTE.maxSharedMemoryPerBlock, device),
    };
  }

  #attribute(attribute: number, device: number): number {
    const code = this.#c.hipDeviceGetAttribute(this.#out, attribute, device);
    this.#unwrap("hipDeviceGetAttribute", code, `attribute ${attribute}`);
    return this.#outInt[0]!;
  }

  retain(device: number): Handle {
    this.#unwrap("hipSetDevice", this.#c.hipSetDevice(device), `device ${device}`);
    return 0n;
  }

  release(_device: number): void {
    // HIP has no context to give back.
  }

  memory(): MemoryInfo {
    const total = this.#out.subarray(1);
    this.#unwrap("hipMemGetInfo", this.#c.hipMemGetInfo(this.#out, total));
    return { freeBytes: Number(this.#out[0]), totalBytes: Number(total[0]) };
  }

  synchronize(): void {
    this.#unwrap("hipDeviceSynchronize", this.#c.hipDeviceSynchronize());
  }

  allocate(bytes: number): Handle {
    this.#unwrap("hipMalloc", this.#c.hipMalloc(this.#out, BigInt(bytes)), `${bytes} bytes`);
    return this.#out[0]!;
  }

  free(address: Handle): void {
    this.#unwrap("hipFree", this.#c.hipFree(address));
  }

  allocateHost(bytes: number): Handle {
    this.#unwrap("hipHostMalloc", this.#c.hipHostMalloc(this.#out, BigInt(bytes), 0), `${bytes} bytes`);
    return this.#out[0]!;
  }

  freeHost(address: Handle): void {
    this.#unwrap("hipHostFree", this.#c.hipHostFree(address));
  }

  copyToDevice(target: Handle, source: Handle, bytes: number, stream: Handle): void {
    this.#copy(target, source, bytes, HOST_TO_DEVICE, stream);
  }

  copyToHost(target: Handle, source: Handle, bytes: number, stream: Handle): void {
    this.#copy(target, source, bytes, DEVICE_TO_HOST, stream);
  }

  copyOnDevice(target: Handle, source: Handle, bytes: number, stream: Handle): void {
    this.#copy(target, source, bytes, DEVICE_TO_DEVICE, stream);
  }

  #copy(target: Handle, source: Handle, bytes: number, kind: number, stream: Handle): void {
    const code = this.#c.hipMemcpyAsync(target, source, BigInt(bytes), kind, stream);
    this.#unwrap("hipMemcpyAsync", code, `${bytes} bytes`);
  }

  fill(target: Handle, byte: number, bytes: number, stream: Handle): void {
    this.#unwrap("hipMemsetAsync", this.#c.hipMemsetAsync(target, byte, BigInt(bytes), stream), `${bytes} bytes`);
  }

  createStream(): Handle {
    const code = this.#c.hipStreamCreateWithFlags(this.#out, HIP_STREAM_NON_BLOCKING);
    this.#unwrap("hipStreamCreateWithFlags", code);
    return this.#out[0]!;
  }

  destroyStream(stream: Handle): void {
    this.#unwrap("hipStreamDestroy", this.#c.hipStreamDestroy(stream));
  }

  synchronizeStream(stream: Handle): void {
    this.#unwrap("hipStreamSynchronize", this.#c.hipStreamSynchronize(stream));
  }

  waitEvent(stream: Handle, event: Handle): void {
    this.#unwrap("hipStreamWaitEvent", this.#c.hipStreamWaitEvent(stream, event, 0));
  }

  createEvent(): Handle {
    this.#unwrap("hipEventCreateWithFlags", this.#c.hipEventCreateWithFlags(this.#out, 0));
    return this.#out[0]!;
  }

  destroyEvent(event: Handle): void {
    this.#unwrap("hipEventDestroy", this.#c.hipEventDestroy(event));
  }

  recordEvent(event: Handle, stream: Handle): void {
    this.#unwrap("hipEventRecord", this.#c.hipEventRecord(event, stream));
  }

  synchronizeEvent(event: Handle): void {
    this.#unwrap("hipEventSynchronize", this.#c.hipEventSynchronize(event));
  }

  eventDone(event: Handle): boolean {
    const code = this.#c.hipEventQuery(event);
    if (code === HIP_ERROR_NOT_READY) return false;
    this.#unwrap("hipEventQuery", code);
    return true;
  }

  elapsedMilliseconds(start: Handle, end: Handle): number {
    this.#unwrap("hipEventElapsedTime", this.#c.hipEventElapsedTime(this.#out, start, end));
    return this.#outFloat[0]!;
  }

  loadModule(image: Uint8Array<ArrayBuffer>, name: string): Handle {
    this.#unwrap("hipModuleLoadData", this.#c.hipModuleLoadData(this.#out, image), name);
    return this.#out[0]!;
  }

  unloadModule(module: Handle): void {
    this.#unwrap("hipModuleUnload", this.#c.hipModuleUnload(module));
  }

  function(module: Handle, entry: string): Handle {
    const name = new TextEncoder().encode(entry + "\0");
    this.#unwrap("hipModuleGetFunction", this.#c.hipModuleGetFunction(this.#out, module, name), entry);
    return this.#out[0]!;
  }

  allowSharedBytes(_kernel: Handle, _bytes: number): void {
    // Local memory needs no permission in HIP; a launch with too much of it fails.
  }

  launch(
    kernel: Handle,
    name: string,
    [x, y, z]: readonly [number, number, number],
    threads: number,
    sharedBytes: number,
    stream: Handle,
    parameters: BigUint64Array<ArrayBuffer>,
  ): void {
    const code = this.#c.hipModuleLaunchKernel(kernel, x, y, z, threads, 1, 1, sharedBytes, stream, parameters, 0n);
    if (code !== 0) this.#unwrap("hipModuleLaunchKernel", code, `${name}, grid ${x}x${y}x${z}, ${threads} threads`);
  }

  beginCapture(stream: Handle): void {
    this.#unwrap("hipStreamBeginCapture", this.#c.hipStreamBeginCapture(stream, CAPTURE_MODE_THREAD_LOCAL));
  }

  endCapture(stream: Handle): Handle {
    this.#out[0] = 0n;
    this.#unwrap("hipStreamEndCapture", this.#c.hipStreamEndCapture(stream, this.#out));
    return this.#out[0]!;
  }

  instantiate(graph: Handle): Handle {
    this.#unwrap("hipGraphInstantiate", this.#c.hipGraphInstantiate(this.#out, graph, 0n, 0n, 0n));
    return this.#out[0]!;
  }

  launchGraph(executable: Handle, stream: Handle): void {
    this.#unwrap("hipGraphLaunch", this.#c.hipGraphLaunch(executable, stream));
  }

  destroyGraph(graph: Handle): void {
    this.#unwrap("hipGraphDestroy", this.#c.hipGraphDestroy(graph));
  }

  destroyExecutable(executable: Handle): void {
    this.#unwrap("hipGraphExecDestroy", this.#c.hipGraphExecDestroy(executable));
  }

  close(): void {
    this.#library.close();
  }
}
