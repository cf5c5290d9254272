/** What another thread does to memories of WebAssembly; it loads nothing else, as its start is waited for. */
import { reason } from "../../errors.ts";

/** What the thread that makes memories larger gets. */
export interface Growth {
  readonly memory: WebAssembly.Memory;
  /** Pages of 64 KB that come to those that it has. */
  readonly pages: number;
}

/** What it answers: how many memories it made larger before one could not be, and why. */
export interface GrowthReply {
  readonly grown: number;
  readonly failure: string | null;
}

/** Makes memories larger, in turn, until one cannot be. */
export function grow(growths: readonly Growth[]): GrowthReply {
  for (const [i, { memory, pages }] of growths.entries()) {
    try {
      memory.grow(pages);
    } catch (thrown) {
      return { grown: i, failure: reason(thrown) };
    }
  }
  return { grown: growths.length, failure: null };
}
