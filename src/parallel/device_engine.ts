/** An engine whose graph runs on several devices, one rank each. */
import { rankThreads } from "./rank_ports.ts";
import { asset } from "../assets.ts";
import { openCollectives } from "../../ffi/collectives.ts";
import type { GpuKind } from "../../ffi/runtime.ts";
import { refuseNonsense } from "../backends/gpu/decode.ts";
import { createRankIds } from "../backends/gpu/ranks.ts";
import { stepsAhead } from "../backends/gpu/paced.ts";
import { logitRowsFor } from "../backends/gpu/batches.ts";
import { fitsDevice } from "../backends/gpu/batch.ts";
import type { ModelConfig } from "../checkpoint/model_config.ts";
import { type ParallelSizes, type RankRanges, rankRanges, shardSource } from "../checkpoint/shard.ts";
import type { BackendInfo, Batch, OpenRequest } from "../model/backend.ts";
import { type DecodeRequest, type DecodeResult, type Engine, LOGIT_ROWS, type Picks } from "../model/engine.ts";
import { type Tap, type TensorName, workspace } from "../model/gpt_oss.ts";
import { RunControl } from "./control.ts";
import type { DeviceRankSetup, RankReply } from "./messages.ts";
import { Ranks, type TokensReply } from "./ranks.ts";
import { gatherTaps } from "./taps.ts";
import { tune } from "./tuning.ts";
import { Watchdog } from "./watchdog.ts";

/** What {@linkcode openDeviceRanks} needs besides the request for the whole model. */
export interface DeviceRanksOptions {
  readonly sizes: ParallelSizes;
  readonly kind: GpuKind;
  /** Ordinals, one for each rank. */
  readonly devices: readonly number[];
  /** Path of the library of HIP or CUDA; undefined: it is looked for. */
  readonly library?: string | undefined;
  readonly collectivesLibrary?: string | undefined;
  /** For measurements: false, and every sum goes by the library. */
  readonly exchange?: boolean;
  /** Milliseconds without progress after which ranks are given up. */
  readonly patience?: number;
}

/**
 * Starts tp * ep ranks with a device each, loads each one's part, and lets them find one another.
 *
 * @param whole The request for the unsharded model; its `tensors` are replaced by each rank's own sizes.
 * @throws {InputError} if tp or ep does not fit the model.
 * @throws {GpuLibraryError} if the collective library cannot be used.
 * @throws {FailureError} with the message of the first rank that failed.
 */
export async function openDeviceRanks(
  whole: OpenRequest<TensorName>,
  options: DeviceRanksOptions,
): Promise<DeviceEngine> {
  const { sizes, kind, devices, library: path, collectivesLibrary } = options, { config } = whole;
  const world = sizes.tp * sizes.ep, ranges = Array.from({ length: world }, (_, r) => rankRanges(config, sizes, r));
  const { onProgress, part: _, ...request } = whole;
  // Before anything is loaded.
  using library = openCollectives(kind, collectivesLibrary);
  const control = RunControl.create(world), logits = new SharedArrayBuffer(4 * LOGIT_ROWS * config.vocab);
  const module = asset("src/parallel/device_rank_worker.ts");
  const start = rankThreads(module, world);
  const ranks = new Ranks(world, { start, abort: () => control.abort(), onProgress });
  try {
    const replies = await ranks.all((rank): DeviceRankSetup => {
      const source = shardSource(whole.source, config, sizes, rank);
      return {
        kind: "open",
        request: { ...request, source, tensors: workspace(config, source) },
        ranges: ranges[rank]!,
        sizes,
        local: rank,
        device: { kind, ordinal: devices[rank]!, library: path, collectivesLibrary },
        control: control.shared,
        logits,
      };
    });
    const watchdog = new Watchdog(ranks, control, options.patience);
    const ids = createRankIds(library, sizes);
    await watchdog.during(() => ranks.all(() => ({ kind: "join", ids })));
    const name = `${kind === "cuda" ? "NCCL" : "RCCL"} ${library.version}`;
    const { text } = options.exchange === false
      ? { text: `sums by ${name}` }
      : await watchdog.during(() => tune(ranks, devices, whole.maxTokens, name));
    const info = joinInfo(sizes, replies, text);
    return new DeviceEngine(ranks, ranges, whole, control, watchdog, new Float32Array(logits), info);
  } catch (thrown) {
    await ranks.close();
    throw thrown;
  }
}

function joinInfo({ tp, ep }: ParallelSizes, replies: readonly RankReply[], sums: string): BackendInfo {
  const infos = replies.flatMap((r) => r.kind === "ready" ? [r.info] : []);
  return {
    description: `tp ${tp}, ep ${ep}, ${sums}, in the order of ranks, each rank: ${infos[0]?.description ?? ""}`,
    weightBytes: infos.reduce((sum, i) => sum + i.weightBytes, 0),
    loadMilliseconds: Math.max(...infos.map((i) => i.loadMilliseconds)),
  };
}

/** See above. */
export class DeviceEngine implements Engine {
  readonly #config: ModelConfig;

  constructor(
    readonly ranks: Ranks,
    readonly ranges: readonly RankRanges[],
    readonly request: OpenRequest<TensorName>,
    readonly control: RunControl,
    readonly watchdog: Watchdog,
    readonly logits: Float32Array,
    readonly info: BackendInfo,
  ) {
    this.#config = request.config;
  }

  async compute(
    batch: Batch,
    rows: Int32Array,
    onRow: (row: number, logits: Float32Array) => void,
    tap?: Tap,
  ): Promise<void> {
    const { vocab } = this.#config, tapped = tap !== undefined;
    this.ranks.onTap = tap && gatherTaps(tap, this.#config, this.ranges);
    for (let at = 0; at === 0 || at < rows.length; at += LOGIT_ROWS) {
      const part = rows.slice(at, at + LOGIT_ROWS);
      await this.#all(at === 0 ? { kind: "compute", batch, rows: part, tapped } : { kind: "logits", rows: part });
      part.forEach((row, i) => onRow(row, this.logits.slice(i * vocab, (i + 1) * vocab)));
    }
  }

  canDecode(batch: Batch): boolean {
    const { slots, maxTokens, context } = this.request;
    return fitsDevice(batch, logitRowsFor(slots, maxTokens), context);
  }

  async decode(request: DecodeRequest): Promise<DecodeResult> {
    const { control } = this, { batch, steps, sampling, onTokens } = request, ahead = stepsAhead(this.request);
    const picked = new Queue<TokensReply>();
    this.ranks.onTokens = (tokens) => picked.put(tokens);
    let done = 0, permitted = Math.min(steps, ahead);
    control.permit(permitted);
    const run = this.#all({ kind: "decode", batch, steps, sampling });
    // Its failure is thrown where tokens are waited for.
    run.catch((cause) => picked.fail(cause));
    try {
      while (done < steps) {
        const { ids } = await picked.take();
        ids.forEach((id, row) => refuseNonsense(id, row));
        if (!await onTokens(ids, done++)) break;
        control.permit(permitted = Math.min(steps, done + ahead));
      }
    } finally {
      // Every rank launches what was permitted, whatever happened here: otherwise they would wait for one another.
      control.close(permitted);
    }
    const [reply] = await run;
    return { steps: done, hostMilliseconds: reply?.kind === "decoded" ? reply.hostMilliseconds : 0 };
  }

  canPick(rows: number): boolean {
    return rows <= logitRowsFor(this.request.slots, this.request.maxTokens);
  }

  async pick(batch: Batch, rows: Int32Array): Promise<Picks> {
    const [reply] = await this.#all({ kind: "pick", batch, rows });
    if (reply?.kind !== "picked") throw new Error("a rank gave no picks");
    return reply.picks;
  }

  copySlot(from: number, to: number, length: number): void {
    this.ranks.post({ kind: "copySlot", from, to, length });
  }

  pretend(batch: Batch): void {
    this.ranks.post({ kind: "pretend", batch });
  }

  /** For measurements: every sum goes by the library, or (see `RankSums.talks`) there is none. */
  async talk(how: "library" | "not"): Promise<void> {
    await this.#all({ kind: "choose", tokens: 0 });
    await this.#all({ kind: "talk", talks: how !== "not" });
  }

  close(): Promise<void> {
    return this.ranks.close();
  }

  #all(command: Parameters<Ranks["post"]>[0]): Promise<RankReply[]> {
    return this.watchdog.during(() => this.ranks.all(() => command));
  }
}

/** Values that come at their own time, in order. */
class Queue<T> {
  readonly #values: T[] = [];
  #taker: { resolve(value: T): void; reject(cause: unknown): void } | null = null;
  #failure: { readonly cause: unknown } | null = null;

  put(value: T): void {
    if (this.#taker === null) this.#values.push(value);
    else this.#taker.resolve(value);
    this.#taker = null;
  }

  fail(cause: unknown): void {
    this.#failure = { cause };
    this.#taker?.reject(cause);
    this.#taker = null;
  }

  take(): Promise<T> {
    const first = this.#values.shift();
    if (first !== undefined) return Promise.resolve(first);
    if (this.#failure !== null) return Promise.reject(this.#failure.cause);
    return new Promise((resolve, reject) => this.#taker = { resolve, reject });
  }
}
