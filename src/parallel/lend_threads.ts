/** What a process does that lends its threads to the first: ranks of sessions, as that one asks for them. */
import { within } from "../breath.ts";
import { asset } from "../assets.ts";
import type { GpuKind } from "../../ffi/runtime.ts";
import { FailureError, InputError, reason } from "../errors.ts";
import { refuseOthers } from "../checkpoint/same_files.ts";
import { hostName } from "./introduction.ts";
import { LOGIT_ROWS } from "../model/engine.ts";
import { availableMemory } from "../memory.ts";
import { spelled } from "../words.ts";
import { abort, createSharedCommunication } from "./communicator.ts";
import { RunControl } from "./control.ts";
import { deviceRankModule } from "./hosted.ts";
import type { DeviceChoice, DeviceRankSetup, RankReply, RankSetup } from "./messages.ts";
import type { Downward, LogitColumns, RankMove, RemoteDeviceSetup, RemoteSetup } from "./process_messages.ts";
import { type Processes, UnknownSession } from "./processes.ts";
import { type RankPort, rankThreads } from "./rank_ports.ts";

/** How often the first process is told how far ranks with devices have come, in milliseconds. */
const TELL_MS = 1000;
/** How long ranks may take to let go of what they hold when all ends, in milliseconds. */
const LATEST_END_MS = 1500;

/**
 * How often in a row the first process may not be heard of, which says every ten seconds that it is there: its host is
 * gone then. Looks are counted, not the clock asked, as all may have been stopped for a while.
 */
const SILENT_LOOKS = 120;

/** What a process lends with. */
export interface Lending {
  /** Its own devices, for so many ranks, and the libraries that they are used by. */
  readonly devices: (kind: GpuKind, ranks: number) => readonly DeviceChoice[];
  /** Told first that something failed, here or elsewhere. */
  readonly onFailure: () => void;
  /** For tests: milliseconds between looks. */
  readonly lookMs?: number;
}

/** A session's ranks in this process, and the memory that they share. */
interface Lent {
  readonly ranks: Map<number, LentRank>;
  readonly logits: SharedArrayBuffer;
  /** Sends ranks what they are opened with. */
  readonly open: (rank: number, setup: RemoteSetup | RemoteDeviceSetup) => LentRank;
  /** Makes ranks that wait for others throw. */
  readonly abort: () => void;
  /** Of ranks with devices. */
  readonly control: RunControl | null;
}

interface LentRank {
  readonly port: RankPort;
  readonly ranges: RankSetup["ranges"];
  readonly vocab: number;
  /** Rows of logits that it was asked for last, where other processes need its columns. */
  rows: number;
}

/**
 * Serves until the first process says that it is the end.
 *
 * @returns The exit code.
 * @throws {FailureError} where the first process ended without a word, in the one that is to say so.
 */
export async function lendThreads(processes: Processes, lending: Lending): Promise<number> {
  const lender = new Lender(processes, lending);
  try {
    return await lender.run();
  } finally {
    await lender.stop();
  }
}

class Lender {
  readonly #sessions = new Map<number, Lent>();
  readonly #timer: ReturnType<typeof setInterval>;
  #onClosed = () => {};
  /** Looks since the first process was heard of. */
  #silent = 0;

  constructor(readonly processes: Processes, readonly lending: Lending) {
    this.#timer = setInterval(() => {
      this.#tellMoves();
      this.#silent++;
      const { rank, size } = processes;
      if (this.#silent !== SILENT_LOOKS) return;
      processes.giveUp(
        new FailureError(`rank ${rank} of ${size}: rank 0 was not heard of for ${SILENT_LOOKS * TELL_MS / 1000} s`),
      );
    }, lending.lookMs ?? TELL_MS);
  }

  async run(): Promise<number> {
    try {
      for (;;) {
        const order = await this.processes.next();
        this.#silent = 0;
        if (order.kind === "alive") continue;
        // The same code everywhere: which of them a starter passes on is chance.
        if (order.kind === "end") return order.code;
        try {
          await this.#follow(order);
        } catch (thrown) {
          this.lending.onFailure();
          const mistake = thrown instanceof InputError ? thrown.mistake : null;
          this.processes.tell({ kind: "broken", text: textOf(thrown), mistake });
        }
      }
    } catch (thrown) {
      this.lending.onFailure();
      // One line is enough, of however many processes.
      if (this.processes.rank === 1) throw thrown;
      return 1;
    }
  }

  /** Ends the ranks that are left; those that hang in a driver are not waited for long. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    const left = [...this.#sessions.values()];
    if (left.length === 0) return;
    for (const lent of left) {
      lent.abort();
      for (const { port } of lent.ranks.values()) port.postMessage({ kind: "close", parted: false });
    }
    await within(new Promise((resolve) => this.#onClosed = resolve), LATEST_END_MS);
  }

  async #follow(order: Exclude<Downward, { kind: "end" | "alive" }>): Promise<void> {
    if (order.kind === "rank") return await this.#pass(order);
    const lent = this.#sessions.get(order.session);
    if (order.kind === "pace") lent?.control?.pace(order.until, order.closed);
    else {
      this.lending.onFailure();
      lent?.abort();
    }
  }

  async #pass({ session, rank, message }: Extract<Downward, { kind: "rank" }>): Promise<void> {
    if (message.kind === "open") {
      const lent = this.#sessions.get(session) ?? await this.#begin(session, message);
      this.#sessions.set(session, lent);
      lent.ranks.set(rank, lent.open(rank, message));
      return;
    }
    const lent = this.#sessions.get(session), own = lent?.ranks.get(rank);
    if (lent === undefined || own === undefined) throw new UnknownSession(session);
    if (lent.control === null && (message.kind === "compute" || message.kind === "logits")) {
      own.rows = message.rows.length;
    }
    own.port.postMessage(message);
  }

  async #begin(session: number, setup: RemoteSetup | RemoteDeviceSetup): Promise<Lent> {
    const logits = new SharedArrayBuffer(4 * LOGIT_ROWS * setup.request.config.vocab), host = hostName();
    await refuseOthers(setup.files, `rank ${this.processes.rank}${host === "" ? "" : ` on ${host}`}`);
    return "deviceKind" in setup
      ? this.#beginOnDevices(session, setup, logits)
      : this.#beginOnProcessor(session, setup, logits);
  }

  #beginOnProcessor(session: number, { tp, ep, capacity }: RemoteSetup, logits: SharedArrayBuffer): Lent {
    const communication = createSharedCommunication(tp, ep, capacity, this.processes.own(tp * ep));
    const available = availableMemory(), { mpi } = this.processes.link;
    const start = this.#starter(session, asset("src/parallel/rank_worker.ts"), tp * ep);
    return {
      ranks: new Map(),
      logits,
      open: (rank, setup) => {
        const { request, ranges, backend } = setup as RemoteSetup, port = start(rank);
        const shares = { communication, available, logits, control: null, mpi };
        port.postMessage({ kind: "open", request, ranges, backend, ...shares });
        return { port, ranges, vocab: request.config.vocab, rows: 0 };
      },
      abort: () => abort(communication),
      control: null,
    };
  }

  #beginOnDevices(
    session: number,
    { sizes: { tp, ep }, deviceKind }: RemoteDeviceSetup,
    logits: SharedArrayBuffer,
  ): Lent {
    const { first, count } = this.processes.own(tp * ep), devices = this.lending.devices(deviceKind, count);
    const control = RunControl.create(tp * ep), start = this.#starter(session, deviceRankModule(), tp * ep);
    return {
      ranks: new Map(),
      logits,
      open: (rank, setup) => {
        const { deviceKind: _, ...rest } = setup as RemoteDeviceSetup, port = start(rank);
        const device = devices[rank - first]!, selfTests = undefined;
        const own: DeviceRankSetup = { ...rest, device, selfTests, control: control.shared, logits };
        port.postMessage(own);
        return { port, ranges: rest.ranges, vocab: rest.request.config.vocab, rows: 0 };
      },
      abort: () => control.abort(),
      control,
    };
  }

  /** Starts threads of a session that tell the first process what they say. */
  #starter(session: number, module: string | URL, count: number): (rank: number) => RankPort {
    const start = rankThreads(module, count), { processes, lending } = this;
    const failed = () => {
      lending.onFailure();
      // A thread that waits for the one that failed is not to wait for ever.
      this.#sessions.get(session)?.abort();
    };
    return (rank) =>
      start(rank, {
        reply: (said) => {
          if (said.kind === "failed") failed();
          processes.tell({ kind: "rank", session, rank, said, columns: this.#columnsOf(session, rank, said) });
          if (said.kind === "closed") this.#close(session, rank);
        },
        died: (text) => {
          failed();
          processes.tell({ kind: "rank", session, rank, said: { kind: "died", text }, columns: null });
          this.#close(session, rank);
        },
        // They are threads of this process.
        lost: () => {},
      });
  }

  #close(session: number, rank: number): void {
    const lent = this.#sessions.get(session);
    lent?.ranks.delete(rank);
    if (lent?.ranks.size === 0) this.#sessions.delete(session);
    if (this.#sessions.size === 0) this.#onClosed();
  }

  /** The columns that a rank put into the logits of this process; ranks of further groups have the same ones. */
  #columnsOf(session: number, rank: number, said: RankReply): LogitColumns | null {
    const lent = this.#sessions.get(session), own = lent?.ranks.get(rank);
    if (lent === undefined || own === undefined || said.kind !== "done" || own.rows === 0) return null;
    const { ranges: { group, vocab: { start, end } }, vocab, rows } = own;
    if (group !== 0 || end === start) return null;
    const all = new Float32Array(lent.logits), width = end - start, values = new Float32Array(rows * width);
    for (let i = 0; i < rows; i++) values.set(all.subarray(i * vocab + start, i * vocab + end), i * width);
    return { start, end, values };
  }

  #tellMoves(): void {
    for (const [session, { control, ranks }] of this.#sessions) {
      if (control === null) continue;
      const moves = [...ranks.keys()].map((rank): RankMove => ({ rank, ...control.stateOf(rank) }));
      this.processes.tell({ kind: "moves", session, moves });
    }
  }
}

function textOf(cause: unknown): string {
  return cause instanceof FailureError
    ? spelled(cause.text)
    : cause instanceof InputError
    ? cause.line()
    : reason(cause);
}
