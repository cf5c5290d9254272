/** What the GPU libraries find on this machine, and why not: for `mxoss devices`. */
import { bytesText, counted } from "../../amounts.ts";
import { openRuntime } from "../../../ffi/open.ts";
import { GpuLibraryError } from "../../../ffi/errors.ts";
import type { DeviceProperties, GpuKind, GpuRuntime } from "../../../ffi/runtime.ts";
import { FailureError, reason } from "../../errors.ts";
import { capabilityOf, type Choice, choices, type CompiledKernels } from "./capabilities.ts";
import { type Code, codeBeside, codeFor, codeText } from "./code.ts";
import { committedKernels, type KernelFiles, kernelsWith } from "./kernels.ts";
import { spelled, type Text } from "../../words.ts";

/** Where to look. */
export interface SearchOptions {
  /** Path of the HIP library; no other is tried for HIP then. */
  readonly hipLibrary?: string;
  readonly kernels?: KernelFiles;
}

/** A device that was found. */
export interface FoundDevice extends DeviceProperties {
  readonly freeBytes: number | null;
  /** Architecture of the code objects that run on it, or null where there are none. */
  readonly codeObject: string | null;
  /** How that comes to run on it; null where there are none. */
  readonly code: Code | null;
  /** Architectures that there are code objects for. */
  readonly compiled: readonly string[];
  /** How each scheme runs on it; empty without code objects. */
  readonly schemes: readonly Choice[];
}

/** What became of one GPU library. */
export interface GpuReport {
  readonly backend: GpuKind;
  /** Whether the library was found, whether or not it can be used. */
  readonly found: boolean;
  /** Path and version, or null where it cannot be used. */
  readonly library: { readonly path: string; readonly version: string } | null;
  /** One line; null where at least one device was found. */
  readonly problem: Text | null;
  readonly devices: readonly FoundDevice[];
}

/**
 * Opens a GPU library, of CUDA always the driver's.
 *
 * @throws {FailureError} with one line that says why it cannot be used.
 */
export function openGpuLibrary(kind: GpuKind, hipLibrary?: string): GpuRuntime {
  return openRuntime(kind, kind === "hip" ? hipLibrary : undefined);
}

/**
 * Closes a library that lacks none of some devices. For before ranks start on them: which one's failure would be heard
 * of first is chance.
 *
 * @throws {FailureError} naming the first that is not there.
 */
export function refuseAbsent(runtime: GpuRuntime, devices: readonly number[]): void {
  using opened = runtime;
  opened.refuseAbsent(devices);
}

/** Looks for GPUs through every library. Does not throw: reports say what failed. */
export function findGpus(options: SearchOptions = {}): readonly GpuReport[] {
  let kernels: KernelFiles | null = null, kernelProblem = "";
  try {
    kernels = options.kernels ?? committedKernels();
  } catch (thrown) {
    kernelProblem = reason(thrown);
  }
  return (["hip", "cuda"] as const).map((backend) => report(backend, options, kernels, kernelProblem));
}

function report(
  backend: GpuKind,
  options: SearchOptions,
  kernels: KernelFiles | null,
  kernelProblem: string,
): GpuReport {
  let runtime: GpuRuntime;
  try {
    runtime = openGpuLibrary(backend, options.hipLibrary);
  } catch (thrown) {
    if (!(thrown instanceof FailureError)) throw thrown;
    const found = !(thrown instanceof GpuLibraryError && thrown.why === "missing");
    return { backend, found, library: null, problem: thrown.text, devices: [] };
  }
  using opened = runtime;
  const library = { path: opened.library, version: "" };
  try {
    library.version = opened.version;
    const devices = Array.from({ length: opened.deviceCount() }, (_, i) => examine(opened, i, kernels));
    return {
      backend,
      found: true,
      library,
      problem: devices.length > 0 ? kernelProblem || null : "it finds no device",
      devices,
    };
  } catch (thrown) {
    if (!(thrown instanceof FailureError)) throw thrown;
    return { backend, found: true, library, problem: thrown.text, devices: [] };
  }
}

function examine(runtime: GpuRuntime, index: number, kernels: KernelFiles | null): FoundDevice {
  const properties = runtime.properties(index);
  const code = kernels === null ? null : codeFor(kernels, properties.arch), codeObject = code?.arch ?? null;
  return {
    ...properties,
    freeBytes: freeBytesOf(runtime, index),
    codeObject,
    code,
    compiled: (kernels?.architectures ?? []).filter((arch) => arch.startsWith("sm_") === (runtime.kind === "cuda")),
    schemes: code === null ? [] : choices(codeBeside(kernels!, code) ?? code.arch, compiledKernels(kernels!, code)),
  };
}

function freeBytesOf(runtime: GpuRuntime, index: number): number | null {
  try {
    using device = runtime.open(index);
    return device.memory().freeBytes;
  } catch {
    // A device that is busy is still worth listing.
    return null;
  }
}

function compiledKernels(kernels: KernelFiles, code: Code): CompiledKernels {
  const { entries } = kernelsWith(kernels, code);
  return {
    matrix: entries["gemm_bf16_mma"] !== undefined,
    scaled: ({ weight, input, element }) =>
      entries[`expert_gemm_${weight}_${input === "mx" ? element : "fp8"}_mma`] !== undefined,
  };
}

/**
 * The reports as lines of text.
 *
 * @param say How options are spelled in them.
 */
export function formatReports(reports: readonly GpuReport[], say: (text: Text) => string = spelled): string[] {
  return reports.flatMap(({ backend, found, library, problem, devices }) => [
    library
      ? `${backend}: ${counted(devices.length, "device")}, ${library.path}${
        library.version && `, version ${library.version}`
      }`
      : `${backend}: ${found ? "cannot be used" : "not found"}`,
    ...(problem === null ? [] : [`  ${say(problem)}`]),
    ...devices.flatMap(formatDevice),
  ]);
}

function formatDevice(device: FoundDevice): string[] {
  const free = device.freeBytes === null ? "" : `, ${bytesText(device.freeBytes)} free`;
  const head =
    `  ${device.index}: ${device.name}, ${device.arch}${device.features}, ${device.multiprocessors} processors, ` +
    `${bytesText(device.totalBytes)}${free}`;
  if (device.code === null) {
    return [head, `     no kernels for ${device.arch}: there are for ${device.compiled.join(", ")}`];
  }
  const byHow = new Map<string, string[]>();
  for (const { scheme, native, how } of device.schemes) {
    const key = `${native ? "native" : "emulated"}: ${how}`;
    byHow.set(key, [...byHow.get(key) ?? [], scheme]);
  }
  return [
    head,
    `     kernels: ${codeText(device.code, device.arch)}${familyText(device.arch)}`,
    ...[...byHow].map(([how, schemes]) => `     ${how}: ${schemes.join(", ")}`),
  ];
}

/** " (Hopper)", where the architecture has a name. */
function familyText(arch: string): string {
  const { family } = capabilityOf(arch);
  return family === null ? "" : ` (${family})`;
}
