/** An engine whose graph runs on several ranks, each a worker thread with its part of the weights. */
import type { ProcessorBackend } from "./open_backend.ts";
import { asset } from "../assets.ts";
import type { BackendInfo, Batch, OpenRequest } from "../model/backend.ts";
import type { ModelConfig } from "../checkpoint/model_config.ts";
import { type ParallelSizes, type RankRanges, rankRanges, shardSource } from "../checkpoint/shard.ts";
import { FailureError, InputError } from "../errors.ts";
import { startThread } from "../thread.ts";
import { type Available, availableMemory } from "../memory.ts";
import { type Engine, LOGIT_ROWS } from "../model/engine.ts";
import { type Tap, type TensorName, workspace } from "../model/gpt_oss.ts";
import { assemble } from "./assemble.ts";
import { abort, createSharedCommunication, type SharedCommunication } from "./communicator.ts";
import type { RankBackend, RankCommand, RankReply, RankSetup } from "./messages.ts";
import { words } from "../words.ts";

/** What {@linkcode openRanks} needs besides the request for the whole model. */
export interface RanksOptions {
  readonly sizes: ParallelSizes;
  readonly backend: ProcessorBackend;
  /** Threads of all ranks together. */
  readonly threads: number;
  readonly weights: "auto" | "map" | "read";
  /** For tests: what memory there is. */
  readonly available?: Available;
  /** For tests: the module that a rank's thread runs. */
  readonly worker?: string | URL;
}

/**
 * Starts tp * ep ranks and loads each one's part.
 *
 * @param whole The request for the unsharded model; its `tensors` are replaced by each rank's own sizes.
 * @throws {InputError} if tp or ep does not fit the model.
 * @throws {FailureError} with the message of the first rank that failed.
 */
export async function openRanks(whole: OpenRequest<TensorName>, options: RanksOptions): Promise<Engine> {
  const { sizes, threads } = options;
  const { config } = whole;
  const world = sizes.tp * sizes.ep;
  const ranges = Array.from({ length: world }, (_, rank) => rankRanges(config, sizes, rank));
  const { onProgress, part: _, ...request } = whole;
  const communication = createSharedCommunication(
    sizes.tp,
    sizes.ep,
    whole.maxTokens * Math.ceil(config.hidden / 4) * 4,
  );
  const available = options.available ?? availableMemory();
  const logits = new SharedArrayBuffer(4 * LOGIT_ROWS * config.vocab);
  const ranks = new Ranks(world, communication, options.worker ?? asset("src/parallel/rank_worker.ts"), onProgress);
  try {
    const replies = await ranks.all((rank): RankSetup => {
      const source = shardSource(whole.source, config, sizes, rank);
      const backend: RankBackend = {
        name: options.backend,
        threads: threadsOf(rank, threads, world),
        weights: options.weights,
      };
      const own = { ...request, source, tensors: workspace(config, source) };
      return { kind: "open", request: own, ranges: ranges[rank]!, backend, communication, available, logits };
    });
    return new RankedEngine(ranks, ranges, config, new Float32Array(logits), joinInfo(sizes, replies));
  } catch (thrown) {
    ranks.close();
    throw thrown;
  }
}

/**
 * A rank's fair share of the threads: as many as any other rank, or one more while some are left over. Every rank has
 * one at least, its own, also where there are more ranks than threads.
 */
export function threadsOf(rank: number, threads: number, world: number): number {
  return Math.max(1, Math.floor(threads / world) + (rank < threads % world ? 1 : 0));
}

function joinInfo(sizes: ParallelSizes, replies: readonly RankReply[]): BackendInfo {
  const infos = replies.flatMap((r) => r.kind === "ready" ? [r.info] : []);
  return {
    description: `tp ${sizes.tp}, ep ${sizes.ep}, each rank: ${infos[0]?.description ?? ""}`,
    weightBytes: infos.reduce((sum, i) => sum + i.weightBytes, 0),
    loadMilliseconds: Math.max(...infos.map((i) => i.loadMilliseconds)),
  };
}

type TapReply = Extract<RankReply, { kind: "tap" }>;

type Failure = Extract<RankReply, { kind: "failed" }>;

/** The workers, and the promise of their answers to the question at hand. */
class Ranks {
  readonly #workers: Worker[];
  #pending: { answer(rank: number, reply: RankReply): void; reject(cause: Error): void } | undefined;
  /** The first failure. The ranks' sums are out of step from then on, so no later question is asked. */
  #failure: Error | undefined;
  onTap: ((rank: number, tap: TapReply) => void) | undefined;

  /**
   * @param module What each worker runs.
   */
  constructor(
    readonly count: number,
    readonly communication: SharedCommunication,
    module: string | URL,
    onProgress?: (done: number, total: number) => void,
  ) {
    this.#workers = Array.from({ length: count }, (_, rank) => {
      const worker = startThread(module, `mxoss-rank-${rank}`, `the thread of rank ${rank} of ${count}`);
      worker.onmessage = ({ data }: MessageEvent<RankReply>) => {
        if (data.kind === "tap") this.onTap?.(rank, data);
        else if (data.kind === "progress") rank === 0 && onProgress?.(data.done * count, data.total * count);
        else if (data.kind === "failed" && !data.dragged) this.#fail(toError(rank, data));
        else this.#pending?.answer(rank, data);
      };
      worker.onerror = (event) => {
        event.preventDefault();
        this.#fail(toError(rank, { kind: "failed", text: event.message, mistake: null, dragged: false }));
      };
      return worker;
    });
  }

  /** Remembers the first cause and wakes the ranks that wait: a thread that died could not do so itself. */
  #fail(cause: Error): void {
    this.#failure ??= cause;
    abort(this.communication);
    this.#pending?.reject(this.#failure);
  }

  /** Sends each rank its message and resolves when all have answered; rejects with the first cause when any failed. */
  all(message: (rank: number) => RankSetup | RankCommand): Promise<RankReply[]> {
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      const replies: RankReply[] = [];
      let answered = 0;
      this.#pending = {
        reject,
        // Ranks that only stopped because of another one count as well: that one's failure is on its way.
        answer: (rank, reply) => {
          replies[rank] = reply;
          if (++answered < this.count) return;
          if (replies.some((r) => r.kind === "failed")) reject(new FailureError("the ranks stopped one another"));
          else resolve(replies);
        },
      };
      this.#workers.forEach((worker, rank) => worker.postMessage(message(rank)));
    });
  }

  post(command: RankCommand): void {
    for (const worker of this.#workers) worker.postMessage(command);
  }

  close(): void {
    this.post({ kind: "close" });
  }
}

function toError(rank: number, { text, mistake }: Failure): Error {
  return mistake === null ? new FailureError(words`rank ${rank}: ${text}`) : new InputError(mistake);
}

class RankedEngine implements Engine {
  constructor(
    readonly ranks: Ranks,
    readonly ranges: readonly RankRanges[],
    readonly config: ModelConfig,
    readonly logits: Float32Array,
    readonly info: BackendInfo,
  ) {}

  async compute(
    batch: Batch,
    rows: Int32Array,
    onRow: (row: number, logits: Float32Array) => void,
    tap?: Tap,
  ): Promise<void> {
    this.ranks.onTap = tap && this.#gather(tap);
    for (let at = 0; at === 0 || at < rows.length; at += LOGIT_ROWS) {
      const part = rows.slice(at, at + LOGIT_ROWS);
      await this.ranks.all(() =>
        at === 0 ? { kind: "compute", batch, rows: part, tapped: tap !== undefined } : { kind: "logits", rows: part }
      );
      const { vocab } = this.config;
      part.forEach((row, i) => onRow(row, this.logits.slice(i * vocab, (i + 1) * vocab)));
    }
  }

  copySlot(from: number, to: number, length: number): void {
    this.ranks.post({ kind: "copySlot", from, to, length });
  }

  close(): Promise<void> {
    this.ranks.close();
    return Promise.resolve();
  }

  /** Collects each operation's parts and calls the tap when the last rank's has come. Ranks tap in the same order. */
  #gather(tap: Tap): (rank: number, reply: TapReply) => void {
    const waiting: TapReply[][] = this.ranges.map(() => []);
    return (rank, reply) => {
      waiting[rank]!.push(reply);
      while (waiting.every((queue) => queue.length > 0)) {
        const parts = waiting.map((queue) => queue.shift()!);
        const { layer, operation, rows, experts } = parts[0]!;
        const whole = assemble(operation, this.config, this.ranges, rows, parts);
        tap({
          layer,
          operation,
          rows,
          width: whole.width,
          read: () => whole.values,
          ...(experts ? { experts: () => experts } : {}),
        });
      }
    };
  }
}
