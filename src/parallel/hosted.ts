/** The ranks with devices that are threads of this process: all of them, or one where others are processes. */
import { asset } from "../assets.ts";
import type { GpuKind } from "../../ffi/runtime.ts";
import { type ParallelSizes, type RankRanges, rankRanges, shardSource } from "../checkpoint/shard.ts";
import type { OpenRequest } from "../model/backend.ts";
import { LOGIT_ROWS } from "../model/engine.ts";
import { type TensorName, workspace } from "../model/gpt_oss.ts";
import { RunControl } from "./control.ts";
import type { DeviceRankSetup, RankReply } from "./messages.ts";
import { rankThreads } from "./rank_ports.ts";
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
}

/** Threads that were started. */
export interface HostedRanks {
  readonly ranks: Ranks;
  readonly control: RunControl;
  /** What each rank of this process holds of the model. */
  readonly ranges: readonly RankRanges[];
  /** float32 [LOGIT_ROWS, V], which the first of them writes. */
  readonly logits: Float32Array;
  /** Loads each one's part. */
  load(): Promise<RankReply[]>;
}

/**
 * Starts the threads of `count` ranks from `first` on.
 *
 * @throws {InputError} if tp or ep does not fit the model.
 */
export function startRanks(
  whole: OpenRequest<TensorName>,
  { sizes, kind, devices, library, collectivesLibrary }: HostedOptions,
  first: number,
  count: number,
): HostedRanks {
  const { config } = whole, { onProgress, part: _, ...request } = whole;
  const ranges = Array.from({ length: count }, (_, local) => rankRanges(config, sizes, first + local));
  const control = RunControl.create(count), logits = new SharedArrayBuffer(4 * LOGIT_ROWS * config.vocab);
  const module = asset("src/parallel/device_rank_worker.ts"), world = sizes.tp * sizes.ep;
  const ranks = new Ranks(count, {
    start: rankThreads(module, world),
    abort: () => control.abort(),
    onProgress,
    first,
  });
  const load = () =>
    ranks.all((local): DeviceRankSetup => {
      const source = shardSource(whole.source, config, sizes, first + local);
      return {
        kind: "open",
        request: { ...request, source, tensors: workspace(config, source) },
        ranges: ranges[local]!,
        sizes,
        local,
        device: { kind, ordinal: devices[local]!, library, collectivesLibrary },
        control: control.shared,
        logits,
      };
    });
  return { ranks, control, ranges, logits: new Float32Array(logits), load };
}
