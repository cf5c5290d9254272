/** How the thread that runs a session reaches the ranks: threads of its own, or threads of another process. */
import { startThread } from "../thread.ts";
import type { DeviceRankSetup, RankCommand, RankReply, RankSetup } from "./messages.ts";

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
    const worker = startThread(module, `mxoss-rank-${rank}`, `the thread of rank ${rank} of ${count}`);
    worker.onmessage = ({ data }: MessageEvent<RankReply>) => listener.reply(data);
    worker.onerror = (event) => {
      event.preventDefault();
      listener.died(event.message);
    };
    return worker;
  };
}
