/**
 * HIP (AMD) through libamdhip64, from ROCm 5.2 to 7.
 *
 * Only calls whose C signatures and enumeration values are the same in all of these versions are used.
 * `hipDeviceProp_t` is not one of them (it changed its layout with ROCm 6, and its entry point its name), so numbers
 * come from `hipDeviceGetAttribute`, and the one thing that only the structure holds, the architecture's name, is found
 * in it by its form (see {@linkcode findArchitecture}).
 */
import { FailureError } from "../src/errors.ts";
import type { Handle } from "./driver.ts";
import { HipError } from "./errors.ts";
import { environment, openLibrary } from "./library.ts";
import { HIP_NAMES, HIP_SYMBOLS } from "./hip_symbols.ts";
import { type Attributes, LibraryDriver } from "./library_driver.ts";
import { Runtime } from "./device.ts";
import type { DeviceProperties, GpuRuntime } from "./runtime.ts";
import { option, words } from "../src/words.ts";

/** hipDeviceAttribute_t: the same values in the headers of ROCm 5.2, 6.2 and 7. */
const ATTRIBUTES: Attributes = { multiprocessorCount: 63, sharedBytesPerBlock: 74, warpSize: 87 };
/** hipMemcpyKind */
const HOST_TO_DEVICE = 1, DEVICE_TO_HOST = 2, DEVICE_TO_DEVICE = 3;
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
    advice: words`install ROCm, or name the library with ${option("hipLibrary")} or ROCM_PATH`,
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

class HipDriver extends LibraryDriver {
  readonly kind = "hip";
  protected readonly attributes = ATTRIBUTES;
  readonly #c: Deno.DynamicLibrary<typeof HIP_SYMBOLS>["symbols"];

  constructor(library: Deno.DynamicLibrary<typeof HIP_SYMBOLS>, path: string) {
    super(library.symbols, HIP_NAMES, path, () => library.close());
    this.#c = library.symbols;
    this.init();
  }

  protected override error(call: string, code: number, detail: string): HipError {
    const name = this.#c.hipGetErrorName(code);
    return new HipError(call, code, name === null ? "unknown" : Deno.UnsafePointerView.getCString(name), detail);
  }

  protected override versionText(version: number): string {
    return `${Math.floor(version / 1e7)}.${Math.floor(version / 1e5) % 100}.${version % 1e5}`;
  }

  protected override device(ordinal: number): number {
    return ordinal;
  }

  protected override architecture(device: number): Pick<DeviceProperties, "arch" | "features"> {
    const c = this.#c, structure = new Uint8Array(new ArrayBuffer(PROPERTIES_BYTES));
    if (c.hipGetDevicePropertiesR0600) {
      this.unwrap("hipGetDevicePropertiesR0600", c.hipGetDevicePropertiesR0600(structure, device));
    } else if (c.hipGetDeviceProperties) {
      this.unwrap("hipGetDeviceProperties", c.hipGetDeviceProperties(structure, device));
    }
    return findArchitecture(structure);
  }

  override retain(device: number): Handle {
    this.unwrap("hipSetDevice", this.#c.hipSetDevice(device), `device ${device}`);
    return 0n;
  }

  override release(_device: number): void {
    // HIP has no context to give back.
  }

  override copyToDevice(target: Handle, source: Handle, bytes: number, stream: Handle): void {
    this.#copy(target, source, bytes, HOST_TO_DEVICE, stream);
  }

  override copyToHost(target: Handle, source: Handle, bytes: number, stream: Handle): void {
    this.#copy(target, source, bytes, DEVICE_TO_HOST, stream);
  }

  override copyOnDevice(target: Handle, source: Handle, bytes: number, stream: Handle): void {
    this.#copy(target, source, bytes, DEVICE_TO_DEVICE, stream);
  }

  #copy(target: Handle, source: Handle, bytes: number, kind: number, stream: Handle): void {
    const code = this.#c.hipMemcpyAsync(target, source, BigInt(bytes), kind, stream);
    this.unwrap("hipMemcpyAsync", code, `${bytes} bytes`);
  }

  override fill(target: Handle, byte: number, bytes: number, stream: Handle): void {
    this.unwrap("hipMemsetAsync", this.#c.hipMemsetAsync(target, byte, BigInt(bytes), stream), `${bytes} bytes`);
  }

  override loadModule(image: Uint8Array<ArrayBuffer>, name: string): Handle {
    this.unwrap("hipModuleLoadData", this.#c.hipModuleLoadData(this.out, image), name);
    return this.out[0]!;
  }

  override allowSharedBytes(_kernel: Handle, _bytes: number): void {
    // Local memory needs no permission in HIP; a launch with too much of it fails.
  }

  override preferSharedPercent(_kernel: Handle, _percent: number): void {
    // Local memory and L1 are apart.
  }

  override instantiate(graph: Handle): Handle {
    this.unwrap("hipGraphInstantiate", this.#c.hipGraphInstantiate(this.out, graph, 0n, 0n, 0n));
    return this.out[0]!;
  }
}
