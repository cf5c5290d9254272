/** Launches single kernels by the signatures of kernels/abi; executor.ts decides which. */
import { BLOCK, blocksOf } from "../../formats/format.ts";
import type { LaunchTraits } from "../../../kernels/manifest.ts";
import { ALL_SIGNATURES, type Family } from "../../../kernels/abi/signatures.ts";
import { rowTiles, type Signature } from "../../../kernels/abi/signature.ts";
import type { ArgumentWriter, DeviceRange, Kernel, Stream } from "../../../ffi/runtime.ts";
import { argumentsWriter, type Values } from "./arguments.ts";
import type { KernelSet } from "./kernels.ts";

/** Blocks of 256 threads that fill a multiprocessor; more would only stage the same input again. */
const BLOCKS_PER_PROCESSOR = 8;
/** Of `linear_bf16`, `linear_f16` and `linear_f32` with their registers on NVIDIA (kernels/linear.hip). */
const WALKING_BLOCKS = 3;
const PLAIN: ReadonlySet<string> = new Set(["bf16", "f16", "f32"]);
/** Most blocks of a cluster on every GPU that has clusters. */
const CLUSTER_BLOCKS = 8;
/** Kernels of a step of one token; see {@linkcode STEP_SHARED_PERCENT}. */
const STEP_FAMILIES: ReadonlySet<Family> = new Set<Family>([
  ...["linear", "attentionStep", "normRouteCluster", "expertUpOne", "expertDownCombineOne"] as const,
  ...["expertMlpOne", "expertMlpRanks", "exchangeNormRouteCluster"] as const,
]);
/**
 * Of a multiprocessor's 228 KB on sm_90 for L1 and shared memory, what these kernels ask for as shared memory: 132, of
 * which the driver makes more (docs/measurements/h100.md). A multiprocessor has to be empty before it is divided
 * otherwise, so they are best divided alike.
 */
export const STEP_SHARED_PERCENT = 58;
/** An upper bound of the static shared memory of the kernels that also stage rows there. */
const STATIC_SHARED_BYTES = 1024;
/** Dynamic shared memory that needs no permission. */
export const SHARED_BYTES = 48 * 1024;

/** An entry point that was launched before. */
interface Known {
  readonly kernel: Kernel;
  readonly traits: LaunchTraits;
  readonly signature: Signature;
  readonly write: (w: ArgumentWriter, values: unknown) => void;
  /** Largest dynamic shared memory that needs no further permission. */
  permitted: number;
}

/** Puts kernels on a stream. */
export class Calls {
  readonly #args: ArgumentWriter;
  /** By entry point. */
  readonly #known = new Map<string, Known>();
  readonly multiprocessors: number;
  /** Blocks that fill the device. */
  readonly fullGrid: number;
  readonly #walkingGrid: number;
  readonly #dividesAlike: boolean;

  /** Whether launches begin before the one ahead has ended. */
  overlaps = false;
  /** Whether the launch to come follows something that is none: it waits for that. */
  #filled = false;
  /** For measurements: which entry points are launched; all unless set. */
  only: ((entry: string) => boolean) | null = null;

  constructor(readonly stream: Stream, readonly kernels: KernelSet) {
    this.#args = kernels.device.createArguments();
    const { multiprocessors } = kernels.device.properties, walks = kernels.code.arch.startsWith("sm_");
    // Where there are kernels that this was measured with.
    this.#dividesAlike = kernels.has("expert_up_mxfp4_one");
    this.multiprocessors = multiprocessors;
    this.fullGrid = BLOCKS_PER_PROCESSOR * multiprocessors;
    this.#walkingGrid = walks ? WALKING_BLOCKS * multiprocessors : this.fullGrid;
  }

  /**
   * Launches an entry point, unless its grid is empty.
   *
   * @param entry Which of the family's, where there is more than one.
   * @param mostBlocks Bound of the grid's x, for kernels whose blocks take several tiles each.
   * @throws {FailureError} where there is no such kernel for the device, or the device refuses it.
   */
  launch<F extends Family>(
    family: F,
    values: Values<F>,
    entry: string = ALL_SIGNATURES[family].names[0]!,
    mostBlocks = Infinity,
  ): void {
    const known = this.#known.get(entry) ?? this.#load(family, entry), { signature, traits } = known;
    // The type is erased here only: `values` has the type of this signature.
    const erased = values as unknown as Parameters<Signature["blocks"]>[0];
    const [x, y, z] = signature.blocks(erased, traits);
    if (x === 0 || y === 0 || this.only?.(entry) === false) return;
    const staged = signature.staged?.(erased);
    const sharedBytes = sharedBytesOf(traits, staged?.cols ?? 0, staged?.rows ?? 1);
    if (sharedBytes > known.permitted) {
      known.kernel.allowSharedBytes(sharedBytes);
      known.permitted = sharedBytes;
    }
    known.write(this.#args.reset(), values);
    const grid = [Math.min(x, mostBlocks), y, z] as const;
    this.stream.launch(
      known.kernel,
      {
        grid,
        threads: signature.threads?.(erased) ?? traits.threads,
        sharedBytes,
        overlaps: this.overlaps && !this.#filled,
        cluster: signature.cluster ?? false,
      },
      this.#args,
    );
    this.#filled = false;
  }

  /** Launches what begins before the one ahead has ended, or does not, whatever others do. */
  overlapping(overlaps: boolean, launch: () => void): void {
    const others = this.overlaps;
    this.overlaps = overlaps;
    try {
      launch();
    } finally {
      this.overlaps = others;
    }
  }

  /** Fills memory with zeros, between launches. */
  fill(range: DeviceRange): void {
    this.stream.fill(range, 0);
    this.followsOthers();
  }

  /** Says that the stream holds something now that was not launched here: the next launch waits until it has ended. */
  followsOthers(): void {
    this.#filled = true;
  }

  #load(family: Family, entry: string): Known {
    const { kernel, traits } = this.kernels.get(entry);
    const signature = ALL_SIGNATURES[family];
    const known = { kernel, traits, signature, write: argumentsWriter(family), permitted: SHARED_BYTES };
    if (this.#dividesAlike && STEP_FAMILIES.has(family)) kernel.preferSharedPercent(STEP_SHARED_PERCENT);
    this.#known.set(entry, known);
    return known;
  }

  /**
   * Blocks of the linear of one token for weights of a format. On NVIDIA those of plain formats ask for weights early:
   * more blocks than run at once would wait with theirs.
   */
  linearGrid(suffix: string): number {
    return PLAIN.has(suffix) ? this.#walkingGrid : this.fullGrid;
  }

  /** Whether there is such a kernel, and its blocks for so many rows of weights can be a cluster. */
  clusters(entry: string, rows: number): boolean {
    return this.kernels.has(entry) && rowTiles(rows, this.kernels.traits(entry)) <= CLUSTER_BLOCKS;
  }

  /** Whether there is such a kernel, and `rows` input rows of `cols` columns fit the shared memory of a block. */
  fits(entry: string, cols: number, rows = 1): boolean {
    if (!this.kernels.has(entry)) return false;
    const most = this.kernels.device.properties.sharedBytesPerBlock - STATIC_SHARED_BYTES;
    return sharedBytesOf(this.kernels.traits(entry), cols, rows) <= most;
  }
}

function sharedBytesOf(traits: LaunchTraits, cols: number, rows: number): number {
  return traits.ldsFixed + rows * traits.ldsPerColumn * blocksOf(cols) * BLOCK;
}
