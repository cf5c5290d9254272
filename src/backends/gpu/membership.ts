/** A backend's place among ranks that have a device each. */
import type { Collectives } from "../../../ffi/collectives.ts";
import type { Stream, Watcher } from "../../../ffi/runtime.ts";
import type { Executor } from "./executor.ts";
import type { Held } from "./held.ts";
import { joinRanks, type RankIds, RankSums } from "./ranks.ts";
import type { Recordings } from "./recordings.ts";
import { deviceRanks, type GpuRequest, type Workspace } from "./workspace.ts";

/** What it is made of. */
interface MembershipParts {
  readonly request: GpuRequest<string>;
  readonly held: Held;
  readonly stream: Stream;
  readonly recordings: Recordings;
  readonly workspace: Workspace<string>;
  readonly executor: Executor;
}

/** See above. */
export class Membership {
  readonly #parts: MembershipParts;
  /** Whether the ranks' devices sum among themselves. */
  readonly onDevices: boolean;

  constructor(parts: MembershipParts) {
    this.#parts = parts;
    this.onDevices = deviceRanks(parts.request) !== null;
  }

  /**
   * Lets the devices of all ranks sum from now on; comes back when the other ranks have joined as well.
   *
   * @param library Belongs to the backend from now on.
   * @param watcher Looks while this device is waited for; see `GpuDevice.watch`.
   */
  join(library: Collectives, ids: RankIds, rank: number, watcher: Watcher): void {
    const { request, held, stream, recordings, workspace, executor } = this.#parts;
    held.own(library);
    const groups = joinRanks(library, stream, deviceRanks(request)!, rank, ids);
    for (const group of new Set([groups.world, groups.tensor])) if (group) held.own(group);
    // Given back first: a library waits for the recordings that hold its operations.
    held.own(recordings);
    executor.ranks = new RankSums(executor.calls, workspace, groups, executor.options.round);
    held.device.watch(watcher);
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

  /** Ends what waits for other ranks; the backend can only be closed afterwards. */
  abandon(): void {
    const { held, recordings, executor } = this.#parts;
    held.device.watch(null);
    recordings.clear();
    executor.ranks?.abort();
  }
}
