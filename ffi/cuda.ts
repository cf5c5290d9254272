/**
 * CUDA (NVIDIA) through the driver API in libcuda.so.1, which comes with the driver; no toolkit is needed. CUDA 11.4 or
 * newer.
 *
 * The functions that changed carry the suffix `_v2` that `cuda.h` hides behind macros. The names without it take 32-bit
 * sizes.
 */
import type { Handle } from "./driver.ts";
import { CudaError } from "./errors.ts";
import { openLibrary } from "./library.ts";
import { CUDA_NAMES, CUDA_SYMBOLS } from "./cuda_symbols.ts";
import { type Attributes, launchText, LibraryDriver } from "./library_driver.ts";
import { Runtime } from "./device.ts";
import type { DeviceProperties, GpuRuntime, LaunchShape } from "./runtime.ts";

/** CUdevice_attribute */
const ATTRIBUTE = {
  computeCapabilityMajor: 75,
  computeCapabilityMinor: 76,
} as const;
const ATTRIBUTES: Attributes = { warpSize: 10, multiprocessorCount: 16, sharedBytesPerBlock: 97 };
const CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8, CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT = 9;
/** CUjit_option: where the compiler of PTX writes what it does not like. */
const CU_JIT_ERROR_LOG_BUFFER = 5, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES = 6;
const JIT_LOG_BYTES = 4096;
/** CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED */
const PEER_ACCESS_ALREADY_ENABLED = 704;
/** CUdevice_P2PAttribute: devices that are joined by NVLink have it, others do not. */
const CU_DEVICE_P2P_ATTRIBUTE_NATIVE_ATOMIC_SUPPORTED = 3;
/** Bytes of a CUipcMemHandle, and the only flag that it is opened with. */
const IPC_HANDLE_BYTES = 64, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS = 1;
/** CUlaunchAttributeID */
const CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION = 4, CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION = 6;
/** Sizes of CUlaunchConfig and CUlaunchAttribute in bytes, and places in the former. */
const LAUNCH_CONFIG = { bytes: 56, stream: 32, attributes: 40, count: 48 } as const, LAUNCH_ATTRIBUTE_BYTES = 72;

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

class CudaDriver extends LibraryDriver {
  readonly kind = "cuda";
  /** The last is what a block may have where it asks for it. */
  protected readonly attributes = ATTRIBUTES;
  readonly #c: Deno.DynamicLibrary<typeof CUDA_SYMBOLS>["symbols"];
  /** A CUlaunchConfig with the attributes that let launches overlap and make clusters. */
  readonly #config = new DataView(new ArrayBuffer(LAUNCH_CONFIG.bytes));
  readonly #attributes = new Int32Array(new ArrayBuffer(2 * LAUNCH_ATTRIBUTE_BYTES));
  /** CUdevice by ordinal. */
  readonly #devices = new Map<number, number>();

  constructor(library: Deno.DynamicLibrary<typeof CUDA_SYMBOLS>, path: string) {
    super(library.symbols, CUDA_NAMES, path, () => library.close());
    this.#c = library.symbols;
    const attributes = BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(this.#attributes)));
    this.#config.setBigUint64(LAUNCH_CONFIG.attributes, attributes, true);
    this.init();
  }

  protected override error(call: string, code: number, detail: string): CudaError {
    return new CudaError(call, code, this.#errorName(code), detail);
  }

  #errorName(code: number): string {
    const out = new BigUint64Array(new ArrayBuffer(8));
    if (this.#c.cuGetErrorName(code, out) !== 0 || out[0] === 0n) return "unknown";
    return Deno.UnsafePointerView.getCString(Deno.UnsafePointer.create(out[0]!)!);
  }

  protected override versionText(version: number): string {
    return `${Math.floor(version / 1000)}.${Math.floor(version % 1000 / 10)}`;
  }

  protected override device(ordinal: number): number {
    const known = this.#devices.get(ordinal);
    if (known !== undefined) return known;
    this.unwrap("cuDeviceGet", this.#c.cuDeviceGet(this.out, ordinal), `device ${ordinal}`);
    this.#devices.set(ordinal, this.outInt[0]!);
    return this.outInt[0]!;
  }

  protected override architecture(device: number): Pick<DeviceProperties, "arch" | "features"> {
    const major = this.attribute(ATTRIBUTE.computeCapabilityMajor, device);
    const minor = this.attribute(ATTRIBUTE.computeCapabilityMinor, device);
    return { arch: `sm_${major}${minor}`, features: "" };
  }

  override retain(device: number): Handle {
    const handle = this.device(device);
    this.unwrap("cuDevicePrimaryCtxRetain", this.#c.cuDevicePrimaryCtxRetain(this.out, handle), `device ${device}`);
    const context = this.out[0]!;
    try {
      this.unwrap("cuCtxSetCurrent", this.#c.cuCtxSetCurrent(context));
    } catch (thrown) {
      // What this returns would hide the first error.
      this.#c.cuDevicePrimaryCtxRelease_v2(handle);
      throw thrown;
    }
    return context;
  }

  override release(device: number): void {
    const code = this.#c.cuDevicePrimaryCtxRelease_v2(this.device(device));
    this.unwrap("cuDevicePrimaryCtxRelease_v2", code);
  }

  override reaches(device: number, other: number): boolean {
    const [own, theirs] = [this.device(device), this.device(other)];
    this.unwrap("cuDeviceCanAccessPeer", this.#c.cuDeviceCanAccessPeer(this.out, own, theirs));
    return this.outInt[0] !== 0;
  }

  override identity(device: number): string {
    const uuid = new Uint8Array(new ArrayBuffer(16));
    this.unwrap("cuDeviceGetUuid_v2", this.#c.cuDeviceGetUuid_v2(uuid, this.device(device)), `device ${device}`);
    return uuid.toHex();
  }

  override exportMemory(address: Handle): Uint8Array<ArrayBuffer> {
    const exported = new Uint8Array(new ArrayBuffer(IPC_HANDLE_BYTES));
    this.unwrap("cuIpcGetMemHandle", this.#c.cuIpcGetMemHandle(exported, address));
    return exported;
  }

  override importMemory(exported: Uint8Array<ArrayBuffer>): Handle {
    const code = this.#c.cuIpcOpenMemHandle_v2(this.out, exported, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS);
    this.unwrap("cuIpcOpenMemHandle_v2", code);
    return this.out[0]!;
  }

  override closeImported(address: Handle): void {
    this.unwrap("cuIpcCloseMemHandle", this.#c.cuIpcCloseMemHandle(address));
  }

  override reach(device: number, other: number): boolean {
    if (!this.reaches(device, other)) return false;
    const theirs = this.device(other);
    this.unwrap("cuDevicePrimaryCtxRetain", this.#c.cuDevicePrimaryCtxRetain(this.out, theirs), `device ${other}`);
    try {
      const code = this.#c.cuCtxEnablePeerAccess(this.out[0]!, 0);
      if (code !== PEER_ACCESS_ALREADY_ENABLED) this.unwrap("cuCtxEnablePeerAccess", code, `device ${other}`);
    } finally {
      // Whoever shares its memory keeps it.
      this.#c.cuDevicePrimaryCtxRelease_v2(theirs);
    }
    return true;
  }

  override joined(device: number, other: number): boolean {
    const attribute = CU_DEVICE_P2P_ATTRIBUTE_NATIVE_ATOMIC_SUPPORTED;
    const code = this.#c.cuDeviceGetP2PAttribute(this.out, attribute, this.device(device), this.device(other));
    this.unwrap("cuDeviceGetP2PAttribute", code);
    return this.outInt[0] !== 0;
  }

  override copyToDevice(target: Handle, source: Handle, bytes: number, stream: Handle): void {
    const code = this.#c.cuMemcpyHtoDAsync_v2(target, source, BigInt(bytes), stream);
    this.unwrap("cuMemcpyHtoDAsync_v2", code, `${bytes} bytes`);
  }

  override copyToHost(target: Handle, source: Handle, bytes: number, stream: Handle): void {
    const code = this.#c.cuMemcpyDtoHAsync_v2(target, source, BigInt(bytes), stream);
    this.unwrap("cuMemcpyDtoHAsync_v2", code, `${bytes} bytes`);
  }

  override copyOnDevice(target: Handle, source: Handle, bytes: number, stream: Handle): void {
    const code = this.#c.cuMemcpyDtoDAsync_v2(target, source, BigInt(bytes), stream);
    this.unwrap("cuMemcpyDtoDAsync_v2", code, `${bytes} bytes`);
  }

  override fill(target: Handle, byte: number, bytes: number, stream: Handle): void {
    this.unwrap("cuMemsetD8Async", this.#c.cuMemsetD8Async(target, byte, BigInt(bytes), stream), `${bytes} bytes`);
  }

  override loadModule(image: Uint8Array<ArrayBuffer>, name: string): Handle {
    // PTX is text that must end with a NUL; a cubin does not mind one.
    const terminated = new Uint8Array(image.length + 1);
    terminated.set(image);
    const log = new Uint8Array(new ArrayBuffer(JIT_LOG_BYTES));
    const options = new Int32Array([CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES]);
    const values = new BigUint64Array([
      BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(log))),
      BigInt(log.length),
    ]);
    const code = this.#c.cuModuleLoadDataEx(this.out, terminated, options.length, options, values);
    const complaint = new TextDecoder().decode(log.subarray(0, log.indexOf(0))).trim().split("\n")[0]!;
    this.unwrap("cuModuleLoadDataEx", code, complaint ? `${name}: ${complaint}` : name);
    return this.out[0]!;
  }

  override allowSharedBytes(kernel: Handle, bytes: number): void {
    const attribute = CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
    this.unwrap("cuFuncSetAttribute", this.#c.cuFuncSetAttribute(kernel, attribute, bytes), `${bytes} bytes`);
  }

  override preferSharedPercent(kernel: Handle, percent: number): void {
    const code = this.#c.cuFuncSetAttribute(kernel, CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, percent);
    this.unwrap("cuFuncSetAttribute", code, `${percent} %`);
  }

  override launch(
    kernel: Handle,
    name: string,
    shape: LaunchShape,
    stream: Handle,
    parameters: BigUint64Array<ArrayBuffer>,
  ): void {
    const { grid, threads, sharedBytes, overlaps = false, cluster = false } = shape, { cuLaunchKernelEx } = this.#c;
    // Where launches cannot be told so there are no clusters either.
    if (!overlaps && !cluster || cuLaunchKernelEx === null) {
      return super.launch(kernel, name, shape, stream, parameters);
    }
    [...grid, threads, 1, 1, sharedBytes].forEach((value, i) => this.#config.setUint32(4 * i, value, true));
    this.#config.setBigUint64(LAUNCH_CONFIG.stream, stream, true);
    // The value of an attribute lies 8 bytes from its start.
    const attributes = [
      ...(overlaps ? [[CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION, 0, 1]] : []),
      ...(cluster ? [[CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION, 0, grid[0], 1, 1]] : []),
    ];
    attributes.forEach((words, i) => this.#attributes.set(words, i * LAUNCH_ATTRIBUTE_BYTES / 4));
    this.#config.setUint32(LAUNCH_CONFIG.count, attributes.length, true);
    const code = cuLaunchKernelEx(new Uint8Array(this.#config.buffer), kernel, parameters, 0n);
    if (code !== 0) this.unwrap("cuLaunchKernelEx", code, launchText(name, grid, threads));
  }

  override instantiate(graph: Handle): Handle {
    this.unwrap("cuGraphInstantiateWithFlags", this.#c.cuGraphInstantiateWithFlags(this.out, graph, 0n));
    return this.out[0]!;
  }
}
