/** What a GPU is asked to hold and compute. */
import type { ParallelSizes } from "../../checkpoint/shard.ts";
import type { Communicator, OpenRequest } from "../../model/backend.ts";

/**
 * A request whose ranks, if there are several, sum over the host's memory, or, where only their numbers are given,
 * among the devices.
 */
export type GpuRequest<N extends string> = OpenRequest<N, Communicator | ParallelSizes>;

/** How many ranks there are, where their devices sum among themselves. */
export function deviceRanks({ part }: Pick<GpuRequest<string>, "part">): ParallelSizes | null {
  return part !== undefined && "tp" in part.communicator ? part.communicator : null;
}
