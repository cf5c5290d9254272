/** Where ranks that sum from memory to memory write, and how each learns where that is. */
import type { DeviceRange, GpuDevice, Stream } from "../../../ffi/runtime.ts";
import type { ParallelSizes } from "../../checkpoint/shard.ts";
import { type ExchangeMemory, type GroupMemory, WRITTEN } from "./exchanged.ts";
import {
  isAbroad,
  type OfferedMemory,
  type OfferedPart,
  offerPart,
  type RankKernels,
  type RankPlaces,
  takePart,
} from "./offered.ts";
import type { Workspace } from "./workspace.ts";

/** One group's memory, and the tables by which its ranks reach one another. */
export interface Meeting {
  readonly memory: ExchangeMemory;
  readonly tables: Readonly<Record<(typeof WRITTEN)[number] | "logits", DeviceRange>>;
  readonly place: { readonly rank: number; readonly ranks: number };
}

/** A rank, and what it reaches others with. */
interface MeetingParts {
  readonly device: GpuDevice;
  readonly stream: Stream;
  readonly workspace: Workspace<string>;
  readonly rank: number;
}

/** The meetings of a rank's groups. */
export function meetingsOf({ tp, ep }: ParallelSizes, rank: number, groups: readonly GroupMemory[]): Meeting[] {
  return groups.map(({ group, memory, tables }) => {
    const place = group === "world" ? { rank, ranks: tp * ep } : { rank: rank % tp, ranks: tp };
    const named = Object.fromEntries([...WRITTEN, "logits"].map((name, i) => [name, tables[i]!]));
    return { memory, place, tables: named as Meeting["tables"] };
  });
}

/**
 * What a rank offers.
 *
 * @param abroad Whether there are ranks in other processes.
 */
export function offerMemory(
  { device, workspace: { allLogits } }: MeetingParts,
  meetings: readonly Meeting[],
  can: RankKernels,
  abroad: boolean,
): OfferedMemory {
  const part = (range: DeviceRange) => offerPart(device, range, abroad);
  return {
    device: { ordinal: device.properties.index, identity: abroad ? device.identity : null },
    groups: meetings.map(({ memory }) => WRITTEN.map((name) => part(memory[name]))),
    ...{ logits: part(allLogits), blocks: device.properties.multiprocessors, can },
  };
}

/** Notes in a rank's tables where the memory of each rank is reached; false where some is not. */
export function writeTables(
  { device, stream, workspace: { allLogits }, rank }: MeetingParts,
  meetings: readonly Meeting[],
  offers: readonly OfferedMemory[],
  places: RankPlaces,
): boolean {
  return meetings.every(({ memory, tables, place: { rank: own, ranks } }, index) => {
    const first = rank - own;
    const write = (table: DeviceRange, mine: DeviceRange, of: (offer: OfferedMemory) => OfferedPart) => {
      const records = device.createArguments();
      for (let r = first; r < first + ranks; r++) {
        // What is there lives as long as the device is open.
        const there = r === rank ? mine : takePart(device, of(offers[r]!), isAbroad(rank, r, places));
        if (there === null) return false;
        records.pointer(there);
      }
      stream.uploadRecords(table, records);
      return true;
    };
    return WRITTEN.every((name, i) => write(tables[name], memory[name], ({ groups }) => groups[index]![i]!)) &&
      write(tables.logits, allLogits, ({ logits }) => logits);
  });
}
