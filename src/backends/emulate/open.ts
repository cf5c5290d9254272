/** Opens the emulate backend: plan, memories, threads, weights. */
import { counted } from "../../amounts.ts";
import { compileKernels, heapBase } from "../../wasm.ts";
import { isVirtual } from "../../assets.ts";
import { isHeld } from "../../stored_files.ts";
import { PROCESSOR_LOGIT_ROWS } from "../../model/engine.ts";
import { type Available, availableMemory, fits, type Needed, refuseBeyondMemory } from "../../memory.ts";
import { MadeFiles } from "../../conversion/made_files.ts";
import { isMade } from "../../checkpoint/source.ts";
import { type OpenRequest, ranksHere } from "../../model/backend.ts";
import { layOutAreas } from "./areas.ts";
import { EmulateBackend } from "./backend.ts";
import { cacheGeometry } from "./cache.ts";
import { keepDigits } from "./kept_digits.ts";
import { assertPageAligned, canMap, letGo, mapRuns, shareRange } from "./load.ts";
import { allocateMemories } from "./memories.ts";
import { MEMORY_CAPACITY, type ModelPlan, planMemories } from "./plan.ts";
import { Pool } from "./pool.ts";
import { Reading } from "./reading.ts";
import { placeWeights } from "./weights.ts";
import { option, words } from "../../words.ts";

/** Choices of the emulate backend. */
export interface EmulateOptions {
  /** Threads in all; default: every core. */
  readonly threads?: number;
  /** `auto`: map the weight files where FFI is permitted, else read them. */
  readonly weights: "auto" | "map" | "read";
  /**
   * Bytes of the pages that the ranks of this process would map together, where others have ranks, too. If memory
   * cannot hold them, and can what is read, `auto` reads: pages that hold other ranks' columns would come from the disk
   * again for every token.
   */
  readonly mapped?: number | undefined;
  /** For tests: bytes of one memory, to see a small model cut into stages. */
  readonly memoryCapacity?: number;
  /** For tests: what memory there is. */
  readonly available?: Available;
  /** For tests: multiply-adds of an operation that threads share, to see a small model cut over them. */
  readonly worthSharing?: number;
  /** For tests: numbers of threads that compute a step, to see them change. */
  readonly counts?: readonly number[];
}

/** Bytes of weights whose first token takes longer than the start of threads: those start while weights are loaded. */
const LARGE_BYTES = 256 << 20;

/**
 * Loads a model into WASM memories and starts the worker threads; where nobody said how many, those of a small model
 * as its work is worth them.
 *
 * @throws {FailureError} when memory, threads or a mapping cannot be had.
 * @throws {InputError} when a weight file changed since it was checked.
 */
export async function openEmulate<N extends string>(
  request: OpenRequest<N>,
  options: EmulateOptions,
): Promise<EmulateBackend<N>> {
  const started = performance.now();
  const threads = Math.max(1, options.threads ?? navigator.hardwareConcurrency);
  const module = await compileKernels();
  const areas = layOutAreas(request, threads, heapBase(module), PROCESSOR_LOGIT_ROWS);
  const { files } = request.source;
  const mappable = canMap() && !files.some((file) => isVirtual(file.path) || isHeld(file.path) || isMade(file));
  const planFor = (mapped: boolean) =>
    planMemories({
      source: request.source,
      areasEnd: areas.end,
      cacheBytes: (layer) => 2 * cacheGeometry(request, layer).halfBytes,
      mapped,
      capacity: options.memoryCapacity ?? MEMORY_CAPACITY,
    });
  const available = options.available ?? availableMemory(), pages = options.mapped ?? 0;
  const mapped = options.weights === "map" || options.weights === "auto" && mappable &&
      (available === null || pages <= available.bytes ||
        !fits(neededFor(request, planFor(false), areas.end, false), available));
  const leanest = planFor(mapped), needed = neededFor(request, leanest, areas.end, mapped);
  refuseBeyondMemory(
    words`${option("backend")}=emulate`,
    needed,
    `${request.slots} x ${request.context} positions`,
    available,
  );
  const plan = keepDigits(leanest, request, needed, available, options.memoryCapacity ?? MEMORY_CAPACITY);
  using made = await MadeFiles.open(files);
  const memories = await allocateMemories(plan.memories.map(({ bytes }) => bytes));
  // Activations of one memory are done with when the next one begins.
  if (memories.length > 1) shareRange(memories.map(({ buffer }) => new Uint8Array(buffer)), areas.stacks, areas.end);
  const atOnce = options.threads !== undefined || plan.weightBytes >= LARGE_BYTES;
  const targets = plan.memories.map(({ runs, strided }, i) => ({
    view: new Uint8Array(memories[i]!.buffer),
    runs,
    strided,
  }));
  const reading = mapped ? null : new Reading(files, targets);
  const pool = new Pool(threads, module, memories, areas, { atOnce, reading, counts: options.counts });
  try {
    if (reading === null) {
      targets.forEach(({ runs }) => assertPageAligned(runs));
      mapRuns(files, targets);
    } else reading.run(made, pool, request.onProgress);
    return new EmulateBackend({
      request,
      areas,
      plan,
      memories,
      pool,
      letGo: () =>
        mapped && threads > 1 && plan.weightBytes >= LARGE_BYTES ? letGo(targets, threads) : Promise.resolve(),
      weights: placeWeights(request.source, plan, memories),
      worthSharing: options.worthSharing,
      info: {
        description: `wasm simd128, ${counted(threads, "thread")}, ` +
          `${counted(memories.length, "memory", "memories")}, weights ${mapped ? "mapped" : "read"}`,
        weightBytes: plan.weightBytes,
        unwrittenBytes: (needed.cache + needed.work) / ranksHere(request.part) + bytesOf(plan) - bytesOf(leanest),
        loadMilliseconds: performance.now() - started,
      },
    });
  } catch (thrown) {
    pool.close();
    throw thrown;
  }
}

/** Bytes of all memories. */
function bytesOf({ memories }: ModelPlan): number {
  return memories.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** What all ranks of this process need, which hold as much as this one. */
function neededFor<N extends string>(
  request: OpenRequest<N>,
  { memories, weightBytes }: ModelPlan,
  areaBytes: number,
  mapped: boolean,
): Needed {
  const { part, config } = request, ranks = ranksHere(part);
  const cache = config.sliding.reduce((sum, _, layer) => sum + 2 * cacheGeometry(request, layer).halfBytes, 0);
  // Where memory can be shared the areas of all memories are one.
  const work = ranks * areaBytes * (canMap() ? 1 : memories.length);
  return { weights: mapped ? 0 : ranks * weightBytes, cache: ranks * cache, work };
}
