/** An engine whose graph runs on several ranks, each a worker thread with its part of the weights. */
import { counted } from "../amounts.ts";
import type { GpuKind } from "../../ffi/runtime.ts";
import { currentProcesses } from "./current.ts";
import { rankThreads, type StartRank } from "./rank_ports.ts";
import type { LogitColumns } from "./process_messages.ts";
import type { Processes, RemoteRank } from "./processes.ts";
import type { ProcessorBackend } from "./open_backend.ts";
import { asset } from "../assets.ts";
import { mappedBytes } from "../backends/emulate/mapped_bytes.ts";
import { sampleFiles } from "../checkpoint/same_files.ts";
import type { ModelSource } from "../checkpoint/source.ts";
import type { BackendInfo, Batch, OpenRequest } from "../model/backend.ts";
import { groupSizes, type ParallelSizes, rankRanges, shardSource } from "../checkpoint/shard.ts";
import { type Available, availableMemory } from "../memory.ts";
import { type DecodeRequest, type DecodeResult, type Engine, LOGIT_ROWS } from "../model/engine.ts";
import { type Tap, type TensorName, workspace } from "../model/gpt_oss.ts";
import { likeliestOf } from "../model/likeliest.ts";
import { computeTogether, type LoadedRanks } from "./compute.ts";
import { abort, createSharedCommunication } from "./communicator.ts";
import { RunControl } from "./control.ts";
import { Queue } from "./queue.ts";
import type { RankBackend, RankReply, RankSetup } from "./messages.ts";
import { joinedInfo, Ranks, type TokensReply } from "./ranks.ts";

/** What {@linkcode openRanks} needs besides the request for the whole model. */
export interface RanksOptions {
  readonly sizes: ParallelSizes;
  /** On the processor, or on devices of which there are fewer than ranks. */
  readonly backend: ProcessorBackend | SharedDevices;
  /** Threads of all ranks together. */
  readonly threads: number;
  readonly weights: "auto" | "map" | "read";
  /** For tests: what memory there is. */
  readonly available?: Available;
  /** The module that a rank's thread runs, if it is another than `rank_worker.ts`. */
  readonly worker?: string | URL;
  /** Whether that module chooses tokens, see `runRank`: of one rank only. */
  readonly picks?: boolean;
}

/** Devices that ranks take in turns. */
export interface SharedDevices {
  readonly kind: GpuKind;
  readonly devices: readonly number[];
  readonly library: string | undefined;
}

function backendOf(backend: RanksOptions["backend"], rank: number): RankBackend["name"] {
  if (typeof backend === "string") return backend;
  const { kind, devices, library } = backend;
  return { kind, library, ordinal: devices[rank % devices.length]! };
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
  const processes = mpiProcesses(options.backend), own = processes?.own(world) ?? null, local = own?.count ?? world;
  const shared = { ...groupSizes(config, sizes), capacity: whole.maxTokens * Math.ceil(config.hidden / 4) * 4 };
  const communication = createSharedCommunication(shared.tp, shared.ep, shared.capacity, own);
  const available = options.available ?? availableMemory();
  const logits = new SharedArrayBuffer(4 * LOGIT_ROWS * config.vocab), control = RunControl.create(world);
  const startThread = rankThreads(options.worker ?? asset("src/parallel/rank_worker.ts"), world);
  const session = processes?.begin() ?? 0;
  const startRemote = processes &&
    remoteRanks(
      processes,
      { session, files: sampleFiles(whole.source), shared },
      local,
      new Float32Array(logits),
      config.vocab,
    );
  const start: StartRank = (rank, listener) => (rank < local ? startThread : startRemote!)(rank, listener);
  const abortAll = (cause: Error) => {
    abort(communication);
    processes?.abort(session, cause);
  };
  const ranks = new Ranks(world, { start, abort: abortAll, onProgress, alone: world === 1 });
  try {
    const sources = ranges.map((_, rank) => shardSource(whole.source, config, sizes, rank));
    const mapped = processes === null || options.weights !== "auto" ? [] : mappedByProcess(sources, local);
    const replies = await ranks.all((rank): RankSetup => {
      const source = sources[rank]!;
      const backend: RankBackend = {
        name: backendOf(options.backend, rank),
        // Each process has threads of its own.
        threads: threadsOf(rank % local, threads, local),
        weights: options.weights,
        mapped: mapped[Math.floor(rank / local)],
      };
      const part = { ...request, source, tensors: workspace(config, source) };
      const mpi = processes?.link.mpi ?? null, shares = { communication, available, logits };
      return { kind: "open", request: part, ranges: ranges[rank]!, backend, ...shares, control: control.shared, mpi };
    });
    const info = infoOf(sizes, options.backend, replies);
    const loaded: LoadedRanks = { ranks, ranges, config, logits: new Float32Array(logits) };
    return options.picks === true
      ? new PickingEngine(loaded, info, control, whole.maxTokens)
      : new RankedEngine(loaded, info);
  } catch (thrown) {
    await ranks.close();
    throw thrown;
  }
}

/** Bytes of the pages that each process would map, which has so many ranks. */
function mappedByProcess(sources: readonly ModelSource[], each: number): number[] {
  return Array.from(
    { length: sources.length / each },
    (_, process) => mappedBytes(sources.slice(process * each, (process + 1) * each)),
  );
}

/** The processes over which ranks sum that have no devices of their own; null where all are threads of this one. */
function mpiProcesses(backend: RanksOptions["backend"]): Processes | null {
  const processes = currentProcesses();
  return typeof backend === "string" && processes?.link.mpi ? processes : null;
}

/** Ranks beyond the first `local`, in the other processes; what they put into logits there is put into them here. */
function remoteRanks(
  processes: Processes,
  common: Pick<RemoteRank, "session" | "files" | "shared">,
  local: number,
  logits: Float32Array,
  vocab: number,
): StartRank {
  const take = ({ start, end, values }: LogitColumns) => {
    const width = end - start;
    for (let i = 0; i * width < values.length; i++) {
      logits.set(values.subarray(i * width, (i + 1) * width), i * vocab + start);
    }
  };
  return (rank, listener) =>
    processes.remote({ ...common, rank, process: Math.floor(rank / local) }, { ...listener, columns: take });
}

/**
 * A rank's fair share of the threads: as many as any other rank, or one more while some are left over. Every rank has
 * one at least, its own, also where there are more ranks than threads.
 */
export function threadsOf(rank: number, threads: number, world: number): number {
  return Math.max(1, Math.floor(threads / world) + (rank < threads % world ? 1 : 0));
}

function infoOf(
  sizes: ParallelSizes,
  backend: RanksOptions["backend"],
  replies: readonly RankReply[],
): BackendInfo {
  if (typeof backend !== "string") {
    const how = [`in turns on ${counted(backend.devices.length, "device")}`, "sums over the host's memory"];
    return joinedInfo(sizes, how, replies);
  }
  const [only] = replies;
  return replies.length === 1 && only?.kind === "ready" ? only.info : joinedInfo(sizes, [], replies);
}

class RankedEngine implements Engine {
  constructor(readonly loaded: LoadedRanks, readonly info: BackendInfo) {}

  get ranks(): Ranks {
    return this.loaded.ranks;
  }

  get failure(): Error | undefined {
    return this.ranks.failure;
  }

  compute(...asked: Parameters<Engine["compute"]>): Promise<void> {
    return computeTogether(this.loaded, (command) => this.ranks.all(() => command), ...asked);
  }

  copySlot(from: number, to: number, length: number): void {
    this.ranks.post({ kind: "copySlot", from, to, length });
  }

  close(): Promise<void> {
    return this.ranks.close();
  }
}

/** Steps that the only rank may begin before the tokens of the one before them were looked at. */
const AHEAD = 1;

/** An engine of one rank that chooses tokens itself: it computes the next step while those of the last are sent. */
class PickingEngine extends RankedEngine {
  /** @param maxTokens Tokens of a batch. */
  constructor(loaded: LoadedRanks, info: BackendInfo, readonly control: RunControl, readonly maxTokens: number) {
    super(loaded, info);
  }

  canDecode({ ids }: Batch): boolean {
    return ids.length <= this.maxTokens;
  }

  async likeliest(batch: Batch, rows: Int32Array, tap?: Tap): Promise<Int32Array> {
    if (tap !== undefined) {
      const ids: number[] = [];
      await this.compute(batch, rows, (_row, logits) => ids.push(likeliestOf(logits)), tap);
      return Int32Array.from(ids);
    }
    const [reply] = await this.ranks.all(() => ({ kind: "pick", batch, rows }));
    if (reply?.kind !== "picked") throw new Error("a rank gave no picks");
    return reply.picks.ids;
  }

  async decode({ batch, steps, sampling, onTokens, signal, drains = false }: DecodeRequest): Promise<DecodeResult> {
    const { control, ranks } = this, picked = new Queue<TokensReply | null>();
    // More ahead than a batch has tokens could overwrite keys that a sliding layer still sees.
    const ahead = Math.min(AHEAD, this.maxTokens - 1);
    let done = 0, goesOn = true;
    const stop = () => {
      goesOn = false;
      control.pace(0, true);
    };
    ranks.onTokens = (tokens) => picked.put(tokens);
    control.pace(1 + ahead, false);
    signal?.addEventListener("abort", stop);
    const run = ranks.all(() => ({ kind: "decode", batch, steps, sampling }));
    // Its failure is thrown where tokens are waited for.
    run.then(() => picked.put(null), (cause) => picked.fail(cause));
    try {
      if (signal?.aborted === true) stop();
      for (let tokens = await picked.take(); tokens !== null; tokens = await picked.take()) {
        if (!goesOn && !drains) continue;
        if (!await onTokens(tokens.ids, done++)) stop();
        if (goesOn) control.pace(done + 1 + ahead, false);
      }
    } finally {
      signal?.removeEventListener("abort", stop);
      stop();
      // No other question may be asked before.
      await run.catch(() => {});
    }
    return { steps: done, hostMilliseconds: 0 };
  }
}
