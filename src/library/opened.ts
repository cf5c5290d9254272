/** What stands behind the library's checkpoints: it is reached by the library's own modules only. */
import type { Checkpoint as Opened } from "../checkpoint/checkpoint.ts";

const opened = new WeakMap<object, Opened>();

/** Remembers what a checkpoint of the library stands for. */
export function remember<T extends object>(checkpoint: T, behind: Opened): T {
  opened.set(checkpoint, behind);
  return checkpoint;
}

/**
 * What a checkpoint of the library stands for.
 *
 * @throws {TypeError} if the library did not open it.
 */
export function behind(checkpoint: object): Opened {
  const found = opened.get(checkpoint);
  if (found === undefined) throw new TypeError("checkpoint: expected one that openCheckpoint() returned");
  return found;
}
