/** What a rank whose device the others reach tells them of itself. */
import type { DeviceRange, ExportedMemory, GpuDevice, SharedMemory } from "../../../ffi/runtime.ts";

/** What ranks of the same process reach a part of it by, and what those of others do; null where these cannot. */
export interface OfferedPart {
  readonly here: SharedMemory;
  readonly abroad: ExportedMemory | null;
}

/** Memory that a rank lets the others write to. */
export interface OfferedMemory {
  /** Its device: the ordinal in its process, and what it is known by in others. */
  readonly device: { readonly ordinal: number; readonly identity: string | null };
  /** By group that has memory of its own: what `WRITTEN` of exchanged.ts lists. */
  readonly groups: readonly (readonly OfferedPart[])[];
  /** Logits of the whole vocabulary. */
  readonly logits: OfferedPart;
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

/** Which ranks are threads of which process: so many of each, in order. */
export interface RankPlaces {
  readonly perProcess: number;
}

/** Whether another rank is in another process. */
export function isAbroad(rank: number, other: number, { perProcess }: RankPlaces): boolean {
  return Math.floor(rank / perProcess) !== Math.floor(other / perProcess);
}

/**
 * Offers a part.
 *
 * @param abroad Whether there are ranks in other processes.
 */
export function offerPart(device: GpuDevice, range: DeviceRange, abroad: boolean): OfferedPart {
  return { here: device.share(range), abroad: abroad ? device.export(range) : null };
}

/**
 * The ordinals by which this process knows the devices of all ranks; null where one of them is not reached from here.
 */
export function reachedOrdinals(
  device: GpuDevice,
  rank: number,
  offers: readonly OfferedMemory[],
  places: RankPlaces,
): readonly number[] | null {
  const ordinals: number[] = [];
  for (const [other, { device: { ordinal, identity } }] of offers.entries()) {
    if (!isAbroad(rank, other, places)) {
      if (other !== rank && !device.reach(ordinal)) return null;
      ordinals.push(ordinal);
    } else {
      const reached = identity === null ? null : device.reachable(identity);
      if (reached === null) return null;
      ordinals.push(reached);
    }
  }
  return ordinals;
}

/** A part that another rank has offered; null where it cannot be mapped. */
export function takePart(device: GpuDevice, { here, abroad }: OfferedPart, isAbroad: boolean): DeviceRange | null {
  if (!isAbroad) return device.borrow(here).range();
  return abroad && device.import(abroad);
}
