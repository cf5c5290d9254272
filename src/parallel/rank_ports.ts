/** How the thread that runs a session reaches the ranks: threads of its own, or threads of another process. */
import { startThread } from "../thread.ts";
import { option, words } from "../words.ts";
import { Mailbox } from "./mailbox.ts";
import type { DeviceRankSetup, OpenedDeviceRank, RankCommand, RankReply, RankSetup } from "./messages.ts";

/** One rank, seen from where the session runs. */
export interface RankPort {
  postMessage(message: RankSetup | DeviceRankSetup | RankCommand): void;
}

/** Who is told what a rank says. */
export interface RankListener {
  reply(reply: RankReply): void;
  /** Its thread ended with an error that it did not catch. */
  died(text: string): void;
  /** The process that it is a thread of is no more. */
  lost(cause: Error): void;
}

/** Starts a rank. */
export type StartRank = (rank: number, listener: RankListener) => RankPort;

/**
 * Ranks that are threads of this process.
 *
 * @param module What each runs.
 * @param count Ranks in all, for messages.
 */
export function rankThreads(module: string | URL, count: number): StartRank {
  return (rank, listener) => {
    const fewer = words`ranks (${option("tp")}, ${option("ep")})`, which = `the thread of rank ${rank} of ${count}`;
    // The only one there is has no number that could be smaller.
    const worker = startThread(module, `mxoss-rank-${rank}`, which, count === 1 ? undefined : fewer);
    worker.onmessage = ({ data }: MessageEvent<RankReply>) => listener.reply(data);
    worker.onerror = (event) => {
      event.preventDefault();
      listener.died(event.message);
    };
    return new ThreadPort(worker);
  };
}

/** A thread of this process. Those with a device are asked by memory, where that can be. */
class ThreadPort implements RankPort {
  #mailbox: Mailbox | null = null;

  constructor(readonly worker: Worker) {}

  postMessage(message: RankSetup | DeviceRankSetup | RankCommand): void {
    if (this.#mailbox?.leave(message) === true) return;
    this.#mailbox?.announce();
    if (message.kind !== "open" || !("device" in message)) return this.worker.postMessage(message);
    this.#mailbox = Mailbox.create(message.request.maxTokens);
    this.worker.postMessage({ ...message, mailbox: this.#mailbox.shared } satisfies OpenedDeviceRank);
  }
}
