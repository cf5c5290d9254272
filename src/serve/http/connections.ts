/** How many clients may be connected at once. */
import { type ReadSystemFile, withSystemFiles } from "../../system_files.ts";

/** What a system has room for. */
export interface Connections {
  readonly most: number;
  /** More that may wait until they are taken in, or turned away. */
  readonly backlog: number;
}

/** Longest backlog: what Node.js has. */
const LONGEST = 511;
/** Where the system does not say how many files a process may have. */
const OTHERWISE: Connections = { most: 4000, backlog: LONGEST };
/** Descriptors left for what is opened later: a model that is loaded again, files that are read. */
const SPARE = 64;

/**
 * As many as there are descriptors for, with those that wait, which have theirs before they are turned away: where one
 * cannot be had, Deno 2.9.6 takes in nobody any more, without a word and for good.
 */
export function connectionsFrom(read: ReadSystemFile): Connections {
  const [, files] = /^Max open files\s+(\d+)/m.exec(read("/proc/self/limits") ?? "") ?? [];
  const [, had] = /^FDSize:\s+(\d+)$/m.exec(read("/proc/self/status") ?? "") ?? [];
  if (files === undefined || had === undefined) return OTHERWISE;
  const left = Math.max(2, Number(files) - Number(had) - SPARE), backlog = Math.min(LONGEST, left >> 2) || 1;
  return { most: left - backlog, backlog };
}

/** As many as this process may have. */
export function connectionsHere(): Connections {
  let found = OTHERWISE;
  withSystemFiles((read) => found = connectionsFrom(read));
  return found;
}
