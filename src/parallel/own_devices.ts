/** Which devices of its host are a process's own, where several processes were started together. */
import { InputError } from "../errors.ts";
import type { World } from "./world.ts";

/** What devices are chosen by. */
export interface DevicePlace {
  /** Those that the command line names, for all processes of a host; undefined: all that are seen. */
  readonly device: number | readonly number[] | undefined;
  /** Null: the only process. */
  readonly world: Pick<World, "rank" | "localRank"> | null;
}

/**
 * Ordinals of the devices for a process's ranks: of those that are named or seen, as many for each process of the host,
 * in their order. Where whoever started the processes shows each its own devices only, those are taken.
 *
 * @param ranks Of this process.
 * @param count Devices that the process sees.
 * @throws {InputError} if there are fewer than ranks.
 */
export function ownDevices({ device, world }: DevicePlace, ranks: number, count: number): readonly number[] {
  const listed = device === undefined ? Array.from({ length: count }, (_, ordinal) => ordinal) : [device].flat();
  if (listed.length < ranks) {
    throw InputError.of("contradiction", { name: "GPUs" }, `at least ${ranks}, one for each rank here`, listed.length);
  }
  const first = ranks * (world === null ? 0 : world.localRank ?? world.rank);
  return Array.from({ length: ranks }, (_, i) => listed[(first + i) % listed.length]!);
}
