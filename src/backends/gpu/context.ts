/**
 * What the launches of a batch share: the device's kernels and memory, the backend's fixed choices, the shape of the
 * batch.
 */
import type { DeviceRange } from "../../../ffi/runtime.ts";
import type { ModelConfig } from "../../checkpoint/model_config.ts";
import { BATCH_TOKENS, expertWalkEntry } from "./batches.ts";
import type { Calls } from "./calls.ts";
import type { GpuLinear } from "./tensors.ts";
import type { Workspace } from "./workspace.ts";

/**
 * Largest batch that vector kernels compute: beyond it, reading the weights for every few tokens takes longer than a
 * matrix kernel.
 */
const VECTOR_TOKENS = 8;
/** The same where there are kernels for batches of some sequences, and where some share out the rows of experts. */
const VECTOR_TOKENS_BESIDE_BATCHES = 3, VECTOR_TOKENS_BESIDE_WALKS = 1;

/**
 * Largest batch of one token each whose launches begin before the one ahead has ended: larger ones were not measured.
 */
const OVERLAP_TOKENS = 16;

/** What the executor must know of the current batch. */
export interface BatchShape {
  readonly n: number;
  /** Whether no two tokens belong to one sequence. */
  readonly single: boolean;
  /** Number of attention tiles in the workspace's list. */
  readonly attentionTiles: number;
  /** Where rotation angles are looked up. */
  readonly rotary: { readonly cos: DeviceRange; readonly sin: DeviceRange; readonly rows: DeviceRange };
}

/** Fixed choices of an opened backend. */
export interface ExecutorOptions {
  readonly config: ModelConfig;
  readonly context: number;
  /** Whether results are rounded: dtype bf16. */
  readonly round: boolean;
  /** This rank's first row of the vocabulary and its first expert. */
  readonly firstId: number;
  readonly firstExpert: number;
  /** Entry points with matrix instructions that agreed with the generic ones on this device. */
  readonly matrixKernels: ReadonlySet<string>;
  /** Computes every token by the same kernels, however many there are. */
  readonly invariant: boolean;
  /** Whether launches of small batches may begin before the one ahead has ended. */
  readonly overlap: boolean;
  /** Whether other ranks have a part of the model. */
  readonly ranks: boolean;
}

/** The kernels, memory and choices that do not change, and the shape of the batch at hand. */
export class LaunchContext {
  #shape: BatchShape | null = null;
  readonly #batches: boolean;
  readonly #walks: boolean;

  constructor(
    readonly calls: Calls,
    readonly workspace: Workspace<string>,
    readonly options: ExecutorOptions,
  ) {
    const has = options.matrixKernels.values().some((entry) => entry.startsWith("batch_"));
    // From how many tokens on they are faster was measured there.
    this.#batches = has && calls.kernels.arch.startsWith("sm_");
    this.#walks = options.matrixKernels.has(expertWalkEntry("mxfp4"));
  }

  /** Says what the next launches work on. */
  begin(shape: BatchShape): void {
    this.#shape = shape;
    const { overlap } = this.options;
    this.calls.overlaps = overlap && (this.few || shape.single && shape.n <= OVERLAP_TOKENS);
  }

  get shape(): BatchShape {
    return this.#shape!;
  }

  /** Tokens of the batch. */
  get n(): number {
    return this.#shape!.n;
  }

  /** Whether vector kernels compute the batch. */
  get few(): boolean {
    return this.options.invariant || this.n <= this.vectorTokens;
  }

  /** Largest batch of the vector kernels. */
  get vectorTokens(): number {
    if (!this.#batches) return VECTOR_TOKENS;
    return this.#walks ? VECTOR_TOKENS_BESIDE_WALKS : VECTOR_TOKENS_BESIDE_BATCHES;
  }

  /**
   * The matrix kernel of many rows, whether or not it is among those that are used: by products of warpgroups where
   * there are such, which take whole blocks of 32 columns.
   */
  manyEntry(stem: "gemm" | "expert_gemm", { suffix, cols }: GpuLinear): string {
    const wgmma = `${stem}_${suffix}_wgmma`;
    const takes = cols % 32 === 0 && this.options.matrixKernels.has(wgmma) && this.calls.fits(wgmma, cols);
    return takes ? wgmma : `${stem}_${suffix}_mma`;
  }

  /**
   * Whether the kernels of batches compute rows of a linear; `entry` names the one for so many. Logits of some rows are
   * computed as the batch is, so that they do not depend on how many are asked for.
   *
   * @param most Rows up to which they do.
   */
  batched(rows: number, { cols }: GpuLinear, entry: string, most = BATCH_TOKENS): boolean {
    // They load whole pieces of rows.
    return cols % 16 === 0 && !this.few && rows <= most && this.options.matrixKernels.has(entry);
  }

  /** Whether the batch is one of some sequences, for which there are kernels. */
  get some(): boolean {
    return this.#batches && !this.few && this.n <= BATCH_TOKENS;
  }
}
