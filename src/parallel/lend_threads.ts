/** What a process does that lends its threads to the first: ranks of sessions, as that one asks for them. */
import { asset } from "../assets.ts";
import { LOGIT_ROWS } from "../model/engine.ts";
import { availableMemory } from "../memory.ts";
import { abort, createSharedCommunication, type SharedCommunication } from "./communicator.ts";
import type { RankReply, RankSetup } from "./messages.ts";
import { type Downward, type LogitColumns, type Processes, type RemoteSetup, UnknownSession } from "./processes.ts";
import { type RankPort, rankThreads } from "./rank_ports.ts";

/** A session's ranks in this process, and the memory that they share. */
interface Lent {
  readonly communication: SharedCommunication;
  readonly logits: SharedArrayBuffer;
  readonly ranks: Map<number, LentRank>;
}

interface LentRank {
  readonly port: RankPort;
  readonly ranges: RankSetup["ranges"];
  readonly vocab: number;
  /** Rows of logits that it was asked for last. */
  rows: number;
}

/**
 * Serves until the first process says that it is the end.
 *
 * @returns The exit code.
 */
export async function lendThreads(processes: Processes): Promise<number> {
  const sessions = new Map<number, Lent>();
  for (let message = await processes.next(); message !== null; message = await processes.next()) {
    pass(processes, sessions, message);
  }
  return 0;
}

function pass(processes: Processes, sessions: Map<number, Lent>, { session, rank, message }: Downward): void {
  if (message.kind === "open") {
    const lent = sessions.get(session) ?? begin(processes, message);
    sessions.set(session, lent);
    open(processes, session, rank, lent, message, () => {
      lent.ranks.delete(rank);
      if (lent.ranks.size === 0) sessions.delete(session);
    });
    return;
  }
  const lent = sessions.get(session), own = lent?.ranks.get(rank);
  if (lent === undefined || own === undefined) throw new UnknownSession(session);
  if (message.kind === "compute" || message.kind === "logits") own.rows = message.rows.length;
  own.port.postMessage(message);
}

function begin(processes: Processes, { tp, ep, capacity, request: { config } }: RemoteSetup): Lent {
  return {
    communication: createSharedCommunication(tp, ep, capacity, processes.own(tp * ep)),
    logits: new SharedArrayBuffer(4 * LOGIT_ROWS * config.vocab),
    ranks: new Map(),
  };
}

/** @param onClosed Called when the rank's thread holds nothing any more. */
function open(
  processes: Processes,
  session: number,
  rank: number,
  lent: Lent,
  setup: RemoteSetup,
  onClosed: () => void,
): void {
  const { communication, logits, ranks } = lent, { request, ranges, backend } = setup;
  const start = rankThreads(asset("src/parallel/rank_worker.ts"), setup.tp * setup.ep);
  const port = start(rank, {
    reply: (said) => {
      // A thread that waits for the one that failed is not to wait for ever.
      if (said.kind === "failed") abort(communication);
      processes.tell({ session, rank, said, columns: columnsOf(lent, rank, said) });
      if (said.kind === "closed") onClosed();
    },
    died: (text) => {
      abort(communication);
      processes.tell({ session, rank, said: { kind: "died", text }, columns: null });
    },
  });
  ranks.set(rank, { port, ranges, vocab: request.config.vocab, rows: 0 });
  const mpi = processes.library, available = availableMemory();
  port.postMessage({ kind: "open", request, ranges, backend, communication, available, logits, mpi });
}

/** The columns that a rank put into the logits of this process; ranks of further expert groups have the same ones. */
function columnsOf({ logits, ranks }: Lent, rank: number, said: RankReply): LogitColumns | null {
  const { ranges: { epRank, vocab: { start, end } }, vocab, rows } = ranks.get(rank)!;
  if (said.kind !== "done" || epRank !== 0 || rows === 0 || end === start) return null;
  const all = new Float32Array(logits), width = end - start, values = new Float32Array(rows * width);
  for (let i = 0; i < rows; i++) values.set(all.subarray(i * vocab + start, i * vocab + end), i * width);
  return { start, end, values };
}
