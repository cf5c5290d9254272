/**
 * Verifies a device: every kernel case, the matrix kernels beside the generic ones, the embedded model, a small bench.
 * Everything is computed here and now; nothing is taken from results of other machines but the goldens.
 */
import { pause } from "../breath.ts";
import { fetchOwn } from "../own_files.ts";
import type { GpuRuntime } from "../../ffi/runtime.ts";
import { committedKernels, fetchKernels, type KernelFiles, KernelSet } from "../backends/gpu/kernels.ts";
import { driverVersion } from "../gpu_driver.ts";
import { casesOf, DeadDevice, runCase } from "./kernels.ts";
import { GpuMachine } from "./machine.ts";
import { matrixTests } from "./matrix.ts";
import { ModelChecks, type Place } from "./model.ts";
import { failures, type Findings, VERIFY_SCHEMA, VERIFY_VERSION, type VerifyResults } from "./results.ts";
import { speedChecks } from "./speed.ts";

/** What to verify. */
export interface VerifyRequest {
  readonly backend: Place["backend"];
  readonly device: number;
  readonly hipLibrary: string | undefined;
  /** Only kernel cases, matrix kernels and settings whose names contain this, and no bench; null: everything. */
  readonly filter: string | null;
  /** Instead of those that come with the program. */
  readonly kernels?: KernelFiles;
}

/** What is known so far; grows while a device is verified. */
export interface VerifySoFar extends Findings {
  about: Pick<VerifyResults, "device" | "kernels"> | null;
}

/** Nothing yet. */
export const nothingSoFar = (): VerifySoFar => ({
  ...{ about: null, cases: [], matrix: [], model: [], speed: [], not_run: [] },
});

/**
 * Verifies.
 *
 * @param open Opens the library; called once, as models are opened by their own road.
 * @param found Receives each result as it is there.
 * @param onProgress Called before each step: how many are done, how many there are, and what begins.
 * @throws {FailureError} where the library, the device or its kernels cannot be had; what goes wrong later is a result.
 */
export async function verify(
  request: VerifyRequest,
  open: () => GpuRuntime,
  found: VerifySoFar,
  onProgress: (done: number, total: number, now: string) => void,
): Promise<void> {
  const { backend, device: index, hipLibrary, filter } = request;
  if (request.kernels === undefined) await fetchKernels(backend);
  await fetchOwn("kernels", "model", "goldens");
  const files = request.kernels ?? committedKernels(), wanted = (name: string) => name.includes(filter ?? "");
  using runtime = open();
  using device = runtime.open(index);
  using kernels = new KernelSet(device, files);
  found.about = aboutOf(runtime, kernels, backend);
  using machine = new GpuMachine(kernels);

  const place: Place = { backend, device: index, hipLibrary, gpu: { kernels: files } };
  const cases = await casesOf(machine, filter);
  const models = new ModelChecks(place).all().filter(({ setting }) => wanted(setting));
  const speeds = filter === null ? speedChecks(place, kernels) : [];
  const total = cases.length + 1 + models.length + speeds.length;
  let done = 0;
  const step = (now: string) => onProgress(done++, total, now);
  try {
    for (const one of cases) {
      step(one.name);
      runCase(machine, one, (result) => found.cases.push(result));
      await pause();
    }
    step("matrix kernels");
    for (const result of matrixTests(kernels)) {
      if (wanted(result.kernel)) found.matrix.push(result);
      await pause();
    }
    refuseDead(machine, "the matrix kernels");
    for (const model of models) {
      step(`${model.setting}, ${model.dtype}`);
      found.model.push(await model.run());
      refuseDead(machine, model.setting);
    }
    for (const speed of speeds) {
      step(speed.what);
      found.speed.push(await speed.run());
      refuseDead(machine, speed.what);
    }
    onProgress(total, total, "");
  } catch (thrown) {
    if (!(thrown instanceof DeadDevice)) throw thrown;
    const left = total - done;
    if (left > 0) found.not_run.push(`${left} of ${total} steps, as the device works no more after ${thrown.message}`);
  }
}

function refuseDead(machine: GpuMachine, after: string): void {
  if (!machine.alive()) throw new DeadDevice(after);
}

function aboutOf(runtime: GpuRuntime, kernels: KernelSet, backend: Place["backend"]): VerifySoFar["about"] {
  const { index, name, arch, features, multiprocessors, totalBytes } = kernels.device.properties;
  return {
    device: {
      ...{ backend, index, name, arch: `${arch}${features}`, processors: multiprocessors, memory_bytes: totalBytes },
      ...{ library: runtime.library, runtime_version: runtime.version, driver_version: driverVersion(backend) },
    },
    kernels: { arch: kernels.arch, sha256: kernels.hash, how: kernels.code.kind },
  };
}

/**
 * The results as they are written down.
 *
 * @param interrupted Whether the run was ended before it was done.
 */
export function resultsOf(
  { about, ...findings }: VerifySoFar & { readonly about: NonNullable<VerifySoFar["about"]> },
  { filter }: VerifyRequest,
  said: Pick<VerifyResults, "mxoss" | "system" | "seconds">,
  interrupted: boolean,
): VerifyResults {
  const not_run = [...findings.not_run, ...(interrupted ? ["the rest, as the run was interrupted"] : [])];
  const found = { ...findings, not_run };
  return {
    ...{ schema: VERIFY_SCHEMA, version: VERIFY_VERSION, ...said, ...about, filter },
    ...found,
    passed: failures(found).length === 0 && found.cases.length + found.model.length > 0,
  };
}
