/**
 * Ranks in several processes: the first process runs the program, the others only lend it threads, and devices. What it
 * asks of them are the messages that it would post to threads of its own. Sums do not go this way: they go from process
 * to process by MPI (communicator.ts), from device to device by a collective library.
 */
import type { ParallelSizes } from "../checkpoint/shard.ts";
import { deserialize, serialize } from "node:v8";
import type { GpuKind } from "../../ffi/runtime.ts";
import { FailureError, reason } from "../errors.ts";
import type { OwnRanks } from "./communicator.ts";
import type { RankState } from "./control.ts";
import type { Link } from "./link.ts";
import type { DeviceRankSetup, RankCommand, RankReply, RankSetup } from "./messages.ts";
import { ownRanks } from "./own_ranks.ts";
import type { RankListener, RankPort } from "./rank_ports.ts";

/** What opens a rank in another process: memory is shared there with the threads of that process only. */
export interface RemoteSetup extends Omit<RankSetup, "communication" | "logits" | "available" | "control" | "mpi"> {
  readonly tp: number;
  readonly ep: number;
  /** Most float32 values of one sum. */
  readonly capacity: number;
}

/** What opens a rank with a device in another process, which has devices and libraries of its own. */
export interface RemoteDeviceSetup
  extends Omit<DeviceRankSetup, "device" | "control" | "logits" | "sizes" | "selfTests"> {
  readonly sizes: ParallelSizes;
  readonly deviceKind: GpuKind;
}

/** What the first process says. A session is one of those that the program has opened, by number. */
export type Downward =
  | {
    readonly kind: "rank";
    readonly session: number;
    readonly rank: number;
    readonly message: RemoteSetup | RemoteDeviceSetup | RankCommand;
  }
  /** Steps that ranks with devices may launch. */
  | { readonly kind: "pace"; readonly session: number; readonly until: number; readonly closed: boolean }
  /** Something failed in a session: its ranks wait for nobody any more. */
  | { readonly kind: "abort"; readonly session: number }
  /** The first process is there. */
  | { readonly kind: "alive" }
  /** The program has ended, with this exit code. */
  | { readonly kind: "end"; readonly code: number };

/** A rank's columns of some rows of logits, [rows, end - start]. */
export interface LogitColumns {
  readonly start: number;
  readonly end: number;
  readonly values: Float32Array;
}

/** How far a rank with a device has come. */
export interface RankMove extends RankState {
  readonly rank: number;
}

/** What another process says. */
export type Upward =
  | {
    readonly kind: "rank";
    readonly session: number;
    readonly rank: number;
    readonly said: RankReply | { readonly kind: "died"; readonly text: string };
    /** What it put into its process's logits, where it answers a question for them. */
    readonly columns: LogitColumns | null;
  }
  | { readonly kind: "moves"; readonly session: number; readonly moves: readonly RankMove[] }
  /** The process itself failed. */
  | { readonly kind: "broken"; readonly text: string };

/** Who hears what a rank of another process says. */
export interface RemoteListener extends RankListener {
  /** Takes its columns of logits. */
  readonly columns?: (columns: LogitColumns) => void;
  readonly moved?: (state: RankState) => void;
}

/** A rank of another process that somebody listens to. */
interface Remote {
  readonly process: number;
  readonly rank: number;
  readonly listener: RemoteListener;
}

/** What {@linkcode Processes.remote} is told of a rank. */
export interface RemoteRank {
  readonly session: number;
  readonly rank: number;
  readonly process: number;
  /** Where it computes on the processor: what the setup does not say. */
  readonly shared?: Pick<RemoteSetup, "tp" | "ep" | "capacity">;
}

/** How often the first process says that it is there, where its host may vanish, in milliseconds. */
const ALIVE_MS = 10_000;

/** This process among several. */
export class Processes {
  /** By session and rank. */
  readonly #remotes = new Map<string, Remote>();
  readonly #orders: Downward[] = [];
  #waiting: { resolve(order: Downward): void; reject(cause: FailureError): void } | null = null;
  #sessions = 0;
  #lost: FailureError | null = null;
  #alive: ReturnType<typeof setInterval> | undefined;
  /** Told of the first process that is lost, or of a session's first failure, at once. */
  onFailure: ((cause: Error) => void) | null = null;

  constructor(readonly link: Link) {
    link.listen({
      heard: (from, bytes) => {
        try {
          if (this.rank === 0) this.#hear(from, deserialize(bytes) as Upward);
          else this.#take(deserialize(bytes) as Downward);
        } catch (thrown) {
          this.#lose(from, new FailureError(`rank ${from}: ${reason(thrown)}`));
        }
      },
      lost: (process, cause) => this.#lose(process, cause),
    });
    // MPI looks after its processes itself.
    if (this.rank === 0 && link.mpi === null) {
      this.#alive = setInterval(() => this.#tellAll({ kind: "alive" }), ALIVE_MS);
    }
  }

  get rank(): number {
    return this.link.rank;
  }

  get size(): number {
    return this.link.size;
  }

  /**
   * Ranks of this process.
   *
   * @throws {InputError} if they cannot be shared out evenly.
   */
  own(ranks: number): OwnRanks {
    return ownRanks(this.rank, this.size, ranks);
  }

  /** A number for a session. */
  begin(): number {
    return this.#sessions++;
  }

  /** A rank of another process. */
  remote({ session, rank, process, shared }: RemoteRank, listener: RemoteListener): RankPort {
    this.#remotes.set(`${session} ${rank}`, { process, rank, listener });
    if (this.#lost !== null) throw this.#lost;
    return {
      postMessage: (message) => {
        const sent = message.kind !== "open"
          ? message
          : "device" in message
          ? remoteDeviceSetup(message)
          : { ...remoteSetup(message), ...shared! };
        this.#tell(process, { kind: "rank", session, rank, message: sent });
      },
    };
  }

  /** Tells the others how many steps may be launched. */
  pace(session: number, until: number, closed: boolean): void {
    this.#tellAll({ kind: "pace", session, until, closed });
  }

  /** A session has failed: ranks elsewhere are not to wait for others. */
  abort(session: number, cause: Error): void {
    this.#tellAll({ kind: "abort", session });
    this.onFailure?.(cause);
  }

  /** What the first process says next. @throws {FailureError} if it has ended without a word. */
  next(): Promise<Downward> {
    const first = this.#orders.shift();
    if (first !== undefined) return Promise.resolve(first);
    if (this.#lost !== null) return Promise.reject(this.#lost);
    return new Promise((resolve, reject) => this.#waiting = { resolve, reject });
  }

  /** The first process is not heard of any more. */
  giveUp(cause: FailureError): void {
    this.#lose(0, cause);
  }

  /** Says something to the first process. */
  tell(message: Upward): void {
    this.link.send(0, packed(message));
  }

  /**
   * Ends the processes, the others with the first.
   *
   * @param code This one's exit code.
   */
  async end(code: number): Promise<void> {
    clearInterval(this.#alive);
    if (this.rank === 0) this.#tellAll({ kind: "end", code });
    await this.link.end(code);
  }

  #tell(process: number, message: Downward): void {
    this.link.send(process, packed(message));
  }

  #tellAll(message: Downward): void {
    const bytes = packed(message);
    for (let process = 1; process < this.size; process++) this.link.send(process, bytes);
  }

  #take(order: Downward): void {
    if (this.#waiting === null) this.#orders.push(order);
    else this.#waiting.resolve(order);
    this.#waiting = null;
  }

  #hear(process: number, message: Upward): void {
    if (message.kind === "broken") return this.#lose(process, new FailureError(`rank ${process}: ${message.text}`));
    if (message.kind === "moves") {
      for (const { rank, ...state } of message.moves) {
        this.#remotes.get(`${message.session} ${rank}`)?.listener.moved?.(state);
      }
      return;
    }
    const { session, rank, said, columns } = message, { listener } = this.#remotes.get(`${session} ${rank}`)!;
    if (columns !== null) listener.columns?.(columns);
    if (said.kind === "closed") this.#remotes.delete(`${session} ${rank}`);
    if (said.kind === "died") listener.died(said.text);
    else listener.reply(said);
  }

  #lose(process: number, cause: FailureError): void {
    if (this.#lost !== null) return;
    this.#lost = cause;
    this.#waiting?.reject(cause);
    this.#waiting = null;
    for (const remote of this.#remotes.values()) if (remote.process === process) remote.listener.lost(cause);
    this.onFailure?.(cause);
  }
}

function packed(message: Downward | Upward): Uint8Array<ArrayBuffer> {
  return new Uint8Array(serialize(message));
}

function remoteSetup({ kind, request, ranges, backend }: RankSetup) {
  return { kind, request, ranges, backend };
}

function remoteDeviceSetup({ kind, request, ranges, sizes, speaks, device }: DeviceRankSetup): RemoteDeviceSetup {
  // A rank that is alone is in this process.
  return { kind, request, ranges, sizes: sizes!, speaks, deviceKind: device.kind };
}

/** What is thrown where a process that lends threads is told something that it does not know. */
export class UnknownSession extends FailureError {
  constructor(session: number) {
    super(`process was asked for ranks of session ${session}, which it does not have`);
  }
}
