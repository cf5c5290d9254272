/**
 * Memory of the machine that this process may still take, and refusing a model that needs more before any of it is
 * taken.
 */
import { bytesText } from "./amounts.ts";
import { FailureError } from "./errors.ts";
import { type ReadSystemFile, withSystemFiles } from "./system_files.ts";
import { type Text, words } from "./words.ts";

/** Memory that can be had. */
export interface Available {
  readonly bytes: number;
  /** Who says so. */
  readonly by: string;
}

/** Memory that a model needs. Weights that are mapped count for nothing: the system can drop and read them again. */
export interface Needed {
  readonly weights: number;
  readonly cache: number;
  /** Activations and work areas. */
  readonly work: number;
}

/**
 * The least of what the system has and what its control groups (version 1 or 2) leave to the process; null where
 * neither says.
 */
export function availableFrom(read: ReadSystemFile): Available | null {
  const found: Available[] = [];
  const free = /^MemAvailable:\s+(\d+) kB$/m.exec(read("/proc/meminfo") ?? "")?.[1];
  if (free !== undefined) found.push({ bytes: 1024 * Number(free), by: "MemAvailable of /proc/meminfo" });
  for (const line of (read("/proc/self/cgroup") ?? "").split("\n")) {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (path === undefined) continue;
    const version1 = controllers!.split(",").includes("memory");
    if (!version1 && controllers !== "") continue;
    // A limit of any group above holds as well. Inside a container its own group is the root.
    for (let at = path.replace(/\/$/, "");; at = at.slice(0, at.lastIndexOf("/"))) {
      const limit = version1
        ? leftOf(read, `/sys/fs/cgroup/memory${at}`, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_")
        : leftOf(read, `/sys/fs/cgroup${at}`, "memory.max", "memory.current", "");
      if (limit !== null) found.push(limit);
      if (at === "") break;
    }
  }
  return found.toSorted((a, b) => a.bytes - b.bytes)[0] ?? null;
}

/** What one group leaves: its limit less its use, in which files that can be dropped do not count. */
function leftOf(read: ReadSystemFile, dir: string, limit: string, usage: string, prefix: string): Available | null {
  const most = Number(read(`${dir}/${limit}`)?.trim() || NaN), used = Number(read(`${dir}/${usage}`)?.trim() || NaN);
  // Version 1 writes a number of some exabytes for none, version 2 "max".
  if (!(most < 2 ** 60) || !(used >= 0)) return null;
  const stat = read(`${dir}/memory.stat`) ?? "";
  const files = ["active_file", "inactive_file"]
    .reduce((sum, name) => sum + Number(new RegExp(`^${prefix}${name} (\\d+)$`, "m").exec(stat)?.[1] ?? 0), 0);
  return { bytes: Math.max(0, most - used + Math.min(files, used)), by: `${dir}/${limit}` };
}

/** What was there when the process still could look. */
let seen: Available | null = null;

/** Bytes that are as good as taken, though the system counts them as free. */
let promised = 0;

/**
 * What is there now, or was when the process still might look (see {@linkcode withSystemFiles}), less what
 * {@linkcode openInTurn} has promised.
 */
export function availableMemory(): Available | null {
  withSystemFiles((read) => seen = availableFrom(read));
  if (seen === null || promised === 0) return seen;
  const bytes = Math.max(0, seen.bytes - promised);
  return { bytes, by: `${seen.by}, less ${bytesText(promised)} of other models' caches and activations` };
}

/**
 * Opens models one after the other. The caches of one, and what else it computes, take memory only when somebody asks
 * it something; until all are open that is not there for the next all the same.
 *
 * @param unwrittenBytes What an open model will take of the machine's memory.
 */
export async function openInTurn<M, O>(
  models: readonly M[],
  open: (model: M) => Promise<O>,
  unwrittenBytes: (opened: O) => number,
): Promise<O[]> {
  const before = promised, opened: O[] = [];
  try {
    for (const model of models) {
      const one = await open(model);
      opened.push(one);
      promised += unwrittenBytes(one);
    }
  } finally {
    promised = before;
  }
  return opened;
}

/** Memory that is left alone: threads, the tokenizer and the runtime itself need some. */
const RESERVE_BYTES = 64 * 2 ** 20;

/** Whether memory holds what is needed. */
export function fits({ weights, cache, work }: Needed, { bytes }: Available): boolean {
  return weights + cache + work + RESERVE_BYTES <= bytes;
}

/** What makes a model fit. */
export const LESS = "a shorter context, fewer sequences or smaller chunks need less";

/**
 * Refuses a model that memory cannot hold.
 *
 * @param subject What the message begins with, for instance the backend.
 * @param room For how many positions the cache is, in words.
 * @param remedy What would need less, in words; weights that are read need none where they can be mapped.
 * @throws {FailureError} with what was wanted and what is there.
 */
export function refuseBeyondMemory(
  subject: Text,
  need: Needed,
  room: string,
  available: Available | null = availableMemory(),
  remedy: Text = need.weights === 0 ? LESS : `${LESS}, and so do mapped weights`,
): void {
  const { weights, cache, work } = need;
  if (available === null || fits(need, available)) return;
  const parts = [
    ...(weights === 0 ? [] : [`weights ${bytesText(weights)}`]),
    `KV cache ${bytesText(cache)} for ${room}`,
    `activations ${bytesText(work)}`,
  ].join(", ");
  const had = `${bytesText(available.bytes)} of memory can be had (${available.by})`;
  throw new FailureError(
    words`${subject}: ${had}, but the model needs ${bytesText(weights + cache + work)}: ${parts}; ${remedy}`,
  );
}
