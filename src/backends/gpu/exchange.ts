/**
 * Sums over ranks without a library, where devices reach one another's memory: a kernel of each rank waits until the
 * like of it has been launched everywhere, reads all ranks' rows where they lie, and adds them up in their order.
 *
 * Rows may be written again as soon as the next such kernel of the group has run, which every rank launches after the
 * one before. So what is summed lies in turns in different places: `projected` and `combined`, or in rooms of its own.
 */
import type { DeviceBuffer, DeviceRange, GpuDevice, SharedMemory, Stream } from "../../../ffi/runtime.ts";
import type { ParallelSizes } from "../../checkpoint/shard.ts";
import type { RankGroup } from "../../model/backend.ts";
import type { Calls } from "./calls.ts";
import type { GpuTensor } from "./tensors.ts";
import { EXCHANGE_BLOCKS, EXCHANGE_ROOMS, type Workspace } from "./workspace.ts";

/** Tensors of the graph that are summed into another one. */
const DIRECT = ["projected", "combined"] as const;

/** Memory that a rank lets the others read and write: what is summed, and its counters for each group. */
export interface OfferedMemory {
  readonly places: readonly SharedMemory[];
  readonly flags: Readonly<Record<RankGroup, SharedMemory>>;
}

const part = ({ buffer, offset }: DeviceRange, at: number, bytes: number): DeviceRange =>
  buffer.range(offset + at, bytes);

/** The places that are summed, in the order of the tables. */
function placesOf({ tensors, exchanged }: Workspace<string>): DeviceRange[] {
  const room = exchanged.bytes / EXCHANGE_ROOMS;
  return [
    ...DIRECT.map((name) => tensors[name]!.range),
    ...Array.from({ length: EXCHANGE_ROOMS }, (_, i) => part(exchanged, i * room, room)),
  ];
}

/** Counters of a group in this rank's own memory; `stop` comes after them. */
function flagsOf({ exchangeFlags }: Workspace<string>, world: number, group: RankGroup): DeviceRange {
  const bytes = 4 * EXCHANGE_BLOCKS * world;
  return part(exchangeFlags, group === "world" ? 0 : bytes, bytes);
}

/** What this rank offers. */
export function offerMemory(device: GpuDevice, workspace: Workspace<string>, { tp, ep }: ParallelSizes): OfferedMemory {
  const flags = (group: RankGroup) => device.share(flagsOf(workspace, tp * ep, group));
  return {
    places: placesOf(workspace).map((range) => device.share(range)),
    flags: { world: flags("world"), tensor: flags("tensor") },
  };
}

/** What an {@linkcode Exchange} is made of. */
export interface ExchangeParts {
  readonly device: GpuDevice;
  readonly stream: Stream;
  readonly calls: Calls;
  readonly workspace: Workspace<string>;
  readonly sizes: ParallelSizes;
  readonly rank: number;
  /** By rank. */
  readonly offers: readonly OfferedMemory[];
  /** Ordinals of the ranks' devices. */
  readonly devices: readonly number[];
}

/** One rank's sums from memory to memory. */
export class Exchange {
  readonly #parts: ExchangeParts;
  /** Tables of pointers of each group: one for each place, then that of the counters. */
  readonly #tables: Readonly<Record<RankGroup, readonly DeviceRange[]>>;
  /** The room that is taken next, of those that are taken by turns. */
  #turn = 1;

  private constructor(parts: ExchangeParts) {
    this.#parts = parts;
    this.#tables = { world: this.#writeTables("world", 0), tensor: this.#writeTables("tensor", 1) };
  }

  /** @returns Null where a device cannot reach another one's memory, or has no kernel for this. */
  static open(parts: ExchangeParts): Exchange | null {
    const { device, calls, devices, rank, sizes: { ep } } = parts;
    // With groups of experts not every sum is over the same ranks: a rank could write again to what one outside its
    // tensor group still reads.
    if (ep > 1 || !calls.kernels.has("exchange_ranks")) return null;
    return devices.every((other, r) => r === rank || device.reach(other)) ? new Exchange(parts) : null;
  }

  /** The same as `RankSums.sum`. */
  sum(x: GpuTensor, h: GpuTensor | null, group: RankGroup, n: number, round: boolean): void {
    const { stream, calls, workspace, sizes: { tp, ep }, rank } = this.#parts, tables = this.#tables[group];
    let place = h === null ? -1 : DIRECT.findIndex((name) => name === x.name);
    if (place < 0) {
      // The result takes the place of what is summed: the others read a copy.
      const room = x.name === "hidden" ? 0 : this.#turn;
      if (room > 0) this.#turn = 3 - this.#turn;
      place = DIRECT.length + room;
      stream.copy(placesOf(workspace)[place]!, x.range, 4 * n * x.stride);
    }
    const { exchangeFlags } = workspace, { overlaps } = calls;
    // A copy is no launch that another one could begin before the end of.
    calls.overlaps &&= place < DIRECT.length;
    calls.launch("exchangeRanks", {
      out: (h ?? x).range,
      parts: tables[place]!,
      flags: tables.at(-1)!,
      stop: this.#stop(exchangeFlags),
      rank: group === "world" ? rank : rank % tp,
      ranks: group === "world" ? tp * ep : tp,
      stride: x.stride,
      width: x.width,
      round,
      accumulate: h !== null,
      n,
    });
    calls.overlaps = overlaps;
  }

  /** Ends launches that wait for other ranks; what they sum is nonsense. */
  abort(): void {
    const { device, workspace } = this.#parts;
    using stream = device.createStream();
    using one = device.allocatePinned(4);
    new Int32Array(one.view.buffer, 0, 1)[0] = 1;
    stream.upload(this.#stop(workspace.exchangeFlags), one, 0, 4);
    stream.synchronize();
  }

  #stop(flags: DeviceRange): DeviceRange {
    return part(flags, flags.bytes - 4, 4);
  }

  #writeTables(group: RankGroup, index: number): DeviceRange[] {
    const { device, stream, workspace, sizes: { tp, ep }, rank, offers } = this.#parts, world = tp * ep;
    const first = group === "world" ? 0 : rank - rank % tp, count = group === "world" ? world : tp;
    const own = [...placesOf(workspace), flagsOf(workspace, world, group)];
    return own.map((range, place) => {
      const records = device.createArguments();
      for (let r = first; r < first + count; r++) {
        const { places, flags } = offers[r]!;
        const memory = place < places.length ? places[place]! : flags[group];
        // The buffer lives as long as the device is open.
        const there: DeviceBuffer | null = r === rank ? null : device.borrow(memory);
        records.pointer(there === null ? range : there.range());
      }
      const table = part(workspace.exchangeTables, 8 * world * (index * own.length + place), 8 * world);
      stream.uploadRecords(table, records);
      return table;
    });
  }
}
