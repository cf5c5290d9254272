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
import { BLOCKS, type ExchangeMemory, exchangeMemory, MOST_NOTES, roomFor, WRITTEN } from "./exchanged.ts";
import type { GpuLinear, GpuTensor } from "./tensors.ts";
import type { Workspace } from "./workspace.ts";

/** Memory that a rank lets the others write to. */
export interface OfferedMemory {
  /** By group that has memory of its own: what {@linkcode WRITTEN} lists. */
  readonly groups: readonly (readonly SharedMemory[])[];
  /** Logits of the whole vocabulary. */
  readonly logits: SharedMemory;
  /** Blocks that wait for others by counters and are under way at once on its device. */
  readonly blocks: number;
}

/** Both halves of a launch; see kernels/common/exchange.h. */
const WHOLE = 3;

/** Of the kernels whose blocks wait by counters, so many are under way at once on a multiprocessor. */
const BLOCKS_PER_PROCESSOR = 2;

/** Most rows, and columns of a row, that `exchange_norm_route` takes: each has the room of two blocks of notes. */
const ROUTED_ROWS = 64, ROUTED_COLUMNS = 4096;

/** Fewest rows that `exchange_combine` is used for: of fewer, 2,880 numbers each, a mark beside each is faster. */
const COMBINED_ROWS = Math.floor(4 * MOST_NOTES / 2880) + 1;

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
  /** Blocks of a launch for many tokens, on every rank. */
  #blocks = 0;

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
    const blocks = BLOCKS_PER_PROCESSOR * device.properties.multiprocessors;
    return { groups, logits: device.share(allLogits), blocks };
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
    this.#blocks = Math.min(BLOCKS, ...offers.map(({ blocks }) => blocks));
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
    const { rows: inboxes, rowMarks: marks } = tables, counted = { marks, turns: memory.rowTurns, room: this.#room };
    calls.launch("exchangeRows", { ...rows, ...how, ...counted, inboxes }, undefined, this.#blocks);
  }

  /** Whether a kernel makes the experts' weighted sums of so many tokens, and sums them over ranks. */
  canCombine(n: number, width: number): boolean {
    return n >= COMBINED_ROWS && width % 8 === 0 && this.#parts.calls.kernels.has("exchange_combine");
  }

  /** h += the sum over ranks of the weighted sums of slot rows y. */
  combine(
    { range: y, stride: yStride }: GpuTensor,
    { range: out, stride, width }: GpuTensor,
    group: RankGroup,
    values: Pick<Values<"exchangeCombine">, "weights" | "topK" | "round" | "n">,
  ): void {
    const { memory: { rowTurns: turns }, tables: { rows: inboxes, rowMarks: marks }, place } = this.#meetings[group];
    const counted = { inboxes, marks, turns, room: this.#room, stop: this.#stop, phase: WHOLE, ...place };
    const rows = { out, y, stride, yStride, width, accumulate: true };
    this.#parts.calls.launch("exchangeCombine", { ...values, ...counted, ...rows }, undefined, this.#blocks);
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
