/**
 * CUDA (NVIDIA) through the driver API in libcuda.so.1, which comes with the driver; no toolkit is needed. CUDA 11.4 or
 * newer.
 *
 * The functions that changed carry the suffix `_v2` that `cuda.h` hides behind macros. The names without it take 32-bit
 * sizes.
 */
import type { Driver, Handle } from "./driver.ts";
import { CudaError } from "./errors.ts";
import { openLibrary } from "./library.ts";
import { CUDA_SYMBOLS } from "./cuda_symbols.ts";
import { Runtime } from "./owners.ts";
import type { DeviceProperties, GpuRuntime, MemoryInfo } from "./runtime.ts";

/** CUdevice_attribute */
const ATTRIBUTE = {
  warpSize: 10,
  multiprocessorCount: 16,
  computeCapabilityMajor: 75,
  computeCapabilityMinor: 76,
  maxSharedMemoryPerBlockOptin: 97,
} as const;
const CU_STREAM_NON_BLOCKING = 1;
/** Other threads (ranks) may go on allocating while one records. */
const CAPTURE_MODE_THREAD_LOCAL = 1;
const CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8;
const CUDA_ERROR_NOT_READY = 600;
/** CUjit_option: where the compiler of PTX writes what it does not like. */
const CU_JIT_ERROR_LOG_BUFFER = 5, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES = 6;
const JIT_LOG_BYTES = 4096;

/** Where libcuda is looked for; its soname has been the same since CUDA 1. */
export function cudaCandidates(explicit?: string): readonly string[] {
  if (explicit !== undefined) return [explicit];
  // The second is where Windows puts it for WSL.
  return ["libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1"];
}

/**
 * Opens libcuda and starts it.
 *
 * @param explicit Path to use instead of the usual places.
 * @throws {GpuLibraryError} where it is missing, not permitted or too old.
 * @throws {CudaError} where it finds no usable device.
 */
export function openCuda(explicit?: string): GpuRuntime {
  const { library, path } = openLibrary({
    title: "libcuda (CUDA)",
    candidates: cudaCandidates(explicit),
    symbols: CUDA_SYMBOLS,
    advice: "install the NVIDIA driver",
    needs: "a driver for CUDA 11.4 or newer",
  });
  try {
    return new Runtime(new CudaDriver(library, path));
  } catch (thrown) {
    library.close();
    throw thrown;
  }
}

class CudaDriver implements Driver {
  readonly kind = "cuda";
  readonly #library: Deno.DynamicLibrary<typeof CUDA_SYMBOLS>;
  readonly #c: Deno.DynamicLibrary<typeof CUDA_SYMBOLS>["symbols"];
  /** Receives one handle, pointer or size. */
  readonly #out = new BigUint64Array(new ArrayBuffer(16));
  readonly #outInt = new Int32Array(this.#out.buffer);
  readonly #outFloat = new Float32Array(this.#out.buffer);

  /** CUdevice by ordinal. */
  readonly #handles = new Map<number, number>();

  constructor(library: Deno.DynamicLibrary<typeof CUDA_SYMBOLS>, readonly path: string) {
    this.#library = library;
    this.#c = library.symbols;
    this.#unwrap("cuInit", this.#c.cuInit(0));
  }

  /** Every return code passes here. */
  #unwrap(call: keyof typeof CUDA_SYMBOLS, code: number, detail = ""): void {
    if (code !== 0) throw new CudaError(call, code, this.#errorName(code), detail);
  }

  #errorName(code: number): string {
    const out = new BigUint64Array(new ArrayBuffer(8));
    if (this.#c.cuGetErrorName(code, out) !== 0 || out[0] === 0n) return "unknown";
    return Deno.UnsafePointerView.getCString(Deno.UnsafePointer.create(out[0]!)!);
  }

  version(): string {
    this.#unwrap("cuDriverGetVersion", this.#c.cuDriverGetVersion(this.#out));
    const version = this.#outInt[0]!;
    return `${Math.floor(version / 1000)}.${Math.floor(version % 1000 / 10)}`;
  }

  deviceCount(): number {
    this.#unwrap("cuDeviceGetCount", this.#c.cuDeviceGetCount(this.#out));
    return this.#outInt[0]!;
  }

  properties(device: number): DeviceProperties {
    const handle = this.#device(device);
    const name = new Uint8Array(new ArrayBuffer(256));
    this.#unwrap("cuDeviceGetName", this.#c.cuDeviceGetName(name, name.length, handle));
    this.#unwrap("cuDeviceTotalMem_v2", this.#c.cuDeviceTotalMem_v2(this.#out, handle));
    const totalBytes = Number(this.#out[0]);
    const major = this.#attribute(ATTRIBUTE.computeCapabilityMajor, handle);
    const minor = this.#attribute(ATTRIBUTE.computeCapabilityMinor, handle);
    return {
      index: device,
      name: new TextDecoder().decode(name.subarray(0, name.indexOf(0))),
      arch: `sm_${major}${minor}`,
      features: "",
      totalBytes,
      multiprocessors: this.#attribute(ATTRIBUTE.multiprocessorCount, handle),
      waveSize: this.#attribute(ATTRIBUTE.warpSize, handle),
      sharedBytesPerBlock: this.#attribute(ATTRIBUTE.maxSharedMemoryPerBlockOptin, handle),
    };
  }

  #device(ordinal: number): number {
    const known = this.#handles.get(ordinal);
    if (known !== undefined) return known;
    this.#unwrap("cuDeviceGet", this.#c.cuDeviceGet(this.#out, ordinal), `device ${ordinal}`);
    this.#handles.set(ordinal, this.#outInt[0]!);
    return this.#outInt[0]!;
  }

  #attribute(attribute: number, device: number): number {
    const code = this.#c.cuDeviceGetAttribute(this.#out, attribute, device);
    this.#unwrap("cuDeviceGetAttribute", code, `attribute ${attribute}`);
    return this.#outInt[0]!;
  }

  retain(device: number): Handle {
    const handle = this.#device(device);
    this.#unwrap("cuDevicePrimaryCtxRetain", this.#c.cuDevicePrimaryCtxRetain(this.#out, handle), `device ${device}`);
    const context = this.#out[0]!;
    try {
      this.#unwrap("cuCtxSetCurrent", this.#c.cuCtxSetCurrent(context));
    } catch (thrown) {
      // What this returns would hide the first error.
      this.#c.cuDevicePrimaryCtxRelease_v2(handle);
      throw thrown;
    }
    return context;
  }

  release(device: number): void {
    const code = this.#c.cuDevicePrimaryCtxRelease_v2(this.#device(device));
    this.#unwrap("cuDevicePrimaryCtxRelease_v2", code);
  }

  memory(): MemoryInfo {
    const total = this.#out.subarray(1);
    this.#unwrap("cuMemGetInfo_v2", this.#c.cuMemGetInfo_v2(this.#out, total));
    return { freeBytes: Number(this.#out[0]), totalBytes: Number(total[0]) };
  }

  synchronize(): void {
    this.#unwrap("cuCtxSynchronize", this.#c.cuCtxSynchronize());
  }

  allocate(bytes: number): Handle {
    this.#unwrap("cuMemAlloc_v2", this.#c.cuMemAlloc_v2(this.#out, BigInt(bytes)), `${bytes} bytes`);
    return this.#out[0]!;
  }

  free(address: Handle): void {
    this.#unwrap("cuMemFree_v2", this.#c.cuMemFree_v2(address));
  }

  allocateHost(bytes: number): Handle {
    this.#unwrap("cuMemHostAlloc", this.#c.cuMemHostAlloc(this.#out, BigInt(bytes), 0), `${bytes} bytes`);
    return this.#out[0]!;
  }

  freeHost(address: Handle): void {
    this.#unwrap("cuMemFreeHost", this.#c.cuMemFreeHost(address));
  }

  copyToDevice(target: Handle, source: Handle, bytes: number, stream: Handle): void {
    const code = this.#c.cuMemcpyHtoDAsync_v2(target, source, BigInt(bytes), stream);
    this.#unwrap("cuMemcpyHtoDAsync_v2", code, `${bytes} bytes`);
  }

  copyToHost(target: Handle, source: Handle, bytes: number, stream: Handle): void {
    const code = this.#c.cuMemcpyDtoHAsync_v2(target, source, BigInt(bytes), stream);
    this.#unwrap("cuMemcpyDtoHAsync_v2", code, `${bytes} bytes`);
  }

  copyOnDevice(target: Handle, source: Handle, bytes: number, stream: Handle): void {
    const code = this.#c.cuMemcpyDtoDAsync_v2(target, source, BigInt(bytes), stream);
    this.#unwrap("cuMemcpyDtoDAsync_v2", code, `${bytes} bytes`);
  }

  fill(target: Handle, byte: number, bytes: number, stream: Handle): void {
    this.#unwrap("cuMemsetD8Async", this.#c.cuMemsetD8Async(target, byte, BigInt(bytes), stream), `${bytes} bytes`);
  }

  createStream(): Handle {
    this.#unwrap("cuStreamCreate", this.#c.cuStreamCreate(this.#out, CU_STREAM_NON_BLOCKING));
    return this.#out[0]!;
  }

  destroyStream(stream: Handle): void {
    this.#unwrap("cuStreamDestroy_v2", this.#c.cuStreamDestroy_v2(stream));
  }

  synchronizeStream(stream: Handle): void {
    this.#unwrap("cuStreamSynchronize", this.#c.cuStreamSynchronize(stream));
  }

  waitEvent(stream: Handle, event: Handle): void {
    this.#unwrap("cuStreamWaitEvent", this.#c.cuStreamWaitEvent(stream, event, 0));
  }

  createEvent(): Handle {
    this.#unwrap("cuEventCreate", this.#c.cuEventCreate(this.#out, 0));
    return this.#out[0]!;
  }

  destroyEvent(event: Handle): void {
    this.#unwrap("cuEventDestroy_v2", this.#c.cuEventDestroy_v2(event));
  }

  recordEvent(event: Handle, stream: Handle): void {
    this.#unwrap("cuEventRecord", this.#c.cuEventRecord(event, stream));
  }

  synchronizeEvent(event: Handle): void {
    this.#unwrap("cuEventSynchronize", this.#c.cuEventSynchronize(event));
  }

  eventDone(event: Handle): boolean {
    const code = this.#c.cuEventQuery(event);
    if (code === CUDA_ERROR_NOT_READY) return false;
    this.#unwrap("cuEventQuery", code);
    return true;
  }

  elapsedMilliseconds(start: Handle, end: Handle): number {
    this.#unwrap("cuEventElapsedTime", this.#c.cuEventElapsedTime(this.#out, start, end));
    return this.#outFloat[0]!;
  }

  loadModule(image: Uint8Array<ArrayBuffer>, name: string): Handle {
    // PTX is text that must end with a NUL; a cubin does not mind one.
    const terminated = new Uint8Array(image.length + 1);
    terminated.set(image);
    const log = new Uint8Array(new ArrayBuffer(JIT_LOG_BYTES));
    const options = new Int32Array([CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES]);
    const values = new BigUint64Array([
      BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(log))),
      BigInt(log.length),
    ]);
    const code = this.#c.cuModuleLoadDataEx(this.#out, terminated, options.length, options, values);
    const complaint = new TextDecoder().decode(log.subarray(0, log.indexOf(0))).trim().split("\n")[0]!;
    this.#unwrap("cuModuleLoadDataEx", code, complaint ? `${name}: ${complaint}` : name);
    return this.#out[0]!;
  }

  unloadModule(module: Handle): void {
    this.#unwrap("cuModuleUnload", this.#c.cuModuleUnload(module));
  }

  function(module: Handle, entry: string): Handle {
    const name = new TextEncoder().encode(entry + "\0");
    this.#unwrap("cuModuleGetFunction", this.#c.cuModuleGetFunction(this.#out, module, name), entry);
    return this.#out[0]!;
  }

  allowSharedBytes(kernel: Handle, bytes: number): void {
    const attribute = CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
    this.#unwrap("cuFuncSetAttribute", this.#c.cuFuncSetAttribute(kernel, attribute, bytes), `${bytes} bytes`);
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
    const code = this.#c.cuLaunchKernel(kernel, x, y, z, threads, 1, 1, sharedBytes, stream, parameters, 0n);
    if (code !== 0) this.#unwrap("cuLaunchKernel", code, `${name}, grid ${x}x${y}x${z}, ${threads} threads`);
  }

  beginCapture(stream: Handle): void {
    this.#unwrap("cuStreamBeginCapture_v2", this.#c.cuStreamBeginCapture_v2(stream, CAPTURE_MODE_THREAD_LOCAL));
  }

  endCapture(stream: Handle): Handle {
    this.#out[0] = 0n;
    this.#unwrap("cuStreamEndCapture", this.#c.cuStreamEndCapture(stream, this.#out));
    return this.#out[0]!;
  }

  instantiate(graph: Handle): Handle {
    this.#unwrap("cuGraphInstantiateWithFlags", this.#c.cuGraphInstantiateWithFlags(this.#out, graph, 0n));
    return this.#out[0]!;
  }

  launchGraph(executable: Handle, stream: Handle): void {
    this.#unwrap("cuGraphLaunch", this.#c.cuGraphLaunch(executable, stream));
  }

  destroyGraph(graph: Handle): void {
    this.#unwrap("cuGraphDestroy", this.#c.cuGraphDestroy(graph));
  }

  destroyExecutable(executable: Handle): void {
    this.#unwrap("cuGraphExecDestroy", this.#c.cuGraphExecDestroy(executable));
  }

  close(): void {
    this.#library.close();
  }
}
