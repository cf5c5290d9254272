/** A backend's place among ranks that have a device each. */
import type { Collectives } from "../../../ffi/collectives.ts";
import type { Stream, Watcher } from "../../../ffi/runtime.ts";
import type { Executor } from "./executor.ts";
import type { Held } from "./held.ts";
import { Exchange } from "./exchange.ts";
import type { OfferedMemory, RankPlaces } from "./offered.ts";
import type { GpuTensor, GpuTree } from "./tensors.ts";
import { joinRanks, type RankIds, RankSums } from "./ranks.ts";
import type { Recordings } from "./recordings.ts";
import { deviceRanks, type GpuRequest } from "./request.ts";
import type { Workspace } from "./workspace.ts";

/** Sums of a recording that is measured, an even number, and its replays. */
const TUNED_SUMS = 8, TUNED_REPLAYS = 5;

/** Microseconds of a sum, one figure for each replay; all ranks replay at the same time. */
export interface SumTimes {
  readonly tokens: number;
  readonly library: readonly number[];
  readonly exchange: readonly number[];
}

/** What a {@linkcode Membership} is made of. */
interface MembershipParts {
  readonly request: GpuRequest<string>;
  readonly held: Held;
  readonly stream: Stream;
  readonly recordings: Recordings;
  readonly workspace: Workspace<string>;
  readonly executor: Executor;
  readonly weights: GpuTree;
}

/** A backend's place among ranks, and how it sums with them. */
export class Membership {
  readonly #parts: MembershipParts;
  /** Whether the ranks' devices sum among themselves. */
  readonly onDevices: boolean;
  #library: Collectives | null = null;
  #exchange: Exchange | null = null;

  constructor(parts: MembershipParts) {
    this.#parts = parts;
    this.onDevices = deviceRanks(parts.request) !== null;
  }

  /** @param library Belongs to the backend from now on. */
  prepare(library: Collectives): void {
    this.#library = this.#parts.held.own(library);
  }

  /**
   * Lets the devices of all ranks sum from now on; comes back when the other ranks have joined as well. All must have
   * been prepared: the library does not let go of those that wait for one that never comes.
   *
   * @param watcher Looks while this device is waited for; see `GpuDevice.watch`.
   */
  join(ids: RankIds, rank: number, watcher: Watcher): void {
    const { request, held, stream, recordings, workspace, executor } = this.#parts;
    const groups = joinRanks(this.#library!, stream, deviceRanks(request)!, rank, ids);
    for (const group of new Set([groups.world, groups.tensor])) if (group) held.own(group);
    // Given back first: a library waits for the recordings that hold its operations.
    held.own(recordings);
    executor.ranks = new RankSums(executor.calls, workspace, groups, executor.options.round);
    held.device.watch(watcher);
  }

  /**
   * Memory that the other ranks may write to.
   *
   * @param abroad Whether some of them are in other processes.
   */
  offer(rank: number, abroad: boolean): OfferedMemory {
    const { request, held: { device }, stream, workspace, executor, weights: { layers } } = this.#parts;
    const { calls } = executor;
    const { config: { hidden }, maxTokens } = request, sizes = deviceRanks(request)!;
    this.#exchange = new Exchange({ device, stream, calls, workspace, sizes, rank, maxTokens, hidden });
    return this.#exchange.offer({
      sumsBlocks: layers.every(({ gateUp: [up], down: [down] }) => up && down && executor.knowsOne(up, down)),
      gives: layers.every(({ o }) => executor.knowsGive(o)),
      used: [calls.kernels.arch, ...[...executor.options.matrixKernels].sort()].join(" "),
    }, abroad);
  }

  /**
   * Makes ready for sums from memory to memory.
   *
   * @param offers By rank.
   * @returns Most tokens of a sum; 0 where that cannot be.
   */
  exchange(offers: readonly OfferedMemory[], places: RankPlaces): number {
    const tokens = this.#exchange?.meet(offers, places) ?? 0;
    if (tokens > 0) this.#parts.executor.ranks!.exchange = this.#exchange;
    return tokens;
  }

  /** Measures a sum of so many tokens by the library and from memory to memory; every rank must, at the same time. */
  tune(tokens: readonly number[]): readonly SumTimes[] {
    const { held, stream, workspace: { tensors }, executor: { ranks } } = this.#parts;
    const { projected, hidden } = tensors as Readonly<Record<string, GpuTensor>>;
    const microseconds = (n: number, exchangeTokens: number): number[] => {
      ranks!.exchangeTokens = exchangeTokens;
      const sums = () => {
        for (let i = 0; i < TUNED_SUMS; i++) {
          ranks!.sum(projected!, hidden!, "world", n);
        }
      };
      sums();
      return held.borrowing((made) => {
        const graph = made.use(stream.capture(sums));
        const start = made.use(held.device.createEvent()), end = made.use(held.device.createEvent());
        stream.replay(graph);
        return Array.from({ length: TUNED_REPLAYS }, () => {
          stream.record(start);
          stream.replay(graph);
          stream.record(end);
          stream.synchronize();
          return 1000 * end.millisecondsSince(start) / TUNED_SUMS;
        });
      });
    };
    return tokens.map((n) => ({ tokens: n, library: microseconds(n, 0), exchange: microseconds(n, n) }));
  }

  /** Sums of up to so many tokens go from memory to memory. */
  choose(tokens: number): void {
    this.#parts.executor.ranks!.exchangeTokens = tokens;
  }

  /** @throws {CollectiveError} if an operation among the ranks has failed. */
  check(): void {
    this.#parts.executor.ranks?.check();
  }

  /** For measurements, between batches; see {@linkcode RankSums.talks}. */
  talk(talks: boolean): void {
    const { stream, recordings, executor } = this.#parts;
    stream.synchronize();
    recordings.clear();
    executor.ranks!.talks = talks;
  }

  /** Whether it sums with others. */
  get joined(): boolean {
    return this.#parts.executor.ranks !== null;
  }

  /** Whether it writes to other ranks' memory, and they to this one's. */
  get exchanges(): boolean {
    return (this.#parts.executor.ranks?.exchange ?? null) !== null;
  }

  /**
   * Waits for the end of all that was queued.
   *
   * @param watcher In place of the one that was given to {@linkcode join}, from now on.
   * @throws {Error} as the watcher.
   */
  settle(watcher?: Watcher): void {
    const { held: { device }, stream } = this.#parts;
    if (watcher !== undefined) device.watch(watcher);
    stream.synchronize();
  }

  /**
   * Waits for the end of all that was queued, and lets go of other processes' memory: once all ranks have done so, each
   * may free its own.
   */
  part(): void {
    const { held: { device }, stream } = this.#parts;
    stream.synchronize();
    device.returnImported();
  }

  /** Leaves the memory that other ranks write to where it is, as one of them may do so after the backend was closed. */
  keep(): void {
    const { held: { device }, workspace: { exchanged, allLogits } } = this.#parts;
    for (const range of [exchanged, allLogits]) device.keep(range);
  }

  /** Ends what waits for other ranks; the backend can only be closed afterwards. */
  abandon(): void {
    const { held, recordings, executor } = this.#parts;
    held.device.watch(null);
    try {
      recordings.clear();
    } finally {
      executor.ranks?.abort();
    }
  }
}
