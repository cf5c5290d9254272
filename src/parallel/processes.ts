/**
 * Ranks in several processes: the first process runs the program, the others only lend it threads, and devices. What it
 * asks of them are the messages that it would post to threads of its own. Sums do not go this way: they go from process
 * to process by MPI (communicator.ts), from device to device by a collective library.
 */
import type { Downward, LogitColumns, RemoteDeviceSetup, RemoteSetup, Upward } from "./process_messages.ts";
import { packed, unpacked } from "./packed.ts";
import { FailureError, InputError, reason } from "../errors.ts";
import type { SampledFile } from "../checkpoint/same_files.ts";
import type { OwnRanks } from "./communicator.ts";
import type { RankState } from "./control.ts";
import type { Link } from "./link.ts";
import type { DeviceRankSetup, RankSetup } from "./messages.ts";
import { ownRanks } from "./own_ranks.ts";
import { Introduced, type Introduction } from "./introduction.ts";
import type { RankListener, RankPort } from "./rank_ports.ts";

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
  readonly files: readonly SampledFile[];
  /** Where it computes on the processor: what the setup does not say. */
  readonly shared?: Pick<RemoteSetup, "tp" | "ep" | "capacity">;
}

/** How often processes say that they are there, as their hosts may vanish, in milliseconds. */
const ALIVE_MS = 10_000;
/**
 * How often in a row the first process may not have heard of another since it last said that itself. Looks are counted,
 * not the clock asked, as this process may have been stopped for a while.
 */
const SILENT_LOOKS = 6;

/** What a {@linkcode Processes} may be given. */
export interface ProcessesOptions {
  /** What this process is, to be held against the others: another program may round otherwise. */
  readonly own?: Introduction;
  /** For tests: milliseconds between two words that it is there. */
  readonly aliveMs?: number;
}

/** This process among several. */
export class Processes {
  /** By session and rank. */
  readonly #remotes = new Map<string, Remote>();
  readonly #orders: Downward[] = [];
  #waiting: { resolve(order: Downward): void; reject(cause: Error): void } | null = null;
  /** Looks since each process was heard of. */
  readonly #silent: number[];
  readonly #introduced: Introduced | null;
  #sessions = 0;
  #lost: FailureError | InputError | null = null;
  #alive: ReturnType<typeof setInterval> | undefined;
  /** Told of the first process that is lost, or of a session's first failure, at once. */
  onFailure: ((cause: Error) => void) | null = null;

  constructor(readonly link: Link, { own, aliveMs = ALIVE_MS }: ProcessesOptions = {}) {
    this.#silent = Array.from({ length: link.size }, () => 0);
    this.#introduced = own === undefined ? null : new Introduced(own, link);
    link.listen({
      heard: (from, bytes) => {
        try {
          this.#silent[from] = 0;
          if (this.#introduced?.takes(from, bytes) === true) return;
          if (this.rank === 0) this.#hear(from, unpacked(bytes) as Upward);
          else this.#take(unpacked(bytes) as Downward);
        } catch (thrown) {
          this.#lose(from, new FailureError(`rank ${from}: ${reason(thrown)}`));
        }
      },
      lost: (process, cause) => this.#lose(process, cause),
    });
    this.#alive = setInterval(() => this.#sayAlive(), aliveMs);
  }

  /**
   * Waits until it is known what the others are.
   *
   * @throws {InputError} naming one that is another program.
   * @throws {FailureError} naming one that was lost.
   */
  async introduced(): Promise<void> {
    await this.#introduced?.all;
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
  remote({ session, rank, process, files, shared }: RemoteRank, listener: RemoteListener): RankPort {
    this.#remotes.set(`${session} ${rank}`, { process, rank, listener });
    if (this.#lost !== null) throw this.#lost;
    return {
      postMessage: (message) => {
        const sent = message.kind !== "open"
          ? message
          : "device" in message
          ? { ...remoteDeviceSetup(message), files }
          : { ...remoteSetup(message), ...shared!, files };
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

  /** Says that this process is there, and looks whether others have said so. */
  #sayAlive(): void {
    if (this.rank > 0) return this.tell({ kind: "alive" });
    this.#tellAll({ kind: "alive" });
    for (let process = 1; process < this.size; process++) {
      if (++this.#silent[process]! !== SILENT_LOOKS) continue;
      const seconds = SILENT_LOOKS * ALIVE_MS / 1000;
      this.#lose(process, new FailureError(`rank ${process} of ${this.size}: was not heard of for ${seconds} s`));
    }
  }

  #hear(process: number, message: Upward): void {
    if (message.kind === "alive") return;
    if (message.kind === "broken") {
      const { mistake, text } = message;
      return this.#lose(process, mistake ? new InputError(mistake) : new FailureError(`rank ${process}: ${text}`));
    }
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

  #lose(process: number, cause: FailureError | InputError): void {
    if (this.#lost !== null) return;
    this.#lost = cause;
    this.#introduced?.fail(cause);
    this.#waiting?.reject(cause);
    this.#waiting = null;
    for (const remote of this.#remotes.values()) if (remote.process === process) remote.listener.lost(cause);
    this.onFailure?.(cause);
  }
}

function remoteSetup({ kind, request, ranges, backend }: RankSetup) {
  return { kind, request, ranges, backend };
}

function remoteDeviceSetup(
  { kind, request, ranges, sizes, speaks, device }: DeviceRankSetup,
): Omit<RemoteDeviceSetup, "files"> {
  // A rank that is alone is in this process.
  return { kind, request, ranges, sizes: sizes!, speaks, deviceKind: device.kind };
}

/** What is thrown where a process that lends threads is told something that it does not know. */
export class UnknownSession extends FailureError {
  constructor(session: number) {
    super(`process was asked for ranks of session ${session}, which it does not have`);
  }
}
