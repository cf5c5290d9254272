/**
 * Sums over ranks without a library, where devices reach one another's memory: a kernel of each rank writes the rank's
 * numbers to all others, waits until theirs have come, and adds them up in the order of ranks. Few numbers come with a
 * mark beside each; of many, blocks say how far they are.
 *
 * What a rank receives lies in two places by turns: the others may be one sum ahead, and no more, as each needs this
 * rank's numbers for every sum.
 */
import type { DeviceBuffer, DeviceRange, GpuDevice, SharedMemory, Stream } from "../../../ffi/runtime.ts";
import type { ParallelSizes } from "../../checkpoint/shard.ts";
import type { RankGroup } from "../../model/backend.ts";
import type { Values } from "./arguments.ts";
import type { Calls } from "./calls.ts";
import { type ExchangeMemory, exchangeMemory, MOST_NOTES, roomFor, WRITTEN } from "./exchanged.ts";
import type { GpuLinear, GpuTensor } from "./tensors.ts";
import type { Workspace } from "./workspace.ts";

/** Memory that a rank lets the others write to. */
export interface OfferedMemory {
  /** By group that has memory of its own: what {@linkcode WRITTEN} lists. */
  readonly groups: readonly (readonly SharedMemory[])[];
  /** Logits of the whole vocabulary. */
  readonly logits: SharedMemory;
}

/** Both halves of a launch; see kernels/common/exchange.h. */
const WHOLE = 3;

/** Most rows, and columns of a row, that `exchange_norm_route` takes: each has the room of two blocks of notes. */
const ROUTED_ROWS = 64, ROUTED_COLUMNS = 4096;

/** What that kernel is given beside what is exchanged. */
export type RouteValues =
  & Pick<
    Values<"exchangeNormRoute">,
    "in" | "topK" | "ids" | "weights" | "round" | "n" | "normed" | "normedStride"
  >
  & { readonly router: GpuLinear };

/** What an {@linkcode Exchange} is made of. */
export interface ExchangeParts {
  readonly device: GpuDevice;
  readonly stream: Stream;
  readonly calls: Calls;
  readonly workspace: Workspace<string>;
  readonly sizes: ParallelSizes;
  readonly rank: number;
  /** Most tokens of a batch, and columns of what is summed. */
  readonly maxTokens: number;
  readonly hidden: number;
}

/** One group's memory, and the tables by which its ranks reach one another. */
interface Meeting {
  readonly memory: ExchangeMemory;
  readonly tables: Readonly<Record<(typeof WRITTEN)[number] | "logits", DeviceRange>>;
  readonly place: { readonly rank: number; readonly ranks: number };
}

/** One rank's sums from memory to memory. */
export class Exchange {
  readonly #parts: ExchangeParts;
  readonly #room: number;
  readonly #meetings: Readonly<Record<RankGroup, Meeting>>;

  constructor(parts: ExchangeParts) {
    const { workspace: { exchanged, exchangeTables }, sizes, maxTokens, hidden, rank } = parts;
    this.#parts = parts;
    this.#room = roomFor(maxTokens, hidden);
    const all = exchangeMemory(sizes, this.#room, exchanged, exchangeTables).map(({ group, memory, tables }) => {
      const names = [...WRITTEN, "logits"] as const;
      const place = group === "world"
        ? { rank, ranks: sizes.tp * sizes.ep }
        : { rank: rank % sizes.tp, ranks: sizes.tp };
      const named = Object.fromEntries(names.map((name, i) => [name, tables[i]!]));
      return { memory, place, tables: named as Meeting["tables"] };
    });
    this.#meetings = { world: all[0]!, tensor: all.at(-1)! };
  }

  get #own(): readonly Meeting[] {
    return [...new Set(Object.values(this.#meetings))];
  }

  /** What this rank offers. */
  offer(): OfferedMemory {
    const { device, workspace: { allLogits } } = this.#parts;
    const groups = this.#own.map(({ memory }) => WRITTEN.map((name) => device.share(memory[name])));
    return { groups, logits: device.share(allLogits) };
  }

  /**
   * Learns where the other ranks' memory is.
   *
   * @param offers By rank, as are the ordinals of their devices.
   * @returns False where a device cannot reach another one's memory, or has no kernel for this.
   */
  meet(offers: readonly OfferedMemory[], devices: readonly number[]): boolean {
    const { device, calls: { kernels }, rank, stream, workspace: { allLogits } } = this.#parts;
    if (!["exchange_ranks", "exchange_rows"].every((name) => kernels.has(name))) return false;
    if (!devices.every((other, r) => r === rank || device.reach(other))) return false;
    for (const [index, { memory, tables, place: { rank: own, ranks } }] of this.#own.entries()) {
      const first = rank - own;
      const write = (table: DeviceRange, mine: DeviceRange, of: (offer: OfferedMemory) => SharedMemory) => {
        const records = device.createArguments();
        for (let r = first; r < first + ranks; r++) {
          // The buffer lives as long as the device is open.
          const there: DeviceBuffer | null = r === rank ? null : device.borrow(of(offers[r]!));
          records.pointer(there === null ? mine : there.range());
        }
        stream.uploadRecords(table, records);
      };
      WRITTEN.forEach((name, i) => write(tables[name], memory[name], ({ groups }) => groups[index]![i]!));
      write(tables.logits, allLogits, ({ logits }) => logits);
    }
    return true;
  }

  /** The same as `RankSums.sum`. */
  sum(x: GpuTensor, h: GpuTensor | null, group: RankGroup, n: number, round: boolean): void {
    const { calls } = this.#parts, { memory, tables, place } = this.#meetings[group], stop = this.#stop;
    const { range, stride, width } = x, rows = { out: (h ?? x).range, x: range, ...place, stop, stride, width };
    const how = { round, accumulate: h !== null, n, phase: WHOLE };
    if (n * Math.ceil(width / 4) <= MOST_NOTES) {
      return calls.launch("exchangeRanks", { ...rows, ...how, inboxes: tables.notes, turns: memory.noteTurns });
    }
    const { rows: inboxes, rowMarks: marks } = tables;
    calls.launch("exchangeRows", { ...rows, ...how, inboxes, marks, turns: memory.rowTurns, room: this.#room });
  }

  /** Whether a kernel routes the sums of so many tokens. */
  canRoute(n: number, { suffix, cols }: GpuLinear): boolean {
    return n <= ROUTED_ROWS && cols <= ROUTED_COLUMNS && this.#parts.calls.fits(`exchange_norm_route_${suffix}`, cols);
  }

  /** See `RankSums.sumRoute`. */
  sumRoute(x: GpuTensor, h: GpuTensor, group: RankGroup, values: RouteValues): void {
    const { memory: { noteTurns: turns }, tables: { notes: inboxes }, place } = this.#meetings[group];
    const exchanged = { ...place, inboxes, turns, stop: this.#stop, stride: x.stride, phase: WHOLE };
    const entry = `exchange_norm_route_${values.router.suffix}`;
    this.#parts.calls.launch("exchangeNormRoute", { ...values, ...exchanged, h: h.range, x: x.range }, entry);
  }

  /** Columns of logits of all ranks of the tensor group side by side, of the first `n` rows, on every rank. */
  gatherLogits(n: number): void {
    const { calls, workspace: { logits, logitStride } } = this.#parts, { tables, place } = this.#meetings.tensor;
    calls.launch("exchangeColumns", {
      ...{ x: logits, stride: logitStride, wholes: tables.logits, stop: this.#stop, ...place },
      ...{ marks: tables.columnMarks, n, phase: WHOLE },
    });
  }

  /** Ends launches that wait for other ranks; what they sum is nonsense. */
  abort(): void {
    const { device } = this.#parts;
    using stream = device.createStream();
    using one = device.allocatePinned(4);
    new Int32Array(one.view.buffer, 0, 1)[0] = 1;
    stream.upload(this.#stop, one, 0, 4);
    stream.synchronize();
  }

  get #stop(): DeviceRange {
    return this.#parts.workspace.exchangeStop;
  }
}
