/** The threads of ranks, and the promise of their answers to the question at hand. */
import { within } from "../breath.ts";
import type { ParallelSizes } from "../checkpoint/shard.ts";
import { FailureError, InputError } from "../errors.ts";
import type { BackendInfo } from "../model/backend.ts";
import type { RankListener, RankPort, StartRank } from "./rank_ports.ts";
import { words } from "../words.ts";
import type { DeviceRankSetup, RankCommand, RankReply, RankSetup } from "./messages.ts";

/** A rank's part of a tapped result. */
export type TapReply = Extract<RankReply, { kind: "tap" }>;
/** Picked tokens of a step. */
export type TokensReply = Extract<RankReply, { kind: "tokens" }>;
type Failure = Extract<RankReply, { kind: "failed" }>;
/** What each rank is told. */
type MessageOf = (rank: number) => RankSetup | DeviceRankSetup | RankCommand;

/** What {@linkcode Ranks} needs to know. */
export interface RanksParts {
  /** Starts each. */
  readonly start: StartRank;
  /** Makes every rank that waits, or will wait, throw: a thread that died cannot do so itself. Told the first cause. */
  readonly abort: (cause: Error) => void;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  /** Whether there is no other rank: its failures are the model's. */
  readonly alone?: boolean;
  /** Whether ranks let go of one another's memory together before any frees its own. */
  readonly parting?: boolean;
  /** So many of the first ranks are threads of this process; undefined: all. */
  readonly own?: number;
}

/** How long threads may take to end, and after a failure: one that hangs in a driver never does. */
const LATEST_END_MS = 5000, LATEST_FAILED_MS = 1500;

/** The threads of ranks, which are asked one question at a time. */
export class Ranks {
  readonly #workers: RankPort[] = [];
  #pending: { answer(rank: number, reply: RankReply): void; reject(cause: Error): void } | undefined;
  /** The first failure. The ranks' sums are out of step from then on, so no later question is asked. */
  #failure: Error | undefined;
  #closing: Promise<void> | undefined;
  /** Answers that ranks of other processes have still to give to earlier questions. */
  readonly #late: number[];
  /** Threads that hold nothing any more. */
  readonly #ended = new Set<number>();
  #onEnd = () => {};
  onTap: ((rank: number, tap: TapReply) => void) | undefined;
  onTokens: ((tokens: TokensReply) => void) | undefined;

  /** @throws {Error} as `parts.start`; those that were started before end then. */
  constructor(readonly count: number, readonly parts: RanksParts) {
    this.#late = Array.from({ length: count }, () => 0);
    try {
      for (let rank = 0; rank < count; rank++) this.#workers.push(parts.start(rank, this.#listenerOf(rank)));
    } catch (thrown) {
      this.post({ kind: "close", parted: false });
      throw thrown;
    }
  }

  #listenerOf(rank: number): RankListener {
    const { count, parts: { alone = false } } = this;
    const failure = (said: Omit<Failure, "kind" | "dragged">) => toError(alone ? null : rank, said);
    return {
      reply: (data) => {
        if (data.kind === "tap") this.onTap?.(rank, data);
        else if (data.kind === "tokens") this.onTokens?.(data);
        else if (data.kind === "closed") this.#end(rank);
        else if (data.kind === "progress") rank === 0 && this.#progress(data.done * count, data.total * count);
        else if (data.kind === "failed" && !data.dragged) this.fail(failure(data));
        else if (this.#late[rank]! > 0) this.#late[rank]!--;
        else this.#pending?.answer(rank, data);
      },
      died: (text) => {
        this.#end(rank);
        this.fail(failure({ text, mistake: null }));
      },
      lost: (cause) => {
        this.#end(rank);
        this.fail(cause);
      },
    };
  }

  /** What the caller throws at being told is why loading ends; here it would end the process. */
  #progress(done: number, total: number): void {
    try {
      this.parts.onProgress?.(done, total);
    } catch (thrown) {
      this.fail(thrown instanceof Error ? thrown : new Error(String(thrown)));
    }
  }

  /** Remembers the first cause and wakes the ranks that wait. */
  fail(cause: Error): void {
    this.#failure ??= cause;
    this.parts.abort(this.#failure);
    this.#pending?.reject(this.#failure);
  }

  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Sends each rank its message and resolves when all have answered; rejects with the first cause when any failed. */
  all(message: MessageOf): Promise<RankReply[]> {
    return this.#askWhileOpen(message);
  }

  /**
   * Like {@linkcode all}, but waits for this process's ranks alone, whose answers it gives: what the others say is
   * nothing new, and takes a while to come. That one of them failed is known at the next question at the latest.
   */
  own(command: RankCommand): Promise<RankReply[]> {
    return this.#askWhileOpen(() => command, this.parts.own ?? this.count);
  }

  #askWhileOpen(message: MessageOf, first?: number): Promise<RankReply[]> {
    if (this.#failure) return Promise.reject(this.#failure);
    // Nobody would answer.
    if (this.#closing) return Promise.reject(new Error("ranks were asked something after they were closed"));
    return this.#ask(message, first);
  }

  /** @param first So many of the first ranks are waited for. */
  #ask(message: MessageOf, first = this.count): Promise<RankReply[]> {
    return new Promise((resolve, reject) => {
      const replies: RankReply[] = [], late = this.#late;
      let missing = first;
      this.#pending = {
        reject,
        // Ranks that only stopped because of another one count as well: that one's failure is on its way.
        answer: (rank, reply) => {
          replies[rank] = reply;
          if (rank < first) missing--;
          if (missing > 0) return;
          this.#pending = undefined;
          for (let other = first; other < this.count; other++) if (replies[other] === undefined) late[other]!++;
          if (replies.some((r) => r.kind === "failed")) reject(new FailureError("the ranks stopped one another"));
          else resolve(replies);
        },
      };
      const told = this.#workers.map((worker, rank) => ({ worker, rank }));
      // A message to another process is longer on its way.
      for (const { worker, rank } of first < this.count ? told.reverse() : told) worker.postMessage(message(rank));
    });
  }

  post(command: RankCommand): void {
    for (const worker of this.#workers) worker.postMessage(command);
  }

  /** Ends the threads; resolves when all have freed what they held, or after a while. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    // Ranks that failed, or are still at work, cannot part: each keeps what others may write to.
    const able = this.parts.parting === true && this.#failure === undefined && this.#pending === undefined;
    this.post({ kind: "close", parted: able && await this.#part() });
    if (this.#ended.size === this.count) return;
    const latest = this.#failure === undefined ? LATEST_END_MS : LATEST_FAILED_MS;
    await within(new Promise((resolve) => this.#onEnd = resolve), latest);
  }

  /** Whether all ranks have let go of one another's memory. */
  async #part(): Promise<boolean> {
    let parted = false;
    await within(this.#ask(() => ({ kind: "part" })).then(() => void (parted = true), () => {}), LATEST_END_MS);
    return parted;
  }

  #end(rank: number): void {
    this.#ended.add(rank);
    if (this.#ended.size === this.count) this.#onEnd();
  }
}

/**
 * What ranks that have opened are together.
 *
 * @param how How they are joined, in words.
 */
export function joinedInfo(
  { tp, ep }: ParallelSizes,
  how: readonly string[],
  replies: readonly RankReply[],
): BackendInfo {
  const infos = replies.flatMap((reply) => reply.kind === "ready" ? [reply.info] : []);
  return {
    description: [`tp ${tp}`, `ep ${ep}`, ...how, `each rank: ${infos[0]?.description ?? ""}`].join(", "),
    weightBytes: infos.reduce((sum, { weightBytes }) => sum + weightBytes, 0),
    unwrittenBytes: infos.reduce((sum, { unwrittenBytes = 0 }) => sum + unwrittenBytes, 0),
    loadMilliseconds: Math.max(...infos.map(({ loadMilliseconds }) => loadMilliseconds)),
  };
}

function toError(rank: number | null, { text, mistake }: Omit<Failure, "kind" | "dragged">): Error {
  if (mistake !== null) return new InputError(mistake);
  return new FailureError(rank === null ? text : words`rank ${rank}: ${text}`);
}
