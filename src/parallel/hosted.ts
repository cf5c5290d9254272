/** Ranks with a device each: threads of this process, and of those that it shares the model with. */
import { asset } from "../assets.ts";
import type { GpuKind } from "../../ffi/runtime.ts";
import { groupSizes, type ParallelSizes, type RankRanges, rankRanges, shardSource } from "../checkpoint/shard.ts";
import { sampleFiles } from "../checkpoint/same_files.ts";
import type { OpenRequest } from "../model/backend.ts";
import { LOGIT_ROWS } from "../model/engine.ts";
import { type TensorName, workspace } from "../model/gpt_oss.ts";
import { RunControl } from "./control.ts";
import type { DeviceRankSetup, RankReply } from "./messages.ts";
import type { Processes } from "./processes.ts";
import { rankThreads, type StartRank } from "./rank_ports.ts";
import { Ranks } from "./ranks.ts";

/** How {@linkcode startRanks} starts ranks. */
export interface HostedOptions {
  readonly sizes: ParallelSizes;
  readonly kind: GpuKind;
  /** Ordinals, one for each rank of this process. */
  readonly devices: readonly number[];
  /** Path of the library of HIP or CUDA; undefined: it is looked for. */
  readonly library?: string | undefined;
  readonly collectivesLibrary?: string | undefined;
  /** Whether there is one rank only, which sums with no other. */
  readonly alone?: boolean;
  /** Where outcomes of self-tests are kept; see `GpuOptions`. */
  readonly selfTests?: string | undefined;
}

/** Ranks that were started. */
export interface HostedRanks {
  readonly ranks: Ranks;
  readonly control: RunControl;
  /** So many ranks are threads of each process. */
  readonly perProcess: number;
  /** What each rank holds of the model. */
  readonly ranges: readonly RankRanges[];
  /** float32 [LOGIT_ROWS, V], which the first of them writes. */
  readonly logits: Float32Array;
  /** Loads each one's part. */
  load(): Promise<RankReply[]>;
  /** Permits steps; see {@linkcode RunControl}. */
  pace(until: number, closed: boolean): void;
}

/** The module that a rank's thread runs. */
export const deviceRankModule = (): string | URL => asset("src/parallel/device_rank_worker.ts");

/**
 * Starts all ranks.
 *
 * @param processes Those that share the model, each with as many ranks; null: all ranks are threads of this one.
 * @throws {InputError} if tp or ep does not fit the model, or the processes.
 */
export function startRanks(
  whole: OpenRequest<TensorName>,
  { sizes, kind, devices, library, collectivesLibrary, selfTests, alone = false }: HostedOptions,
  processes: Processes | null,
): HostedRanks {
  const { config } = whole, { onProgress, part: _, ...request } = whole, world = sizes.tp * sizes.ep;
  const ranges = Array.from({ length: world }, (_, rank) => rankRanges(config, sizes, rank));
  const control = RunControl.create(world), logits = new SharedArrayBuffer(4 * LOGIT_ROWS * config.vocab);
  const perProcess = processes?.own(world).count ?? world, session = processes?.begin() ?? 0;
  const files = processes === null ? [] : sampleFiles(whole.source);
  const startThread = rankThreads(deviceRankModule(), world);
  const start: StartRank = (rank, listener) => {
    if (rank < perProcess) return startThread(rank, listener);
    const moved = (state: Parameters<RunControl["set"]>[1]) => control.set(rank, state);
    return processes!.remote({ session, rank, process: Math.floor(rank / perProcess), files }, { ...listener, moved });
  };
  const abort = (cause: Error) => {
    control.abort();
    processes?.abort(session, cause);
  };
  const ranks = new Ranks(world, { start, abort, onProgress, alone, parting: perProcess < world, own: perProcess });
  const load = () =>
    ranks.all((rank): DeviceRankSetup => {
      const source = shardSource(whole.source, config, sizes, rank);
      return {
        kind: "open",
        request: { ...request, source, tensors: workspace(config, source) },
        ranges: ranges[rank]!,
        sizes: alone ? null : groupSizes(config, sizes),
        speaks: rank === 0,
        // Another process puts its own in place of it.
        device: { kind, ordinal: devices[rank % perProcess]!, library, collectivesLibrary },
        selfTests,
        control: control.shared,
        logits,
      };
    });
  const pace = (until: number, closed: boolean) => {
    control.pace(until, closed);
    processes?.pace(session, until, closed);
  };
  return { ranks, control, perProcess, ranges, logits: new Float32Array(logits), load, pace };
}
