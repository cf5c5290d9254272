/**
 * Sums over ranks without a library, where devices reach one another's memory: a kernel of each rank writes the rank's
 * numbers to all others, waits until theirs have come, and adds them up in the order of ranks. Few numbers come with a
 * mark beside each; of many, blocks say how far they are.
 *
 * What a rank receives lies in two places by turns: the others may be one sum ahead, and no more, as each needs this
 * rank's numbers for every sum.
 */
import type { DeviceRange, GpuDevice, Stream } from "../../../ffi/runtime.ts";
import type { ParallelSizes } from "../../checkpoint/shard.ts";
import type { RankGroup } from "../../model/backend.ts";
import type { Calls } from "./calls.ts";
import {
  BLOCKS,
  COUNTED_ROWS,
  exchangeMemory,
  MOST_NOTES,
  mostSummed,
  roomFor,
  ROW_NOTES,
  type RowRoom,
} from "./exchanged.ts";
import {
  type BlockSum,
  type Choices,
  type Giving,
  normedArguments,
  type RouteValues,
  type RowsToSum,
  type SumRows,
  withoutNorm,
} from "./exchange_rows.ts";
import { type Meeting, meetingsOf, offerMemory, writeTables } from "./meetings.ts";
import { type OfferedMemory, type RankKernels, type RankPlaces, reachedOrdinals } from "./offered.ts";
import type { GpuLinear, GpuTensor } from "./tensors.ts";
import type { Workspace } from "./workspace.ts";

/** Both halves of a launch; see kernels/common/exchange.h. */
const WHOLE = 3;

/** Most rows, and columns of a row, that `exchange_norm_route` takes: each has the room of two blocks of notes. */
const ROUTED_ROWS = 64;
const ROUTED_COLUMNS = 4096;
/** The same where the blocks of a token are a cluster. */
const CLUSTERED_COLUMNS = 3072;

/** Most columns of a norm that `exchange_rows` makes. */
const COUNTED_COLUMNS = 3072;

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

/** One rank's sums from memory to memory. */
export class Exchange {
  readonly #parts: ExchangeParts;
  readonly #room: RowRoom;
  readonly #meetings: Readonly<Record<RankGroup, Meeting>>;
  /** Fewest multiprocessors of a rank's device. */
  #processors = 0;
  /** What all ranks can: they differ in columns. */
  #can: Omit<RankKernels, "used"> = { sumsBlocks: false, gives: false };

  constructor(parts: ExchangeParts) {
    const { workspace: { exchanged, exchangeTables }, sizes, maxTokens, hidden, rank } = parts;
    this.#parts = parts;
    this.#room = roomFor(maxTokens, hidden);
    const all = meetingsOf(sizes, rank, exchangeMemory(sizes, this.#room, exchanged, exchangeTables));
    this.#meetings = { world: all[0]!, tensor: all.at(-1)! };
  }

  get #own(): readonly Meeting[] {
    return [...new Set(Object.values(this.#meetings))];
  }

  /**
   * What this rank offers.
   *
   * @param abroad Whether there are ranks in other processes.
   */
  offer(can: RankKernels, abroad: boolean): OfferedMemory {
    return offerMemory(this.#parts, this.#own, can, abroad);
  }

  /**
   * Learns where the other ranks' memory is.
   *
   * @param offers By rank.
   * @returns Most tokens of a sum: none where a device cannot reach another one's memory, has no kernel for this, or
   *   uses other kernels, and those whose numbers come with a mark each where devices are not joined by NVLink.
   */
  meet(offers: readonly OfferedMemory[], places: RankPlaces): number {
    const { device, calls: { kernels }, rank } = this.#parts;
    const names = ["ranks", "columns", "rows", "combine", "combine_few", "argmax"];
    if (!names.every((name) => kernels.has(`exchange_${name}`))) return 0;
    // One that failed a self-test would have its sums made by others, which wait for notes that nobody writes.
    if (offers.some(({ can }) => can.used !== offers[rank]!.can.used)) return 0;
    const ordinals = reachedOrdinals(device, rank, offers, places);
    if (ordinals === null) return 0;
    this.#processors = Math.min(...offers.map(({ blocks }) => blocks));
    this.#can = {
      sumsBlocks: offers.every(({ can }) => can.sumsBlocks),
      gives: offers.every(({ can }) => can.gives) && kernels.has("exchange_given"),
    };
    if (writeTables(this.#parts, this.#own, offers, places)) return mostSummed(this.#parts, device.joined(ordinals));
    device.returnImported();
    return 0;
  }

  /** The same as `RankSums.sum`. */
  sum(x: GpuTensor, h: GpuTensor | null, group: RankGroup, n: number, round: boolean): void {
    const { calls } = this.#parts, { memory, tables, place } = this.#meetings[group], stop = this.#stop;
    const { range, stride, width } = x, rows = { out: (h ?? x).range, x: range, ...place, stop, stride, width };
    const how = { round, accumulate: h !== null, n, phase: WHOLE };
    if (n * Math.ceil(width / 4) <= MOST_NOTES) {
      return calls.launch("exchangeRanks", { ...rows, ...how, inboxes: tables.notes, turns: memory.noteTurns });
    }
    const values = { in: withoutNorm(x), normed: null, prepared: [], round, n, accumulate: h !== null };
    this.#rows(x, h ?? x, group, values);
  }

  /** Whether a kernel adds a sum of so many tokens to the residual stream and makes the norm of that. */
  canNorm(n: number, width: number): boolean {
    return n >= COUNTED_ROWS && width % 4 === 0 && width <= COUNTED_COLUMNS;
  }

  /** h += the sum over ranks of x, and the norm of it. */
  sumNorm(x: GpuTensor, h: GpuTensor, group: RankGroup, rows: SumRows & RowsToSum): void {
    this.#rows(x, h, group, { ...rows, accumulate: true });
  }

  /** Whether the kernel of a linear gives so many rows to the sum over ranks. */
  canGive(n: number, width: number): boolean {
    return this.#can.gives && this.canNorm(n, width);
  }

  /** What the linear's kernel is told where it gives its rows. */
  giving(group: RankGroup): Giving {
    const { tables: { given: inboxes, givenMarks: marks }, place } = this.#meetings[group];
    return { inboxes, marks, room: this.#room.givenBytes, tiles: this.#room.givenTiles, ...place };
  }

  /**
   * h += the sum over ranks of what was given, and the norm of it.
   *
   * @param early Whether the launch may begin before the one ahead of it, which gives this rank's rows, has ended.
   */
  takeGiven(
    { range: h, stride, width }: GpuTensor,
    group: RankGroup,
    { round, n, ...norms }: SumRows & RowsToSum,
    early: boolean,
  ): void {
    const { calls } = this.#parts, { memory: { givenTurns: turns } } = this.#meetings[group];
    const values = { h, stride, width, round, n, ...normedArguments(norms), turns, stop: this.#stop, phase: WHOLE };
    calls.overlapping(early, () => calls.launch("exchangeGiven", { ...values, ...this.giving(group) }));
  }

  /** Whether a kernel makes the experts' weighted sums of so many tokens, and sums them over ranks. */
  canCombine(n: number, width: number): boolean {
    return this.canNorm(n, width) || n <= ROUTED_ROWS && width % 4 === 0 && width <= ROUTED_COLUMNS;
  }

  /** h += the sum over ranks of the weighted sums of slot rows y, and the norm of it. */
  combine(y: GpuTensor, h: GpuTensor, group: RankGroup, choices: Choices, rows: SumRows): void {
    const { calls } = this.#parts, { range, stride, width } = h, own = { y: y.range, yStride: y.stride };
    const values = { ...choices, ...normedArguments(rows), ...own, h: range, stride, width };
    if (choices.n > ROUTED_ROWS) return calls.launch("exchangeCombine", { ...values, ...this.#counted(group) });
    calls.launch("exchangeCombineFew", { ...values, ...this.#noted(group) });
  }

  /** Whether the kernel of every rank that computes the experts of one token can sum its row. */
  sumsBlocks(width: number): boolean {
    return this.#can.sumsBlocks && width <= ROW_NOTES && this.#parts.calls.multiprocessors <= BLOCKS;
  }

  /** What a kernel is told whose blocks have some numbers each of a row that is summed. */
  blockSum(group: RankGroup): BlockSum {
    const { memory: { rowNoteTurns: turns }, tables: { rowNotes: inboxes }, place } = this.#meetings[group];
    return { inboxes, turns, stop: this.#stop, ...place };
  }

  #rows(
    { range: x, stride: xStride, width }: GpuTensor,
    { range: out, stride }: GpuTensor,
    group: RankGroup,
    { round, n, accumulate, ...rows }: SumRows & RowsToSum & { readonly accumulate: boolean },
  ): void {
    const values = { out, stride, x, xStride, width, round, n, accumulate, ...normedArguments(rows) };
    this.#parts.calls.launch("exchangeRows", { ...values, ...this.#counted(group) });
  }

  /** What launches have in common that write rows, or leave notes. */
  #counted(group: RankGroup) {
    const { memory: { rowTurns: turns }, tables: { rows: inboxes }, place } = this.#meetings[group];
    const { rows: most, bytes: room } = this.#room;
    return { inboxes, turns, most, room, stop: this.#stop, phase: WHOLE, ...place };
  }

  #noted(group: RankGroup) {
    const { memory: { noteTurns: turns }, tables: { notes: inboxes }, place } = this.#meetings[group];
    return { inboxes, turns, stop: this.#stop, phase: WHOLE, ...place };
  }

  /** Whether a kernel routes the sums of so many tokens. */
  canRoute(n: number, router: GpuLinear): boolean {
    const { calls } = this.#parts, { rows, cols } = router, entry = this.#routeEntry(n, router);
    if (n > ROUTED_ROWS || cols > ROUTED_COLUMNS || !calls.fits(entry, cols)) return false;
    // Blocks wait for the other ranks' first ones.
    return n * Math.ceil(rows / calls.kernels.traits(entry).rowsPerBlock) <= this.#processors;
  }

  /** See `RankSums.sumRoute`. */
  sumRoute(x: GpuTensor, h: GpuTensor, group: RankGroup, values: RouteValues): void {
    const exchanged = { ...this.#noted(group), stride: x.stride }, entry = this.#routeEntry(values.n, values.router);
    const family = entry.endsWith("_cluster") ? "exchangeNormRouteCluster" : "exchangeNormRoute";
    this.#parts.calls.launch(family, { ...values, ...exchanged, h: h.range, x: x.range }, entry);
  }

  #routeEntry(n: number, { suffix, rows, cols }: GpuLinear): string {
    const { calls } = this.#parts, entry = `exchange_norm_route_${suffix}`, cluster = `${entry}_cluster`;
    if (cols > CLUSTERED_COLUMNS || !calls.clusters(cluster, rows)) return entry;
    // All must run at once; a cluster lies among multiprocessors that are near one another, which may leave some idle.
    const blocks = n * Math.ceil(rows / calls.kernels.traits(cluster).rowsPerBlock);
    return 2 * blocks <= this.#processors ? cluster : entry;
  }

  /** Whether the likeliest tokens of so many rows can be found without gathering their logits. */
  canPick(rows: number): boolean {
    return rows <= ROUTED_ROWS;
  }

  /** The likeliest tokens of the first `rows` rows, of all ranks' columns; of a rank's own there are `columns`. */
  pick(rows: number, columns: number): void {
    const { calls, workspace: { logits, logitStride, picked } } = this.#parts, noted = this.#noted("tensor");
    const own = { logits, stride: logitStride, columns, first: noted.rank * logitStride };
    calls.launch("exchangeArgmax", { ...own, ...noted, picked, rows });
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
    // Given back with the device: that waits for launches, which may wait for what the library is still to end.
    const stream = device.createStream(), one = device.allocatePinned(4);
    new Int32Array(one.view.buffer, 0, 1)[0] = 1;
    stream.upload(this.#stop, one, 0, 4);
    stream.synchronize();
  }

  get #stop(): DeviceRange {
    return this.#parts.workspace.exchangeStop;
  }
}
