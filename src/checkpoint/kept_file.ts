/**
 * Small files of the program's own that save the next run some work. Nothing depends on them: where one is missing, is
 * not ours, or may be written by others, there is nothing in it.
 */
import { dirname } from "node:path";
import { writeWhole } from "./atomic.ts";

/** What tells a file of one kind from others. */
export interface KeptKind {
  readonly schema: string;
  readonly version: number;
}

/** Entries that are kept; of more the oldest are dropped. */
const MOST_KEYS = 32;
/** A file that is larger is not ours. */
const MOST_BYTES = 1 << 18;
/** Only the user may read and write it: who could add to it could have anything believed. */
const FILE_MODE = 0o600, FOLDER_MODE = 0o700, OTHERS_WRITE = 0o022;

/** Values by key, as they were written; none where the file cannot be trusted. */
export function readKept(path: string, { schema, version }: KeptKind): Map<string, unknown> {
  try {
    const file = Deno.lstatSync(path), folder = Deno.lstatSync(dirname(path));
    if (!file.isFile || !folder.isDirectory || file.size > MOST_BYTES) return new Map();
    if ([file, folder].some(({ mode }) => ((mode ?? 0) & OTHERS_WRITE) !== 0)) return new Map();
    const found = JSON.parse(Deno.readTextFileSync(path));
    return found.schema === schema && found.version === version ? new Map(Object.entries(found.kept)) : new Map();
  } catch {
    return new Map();
  }
}

/**
 * Keeps a value beside what others have written meanwhile; where the file cannot be written, it is not.
 *
 * @param value Given what is kept under the key.
 */
export function keepValue(path: string, kind: KeptKind, key: string, value: (before: unknown) => unknown): void {
  try {
    Deno.mkdirSync(dirname(path), { recursive: true, mode: FOLDER_MODE });
    const all = readKept(path, kind), own = value(all.get(key));
    all.delete(key);
    all.set(key, own);
    const kept = Object.fromEntries([...all].slice(-MOST_KEYS));
    writeWhole(path, `${JSON.stringify({ ...kind, kept }, null, 1)}\n`, FILE_MODE);
  } catch {
    // The next run does without.
  }
}
