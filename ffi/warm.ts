/**
 * Starts a GPU's driver on another thread, where its first call takes a quarter of a second: meanwhile this one builds
 * what else a run needs. Whoever opens the library then finds it started, or waits for the rest.
 */
import { cudaCandidates } from "./cuda.ts";
import { hipCandidates } from "./hip.ts";
import { isNoFile, keepLoaded } from "./library.ts";
import type { GpuKind } from "./runtime.ts";

const CUDA = {
  // CUresult cuInit(unsigned flags)
  cuInit: { parameters: ["u32"], result: "i32", nonblocking: true },
  // CUresult cuDeviceGet(CUdevice *device, int ordinal)
  cuDeviceGet: { parameters: ["buffer", "i32"], result: "i32" },
  // CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device)
  cuDevicePrimaryCtxRetain: { parameters: ["buffer", "i32"], result: "i32", nonblocking: true },
  // CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device)
  cuDevicePrimaryCtxRelease_v2: { parameters: ["i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

const HIP = {
  // hipError_t hipInit(unsigned flags); devices are set up by it.
  hipInit: { parameters: ["u32"], result: "i32", nonblocking: true },
} as const satisfies Deno.ForeignLibraryInterface;

/**
 * Starts the driver, and for CUDA makes the device's context. Says nothing of what fails: opening says it.
 *
 * @param library Path of the HIP library; undefined: it is looked for.
 * @returns What gives the context back. It must be disposed of, also before the process ends: a driver that is being
 *   started does not survive that.
 */
export function warmDriver(kind: GpuKind, device: number, library?: string): AsyncDisposable {
  const started = start(kind, device, library).catch(() => null);
  return { [Symbol.asyncDispose]: async () => (await started)?.() };
}

/** Starts the driver; gives a function that undoes it. */
async function start(kind: GpuKind, device: number, library: string | undefined): Promise<() => void> {
  if (Deno.permissions.querySync({ name: "ffi" }).state !== "granted") return () => {};
  if (kind === "hip") {
    const hip = firstOf(hipCandidates(library), HIP);
    if (hip !== null) await hip.symbols.hipInit(0);
    return () => hip?.close();
  }
  const cuda = firstOf(cudaCandidates(), CUDA);
  if (cuda === null) return () => {};
  const handle = new Int32Array(1), context = new BigUint64Array(1), { symbols } = cuda;
  // The context is looked at afterwards, as Deno does not hold what another thread is given to write to.
  const made = await symbols.cuInit(0) === 0 && symbols.cuDeviceGet(new Uint8Array(handle.buffer), device) === 0 &&
    await symbols.cuDevicePrimaryCtxRetain(new Uint8Array(context.buffer), handle[0]!) === 0 && context[0] !== 0n;
  return () => {
    if (made) symbols.cuDevicePrimaryCtxRelease_v2(handle[0]!);
    cuda.close();
  };
}

function firstOf<S extends Deno.ForeignLibraryInterface>(
  candidates: readonly string[],
  symbols: S,
): Deno.DynamicLibrary<S> | null {
  for (const path of candidates) {
    if (isNoFile(path)) continue;
    try {
      const library = Deno.dlopen(path, symbols);
      keepLoaded(path);
      return library;
    } catch {
      // Another may do.
    }
  }
  return null;
}
