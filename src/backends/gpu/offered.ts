/** What a rank whose device the others reach tells them of itself. */
import type { SharedMemory } from "../../../ffi/runtime.ts";

/** Memory that a rank lets the others write to. */
export interface OfferedMemory {
  /** By group that has memory of its own: what `WRITTEN` of exchanged.ts lists. */
  readonly groups: readonly (readonly SharedMemory[])[];
  /** Logits of the whole vocabulary. */
  readonly logits: SharedMemory;
  /** Multiprocessors of its device: as many blocks that wait for others are under way at once. */
  readonly blocks: number;
  readonly can: RankKernels;
}

/** What a rank's kernels can do, which depends on its part of the weights: all ranks must, or none does it. */
export interface RankKernels {
  /** Whether its kernels for one token compute its experts, so that they can sum over ranks. */
  readonly sumsBlocks: boolean;
  /** Whether the matrix kernel of attention's output gives its rows to the sum over ranks. */
  readonly gives: boolean;
  /** Those with matrix instructions that it uses, and for which architecture: they decide which sums there are. */
  readonly used: string;
}
