/** From a planned setting to a session that computes. */
import { layerKinds } from "../model/pages.ts";
import { asset } from "../assets.ts";
import { compileKernels } from "../wasm.ts";
import { currentProcesses, currentWorld } from "../parallel/current.ts";
import type { GpuOptions } from "../backends/gpu/open.ts";
import { openOnProcessor } from "../parallel/open_backend.ts";
import type { OpenRequest } from "../model/backend.ts";
import { GptOss, type TensorName } from "../model/gpt_oss.ts";
import { type Engine, LocalEngine, PROCESSOR_LOGIT_ROWS } from "../model/engine.ts";
import { ownDevices } from "../parallel/own_devices.ts";
import { requestOf, type Room } from "./request.ts";
import { Session } from "./session.ts";
import { type Choices, type GpuBackendName, isGpu, type PlannedSetting, type Setting } from "./setting.ts";
import type { GpuRuntime } from "../../ffi/runtime.ts";
import { InputError } from "../errors.ts";
import { option, words } from "../words.ts";

export type { Room } from "./request.ts";

/** What the GPU backend is given that no setting says. */
export type GpuHost = Pick<GpuOptions, "kernels" | "selfTests">;

/**
 * Starts what other threads do before a setting is opened, for who has something else to do meanwhile: the driver of
 * its GPU, or the kernels' compilation. To be disposed of when it was opened, and before the process ends.
 */
export async function warmUp(
  { backend, device, hipLibrary }: Pick<Choices, "backend" | "device" | "hipLibrary">,
): Promise<AsyncDisposable> {
  // Of several processes each has a device of its own, which is not known yet.
  // Who opens the setting is told what fails.
  if (backend === "emulate") compileKernels().catch(() => {});
  if (!isGpu(backend) || currentWorld() !== null) return { [Symbol.asyncDispose]: () => Promise.resolve() };
  const { warmDriver } = await import("../../ffi/warm.ts");
  return warmDriver(backend, [device ?? []].flat()[0] ?? 0, hipLibrary);
}

/**
 * Loads a setting into its backend; the caller closes the session.
 *
 * @param onProgress Called with the part of the weights that is loaded, and all of them.
 * @param gpu Of the GPU backend, beside the setting.
 * @throws {InputError} when a weight file changed since it was checked.
 * @throws {FailureError} when memory, workers or a device cannot be had.
 */
export async function openSetting(
  setting: PlannedSetting,
  room: Room,
  onProgress?: (done: number, total: number) => void,
  gpu: GpuHost = {},
): Promise<Session> {
  const request = await requestOf(setting, room, onProgress), { slots, context, maxTokens, source, config } = request;
  const { rewind = 0, apart = false } = room;
  const { pages: count } = request, pages = count === undefined ? undefined : { count, kinds: layerKinds(config) };
  const limits = { slots, context, maxTokens, vocab: config.vocab, rewind, pages };
  return new Session(await openEngine(request, setting, apart, gpu), limits, source);
}

async function openEngine(
  request: OpenRequest<TensorName>,
  setting: Setting,
  apart: boolean,
  gpu: GpuHost,
): Promise<Engine> {
  const { backend, tp, ep } = setting;
  if (isGpu(backend)) return await openGpuEngine(backend, request, setting, apart, gpu);
  if (tp === 1 && ep === 1 && !apart) {
    const { threads, weights = "auto" } = setting;
    const opened = await openOnProcessor(backend, request, { threads, weights });
    return new LocalEngine(new GptOss(opened, request.config), request.config.vocab, PROCESSOR_LOGIT_ROWS);
  }
  const { openRanks } = await import("../parallel/ranked_engine.ts");
  return await openRanks(request, {
    sizes: { tp, ep },
    backend,
    threads: setting.threads ?? navigator.hardwareConcurrency,
    weights: setting.weights ?? "auto",
    ...(tp * ep === 1 ? { worker: asset("src/session/picking_worker.ts"), picks: true } : {}),
  });
}

/**
 * One rank on a GPU, on a thread of its own where `apart`; several on one each, or, where there are fewer, in
 * turns.
 */
async function openGpuEngine(
  kind: GpuBackendName,
  request: OpenRequest<TensorName>,
  setting: Setting,
  apart: boolean,
  gpu: GpuHost,
): Promise<Engine> {
  const { openGpuLibrary, refuseAbsent } = await import("../backends/gpu/devices.ts");
  const { device, hipLibrary, collectivesLibrary, tp, ep } = setting, sizes = { tp, ep };
  const listed = device === undefined ? [] : [device].flat(), ranks = tp * ep;
  const processes = ranks === 1 ? null : currentProcesses(), world = currentWorld();
  if (processes !== null && processes.link.mpi === null) {
    const { openDeviceRanks } = await import("../parallel/device_engine.ts");
    const { count } = processes.own(ranks);
    const devices = ownDevices({ device, world }, count, deviceCount(openGpuLibrary(kind, hipLibrary)));
    return await openDeviceRanks(request, { sizes, kind, devices, library: hipLibrary, collectivesLibrary }, processes);
  }
  refuseMoreDevices(listed, ranks);
  if (ranks === 1) {
    // Processes that compute a model each have a device each, too.
    const [ordinal = 0] = listed.length > 0 || world === null ? listed : ownFirst(openGpuLibrary(kind, hipLibrary), 1);
    if (apart) {
      const { openDeviceApart } = await import("../parallel/device_engine.ts");
      return await openDeviceApart(request, { kind, ordinal, library: hipLibrary }, gpu.selfTests);
    }
    const { openGpu } = await import("../backends/gpu/open.ts");
    const { GpuEngine } = await import("../backends/gpu/engine.ts");
    const options = { ...gpu, device: ordinal };
    return new GpuEngine(await openGpu(request, openGpuLibrary(kind, hipLibrary), options), request.config);
  }
  const devices = listed.length > 0 ? listed : ownFirst(openGpuLibrary(kind, hipLibrary), ranks);
  if (devices.length === ranks) {
    const { openDeviceRanks } = await import("../parallel/device_engine.ts");
    return await openDeviceRanks(request, { sizes, kind, devices, library: hipLibrary, collectivesLibrary });
  }
  refuseAbsent(openGpuLibrary(kind, hipLibrary), devices);
  const { openRanks } = await import("../parallel/ranked_engine.ts");
  return await openRanks(request, {
    sizes,
    backend: { kind, devices, library: hipLibrary },
    threads: ranks,
    weights: "auto",
  });
}

/** @throws {InputError} if more devices are named than there are ranks. */
function refuseMoreDevices(listed: readonly number[], ranks: number): void {
  if (listed.length <= ranks) return;
  throw InputError.of(
    "contradiction",
    { option: "device" },
    words`at most one for each of the ${ranks} ranks of ${option("tp")} and ${option("ep")}`,
    listed.length,
  );
}

/** Ordinals of this process's devices, at most `most`. */
function ownFirst(runtime: GpuRuntime, most: number): readonly number[] {
  const count = deviceCount(runtime);
  return ownDevices({ device: undefined, world: currentWorld() }, Math.min(most, count), count);
}

/** Counts the devices of a library, and closes it. */
function deviceCount(runtime: GpuRuntime): number {
  using opened = runtime;
  return opened.deviceCount();
}
