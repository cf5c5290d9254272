/**
 * Ranks in several processes, which MPI started: the first process runs the program, the others only lend it threads.
 * What it asks of them are the messages that it would post to threads of its own; sums go from process to process
 * directly (communicator.ts).
 */
import { deserialize, serialize } from "node:v8";
import { Mpi, type MpiAbi, type MpiLibrary } from "../../ffi/mpi.ts";
import { FailureError, InputError } from "../errors.ts";
import { option, words } from "../words.ts";
import type { OwnRanks } from "./communicator.ts";
import type { RankCommand, RankReply, RankSetup } from "./messages.ts";
import type { RankListener, RankPort } from "./rank_ports.ts";
import type { World } from "./world.ts";

/** What opens a rank in another process: memory is shared there with the threads of that process only. */
export interface RemoteSetup extends Omit<RankSetup, "communication" | "logits" | "available" | "mpi"> {
  readonly tp: number;
  readonly ep: number;
  /** Most float32 values of one sum. */
  readonly capacity: number;
}

/** A message to a rank of another process. */
export interface Downward {
  /** Number of the session, of those that the program has opened. */
  readonly session: number;
  readonly rank: number;
  readonly message: RemoteSetup | RankCommand;
}

/** A rank's columns of some rows of logits, [rows, end - start]. */
export interface LogitColumns {
  readonly start: number;
  readonly end: number;
  readonly values: Float32Array;
}

/** A message of a rank in another process. */
export interface Upward {
  readonly session: number;
  readonly rank: number;
  readonly said: RankReply | { readonly kind: "died"; readonly text: string };
  /** What it put into its process's logits, where it answers a question for them. */
  readonly columns: LogitColumns | null;
}

/** Tags of messages to and from the first process. */
const DOWN = 1, UP = 2;
/** What ends the other processes. */
const END = "end";

/** Looks for messages that follow at once after the last one came, and milliseconds between later looks. */
const EAGER_LOOKS = 200, LAZY_MS = 2;

/** Who hears what a rank of another process says, and takes its columns of logits. */
interface Listening {
  readonly listener: RankListener;
  readonly columns: (columns: LogitColumns) => void;
}

/** This process among several. */
export class Processes {
  /** By session and rank. */
  readonly #listening = new Map<string, Listening>();
  #sessions = 0;
  #polling = false;

  private constructor(readonly mpi: Mpi) {}

  /**
   * Joins the processes that were started together.
   *
   * @throws {GpuLibraryError} if MPI's library cannot be opened.
   * @throws {InputError} if MPI takes this process for another one than its starter does.
   */
  static join(world: World): Processes {
    const abis: Readonly<Record<World["source"], readonly MpiAbi[]>> = {
      "Open MPI": ["openmpi"],
      "MPI": ["mpich", "openmpi"],
      "Slurm": ["openmpi", "mpich"],
      "torchrun": ["openmpi", "mpich"],
    };
    const mpi = Mpi.start(abis[world.source]);
    if (mpi.rank === world.rank && mpi.size === world.size) return new Processes(mpi);
    throw InputError.saying(
      "contradiction",
      { file: mpi.library.path },
      `says that this is process ${mpi.rank} of ${mpi.size}, ${world.source} that it is ${world.rank} of ` +
        `${world.size}: processes of this library are started by its mpirun, or by srun if it speaks the same PMI`,
    );
  }

  get rank(): number {
    return this.mpi.rank;
  }

  get library(): MpiLibrary {
    return this.mpi.library;
  }

  /**
   * Ranks of this process.
   *
   * @throws {InputError} if they cannot be shared out evenly.
   */
  own(ranks: number): OwnRanks {
    const { size, rank } = this.mpi, count = ranks / size;
    if (Number.isInteger(count)) return { first: rank * count, count };
    throw InputError.of(
      "contradiction",
      { name: `${size} processes` },
      words`${option("tp")} times ${option("ep")} to be a multiple of ${size}, so that each has as many ranks`,
      ranks,
    );
  }

  /** A number for a session. */
  begin(): number {
    return this.#sessions++;
  }

  /** A rank of another process. */
  remote(
    session: number,
    rank: number,
    process: number,
    setup: Pick<RemoteSetup, "tp" | "ep" | "capacity">,
    listener: RankListener,
    columns: (columns: LogitColumns) => void,
  ): RankPort {
    this.#listening.set(`${session} ${rank}`, { listener, columns });
    this.#poll();
    return {
      postMessage: (message) => {
        if ("device" in message) throw new Error("ranks with devices are threads of this process");
        const sent: Downward = {
          ...{ session, rank },
          message: message.kind === "open" ? remoteSetup(message, setup) : message,
        };
        this.mpi.send(process, DOWN, packed(sent));
      },
    };
  }

  /** Listens to the other processes, from the first remote rank to the end of this process. */
  #poll(looks = 0): void {
    if (looks === 0 && this.#polling) return;
    this.#polling = true;
    let found = false;
    for (let process = 1; process < this.mpi.size; process++) {
      for (let bytes = this.mpi.receive(process, UP); bytes !== null; bytes = this.mpi.receive(process, UP)) {
        found = true;
        this.#hear(deserialize(bytes) as Upward);
      }
    }
    setTimeout(() => this.#poll(found ? 1 : looks + 1), looks < EAGER_LOOKS ? 0 : LAZY_MS);
  }

  #hear({ session, rank, said, columns }: Upward): void {
    const { listener, columns: take } = this.#listening.get(`${session} ${rank}`)!;
    if (columns !== null) take(columns);
    if (said.kind === "died") listener.died(said.text);
    else listener.reply(said);
  }

  /** The next message of the first process; null: there will be no more. */
  async next(): Promise<Downward | null> {
    for (let looks = 0;; looks++) {
      const bytes = this.mpi.receive(0, DOWN);
      if (bytes !== null) {
        const message = deserialize(bytes) as Downward | typeof END;
        return message === END ? null : message;
      }
      await new Promise((resolve) => setTimeout(resolve, looks < EAGER_LOOKS ? 0 : LAZY_MS));
    }
  }

  /** Says something to the first process. */
  tell(message: Upward): void {
    this.mpi.send(0, UP, packed(message));
  }

  /**
   * Ends the processes: all together where the program went well, else at once.
   *
   * @param code Exit code of the first process.
   */
  end(code: number): void {
    if (code !== 0) return this.mpi.abort(code);
    if (this.rank === 0) { for (let to = 1; to < this.mpi.size; to++) this.mpi.send(to, DOWN, packed(END)); }
    this.mpi.finalize();
  }
}

function packed(message: unknown): Uint8Array<ArrayBuffer> {
  return new Uint8Array(serialize(message));
}

function remoteSetup(
  { kind, request, ranges, backend }: RankSetup,
  shared: Pick<RemoteSetup, "tp" | "ep" | "capacity">,
): RemoteSetup {
  return { kind, request, ranges, backend, ...shared };
}

/** What is thrown where a process that lends threads is told something that it does not know. */
export class UnknownSession extends FailureError {
  constructor(session: number) {
    super(`process was asked for ranks of session ${session}, which it does not have`);
  }
}
