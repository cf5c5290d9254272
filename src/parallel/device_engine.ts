/** An engine whose graph runs on several devices, one rank each, or on one whose thread is not the caller's. */
import { openCollectives } from "../../ffi/collectives.ts";
import { openRuntime } from "../../ffi/open.ts";
import { fitsDevice } from "../backends/gpu/batch.ts";
import { logitRowsFor } from "../backends/gpu/batches.ts";
import { refuseAbsent } from "../backends/gpu/devices.ts";
import { stepsAhead } from "../backends/gpu/paced.ts";
import { createRankIds } from "../backends/gpu/ranks.ts";
import { groupSizes } from "../checkpoint/shard.ts";
import type { BackendInfo, Batch, OpenRequest } from "../model/backend.ts";
import type { DecodeRequest, DecodeResult, Engine, Picks } from "../model/engine.ts";
import type { TensorName } from "../model/gpt_oss.ts";
import { computeTogether } from "./compute.ts";
import type { RunControl } from "./control.ts";
import { type HostedOptions, type HostedRanks, startRanks } from "./hosted.ts";
import type { DeviceChoice, RankCommand, RankReply } from "./messages.ts";
import type { Processes } from "./processes.ts";
import { isQuestion } from "./question.ts";
import { Queue } from "./queue.ts";
import { joinedInfo, type Ranks, type TokensReply } from "./ranks.ts";
import { tune } from "./tuning.ts";
import { Watchdog } from "./watchdog.ts";

/** What {@linkcode openDeviceRanks} needs besides the request for the whole model. */
export interface DeviceRanksOptions extends HostedOptions {
  /** For measurements: false, and every sum goes by the library; true, and none does that need not. */
  readonly exchange?: boolean;
  /** Milliseconds without progress after which ranks are given up. */
  readonly patience?: number;
  /** The same while they load. */
  readonly loadingPatience?: number;
}

/**
 * Starts a thread for one device and loads the whole model there: what waits for the device is that thread alone.
 *
 * @param selfTests See `GpuOptions`.
 * @throws {FailureError} as `openGpu`.
 */
export async function openDeviceApart(
  whole: OpenRequest<TensorName>,
  device: Omit<DeviceChoice, "collectivesLibrary">,
  selfTests: string | undefined,
): Promise<DeviceEngine> {
  const { kind, ordinal, library } = device, sizes = { tp: 1, ep: 1 };
  const hosted = startRanks(whole, { sizes, kind, devices: [ordinal], library, selfTests, alone: true }, null);
  try {
    const [reply] = await hosted.load();
    if (reply?.kind !== "ready") throw new Error("a rank opened nothing");
    return new DeviceEngine(hosted, whole, null, reply.info);
  } catch (thrown) {
    await hosted.ranks.close();
    throw thrown;
  }
}

/**
 * Starts tp * ep ranks with a device each, loads each one's part, and lets them find one another.
 *
 * @param whole The request for the unsharded model; its `tensors` are replaced by each rank's own sizes.
 * @param processes Those that share the model; null: all ranks are threads of this one.
 * @throws {InputError} if tp or ep does not fit the model.
 * @throws {GpuLibraryError} if the collective library cannot be used.
 * @throws {FailureError} with the message of the first rank that failed.
 */
export async function openDeviceRanks(
  whole: OpenRequest<TensorName>,
  options: DeviceRanksOptions,
  processes: Processes | null = null,
): Promise<DeviceEngine> {
  const { sizes, kind, devices } = options;
  // Before anything is loaded.
  using library = openCollectives(kind, options.collectivesLibrary);
  refuseAbsent(openRuntime(kind, options.library), devices);
  const hosted = startRanks(whole, options, processes), { ranks } = hosted;
  try {
    const watchdog = new Watchdog(ranks, hosted.control, options.patience);
    const replies = await watchdog.loading(() => hosted.load(), options.loadingPatience);
    const ids = createRankIds(library, groupSizes(whole.config, sizes)),
      name = `${kind === "cuda" ? "NCCL" : "RCCL"} ${library.version}`;
    await watchdog.during(() => ranks.all(() => ({ kind: "prepare" })));
    await watchdog.during(() => ranks.all(() => ({ kind: "join", ids })));
    const { text } = options.exchange === false
      ? { text: `sums by ${name}` }
      : await watchdog.during(() =>
        tune(ranks, hosted.perProcess, whole.maxTokens, name, options.exchange === undefined)
      );
    const among = processes === null ? "" : `${processes.size} processes, `;
    return new DeviceEngine(
      hosted,
      whole,
      watchdog,
      joinedInfo(sizes, [among + text, "in the order of ranks"], replies),
    );
  } catch (thrown) {
    await ranks.close();
    throw thrown;
  }
}

/** The engine that {@linkcode openDeviceRanks} and {@linkcode openDeviceApart} open. */
export class DeviceEngine implements Engine {
  readonly ranks: Ranks;
  readonly control: RunControl;

  constructor(
    readonly hosted: HostedRanks,
    readonly request: OpenRequest<TensorName>,
    /** Null where no rank waits for another. */
    readonly watchdog: Watchdog | null,
    readonly info: BackendInfo,
  ) {
    this.ranks = hosted.ranks;
    this.control = hosted.control;
  }

  get failure(): Error | undefined {
    return this.ranks.failure;
  }

  compute(...asked: Parameters<Engine["compute"]>): Promise<void> {
    const { request: { config }, hosted: { ranks, ranges, logits } } = this;
    return computeTogether({ ranks, ranges, logits, config }, (command) => this.#all(command), ...asked);
  }

  canDecode(batch: Batch): boolean {
    const { slots, maxTokens, context } = this.request;
    return fitsDevice(batch, logitRowsFor(slots, maxTokens), context);
  }

  async decode(request: DecodeRequest): Promise<DecodeResult> {
    const { batch, steps, sampling, onTokens, drains = false } = request, ahead = stepsAhead(this.request);
    const picked = new Queue<TokensReply>();
    this.ranks.onTokens = (tokens) => picked.put(tokens);
    let done = 0, end = steps, permitted = Math.min(steps, ahead);
    this.hosted.pace(permitted, false);
    const run = this.#all({ kind: "decode", batch, steps, sampling });
    // Whoever looks at tokens may take as long as a reader of the program's output does.
    const look = (ids: Int32Array, step: number): boolean | Promise<boolean> => {
      const shown = () => onTokens(ids, step);
      return this.watchdog?.aside(shown) ?? shown();
    };
    // Its failure is thrown where tokens are waited for.
    run.catch((cause) => picked.fail(cause));
    try {
      while (done < end) {
        const { ids } = await picked.take();
        if (!await look(ids, done++)) end = drains ? permitted : done;
        else if (done + ahead > permitted) this.hosted.pace(permitted = Math.min(end, done + ahead), false);
      }
    } finally {
      // Every rank launches what was permitted, whatever happened here: otherwise they would wait for one another.
      this.hosted.pace(permitted, true);
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

  #all(command: Together): Promise<RankReply[]> {
    const asked = () => isQuestion(command) ? this.ranks.own(command) : this.ranks.all(() => command);
    return this.watchdog?.during(asked) ?? asked();
  }
}

/** What is said to all ranks alike. */
type Together = Exclude<RankCommand, { kind: "prepare" | "join" | "close" }>;
