/** Opens the GPU backend: plan, check against free memory, allocate, load, self-test. */
import { PAGE_POSITIONS } from "../../model/pages.ts";
import { fetchOwnOf } from "../../own_files.ts";
import { bytesText } from "../../amounts.ts";
import { Held } from "./held.ts";
import type { DeviceBuffer, GpuDevice, GpuRuntime, PinnedBuffer, Stream } from "../../../ffi/runtime.ts";
import { FailureError } from "../../errors.ts";
import { LESS } from "../../memory.ts";
import { MadeFiles } from "../../conversion/made_files.ts";
import { rotaryTables } from "../../model/yarn.ts";
import { GpuBackend } from "./backend.ts";
import { Calls } from "./calls.ts";
import { capabilityOf } from "./capabilities.ts";
import type { ExecutorOptions } from "./context.ts";
import { describe, type MatrixChoice } from "./describe.ts";
import { Executor } from "./executor.ts";
import { committedKernels, fetchKernels, type KernelFiles, KernelSet } from "./kernels.ts";
import { KeptSelfTests, keyOf } from "./kept_self_tests.ts";
import { checkLimits, checkWidths } from "./limits.ts";
import { loadWeights, STAGING_BYTES } from "./load.ts";
import { type NeededBytes, neededBytes, recordsBytes } from "./needed.ts";
import { chunksOf, planWeights, type WeightPlan } from "./plan.ts";
import { matrixKernels } from "./self_test.ts";
import { uploadFloats } from "./staging.ts";
import type { GpuTree } from "./tensors.ts";
import { placeWeights, writeExperts } from "./weights.ts";
import type { GpuRequest } from "./request.ts";
import { planWorkspace, type Workspace } from "./workspace.ts";
import { option, words } from "../../words.ts";

/** Choices of the GPU backend. */
export interface GpuOptions {
  /** Ordinal of the device; default 0. */
  readonly device?: number;
  /** Compiled kernels; default: those that come with the program. */
  readonly kernels?: KernelFiles;
  /** False: no launch begins before the one ahead has ended; for measurements. */
  readonly overlap?: boolean;
  /** False: no matrix instructions, even where the device has them. */
  readonly matrix?: boolean;
  /**
   * Computes a token by the same kernels whatever else is in its batch, so that its results never depend on chunking.
   * Slower: weights are read once for each token.
   */
  readonly invariant?: boolean;
  /** File in which the self-tests' outcomes are kept between runs; absent: they are not. */
  readonly selfTests?: string | undefined;
}

/** Memory that is left alone: the driver, other programs and the code objects need some. */
const RESERVE_BYTES = 64 * 2 ** 20;

/**
 * Loads a model onto a GPU.
 *
 * @param runtime The opened library; it belongs to the backend from now on, also when opening fails.
 * @throws {FailureError} if there is no such device, no kernels for it, or not enough memory; before anything is
 *   loaded.
 * @throws {InputError} if a weight file changed since it was checked, or a format is not supported.
 */
export async function openGpu<N extends string>(
  request: GpuRequest<N>,
  runtime: GpuRuntime,
  options: GpuOptions = {},
): Promise<GpuBackend<N>> {
  const started = performance.now();
  let held: Held;
  try {
    checkLimits(request);
    held = new Held(runtime.open(options.device ?? 0), runtime);
  } catch (thrown) {
    runtime[Symbol.dispose]();
    throw thrown;
  }
  try {
    return await openOn(held, request, options, started);
  } catch (thrown) {
    held[Symbol.dispose]();
    throw thrown;
  }
}

/** @param started When opening began, by performance.now(). */
async function openOn<N extends string>(
  held: Held,
  request: GpuRequest<N>,
  options: GpuOptions,
  started: number,
): Promise<GpuBackend<N>> {
  const { device, runtime: { kind } } = held;
  if (options.kernels === undefined) await fetchKernels(kind);
  await fetchOwnOf(request.source.files);
  const kernels = held.own(new KernelSet(device, options.kernels ?? committedKernels()));
  const plan = planWeights(request.source), workspacePlan = planWorkspace(request);
  checkMemory(request, device, neededBytes(request, plan, workspacePlan));

  const stream = held.own(device.createStream()), calls = new Calls(stream, kernels);
  checkWidths(request.source, calls);
  // All memory is there before the first weight is read.
  const weightBuffer = held.own(device.allocate(plan.bytes));
  const records = held.own(device.allocate(recordsBytes(request)));
  const activations = held.own(device.allocate(workspacePlan.activationBytes));
  const caches = held.own(device.allocate(workspacePlan.cacheBytes));
  const workspace = workspacePlan.place(activations, caches);
  // Rows end in padding that kernels may read, and caches in positions that nobody wrote.
  stream.fill(activations.range(), 0);
  stream.fill(caches.range(), 0);

  const weights = placeWeights(request.source, plan, weightBuffer);
  const experts = writeExperts(device, stream, weights, records.range());
  await upload(device, stream, request, plan, weightBuffer, workspace);
  const loadMilliseconds = performance.now() - started;

  const matrix = chooseMatrix(request, options, calls, weights, workspace);
  const executor = new Executor(calls, workspace, executorOptions(request, options, kernels, matrix));
  const info = { description: describe(kernels, weights, matrix), weightBytes: plan.weightBytes, loadMilliseconds };
  return new GpuBackend({ request, name: kind, weights, experts, workspace, executor, stream, held, info });
}

/** Brings everything to the device that does not change: numbers that kernels need, and the weights. */
async function upload(
  device: GpuDevice,
  stream: Stream,
  request: GpuRequest<string>,
  plan: WeightPlan,
  weightBuffer: DeviceBuffer,
  workspace: Workspace<string>,
): Promise<void> {
  const { source: { files }, onProgress } = request;
  {
    using staging = device.allocatePinned(2 ** 20);
    uploadConstants(stream, staging, weightBuffer, plan);
    uploadTables(stream, staging, request, workspace);
  }
  using made = await MadeFiles.open(files);
  const stored = { files, chunks: chunksOf(plan.placements, STAGING_BYTES), made };
  await loadWeights(device, stream, weightBuffer, stored, onProgress);
  stream.synchronize();
}

function executorOptions(
  { config, context, dtype, part }: GpuRequest<string>,
  { invariant = false, overlap = true }: GpuOptions,
  { code }: KernelSet,
  { accepted }: MatrixChoice,
): ExecutorOptions {
  return {
    config,
    context,
    round: dtype === "bf16",
    firstId: part?.vocabStart ?? 0,
    firstExpert: part?.expertStart ?? 0,
    matrixKernels: accepted,
    invariant,
    // Kernels in generic PTX do not wait for the one ahead.
    overlap: overlap && code.kind !== "generic",
    ranks: part !== undefined,
  };
}

/** @throws {FailureError} with the numbers, if the model will not fit. */
function checkMemory(
  { slots, context, config, pages }: GpuRequest<string>,
  device: GpuDevice,
  { weights, cache, activations }: NeededBytes,
): void {
  const { freeBytes, totalBytes } = device.memory();
  const needed = weights + cache + activations;
  if (needed + RESERVE_BYTES <= freeBytes) return;
  const parts = [
    `weights ${bytesText(weights)}`,
    `KV cache ${bytesText(cache)} for ${
      pages === undefined ? `${slots} x ${context} positions` : `${pages} pages of ${PAGE_POSITIONS} positions`
    } in ${config.layers} layers`,
    `activations ${bytesText(activations)}`,
  ].join(", ");
  const free = `${device.properties.name} has ${bytesText(freeBytes)} of ${bytesText(totalBytes)} free`;
  throw new FailureError(
    words`${option("backend")}=${device.runtime.kind}: ${free}, but the model needs ${
      bytesText(needed)
    }: ${parts}; ${LESS}`,
  );
}

/** Scales per row, which the source holds as numbers. */
function uploadConstants(stream: Stream, staging: PinnedBuffer, buffer: DeviceBuffer, plan: WeightPlan): void {
  for (const { values, address } of plan.constants) {
    uploadFloats(stream, staging, buffer.range(address, values.byteLength), values);
  }
}

/** Rotation angles of every position, and 0, 1, 2, .. */
function uploadTables(stream: Stream, staging: PinnedBuffer, request: GpuRequest<string>, w: Workspace<string>): void {
  const { config, context, maxTokens } = request;
  const { cos, sin } = rotaryTables(config, Array.from({ length: context }, (_, p) => p));
  uploadFloats(stream, staging, w.cos, cos);
  uploadFloats(stream, staging, w.sin, sin);
  const numbers = Int32Array.from({ length: maxTokens }, (_, i) => i);
  uploadFloats(stream, staging, w.rowNumbers, new Float32Array(numbers.buffer));
}

/** Which matrix kernels are used, and why in words. */
function chooseMatrix(
  { dtype }: GpuRequest<string>,
  options: GpuOptions,
  calls: Calls,
  weights: GpuTree,
  workspace: Workspace<string>,
): MatrixChoice {
  const none = new Set<string>();
  if (dtype !== "bf16") return { accepted: none, why: "float32 products, as the dtype is f32" };
  if (options.invariant) return { accepted: none, why: "float32 products, as every batch is to be computed alike" };
  if (options.matrix === false) {
    return { accepted: none, why: "float32 products, as matrix instructions are switched off" };
  }
  const key = options.selfTests === undefined ? null : keyOf(calls.kernels);
  const known = key === null ? null : new KeptSelfTests(options.selfTests!, key);
  const { accepted, rejected } = matrixKernels(calls, weights, workspace.caches[0], known);
  known?.save();
  const { bf16 } = capabilityOf(calls.kernels.device.properties.arch);
  const failed = rejected.length > 0
    ? `; not used, because they disagree with the generic kernels on this device: ${rejected.join(", ")}`
    : "";
  if (accepted.size > 0) {
    return { accepted, why: `bf16 products by ${bf16 ?? "matrix instructions"} for many tokens${failed}` };
  }
  return {
    accepted,
    why: `float32 products${failed || `, as no matrix kernels are compiled for ${calls.kernels.arch}`}`,
  };
}
